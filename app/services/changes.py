"""The change feed: what became public, changed or was withdrawn, in the order of the commits."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

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


async def head(session: AsyncSession) -> int:
    """The number of the latest change that is committed; 0 before the first."""
    return await session.scalar(select(ChangeFeed.last_sequence)) or 0


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
    low, high = 0, await head(session)
    while low < high:
        middle = (low + high + 1) // 2
        of_this = select(Change.committed_at).where(Change.sequence == middle)
        committed_at = await session.scalar(of_this)
        if committed_at is not None and committed_at < moment:
            low = middle
        else:
            high = middle - 1
    return low
