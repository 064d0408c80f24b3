"""From a commit to the pages that it makes stale: on this process at once, on others by NOTIFY."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import pairwise
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from structlog.testing import capture_logs

from app import deps, listener
from app.db import Database, open_connection
from app.errors import AppError
from app.http.page_cache import FILLING
from app.http.page_store import PageStore
from app.lifespan import change_listener
from app.listener import Listener
from app.services import catalogue_events
from app.settings import Settings
from tests.conftest import copied_database
from tests.helpers import patient_database
from tests.http_asgi import http_scope

ID = UUID("0190aaaa-aaaa-7aaa-aaaa-aaaaaaaaaaaa")
NAMED = f"{ID} harbour"


class Refusal(AppError):
    status, code, title = 422, "refused", "Refused"


class KeptRefusal(Refusal):
    keep_changes = True


class Heard(list[str]):
    """What one process hears."""

    trusted = False
    last = 0.0

    def hear(self, payload: str) -> None:
        self.append(payload)
        self.last = time.perf_counter()

    def vouch(self, _: float) -> None:
        self.trusted = True

    def distrust(self) -> None:
        self.trusted = False


async def announce(database: Database) -> None:
    async with database.transaction() as session:
        await catalogue_events.announce(session, asset_id=ID, slug="harbour")


async def until(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # what is observed knows no event
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(one: Listener) -> AsyncIterator[None]:
    """A listener that takes no machine that stands still for a server that went away."""
    with pytest.MonkeyPatch.context() as patient:
        patient.setattr(listener, "HEARTBEAT_TIMEOUT", 60)
        task = asyncio.create_task(one.run())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def other_process(
    url: str, connect: Callable[[], Awaitable[Any]] | None = None
) -> AsyncIterator[Heard]:
    heard = Heard()
    hearers = {catalogue_events.CHANNEL: heard.hear}
    connect = connect or partial(open_connection, url)
    other = Listener(connect, hearers, vouch=heard.vouch, distrust=heard.distrust)
    async with running(other):
        yield heard


@pytest.fixture(params=["one connection", "live"])
def any_database(request: pytest.FixtureRequest) -> Database:
    """Also that of the tests, whose commits are savepoints."""
    kind = {"one connection": "database", "live": "live_database"}[request.param]
    database: Database = request.getfixturevalue(kind)
    return database


# In the process that makes the change


async def test_own_process_hears_after_the_commit_and_before_anything_else(
    any_database: Database,
) -> None:
    heard = Heard()
    any_database.hearers = {catalogue_events.CHANNEL: heard.hear}
    async with any_database.transaction() as session:
        await catalogue_events.announce(session, asset_id=ID, slug="harbour")
        await catalogue_events.announce_everything(session)
        assert heard == []
    assert heard == [NAMED, ""]
    assert catalogue_events.changed_names(NAMED) == [str(ID), "harbour"]
    assert catalogue_events.changed_names("") == []


@pytest.mark.parametrize(
    ("error", "expected"), [(Refusal, []), (ValueError, []), (KeptRefusal, [NAMED])]
)
async def test_own_process_hears_only_of_what_is_committed(
    any_database: Database, error: type[Exception], expected: list[str]
) -> None:
    heard = Heard()
    any_database.hearers = {catalogue_events.CHANNEL: heard.hear}
    with suppress(error):
        async with any_database.transaction() as session:
            await catalogue_events.announce(session, asset_id=ID, slug="harbour")
            raise error
    assert heard == expected


# In the others


async def test_other_process_hears_within_a_tenth_of_a_second(live_database: Database) -> None:
    async with other_process(live_database._url) as heard:
        await until(lambda: heard.trusted)
        delays = []
        for count in range(1, 6):
            await announce(live_database)
            committed = time.perf_counter()
            await until(lambda count=count: len(heard) == count)  # type: ignore[misc]
            delays.append(heard.last - committed)
        assert set(heard) == {NAMED}
        assert sorted(delays)[2] < 0.1


async def test_other_process_hears_nothing_of_what_is_rolled_back(live_database: Database) -> None:
    async with other_process(live_database._url) as heard:
        await until(lambda: heard.trusted)
        with suppress(Refusal):
            async with live_database.transaction() as session:
                await catalogue_events.announce(session, asset_id=ID, slug="harbour")
                raise Refusal
        await announce(live_database)
        await until(lambda: bool(heard))
        assert heard == [NAMED]


async def test_listener_that_loses_its_connection_is_distrusted_and_comes_back(
    live_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "HEARTBEAT", 3600)  # it is not to take one to notice
    async with other_process(live_database._url) as heard:
        await until(lambda: heard.trusted)
        await live_database.reader.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query IN ('SELECT 1', 'LISTEN catalogue')"
        )
        await until(lambda: not heard.trusted)
        await until(lambda: heard.trusted)
        await announce(live_database)
        await until(lambda: bool(heard))


async def test_silent_server_is_distrusted_after_two_seconds(
    live_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (listener.HEARTBEAT, listener.HEARTBEAT_TIMEOUT, listener.VOUCHED) == (1, 1, 2)
    monkeypatch.setattr(listener, "HEARTBEAT", 0.01)
    trusted: list[bool] = []

    async def connect() -> Any:
        trusted.append(heard.trusted)
        connection = await open_connection(live_database._url)
        return connection if len(trusted) > 1 else Silenced(connection)

    with capture_logs() as events:
        async with other_process(live_database._url, connect) as heard:
            await until(lambda: len(trusted) == 2 and heard.trusted)
    assert trusted == [False, False]
    assert [event["event"] for event in events] == ["listener_lost"]


class Silenced:
    """A connection with an answer to the first heartbeat, and none that comes through later."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._has_answered = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def execute(self, query: str, *, timeout: float) -> None:  # noqa: ASYNC109  # asyncpg's
        if self._has_answered:
            self._connection._transport.pause_reading()
            timeout /= 1000
        await self._connection.execute(query, timeout=timeout)
        self._has_answered = True


