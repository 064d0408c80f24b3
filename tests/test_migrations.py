import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError

from app import migrate as migrate_module
from app.migrate import head_revision, migrate

PROJECT = Path(migrate_module.__file__).parent.parent
# Imports once, then is ten programs that migrate the database of its first argument at once.
TEN_PROGRAMS = """
import os, sys
import alembic.autogenerate, app.models, asyncpg, pgqueuer.adapters.persistence.qb
import sqlalchemy.dialects.postgresql.asyncpg
from app.migrate import migrate
children = []
for _ in range(10):
    if not (child := os.fork()):
        migrate(sys.argv[1])
        os._exit(0)
    children.append(child)
statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
sys.exit(f"exit codes {statuses}" if any(statuses) else 0)
"""


@pytest.fixture
async def empty_url(server_url: str) -> AsyncIterator[str]:
    """The URL of a database without a table."""
    name = f"test_{uuid4().hex}"
    connection = await asyncpg.connect(server_url.replace("DATABASE", "postgres"))
    await connection.execute(f"CREATE DATABASE {name}")
    yield server_url.replace("DATABASE", name)
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """Every statement that is executed while the test runs."""
    seen: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield seen
    event.remove(Engine, "before_cursor_execute", note)


async def alembic(name: str, url: str, *args: str) -> None:
    """Run an alembic command, which has an event loop of its own, in a thread of its own."""
    config = Config(PROJECT / "alembic.ini")
    config.attributes["database_url"] = url
    await asyncio.to_thread(getattr(command, name), config, *args)


async def column(url: str, query: str) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        return [row[0] for row in await connection.fetch(query)]
    finally:
        await connection.close()


async def tables(url: str) -> set[str]:
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    return set(await column(url, query))


async def revision(url: str) -> list[str]:
    return await column(url, "SELECT version_num FROM alembic_version")


async def test_migrations_make_the_models_and_can_be_undone(empty_url: str) -> None:
    await alembic("upgrade", empty_url, "head")
    await alembic("check", empty_url)
    assert await revision(empty_url) == [head_revision()]
    assert {"account", "mail_outbox", "pgqueuer"} <= await tables(empty_url)
    await alembic("downgrade", empty_url, "base")
    assert await tables(empty_url) == {"alembic_version"}
    left = "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
    assert await column(empty_url, left) == []
    left = "SELECT typname FROM pg_type WHERE typtype = 'e'"
    assert await column(empty_url, left) == []
    await alembic("upgrade", empty_url, "head")
    await alembic("check", empty_url)


async def test_check_notices_a_table_that_no_migration_makes(empty_url: str) -> None:
    """The test above would pass for ever if `alembic check` looked at nothing."""
    await alembic("upgrade", empty_url, "head")
    await column(empty_url, "ALTER TABLE account DROP COLUMN country")
    with pytest.raises(CommandError, match="country"):
        await alembic("check", empty_url)


@pytest.mark.slow
async def test_ten_programs_may_migrate_at_once(empty_url: str) -> None:
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", "-c", TEN_PROGRAMS, empty_url),
        cwd=PROJECT,
        stderr=subprocess.PIPE,
    )
    async with asyncio.timeout(300):
        _, errors = await program.communicate()
    assert program.returncode == 0, errors.decode()
    assert await revision(empty_url) == [head_revision()]


async def test_migrations_limit_how_long_they_block_traffic(
    empty_url: str, statements: list[str]
) -> None:
    await asyncio.to_thread(migrate, empty_url)
    first_change = next(
        at for at, sql in enumerate(statements) if sql.lstrip().startswith("CREATE")
    )
    before = statements[:first_change]
    assert "SET lock_timeout = '4s'" in before
    assert "SET statement_timeout = '60s'" in before


@pytest.mark.slow
async def test_migration_gives_up_rather_than_queue_all_traffic_behind_it(empty_url: str) -> None:
    await alembic("upgrade", empty_url, "head")
    reader = await asyncpg.connect(empty_url)
    async with reader.transaction():
        await reader.execute("LOCK TABLE account IN ACCESS SHARE MODE")
        with pytest.raises(DBAPIError, match="lock timeout"):
            await alembic("downgrade", empty_url, "base")
    await reader.close()
    await alembic("downgrade", empty_url, "base")


async def test_address_of_the_database_may_come_from_the_environment(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the alembic command itself."""
    monkeypatch.setitem(os.environ, "DATABASE_URL", empty_url)
    await asyncio.to_thread(command.upgrade, Config(PROJECT / "alembic.ini"), "head")
    assert await revision(empty_url) == [head_revision()]
