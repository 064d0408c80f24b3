"""Tells every process that something about an account's API keys has changed, as it commits.

The process that makes the change hears of it before it answers, the others by NOTIFY. Who hears of
nothing is half a second late: what is known of a key is not used for longer than that.
"""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

CHANNEL = "api_keys"
_NOTIFY = text("SELECT pg_notify(:channel, :payload)")


async def announce(session: AsyncSession, account_id: UUID) -> None:
    """Say whose keys must be looked at again; listeners hear it after the commit."""
    payload = str(account_id)
    session.info.setdefault(CHANNEL, []).append(payload)
    await session.execute(_NOTIFY, {"channel": CHANNEL, "payload": payload})
