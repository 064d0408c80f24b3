"""Tells every process that the catalogue has changed, at the moment when the change commits.

The process that makes the change hears of it before it answers, the others by NOTIFY.
"""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

CHANNEL = "catalogue"
_NOTIFY = text("SELECT pg_notify(:channel, :payload)")


async def announce(
    session: AsyncSession, *, asset_id: UUID, slug: str, former_slug: str | None = None
) -> None:
    """Say which asset readers will see differently; listeners hear it after the commit."""
    await _announce(session, " ".join(filter(None, (str(asset_id), slug, former_slug))))


async def announce_everything(session: AsyncSession) -> None:
    """Say that any answer may be different: what changed is in many, such as a collection."""
    await _announce(session, "")


def changed_names(payload: str) -> list[str]:
    """The ids and slugs that an announcement names; none where it may be anything."""
    return payload.split()


async def _announce(session: AsyncSession, payload: str) -> None:
    # app.db hands it to this process after the commit: NOTIFY alone would come a moment too late.
    session.info.setdefault(CHANNEL, []).append(payload)
    await session.execute(_NOTIFY, {"channel": CHANNEL, "payload": payload})
