"""The feed as a whole: whether its numbers still mean the same, and whether none is missing."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Change, ChangeFeed
from app.services import asset_versions, changes, policy
from app.services.changes import Kind


async def reset(session: AsyncSession) -> UUID:
    """Begin a new epoch, in which the cursors of the last one are refused with `feed_reset`.

    After a restore, numbers that were given out before may come to mean other changes. This one
    goes on from the number that it has.
    """
    feed = await session.get_one(ChangeFeed, 1, with_for_update=True)
    feed.epoch = uuid4()
    feed.database = await _this_database(session)
    await session.flush()
    # Without a number: those who wait look for themselves.
    session.info.setdefault(changes.CHANNEL, []).append("")
    await session.execute(text("SELECT pg_notify(:channel, '')"), {"channel": changes.CHANNEL})
    return feed.epoch


async def reset_if_moved(session: AsyncSession) -> UUID | None:
    """Begin a new epoch if this database is a copy that was restored elsewhere.

    A standby that takes over is the same database. One that knows nothing of where it was begins
    to know.
    """
    here = await _this_database(session)
    feed = await session.get_one(ChangeFeed, 1)
    if here is None or feed.database == here:
        return None
    await session.refresh(feed, with_for_update=True)
    if feed.database is not None and feed.database != here:
        return await reset(session)
    feed.database = here
    await session.flush()
    return None


async def _this_database(session: AsyncSession) -> str | None:
    """The cluster's own number, which a standby shares, and the database's in it.

    None where the role may not know it.
    """
    if not await session.scalar(text("SELECT has_function_privilege(:name, 'execute')"), _CONTROL):
        return None
    return str(await session.scalar(_DATABASE))


_CONTROL = {"name": "pg_control_system()"}
_DATABASE = text(
    "SELECT system_identifier || '/' || (SELECT oid FROM pg_database"
    " WHERE datname = current_database()) FROM pg_control_system()"
)


async def find_unrecorded(
    session: AsyncSession, *, after: UUID | None
) -> tuple[UUID | None, Sequence[UUID]]:
    """Of some assets by id, those whose latest version the feed does not know; and the last id.

    An old release that still runs while a new one migrates records nothing, and neither does who
    writes into the tables by hand.
    """
    row = (
        await session.execute(_UNRECORDED, {"after": after, "limit": policy.CHANGES_COMPARED})
    ).one()
    return row.last, row.unrecorded or ()


# In the order of the index, a few thousand at a time: the whole would take longer than a statement
# may. The documents are not touched.
_UNRECORDED = text("""
    WITH compared AS (
        SELECT asset.id, asset.version FROM asset
         WHERE (CAST(:after AS uuid) IS NULL OR asset.id > :after)
           AND state IN ('published', 'withdrawn')
         ORDER BY asset.id LIMIT :limit
    )
    SELECT (SELECT id FROM compared ORDER BY id DESC LIMIT 1) AS last,
           (SELECT array_agg(compared.id ORDER BY compared.id)
              FROM compared LEFT JOIN change ON change.asset_id = compared.id AND is_latest
             WHERE change.version IS DISTINCT FROM compared.version) AS unrecorded
""")


async def record_missing(session: AsyncSession, asset_id: UUID) -> bool:
    """Record the state of an asset unless the feed knows it by now; gives whether it did not."""
    asset = await asset_versions.lock(session, asset_id)
    query = select(Change.version).where(Change.asset_id == asset_id, Change.is_latest)
    known = await session.scalar(query)
    if known == asset.version or asset.state not in {"published", "withdrawn"}:
        return False
    kind: Kind = "created" if known is None else "updated"
    changed_at: datetime = asset.updated_at
    if asset.state == "withdrawn":
        kind, changed_at = "withdrawn", asset.withdrawn_at or asset.updated_at
    await changes.record(session, kind, asset_id=asset_id, version=asset.version, now=changed_at)
    return True
