"""Which objects the store holds, who may refer to them, and when they are deleted.

An object is claimed, put, and referred to by renditions or exports. Once none has done so for a
day it is condemned: its row goes, and foreign keys keep everybody from referring to it from then
on. Only then is it deleted from the store, and its key is never used again: whatever comes late, a
second deletion or an old link, hits nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import Protocol
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Text,
    and_,
    cast,
    delete,
    exists,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Asset, CondemnedObject, ExportFile, Rendition, StoredObject
from app.services import job_queue, policy
from app.services.auth import Transactions

# The job that moves a withdrawn asset's objects; its payload is the asset's id.
ENTRYPOINT = "stored_objects.move"
RENDITIONS, EXPORTS = PREFIXES = ("renditions/", "exports/")
# Small enough that no transaction holds its locks for long.
WINDOW = 5000
BATCH = 500


class Store(Protocol):
    """The part of a store that takes a new object (adapters/storage.py)."""

    async def has(self, key: str, *, size_bytes: int) -> bool: ...
    async def put_file(self, key: str, path: Path, *, filename: str, media_type: str) -> None: ...


async def claim(
    session: AsyncSession,
    *,
    sha256: str,
    size_bytes: int,
    now: datetime,
    prefix: str = RENDITIONS,
) -> str:
    """The key where these bytes are, or where the caller is to put them if they are not yet.

    It may be referred to for a day from now. Should it be condemned all the same, as when the
    asset that shares it is withdrawn, the foreign key refuses, and one more claim gives another.
    """
    same = (
        select(StoredObject.key)
        .where(StoredObject.sha256 == sha256, StoredObject.size_bytes == size_bytes)
        .where(StoredObject.key.startswith(prefix))
        .order_by(StoredObject.created_at)
        .limit(1)
        .with_for_update()
    )
    touch = update(StoredObject).where(StoredObject.key == same.scalar_subquery())
    known = await session.scalar(touch.values(claimed_at=now).returning(StoredObject.key))
    return known or await _add(
        session, sha256=sha256, size_bytes=size_bytes, now=now, prefix=prefix
    )


async def store_file(
    transactions: Transactions,
    store: Store,
    path: Path,
    *,
    sha256: str,
    size_bytes: int,
    filename: str,
    media_type: str,
    now: datetime,
) -> str:
    """Put a file into the store unless its bytes are there already; gives the key to refer to."""
    async with transactions() as session:
        key = await claim(session, sha256=sha256, size_bytes=size_bytes, now=now)
    if not await store.has(key, size_bytes=size_bytes):
        await store.put_file(key, path, filename=filename, media_type=media_type)
    return key


async def release(session: AsyncSession, keys: Sequence[str], *, now: datetime) -> None:
    """Condemn at once those of these objects that nothing refers to any more."""
    locked = select(StoredObject.key).where(StoredObject.key.in_(keys)).with_for_update()
    await _condemn(session, (await session.scalars(locked)).all(), now=now)


# Withdrawals


async def enqueue_withdrawal(session: AsyncSession, asset_id: UUID) -> None:
    """Let the links die that a store of its own serves for a withdrawn asset."""
    await _enqueue_moves(session, [asset_id])


async def enqueue_lost_withdrawals(session: AsyncSession, *, now: datetime) -> None:
    """For the sweep. Fifteen minutes after the withdrawal no link to the old keys is left."""
    since = now - policy.DOWNLOAD_URL_LIFETIME
    due = (
        select(Asset.id)
        .where(Asset.state == "withdrawn", Asset.updated_at > since, Asset.withdrawn_at > since)
        .where(_HAS_OLD_OBJECTS, ~job_queue.has_job(_move_key()))
    )
    await _enqueue_moves(session, (await session.scalars(due)).all())


async def begin_moves(session: AsyncSession, asset_id: UUID, *, now: datetime) -> Mapping[str, str]:
    """The objects of a withdrawn asset that links may still lead to, each with its next key."""
    query = (
        select(StoredObject, Asset.withdrawn_at)
        .join(Rendition, Rendition.object_key == StoredObject.key)
        .join(Asset, Asset.id == Rendition.asset_id)
        .where(Asset.id == asset_id, Asset.state == "withdrawn", _IS_OLD)
        .distinct()
    )
    moves = {}
    for old, withdrawn_at in (await session.execute(query)).all():
        # Never before the withdrawal, whatever this host's clock says: it would move for ever.
        moment = max(now, withdrawn_at or now)
        moves[old.key] = await _add(
            session, sha256=old.sha256, size_bytes=old.size_bytes, now=moment
        )
    return moves


async def replace(session: AsyncSession, key: str, by: str, *, now: datetime) -> None:
    """Make all renditions of one object refer to its copy, and condemn it."""
    await session.execute(select(StoredObject).where(StoredObject.key == key).with_for_update())
    await session.execute(
        update(Rendition).where(Rendition.object_key == key).values(object_key=by)
    )
    await _condemn(session, [key], now=now)


# The collector


async def release_unused(session: AsyncSession, *, now: datetime) -> None:
    """Give up the objects of renditions that were replaced, or failed, a month ago."""
    is_unused = Rendition.state.in_(["replaced", "failed"]) & Rendition.object_key.is_not(None)
    unused = update(Rendition).where(is_unused)
    await session.execute(unused.where(Rendition.unused_since.is_(None)).values(unused_since=now))
    is_over = Rendition.unused_since <= now - policy.KEEP_REPLACED_RENDITION
    await session.execute(unused.where(is_over).values(object_key=None))


async def condemn_unreferenced(
    session: AsyncSession, *, after: str, now: datetime
) -> tuple[str | None, int]:
    """Condemn what nothing refers to, in a window of keys that begins behind `after`.

    Gives the last key of the window, None where it was the last one, and how many were condemned.
    """
    following = select(StoredObject.key).where(StoredObject.key > after).order_by(StoredObject.key)
    last = await session.scalar(following.offset(WINDOW - 1).limit(1))
    window = StoredObject.key > after
    if last is not None:
        window &= StoredObject.key <= last
    is_old = StoredObject.claimed_at <= now - policy.KEEP_UNREFERENCED_OBJECT
    unreferenced = select(StoredObject.key).where(window, is_old, _IS_UNREFERENCED)
    # Whoever refers to one just now holds its key: that one is skipped, and later ones wait.
    locked = await session.scalars(unreferenced.with_for_update(skip_locked=True))
    return last, await _condemn(session, locked.all(), now=now)


async def condemn_strays(session: AsyncSession, keys: Sequence[str], *, now: datetime) -> int:
    """Condemn those keys of old objects in the store that no row knows; gives their number."""
    known = await session.scalars(select(StoredObject.key).where(StoredObject.key.in_(keys)))
    strays = set(keys).difference(known)
    if strays:
        rows = [{"key": key, "condemned_at": now} for key in strays]
        await session.execute(insert(CondemnedObject).values(rows).on_conflict_do_nothing())
    return len(strays)


async def condemned(session: AsyncSession) -> Sequence[str]:
    """The keys that have waited longest for their deletion from the store."""
    query = select(CondemnedObject.key).order_by(CondemnedObject.condemned_at).limit(BATCH)
    return (await session.scalars(query)).all()


async def forget(session: AsyncSession, keys: Sequence[str]) -> None:
    """After their deletion from the store."""
    await session.execute(delete(CondemnedObject).where(CondemnedObject.key.in_(keys)))


_IS_UNREFERENCED = and_(
    ~exists().where(Rendition.object_key == StoredObject.key),
    ~exists().where(ExportFile.object_key == StoredObject.key),
)
_IS_OLD = StoredObject.created_at < Asset.withdrawn_at
_HAS_OLD_OBJECTS = exists().where(
    Rendition.asset_id == Asset.id, Rendition.object_key == StoredObject.key, _IS_OLD
)


async def _add(
    session: AsyncSession, *, sha256: str, size_bytes: int, now: datetime, prefix: str = RENDITIONS
) -> str:
    key = f"{prefix}{sha256[:2]}/{sha256}-{token_hex(4)}"
    session.add(
        StoredObject(key=key, size_bytes=size_bytes, sha256=sha256, created_at=now, claimed_at=now)
    )
    await session.flush()
    return key


async def _condemn(session: AsyncSession, keys: Sequence[str], *, now: datetime) -> int:
    """Condemn locked objects, except those that somebody came to refer to before the lock."""
    gone = (
        delete(StoredObject)
        .where(StoredObject.key.in_(keys), _IS_UNREFERENCED)
        .returning(StoredObject.key)
        .cte("gone")
    )
    condemned_now = select(gone.c.key, literal(now))
    added = insert(CondemnedObject).from_select(["key", "condemned_at"], condemned_now)
    return len((await session.scalars(added.returning(CondemnedObject.key))).all())


async def _enqueue_moves(session: AsyncSession, asset_ids: Sequence[UUID]) -> None:
    payloads = {f"{_MOVE}{asset_id}": str(asset_id).encode() for asset_id in asset_ids}
    if payloads:
        await job_queue.enqueue(session, ENTRYPOINT, payloads)


_MOVE = "move:"


def _move_key() -> ColumnElement[str]:
    return literal(_MOVE) + cast(Asset.id, Text)
