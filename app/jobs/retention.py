"""Deletes what is past its term, in batches that hold their locks for a moment only."""

from datetime import UTC, datetime

import structlog

from app.db import Database
from app.services import retention

log = structlog.get_logger(__name__)


async def purge(database: Database, *, now: datetime | None = None) -> dict[str, int]:
    """Purge every table; returns the number of rows deleted from each. May be killed any time."""
    now = now or datetime.now(UTC)
    deleted = {}
    for table in retention.TABLES:
        deleted[table.__tablename__] = await _purge_table(database, table, now)
    async with database.transaction() as session:
        await retention.purge_queue_log(session, now=now)
    log.info("purged", **deleted)
    return deleted


async def _purge_table(database: Database, table: retention.Table, now: datetime) -> int:
    total = 0
    while True:
        async with database.transaction() as session:
            count = await retention.purge_batch(session, table, now=now)
        total += count
        if count < retention.BATCH:
            return total
