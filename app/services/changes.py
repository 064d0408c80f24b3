"""The change feed: what became public, changed or was withdrawn, in the order of the commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.crypto import base64url
from app.models import Change, ChangeFeed

# Where the number of each committed change is announced.
CHANNEL = "changes"

Kind = Literal["created", "updated", "withdrawn"]


async def record(
    session: AsyncSession, kind: Kind, *, asset_id: UUID, version: int, now: datetime
) -> None:
    """Note a change of a locked asset that the public sees; it is numbered at the commit."""
    earlier = (Change.asset_id == asset_id, Change.is_latest)
    await session.execute(update(Change).where(*earlier).values(is_latest=False))
    session.add(Change(kind=kind, asset_id=asset_id, version=version, occurred_at=now))
    await session.flush()


def cursor(epoch: UUID, sequence: int) -> str:
    """What a consumer goes on from that has everything up to this number.

    It is not signed: a cursor must stay good whatever becomes of our secrets.
    """
    return base64url(epoch.bytes + sequence.to_bytes(8))


async def last_sequence(session: AsyncSession) -> int:
    """The number of the last change that is committed: all up to it can be seen."""
    return (await session.execute(select(ChangeFeed.last_sequence))).scalar_one()


@dataclass(frozen=True, slots=True)
class ChangedAsset:
    """By the numbers of its changes in a part of the feed: the last, and its publication."""

    asset_id: UUID
    sequence: int
    published_by: int | None


async def changed_assets(
    session: AsyncSession, *, after: int, until: int
) -> Sequence[ChangedAsset]:
    """The assets that changed after one change and up to another, each once."""
    last = func.max(Change.sequence)
    published_by = last.filter(Change.kind == "created")
    query = select(Change.asset_id, last, published_by).group_by(Change.asset_id)
    rows = await session.execute(query.where(Change.sequence > after, Change.sequence <= until))
    return [
        ChangedAsset(asset_id, sequence or until, published)
        for asset_id, sequence, published in rows
    ]


async def list_after(
    session: AsyncSession, sequence: int, *, up_to: int | None = None, limit: int
) -> Sequence[Change]:
    """The changes that follow a number, in their order."""
    query = select(Change).where(Change.sequence > sequence)
    if up_to is not None:
        query = query.where(Change.sequence <= up_to)
    return (await session.scalars(query.order_by(Change.sequence).limit(limit))).all()


async def last_before(session: AsyncSession, moment: datetime) -> int:
    """The number of the last change that was committed before a moment.

    Found by halving, since numbers have no gaps and the times of commits have their order.
    """
    low, high = 0, await last_sequence(session)
    while low < high:
        middle = (low + high + 1) // 2
        of_this = select(Change.committed_at).where(Change.sequence == middle)
        committed_at = await session.scalar(of_this)
        if committed_at is not None and committed_at < moment:
            low = middle
        else:
            high = middle - 1
    return low
