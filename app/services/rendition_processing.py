"""From the last byte of an upload to a file that can be downloaded: what the worker writes down.

A file is claimed under a lease, worked on outside of any transaction, and concluded. Each step may
be repeated: whatever dies in between only lets the lease run out, and the sweep enqueues the file
again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Text, Update, and_, case, cast, literal, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import NotFound
from app.models import Asset, Rendition, Upload, UploadPart
from app.services import (
    asset_versions,
    derived_files,
    job_queue,
    policy,
    publication,
    stored_objects,
)
from app.services.derived_files import DerivedFile
from app.services.rendition_rules import DELAYS, NOTES, FileRefused, Technical, rank

ENTRYPOINT = "rendition.process"
SWEEP_BATCH = 100
_JOB = "rendition:"


@dataclass(frozen=True, slots=True)
class Claim:
    """A file that one worker may work on until its lease ends."""

    id: UUID
    asset_id: UUID
    asset_type: str
    name: str
    purpose: str
    filename: str
    size_bytes: int
    # Which try it is; it also tells this claim from a later one.
    attempts: int
    # What an earlier try has found out, if one came so far.
    object_key: str | None
    media_type: str
    technical: Technical


@dataclass(frozen=True, slots=True)
class Arrival:
    """The upload that a file has come in by."""

    upload_id: UUID
    expected_sha256: str | None
    parts: Sequence[UploadPart]


async def enqueue(session: AsyncSession, rendition_ids: Sequence[UUID]) -> None:
    jobs = {f"{_JOB}{each}": each.bytes for each in rendition_ids}
    await job_queue.enqueue(session, ENTRYPOINT, jobs)


async def enqueue_due(session: AsyncSession, *, now: datetime) -> int:
    """Enqueue files that wait for a worker and have no job; returns how many those were."""
    due = (
        select(Rendition.id)
        .where(_is_live, Rendition.due_at <= now)
        .where(~job_queue.has_job(literal(_JOB) + cast(Rendition.id, Text)))
        .order_by(Rendition.due_at)
        .limit(SWEEP_BATCH)
    )
    ids = (await session.scalars(due)).all()
    if ids:
        await enqueue(session, ids)
    return len(ids)


async def claim(session: AsyncSession, rendition_id: UUID, *, now: datetime) -> Claim | None:
    """Take a file for work, or None when it is concluded or another worker has it."""
    row = await session.scalar(
        update(Rendition)
        .where(Rendition.id == rendition_id, _is_live, Rendition.due_at <= now)
        .values(attempts=Rendition.attempts + 1, due_at=now + policy.PROCESSING_LEASE)
        .returning(Rendition)
    )
    if row is None:
        return None
    asset = await session.get_one(Asset, row.asset_id)
    return Claim(
        id=row.id,
        asset_id=row.asset_id,
        asset_type=asset.type,
        name=row.name,
        purpose=row.purpose,
        filename=row.filename,
        size_bytes=row.size_bytes,
        attempts=row.attempts,
        object_key=row.object_key,
        media_type=row.media_type,
        technical=row.technical,
    )


async def arrival(session: AsyncSession, claim: Claim) -> Arrival | None:
    """The upload of a claimed file; None once it has been deleted."""
    upload = await session.scalar(select(Upload).where(Upload.rendition_id == claim.id))
    if upload is None:
        return None
    query = select(UploadPart).where(UploadPart.upload_id == upload.id)
    parts = (await session.scalars(query.order_by(UploadPart.start_bytes))).all()
    return Arrival(upload.id, upload.expected_sha256, parts)


async def keep(session: AsyncSession, claim: Claim, *, progress: int, now: datetime) -> bool:
    """Renew the lease and show how far the work is; False when the claim was lost."""
    values = {"progress": progress, "due_at": now + policy.PROCESSING_LEASE}
    kept = await session.scalar(_if_claimed(claim).values(values).returning(Rendition.id))
    return kept is not None


async def accept(
    session: AsyncSession, claim: Claim, *, sha256: str, technical: dict[str, Any], now: datetime
) -> str | None:
    """Note what the file is, and give the key under which the store is to have it.

    The same bytes are stored once: the key may be one that other files refer to already. None when
    the claim was lost.
    """
    size = claim.size_bytes
    key = await stored_objects.claim(session, sha256=sha256, size_bytes=size, now=now)
    values = {
        "object_key": key,
        "sha256": sha256,
        "technical": technical,
        "media_type": technical["mime_type"],
        "failure": None,
        "failure_detail": None,
    }
    return await session.scalar(_if_claimed(claim).values(values).returning(Rendition.object_key))


async def finish(
    session: AsyncSession,
    claim: Claim,
    derived: Sequence[DerivedFile],
    *,
    note: str | None,
    now: datetime,
) -> bool:
    """Offer the file, in place of the former one of its name; False when the claim was lost.

    `note` is one of `NOTES`. Where a newer file of its name was faster, it is replaced at once.
    """
    try:
        await asset_versions.lock(session, claim.asset_id)
    except NotFound:  # a draft that was deleted, and its files with it
        return False
    row = await session.scalar(
        _if_claimed(claim)
        .values(due_at=None, progress=100, failure=note, failure_detail=NOTES.get(note or ""))
        .returning(Rendition)
    )
    if row is None:
        return False
    same_name = and_(Rendition.asset_id == row.asset_id, Rendition.name == row.name)
    newer = select(Rendition.id).where(same_name, Rendition.state == "ready", Rendition.id > row.id)
    if await session.scalar(newer) is not None:
        row.state = "replaced"
        return True
    is_older = and_(same_name, Rendition.id < row.id, Rendition.state.in_(("ready", "failed")))
    replaced = {"state": "replaced", "due_at": None}
    older = update(Rendition).where(is_older).values(replaced).returning(Rendition.id)
    former_ids = (await session.scalars(older)).all()
    await derived_files.replace_made_from(session, row.asset_id, former_ids)
    row.state = "ready"
    await derived_files.put(session, row, derived, now=now)
    await publication.files_changed(session, row.asset_id, account_id=row.created_by, now=now)
    return True


async def show_by_another(session: AsyncSession, asset_id: UUID, *, now: datetime) -> None:
    """Have the best of the files that are left make the poster and the preview."""
    is_left = and_(Rendition.state == "ready", Rendition.source_id.is_(None))
    query = select(Rendition).where(Rendition.asset_id == asset_id, is_left)
    left = (await session.scalars(query.order_by(Rendition.id.desc()))).all()
    if left:
        best = min(left, key=lambda each: rank(each.purpose))
        best.due_at = now
        await session.flush()
        await enqueue(session, [best.id])


async def fail(
    session: AsyncSession,
    claim: Claim,
    *,
    refusal: FileRefused,
    now: datetime,  # noqa: ARG001  # as of the other ways to conclude
) -> None:
    """Conclude a file that can't be offered; what is public stays as it was."""
    values = {"failure": refusal.code, "failure_detail": refusal.detail, "due_at": None}
    still_ready = case((Rendition.state == "ready", "ready"), else_="failed")
    await session.execute(_if_claimed(claim).values(state=still_ready, **values))


async def postpone(session: AsyncSession, claim: Claim, *, reason: str, now: datetime) -> None:
    """Let a claimed file wait for its next try; `reason` is one of `DELAYS`."""
    due_at = now + policy.processing_retry_delay(claim.attempts)
    values = {"failure": reason, "failure_detail": DELAYS[reason], "due_at": due_at}
    await session.execute(_if_claimed(claim).values(values))


# A ready one may be worked on again, to show the asset in place of a file that was removed.
_is_live = Rendition.state.in_(("processing", "ready"))


def _if_claimed(claim: Claim) -> Update:
    """Change the row unless the lease ran out and another worker has claimed it since."""
    mine = and_(_is_live, Rendition.due_at.is_not(None), Rendition.attempts == claim.attempts)
    return update(Rendition).where(Rendition.id == claim.id, mine)
