"""The database: engine, sessions, transactions, the lean reader. The only file that commits."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol
from uuid import uuid4

import asyncpg
from fastapi import Request
from sqlalchemy import event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from app.errors import AppError

# Seconds. A request never waits longer than these for the database; the caller gets a 503.
POOL_TIMEOUT = 3
STATEMENT_TIMEOUT = 5
CONNECT_TIMEOUT = 5
IDLE_IN_TRANSACTION_TIMEOUT = 30

Transactions = Callable[[], AbstractAsyncContextManager[AsyncSession]]


class Reader(Protocol):
    """What the read path needs of asyncpg: single statements, each its own transaction."""

    async def fetch(self, query: str, *args: Any) -> Sequence[asyncpg.Record]: ...
    async def fetchrow(self, query: str, *args: Any) -> asyncpg.Record | None: ...


class Database:
    """One process's connections: a pool for transactions (ORM) and one for single reads.

    `replica` reads where an answer may be a moment old: from DATABASE_READ_URL if that is set.
    """

    _replica: Reader | None = None
    # Who is told, after a commit, what a service has left for them in `session.info`.
    hearers: Mapping[str, Callable[[str], None]] = MappingProxyType({})

    def __init__(
        self,
        url: str,
        *,
        read_url: str | None = None,
        pooled_by_server: bool = False,
        pool_size: int = 10,
    ) -> None:
        self._url = url
        self._connect_arguments = _connect_arguments(pooled_by_server=pooled_by_server)
        self._pool_size = pool_size
        self.engine: AsyncEngine = create_async_engine(
            "postgresql+asyncpg://",
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT,
            # With `async_creator` instead, SQLAlchemy would drop the rest of these.
            connect_args={
                "async_creator_fn": self.connect,
                **(_UNNAMED_STATEMENTS if pooled_by_server else {}),
            },
        )
        event.listen(self.engine.sync_engine, "checkout", _refuse_closed)
        self.sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self.reader: Reader = PoolReader(partial(self._open_pool, url))
        self._replica = PoolReader(partial(self._open_pool, read_url)) if read_url else None

    async def connect(self, **_: Any) -> "asyncpg.Connection[asyncpg.Record]":
        """A new connection; asyncpg reads every standard form of the URL, several hosts and TLS."""
        return await _connect(self._url, **self._connect_arguments)

    @property
    def replica(self) -> Reader:
        return self._replica or self.reader

    async def write(self, query: str, *args: Any) -> Sequence[asyncpg.Record]:
        """Run one statement that writes, as a transaction of its own, and never a second time.

        For the ledger of mails, whose thousands of rows a second have no need of the ORM.
        """
        assert isinstance(self.reader, PoolReader)  # noqa: S101  # not of a test's one connection
        return await self.reader.fetch_once(query, *args)

    async def _open_pool(self, url: str) -> "asyncpg.Pool[asyncpg.Record]":
        return await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=self._pool_size,
            connect=_connect,
            reset=_keep_session_state,
            **self._connect_arguments,
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """Commit on success, roll back on an error (but see `AppError.keep_changes`)."""
        async with self.sessions() as session:
            try:
                yield session
            except AppError as error:
                await (self._commit(session) if error.keep_changes else session.rollback())
                raise
            await self._commit(session)

    async def _commit(self, session: AsyncSession) -> None:
        """Commit, and tell this process what others will hear by NOTIFY, before it answers."""
        await session.commit()
        for channel, hear in self.hearers.items():
            for payload in session.info.pop(channel, ()):
                hear(payload)

    async def close(self) -> None:
        for reader in (self.reader, self._replica):
            if isinstance(reader, PoolReader):
                await reader.close()
        await self.engine.dispose()


# What asyncpg raises when the server ends a connection, depending on the moment.
_CONNECTION_LOST = (
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    ConnectionError,
)


class PoolReader:
    """Single reads from an asyncpg pool, tried once more when the connection was stale."""

    def __init__(self, open_pool: Callable[[], Awaitable["asyncpg.Pool[asyncpg.Record]"]]) -> None:
        self._open_pool = open_pool
        self._timeout = POOL_TIMEOUT
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def fetch(self, query: str, *args: Any) -> Sequence[asyncpg.Record]:
        rows: Sequence[asyncpg.Record] = await self._run("fetch", query, *args)
        return rows

    async def fetchrow(self, query: str, *args: Any) -> asyncpg.Record | None:
        row: asyncpg.Record | None = await self._run("fetchrow", query, *args)
        return row

    async def fetch_once(self, query: str, *args: Any) -> Sequence[asyncpg.Record]:
        pool = self._pool or await self._first_pool()
        async with pool.acquire(timeout=self._timeout) as connection:
            rows: Sequence[asyncpg.Record] = await connection.fetch(query, *args)
            return rows

    async def _run(self, method: str, query: str, *args: Any) -> Any:
        pool = self._pool or await self._first_pool()
        try:
            async with pool.acquire(timeout=self._timeout) as connection:
                return await getattr(connection, method)(query, *args)
        except _CONNECTION_LOST:
            # The server closed this connection while it lay in the pool; a read may be repeated.
            async with pool.acquire(timeout=self._timeout) as connection:
                return await getattr(connection, method)(query, *args)

    async def _first_pool(self) -> "asyncpg.Pool[asyncpg.Record]":
        pool = await self._open_pool()
        if self._pool is not None:  # another request was faster
            await pool.close()
            return self._pool
        self._pool = pool
        return pool

    async def close(self) -> None:
        if self._pool is not None:
            self._pool.terminate()


async def open_connection(url: str) -> "asyncpg.Connection[asyncpg.Record]":
    """A connection outside every pool, for who listens on it."""
    return await _connect(url, **_connect_arguments(pooled_by_server=False))


async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    """One transaction per request, committed before the response leaves (see deps.SessionDep)."""
    async with request.app.state.database.transaction() as session:
        yield session


async def _connect(*args: Any, **kwargs: Any) -> "asyncpg.Connection[asyncpg.Record]":
    """Connect; a server without its Unix socket is as much away as one that refuses."""
    try:
        return await asyncpg.connect(*args, **kwargs)
    except FileNotFoundError as error:
        raise ConnectionRefusedError("the server's socket is not there") from error


def _connect_arguments(*, pooled_by_server: bool) -> dict[str, Any]:
    """Time limits for every connection; behind PgBouncer no state that outlives a transaction."""
    arguments: dict[str, Any] = {
        "timeout": CONNECT_TIMEOUT,
        "command_timeout": STATEMENT_TIMEOUT + 2,
    }
    if pooled_by_server:
        arguments["statement_cache_size"] = 0
        return arguments
    milliseconds = 1000
    arguments["server_settings"] = {
        "application_name": "multimedia-account",
        # Compiling a statement takes longer than any of ours runs.
        "jit": "off",
        "statement_timeout": str(STATEMENT_TIMEOUT * milliseconds),
        "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_TIMEOUT * milliseconds),
    }
    return arguments


# A server-side pooler gives each transaction another connection: no name may be met again there.
_UNNAMED_STATEMENTS = {
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": lambda: f"__{uuid4().hex}__",
}


def _refuse_closed(connection: Any, *_: object) -> None:
    """Let the pool replace connections that the server has closed.

    asyncpg notices the end of a connection by itself, so no round trip is needed to ask.
    """
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError


async def _keep_session_state(_: Any) -> None:
    """Readers set nothing on a connection, so the pool's usual reset would waste a round trip."""
