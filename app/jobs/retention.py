"""Deletes what is past its term, in batches that hold their locks for a moment only."""

from datetime import UTC, datetime

import structlog
from sqlalchemy.exc import DBAPIError

from app.db import Database
from app.jobs import faults
from app.services import edition_stats, policy, retention

log = structlog.get_logger(__name__)


async def purge(database: Database, *, now: datetime | None = None) -> dict[str, int]:
    """Purge every table; returns the number of rows deleted from each. May be killed any time."""
    now = now or datetime.now(UTC)
    await _keep_totals(database, now)
    deleted = {}
    for table in retention.TABLES:
        try:
            deleted[table.__tablename__] = await _purge_table(database, table, now)
        except DBAPIError as error:
            # Such as one whose rows take too long to find; the others have their terms too.
            faults.report("table_not_purged", error, table=table.__tablename__)
    async with database.transaction() as session:
        await retention.purge_queue_log(session, now=now)
    log.info("purged", **deleted)
    return deleted


async def _keep_totals(database: Database, now: datetime) -> None:
    """The figures of editions outlive their ledgers."""
    kept = True
    while kept:
        async with database.transaction() as session:
            before = now - policy.KEEP_DELIVERY
            kept = await edition_stats.keep_totals(session, before=before, now=now)


async def _purge_table(database: Database, table: retention.Table, now: datetime) -> int:
    total = 0
    while True:
        async with database.transaction() as session:
            count = await retention.purge_batch(session, table, now=now)
        total += count
        if count < retention.BATCH:
            return total