async def test_listener_waits_longer_between_vain_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (listener.SHORTEST_PAUSE, listener.LONGEST_PAUSE) == (0.1, 5)
    monkeypatch.setattr(listener, "SHORTEST_PAUSE", 0.01)
    monkeypatch.setattr(listener, "LONGEST_PAUSE", 0.04)
    tries: list[float] = []

    async def refuse() -> Any:
        tries.append(time.perf_counter())
        raise ConnectionRefusedError

    with capture_logs():
        async with other_process("", refuse) as heard:
            await until(lambda: len(tries) >= 6)
    pauses = [after - before for before, after in pairwise(tries)]
    # The timers of the loop count whole milliseconds.
    least = [0.009, 0.019, 0.039, 0.039, 0.039]
    assert all(pause >= wanted for pause, wanted in zip(pauses, least, strict=False))
    assert not heard.trusted


# From the change to the page


async def titled(database: Database, title: str) -> None:
    """Write as another process does: the document, and the announcement with it."""
    async with database.transaction() as session:
        connection = await session.connection()
        await connection.exec_driver_sql(
            "INSERT INTO asset (id, slug, type, state, language, fields, document, version,"
            " document_format, created_at, updated_at, published_at) VALUES ($1, 'harbour',"
            " 'video', 'published', 'en', '{}', $2, 1, 0, now(), now(), now())"
            " ON CONFLICT (id) DO UPDATE SET document = excluded.document,"
            " version = asset.version + 1",
            (ID, f'{{"title":"{title}"}}'),
        )
        await catalogue_events.announce(session, asset_id=ID, slug="harbour")


@pytest.fixture
async def caching_app(live_app: FastAPI, live_database: Database) -> AsyncIterator[FastAPI]:
    """An app that listens as its lifespan would let it."""
    pages: PageStore = live_app.state.pages
    async with running(change_listener(live_app, live_database._url)):
        await until(pages.is_trusted)
        yield live_app


async def test_change_is_seen_at_once_here_and_soon_when_made_elsewhere(
    caching_app: FastAPI, live_client: httpx.AsyncClient, live_database: Database
) -> None:
    async def title() -> str:
        return str((await live_client.get("/v1/assets/harbour")).json()["title"])

    await titled(live_database, "one")
    assert await title() == await title() == "one"
    await titled(caching_app.state.database, "two")
    assert await title() == "two"
    elsewhere = patient_database(live_database._url)
    delays = []
    for changed in ("three", "four", "five"):
        await titled(elsewhere, changed)
        committed = time.perf_counter()
        async with asyncio.timeout(60):
            while await title() != changed:
                pass
        delays.append(time.perf_counter() - committed)
    await elsewhere.close()
    assert min(delays) < 1  # in the mean far less, but machines have moments


async def test_nothing_is_kept_without_a_listener(
    live_app: FastAPI, live_client: httpx.AsyncClient, live_database: Database
) -> None:
    await titled(live_database, "one")
    await live_client.get("/v1/assets/harbour")
    async with live_database.transaction() as session:  # a change that nobody announces
        connection = await session.connection()
        await connection.exec_driver_sql('UPDATE asset SET document = \'{"title":"two"}\'')
    assert (await live_client.get("/v1/assets/harbour")).json()["title"] == "two"
    assert not live_app.state.pages.is_trusted()


# Replicas


async def test_replica_is_read_where_an_answer_is_not_kept(
    server_url: str, template: str, live_database: Database
) -> None:
    async with copied_database(server_url, template) as replica_url:
        database = patient_database(live_database._url, read_url=replica_url)
        app = FastAPI()
        app.state.database = database
        asking, filling = (
            Request({**http_scope(), "app": app, "state": state}) for state in ({}, {FILLING: True})
        )
        names = [
            (await reader.fetch("SELECT current_database()"))[0][0]
            for reader in (
                await deps.get_public_reader(asking),
                await deps.get_public_reader(filling),
                await deps.get_reader(asking),
            )
        ]
        await database.close()
    assert names[0] in replica_url
    assert names[1] in live_database._url
    assert names[2] in live_database._url


async def test_without_a_replica_the_primary_is_read(database: Database) -> None:
    assert database.replica is database.reader


def test_setting_names_the_replica() -> None:
    assert Settings(database_read_url="postgresql://replica/x").database_read_url
    assert Settings().database_read_url is None
