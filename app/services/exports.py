"""Exports: the whole catalogue as of one moment, as files, and where changes go on from there.

A withdrawn asset must not be had from old files. Those that hold it are deleted once a new export
is there, which is begun within seconds; until then they are given out, since any end of a right
would else break off every download. Should no new one be written in five minutes, none is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol
from uuid import UUID

from sqlalchemy import ColumnElement, Select, delete, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import NotFound, ServiceUnavailable
from app.models import Change, ChangeFeed, Export, ExportFile
from app.services import changes, policy, stored_objects

Format = Literal["ndjson", "ndjson.gz", "ndjson.zst"]
MEDIA_TYPES: Mapping[str, str] = {
    "ndjson": "application/x-ndjson",
    "ndjson.gz": "application/gzip",
    "ndjson.zst": "application/zstd",
}


class ExportNotReady(ServiceUnavailable):
    code, title = "export_not_ready", "The next export is being written; come back in a moment"

    def __init__(self) -> None:
        super().__init__(retry_after=policy.EXPORT_RETRY_AFTER)


class ExportNotKept(NotFound):
    code, title = "export_not_kept", "This export is not kept, or not any more; take the newest"


class Reader(Protocol):
    async def fetch(self, query: str, *args: Any) -> Sequence[Any]: ...


@dataclass(frozen=True, slots=True)
class OfferedFile:
    format: str
    object_key: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class OfferedExport:
    id: UUID
    sequence: int
    # The cursor for `GET /v1/changes?after=`.
    next_after: str
    taken_at: datetime
    confirmed_at: datetime
    assets: int
    files: Sequence[OfferedFile]

    def file(self, file_format: str) -> OfferedFile:
        return next(each for each in self.files if each.format == file_format)


# What is given out


async def list_offered(reader: Reader, *, now: datetime) -> Sequence[OfferedExport]:
    """Those that may be downloaded, newest first."""
    rows = await reader.fetch(_OFFERED, now - policy.WITHDRAWN_IN_EXPORTS_AT_MOST)
    files: dict[UUID, list[OfferedFile]] = {}
    for row in rows:
        file = OfferedFile(row["format"], row["object_key"], row["size_bytes"], row["sha256"])
        files.setdefault(row["id"], []).append(file)
    firsts = {row["id"]: row for row in reversed(rows)}
    return [_offered(firsts[export_id], of_this) for export_id, of_this in files.items()]


async def newest(reader: Reader, *, now: datetime) -> OfferedExport:
    """Raises `ExportNotReady`."""
    offered = await list_offered(reader, now=now)
    if not offered:
        raise ExportNotReady
    return offered[0]


async def get(reader: Reader, export_id: UUID, *, now: datetime) -> OfferedExport:
    """Raises `ExportNotKept`."""
    for each in await list_offered(reader, now=now):
        if each.id == export_id:
            return each
    raise ExportNotKept


_OFFERED = """
    SELECT export.id, export.epoch, export.sequence, taken_at, confirmed_at, assets,
           format, object_key, size_bytes, sha256
      FROM export
      JOIN export_file ON export_file.export_id = export.id
      JOIN change_feed ON change_feed.epoch = export.epoch
     WHERE NOT EXISTS (SELECT FROM change
                        WHERE change.kind = 'withdrawn' AND change.sequence > export.sequence
                          AND change.occurred_at <= $1)
     ORDER BY export.sequence DESC, export.taken_at DESC, export.id, format
"""


def _offered(row: Any, files: Sequence[OfferedFile]) -> OfferedExport:
    return OfferedExport(
        id=row["id"],
        sequence=row["sequence"],
        next_after=changes.cursor(row["epoch"], row["sequence"]),
        taken_at=row["taken_at"],
        confirmed_at=row["confirmed_at"],
        assets=row["assets"],
        files=files,
    )


# What is written and deleted


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What an export says."""

    epoch: UUID
    sequence: int
    taken_at: datetime
    assets: int


async def is_due(session: AsyncSession, *, now: datetime) -> bool:
    """Whether the newest export is an hour old, or something was withdrawn that it holds."""
    last = await _last(session)
    if last is None or last.confirmed_at <= now - policy.EXPORT_INTERVAL:
        return True
    holds_withdrawn = _holds_withdrawn(before=now - policy.WITHDRAWAL_EXPORT_DELAY)
    this = select(Export.id).where(Export.id == last.id, holds_withdrawn)
    return await session.scalar(this) is not None


async def confirm(session: AsyncSession, *, now: datetime) -> Sequence[ExportFile]:
    """If nothing has changed since the newest export, note that; gives its files, else none."""
    last = await _last(session)
    if last is None or last.sequence != await session.scalar(select(ChangeFeed.last_sequence)):
        return []
    await session.execute(update(Export).where(Export.id == last.id).values(confirmed_at=now))
    files = await session.scalars(select(ExportFile).where(ExportFile.export_id == last.id))
    return files.all()


async def add(
    session: AsyncSession, snapshot: Snapshot, files: Iterable[OfferedFile], *, now: datetime
) -> UUID:
    """Offer a new export, and delete those that it takes the place of."""
    export = Export(
        epoch=snapshot.epoch,
        sequence=snapshot.sequence,
        taken_at=snapshot.taken_at,
        confirmed_at=snapshot.taken_at,
        completed_at=now,
        assets=snapshot.assets,
    )
    session.add(export)
    await session.flush()
    session.add_all(
        ExportFile(
            export_id=export.id,
            format=each.format,
            object_key=each.object_key,
            size_bytes=each.size_bytes,
            sha256=each.sha256,
        )
        for each in files
    )
    await session.flush()
    # Now that it is there, those that hold what was withdrawn since are given out no more.
    await _remove(session, (Export.id != export.id) & _holds_withdrawn(before=now), now=now)
    await remove_unwanted(session, now=now)
    return export.id


async def remove_unwanted(session: AsyncSession, *, now: datetime) -> None:
    """Delete what may no longer be given out, and all but the last three."""
    kept = _newest_first().with_only_columns(Export.id).limit(policy.KEPT_EXPORTS)
    overdue = _holds_withdrawn(before=now - policy.WITHDRAWN_IN_EXPORTS_AT_MOST)
    await _remove(session, or_(overdue, Export.id.not_in(kept)), now=now)


def _newest_first() -> Select[Export]:
    """Those of before a restore do not count: nobody can go on from there."""
    of_epoch = select(Export).join(ChangeFeed, ChangeFeed.epoch == Export.epoch)
    return of_epoch.order_by(Export.sequence.desc(), Export.taken_at.desc())


async def _last(session: AsyncSession) -> Export | None:
    return (await session.scalars(_newest_first().limit(1))).one_or_none()


def _holds_withdrawn(*, before: datetime) -> ColumnElement[bool]:
    """Whether something in it was withdrawn then or earlier."""
    return exists().where(
        Change.kind == "withdrawn",
        Change.sequence > Export.sequence,
        Change.occurred_at <= before,
    )


async def _remove(session: AsyncSession, which: ColumnElement[bool], *, now: datetime) -> None:
    """Rows first, objects after them; whoever has begun to read one reads on."""
    gone = (await session.scalars(select(Export.id).where(which).with_for_update())).all()
    if not gone:
        return
    files = delete(ExportFile).where(ExportFile.export_id.in_(gone))
    keys = (await session.scalars(files.returning(ExportFile.object_key))).all()
    await session.execute(delete(Export).where(Export.id.in_(gone)))
    await stored_objects.release(session, sorted(set(keys)), now=now)
