"""Run migrations over asyncpg, one program at a time, without blocking traffic for long."""

import asyncio
import os
import time
from typing import Any

import asyncpg
from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.models import Base

# Any number; the same in every program that migrates this database.
ADVISORY_LOCK = 7_226_113_380
ASK_AGAIN = 0.2  # seconds
# A migration that can't get its lock gives up rather than queue all traffic behind it.
LOCK_TIMEOUT = "4s"
STATEMENT_TIMEOUT = "60s"


def include_name(name: str | None, kind: str, _: Any) -> bool:
    """PgQueuer's tables belong to PgQueuer."""
    return not (kind == "table" and name is not None and name.startswith("pgqueuer"))


def run_migrations(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_name=include_name,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    # Held until the connection closes, so of ten programs that start at once one migrates and the
    # others then find nothing to do. They ask again and again: a statement that waits has a
    # snapshot, and whoever builds an index concurrently waits for the end of all snapshots.
    while not connection.scalar(text(f"SELECT pg_try_advisory_lock({ADVISORY_LOCK})")):
        connection.commit()
        time.sleep(ASK_AGAIN)
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.execute(text(f"SET statement_timeout = '{STATEMENT_TIMEOUT}'"))
    connection.commit()
    with context.begin_transaction():
        context.run_migrations()


async def main() -> None:
    url = context.config.attributes.get("database_url") or os.environ["DATABASE_URL"]
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda **_: asyncpg.connect(url)
    )
    try:
        async with engine.connect() as connection:
            await connection.run_sync(run_migrations)
    finally:
        await engine.dispose()  # which gives the advisory lock back, also after a failure


asyncio.run(main())
