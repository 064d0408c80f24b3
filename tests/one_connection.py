"""A database whose one connection rolls everything back at the end of a test."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
)
from typing_extensions import override

from app.db import Database

TURN_TIMEOUT = 60  # seconds; a task that waits for one which waits for it is to be told


class OneConnection(Database):
    """A `Database` in which everything happens on one connection, inside one transaction."""

    def __init__(self, engine: AsyncEngine, connection: AsyncConnection) -> None:
        self.engine = engine
        self.connection = connection
        self.sessions = async_sessionmaker(
            connection, expire_on_commit=False, join_transaction_mode="create_savepoint"
        )
        self.turns = Turns()
        self.reader = ConnectionReader(connection, self.turns)

    @override
    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        async with self.turns, super().transaction() as session:
            yield session


class Turns:
    """A lock that a task may take again while it has it.

    Savepoints are nested, so a task's must be over before another task's begins.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._owner: asyncio.Task[Any] | None = None
        self._depth = 0

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        if self._owner is not task:
            async with asyncio.timeout(TURN_TIMEOUT):
                await self._lock.acquire()
            self._owner = task
        self._depth += 1

    async def __aexit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._owner = None
            self._lock.release()


class ConnectionReader:
    def __init__(self, connection: AsyncConnection, turns: Turns) -> None:
        self._connection = connection
        self._turns = turns

    async def _driver(self) -> Any:
        return (await self._connection.get_raw_connection()).driver_connection

    async def fetch(self, query: str, *args: Any) -> Sequence[asyncpg.Record]:
        async with self._turns:
            rows: Sequence[asyncpg.Record] = await (await self._driver()).fetch(query, *args)
        return rows

    async def fetchrow(self, query: str, *args: Any) -> asyncpg.Record | None:
        async with self._turns:
            row: asyncpg.Record | None = await (await self._driver()).fetchrow(query, *args)
        return row


@asynccontextmanager
async def rolled_back(engine: AsyncEngine) -> AsyncIterator[OneConnection]:
    async with engine.connect() as connection:
        transaction = await connection.begin()
        # SQLAlchemy begins at the first statement; the reader must be inside from the start.
        await connection.exec_driver_sql("SELECT 1")
        # Nothing ever commits here, so what waits for the commit happens at once.
        await connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
        yield OneConnection(engine, connection)
        await transaction.rollback()
