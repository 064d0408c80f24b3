"""The change feed: what became public, changed or was withdrawn, in the order of the commits."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from app.crypto import base64url
from app.models import Change

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
