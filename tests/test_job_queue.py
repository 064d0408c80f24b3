from typing import Any

import asyncpg
from pgqueuer import Queries

from app.db import Database
from app.services import job_queue


async def jobs(database: Database, key: str) -> list[dict[str, Any]]:
    """The queue's rows for a key, without what differs from job to job."""
    rows = await database.reader.fetch("SELECT * FROM pgqueuer WHERE dedupe_key = $1", key)
    own = {"id", "created", "updated", "heartbeat", "execute_after", "dedupe_key"}
    return [{name: value for name, value in row.items() if name not in own} for row in rows]


async def test_job_is_the_same_row_that_pgqueuer_would_write(live_database: Database) -> None:
    async with live_database.transaction() as session:
        await job_queue.enqueue(session, "send_mail", {"ours": b"payload"}, priority=100)
    connection: asyncpg.Connection[Any] = await live_database.connect()
    await Queries.from_asyncpg_connection(connection).enqueue(
        "send_mail", b"payload", priority=100, dedupe_key="theirs", headers={}
    )
    await connection.close()
    assert await jobs(live_database, "ours") == await jobs(live_database, "theirs") != []


async def test_job_with_a_key_that_waits_is_not_added_again(database: Database) -> None:
    async with database.transaction() as session:
        await job_queue.enqueue(session, "send_mail", {"a": b"1"})
        await job_queue.enqueue(session, "send_mail", {"a": b"2", "b": b"3"})
    assert [job["payload"] for job in await jobs(database, "a")] == [b"1"]
    assert [job["payload"] for job in await jobs(database, "b")] == [b"3"]


async def test_job_goes_with_a_transaction_that_fails(database: Database) -> None:
    async with database.sessions() as session:
        await job_queue.enqueue(session, "send_mail", {"a": b"1"})
        await session.rollback()
    assert await jobs(database, "a") == []
