"""Jobs that are enqueued in the transaction of their cause: both are committed, or neither."""

from collections.abc import Mapping

from sqlalchemy import Boolean, ColumnElement, column, exists, literal_column, table, text
from sqlalchemy.ext.asyncio import AsyncSession

_jobs = table("pgqueuer", column("dedupe_key"))
# Spelled as literals, so that the planner finds PgQueuer's partial index on live dedupe keys.
_is_live = literal_column("pgqueuer.status IN ('queued', 'picked')", Boolean)


# What PgQueuer's own enqueue does, without its log row. Its query builder would bring sixty
# modules and 5 MB into every API process; tests/test_job_queue.py holds it against the library.
_ENQUEUE = text("""
    INSERT INTO pgqueuer (priority, entrypoint, payload, dedupe_key, headers, status)
    SELECT :priority, :entrypoint, payload, dedupe_key, '{}', 'queued'
      FROM unnest(CAST(:payloads AS bytea[]), CAST(:keys AS text[])) AS job (payload, dedupe_key)
    ON CONFLICT (dedupe_key) WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL
    DO NOTHING
""")


async def enqueue(
    session: AsyncSession, entrypoint: str, payloads: Mapping[str, bytes], *, priority: int = 0
) -> None:
    """Add one job for each key that has none waiting or running; workers see it at the commit.

    Payloads are stored in the clear, so they name rows and hold no contents.
    """
    values = {
        "priority": priority,
        "entrypoint": entrypoint,
        "payloads": list(payloads.values()),
        "keys": list(payloads),
    }
    await session.execute(_ENQUEUE, values)


def has_job(key: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a job with this key waits or runs, for the WHERE clause of a sweeper."""
    return exists().where(_jobs.c.dedupe_key == key, _is_live)
