"""Transactions as requests see them: what is committed when, and what a fault looks like."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import quote, urlsplit

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError
from typing_extensions import override

from app import db
from app.crypto import Keyring, PasswordHasher
from app.db import Database, PoolReader
from app.errors import AppError
from tests.helpers import Mailbox, bearer, login, patient_database, register, sign_up
from tests.hurried_worker import eventually

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]


class KeptRefusal(AppError):
    status, code, title = 422, "kept", "Refused, and what it wrote stays"
    keep_changes = True


class OrdinaryRefusal(AppError):
    status, code, title = 422, "ordinary", "Refused"


@pytest.fixture
async def session(live_client: httpx.AsyncClient, live_mailbox: Mailbox) -> dict[str, str]:
    """The Authorization header of a new account."""
    return bearer(await sign_up(live_client, live_mailbox))


def url_of(database: Database) -> str:
    return database._url


async def rename(
    client: httpx.AsyncClient, session: dict[str, str], name: str = "Jane"
) -> httpx.Response:
    """The plainest request that writes."""
    return await client.patch("/v1/account", json={"full_name": name}, headers=session)


async def name_of(client: httpx.AsyncClient, session: dict[str, str]) -> Any:
    return (await client.get("/v1/account", headers=session)).json()["full_name"]


def assert_unavailable(response: httpx.Response) -> None:
    assert (response.status_code, response.json()["code"]) == (503, "service_unavailable")
    assert response.headers["content-type"] == "application/problem+json"
    assert int(response.headers["retry-after"]) >= 1


# What is committed when


@pytest.fixture
def order(live_database: Database) -> list[str]:
    """What happens in which order: `begin` and `commit`, and the start of each answer."""
    events: list[str] = []
    engine = live_database.engine.sync_engine
    for name in ("begin", "commit", "rollback"):
        event.listen(engine, name, lambda _, name=name: events.append(name))
    return events


def recording_client(app: FastAPI, order: list[str]) -> httpx.AsyncClient:
    async def recording(scope: Message, receive: Any, send: Send) -> None:
        async def send_and_note(message: Message) -> None:
            if message["type"] == "http.response.start":
                order.append(f"response {message['status']}")
            await send(message)

        await app(scope, receive, send_and_note)

    transport = httpx.ASGITransport(recording, client=("10.255.0.1", 50000))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000")


async def test_request_commits_once_and_before_its_answer_starts(
    live_app: FastAPI, session: dict[str, str], order: list[str]
) -> None:
    async with recording_client(live_app, order) as client:
        order.clear()
        await rename(client, session)
        assert order == ["begin", "commit", "response 200"]


@pytest.mark.usefixtures("session")
async def test_last_of_several_transactions_commits_before_the_answer_starts(
    live_app: FastAPI, order: list[str]
) -> None:
    async with recording_client(live_app, order) as client:
        order.clear()
        await login(client)
        await register(client, "john@example.org")
    first, second = order.index("response 200"), order.index("response 202")
    assert order[first - 2 : first] == ["begin", "commit"]
    assert order[second - 2 : second] == ["begin", "commit"]
    assert order[-1] == "response 202"


async def test_refused_request_rolls_back_before_its_answer_starts(
    live_app: FastAPI, session: dict[str, str], order: list[str]
) -> None:
    unknown = {"refresh_token": "mmr_unknown"}
    async with recording_client(live_app, order) as client:
        order.clear()
        await client.delete(
            "/v1/auth/sessions/00000000-0000-7000-8000-000000000000", headers=session
        )
        await client.post("/v1/auth/refresh", json=unknown)
    assert order == ["begin", "rollback", "response 404", "response 401"]


@pytest.mark.parametrize(
    ("error", "stays"),
    [
        (KeptRefusal(), True),
        (OrdinaryRefusal(), False),
        (RuntimeError(), False),
        (asyncio.CancelledError(), False),
    ],
)
async def test_only_an_error_that_keeps_changes_commits(
    live_database: Database, error: BaseException, *, stays: bool
) -> None:
    async with live_database.transaction() as writing:
        await writing.execute(text("CREATE TABLE note (body text)"))

    async def write_and_fail() -> None:
        async with live_database.transaction() as writing:
            await writing.execute(text("INSERT INTO note VALUES ('written')"))
            raise error

    with pytest.raises(type(error)):
        await write_and_fail()
    rows = await live_database.reader.fetch("SELECT body FROM note")
    assert len(rows) == (1 if stays else 0)


async def test_unflushed_changes_are_checked_before_the_answer(live_database: Database) -> None:
    """A constraint that only the commit's flush meets still fails the transaction."""
    with pytest.raises(IntegrityError):
        async with live_database.transaction() as writing:
            await writing.execute(
                text("INSERT INTO failed_codes (day, scope, failures) VALUES (now(), '', NULL)")
            )
    assert await live_database.reader.fetch("SELECT FROM failed_codes") == []


DISK_FULL = "RAISE EXCEPTION 'no space' USING ERRCODE = 'disk_full'"
HANG_UP = "PERFORM pg_terminate_backend(pg_backend_pid())"


@pytest.mark.parametrize(
    ("at_commit", "status"),
    [("RAISE EXCEPTION 'a secret of ours'", 500), (DISK_FULL, 503), (HANG_UP, 503)],
)
async def test_failed_commit_is_never_a_success(
    live_client: httpx.AsyncClient,
    live_database: Database,
    session: dict[str, str],
    at_commit: str,
    status: int,
) -> None:
    async with live_database.transaction() as setup:
        await setup.execute(
            text(
                f"CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS "
                f"$$ BEGIN {at_commit}; RETURN NULL; END $$"
            )
        )
        await setup.execute(
            text(
                "CREATE CONSTRAINT TRIGGER fail AFTER UPDATE ON account DEFERRABLE "
                "INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail()"
            )
        )
    response = await rename(live_client, session)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert "secret" not in response.text
    assert ("retry-after" in response.headers) == (status == 503)
    async with live_database.transaction() as setup:
        await setup.execute(text("DROP TRIGGER fail ON account"))
    assert await name_of(live_client, session) is None
    assert (await rename(live_client, session)).status_code == 200


# Faults


def take_time_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for the first connection of a pool waits for the pool, too."""
    for limit in ("CONNECT_TIMEOUT", "POOL_TIMEOUT"):
        monkeypatch.setattr(db, limit, 300)


@pytest.fixture
async def small_database(
    live_app: FastAPI, live_database: Database, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Database]:
    """The app works on one connection to write and one to read, and waits little for them."""
    monkeypatch.setattr(db, "POOL_TIMEOUT", 0.2)
    for limit in ("CONNECT_TIMEOUT", "STATEMENT_TIMEOUT"):
        monkeypatch.setattr(db, limit, 300)
    database = live_app.state.database = Database(url_of(live_database), pool_size=1)
    yield database
    await database.close()


@pytest.fixture
async def hasty_database(
    live_app: FastAPI, live_database: Database, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Database]:
    """The app works on one connection to write and one to read, with little time for each step."""
    take_time_to_connect(monkeypatch)
    monkeypatch.setattr(db, "STATEMENT_TIMEOUT", 0.3)
    database = live_app.state.database = Database(url_of(live_database), pool_size=1)
    yield database
    await database.close()


async def lift_limits(database: Database) -> None:
    """Let the same connections, and new ones, take their time: a busy machine is no fault."""
    database._connect_arguments["command_timeout"] = 300
    database._connect_arguments.get("server_settings", {})["statement_timeout"] = "0"
    async with database.transaction() as session:
        raw = await (await session.connection()).get_raw_connection()
        await lift_limits_of(raw.driver_connection)
    assert isinstance(database.reader, PoolReader)
    if database.reader._pool is not None:
        reading: Any
        async with database.reader._pool.acquire(timeout=60) as reading:
            await lift_limits_of(reading._con)


async def lift_limits_of(connection: Any) -> None:
    connection._config = connection._config._replace(command_timeout=300)
    await connection.execute("SET statement_timeout = 0")


async def test_exhausted_pool_is_a_503_that_passes(
    live_client: httpx.AsyncClient, session: dict[str, str], small_database: Database
) -> None:
    async with small_database.transaction() as holding:
        await holding.execute(text("SELECT 1"))
        assert_unavailable(await rename(live_client, session))
    assert (await rename(live_client, session)).status_code == 200


async def test_exhausted_pool_of_the_reader_is_a_503_that_passes(
    live_client: httpx.AsyncClient, small_database: Database
) -> None:
    assert (await live_client.get("/v1/assets")).status_code == 200
    assert isinstance(small_database.reader, PoolReader)
    assert small_database.reader._pool is not None
    async with small_database.reader._pool.acquire():
        assert_unavailable(await live_client.get("/v1/assets"))
    assert (await live_client.get("/v1/assets")).status_code == 200


async def test_statement_that_takes_too_long_is_a_503_and_frees_its_connection(
    live_client: httpx.AsyncClient,
    live_database: Database,
    session: dict[str, str],
    hasty_database: Database,
) -> None:
    async with live_database.transaction() as holding:
        await holding.execute(text("SELECT FROM account FOR UPDATE"))
        assert_unavailable(await rename(live_client, session))
    assert hasty_database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # a QueuePool
    await lift_limits(hasty_database)
    assert (await rename(live_client, session)).status_code == 200


async def test_locked_catalogue_is_a_503(
    live_client: httpx.AsyncClient, live_database: Database, hasty_database: Database
) -> None:
    async with live_database.transaction() as holding:
        await holding.execute(text("LOCK TABLE asset IN ACCESS EXCLUSIVE MODE"))
        assert_unavailable(await live_client.get("/v1/assets"))
    await lift_limits(hasty_database)
    assert (await live_client.get("/v1/assets")).status_code == 200


async def test_server_that_falls_silent_is_a_503(
    live_app: FastAPI,
    live_client: httpx.AsyncClient,
    live_database: Database,
    session: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The driver has a time limit too, and raises a bare TimeoutError."""
    take_time_to_connect(monkeypatch)
    monkeypatch.setattr(db, "STATEMENT_TIMEOUT", -1.7)  # and 2 s more for the driver
    database = live_app.state.database = Database(url_of(live_database), pooled_by_server=True)
    async with live_database.transaction() as holding:
        await holding.execute(text("SELECT FROM account FOR UPDATE"))
        assert_unavailable(await rename(live_client, session))
    await lift_limits(database)
    assert (await rename(live_client, session)).status_code == 200
    await database.close()


async def terminate_others(database: Database) -> None:
    """End every other connection to this database, as a restart of the server would.

    The server waits until each is gone, at most the milliseconds that it is given: before, nobody
    could have noticed.
    """
    connection = await database.connect()
    await connection.execute(
        "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await connection.close()


async def test_stale_connections_are_noticed_before_a_request_does(
    live_client: httpx.AsyncClient, live_database: Database, session: dict[str, str]
) -> None:
    await asyncio.gather(*(rename(live_client, session) for _ in range(10)))
    await terminate_others(live_database)
    answers = await asyncio.gather(*(rename(live_client, session) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}


async def test_read_is_tried_once_more_on_a_fresh_connection() -> None:
    class Connection:
        def __init__(self, *, stale: bool) -> None:
            self.stale = stale

        async def fetch(self, query: str) -> list[str]:
            if self.stale:
                raise asyncpg.ConnectionDoesNotExistError("connection was closed")
            return [f"answer to {query}"]

    class Pool:
        def __init__(self, *connections: Connection) -> None:
            self.connections = list(connections)

        def acquire(self, *, timeout: float) -> "Pool":
            assert timeout == 3
            return self

        async def __aenter__(self) -> Connection:
            return self.connections.pop(0)

        async def __aexit__(self, *_: object) -> None:
            pass

    async def once_stale() -> Any:
        return Pool(Connection(stale=True), Connection(stale=False))

    async def always_stale() -> Any:
        return Pool(Connection(stale=True), Connection(stale=True), Connection(stale=False))

    assert list(map(str, await PoolReader(once_stale).fetch("this"))) == ["answer to this"]
    with pytest.raises(asyncpg.ConnectionDoesNotExistError):
        await PoolReader(always_stale).fetch("this")


async def test_hundred_cancelled_requests_leave_the_pool_whole(
    live_app: FastAPI,
    live_client: httpx.AsyncClient,
    live_database: Database,
    session: dict[str, str],
) -> None:
    database = live_app.state.database = patient_database(url_of(live_database), pool_size=5)
    running = []
    for number in range(100):
        running.append(asyncio.create_task(rename(live_client, session)))
        await asyncio.sleep(number % 10 / 1000)
        running[number // 2].cancel()
    for task in running:
        task.cancel()
    results = await asyncio.gather(*running, return_exceptions=True)
    assert any(isinstance(result, asyncio.CancelledError) for result in results)

    async def is_whole() -> bool:
        left_open = """
            SELECT FROM pg_stat_activity
             WHERE datname = current_database() AND state LIKE 'idle in transaction%'
        """
        pool: Any = database.engine.pool
        return not pool.checkedout() and not await live_database.reader.fetch(left_open)

    # A request that was cancelled twice does not wait for its roll-back, nor for the server's word.
    await eventually(is_whole)
    answers = await asyncio.gather(*(rename(live_client, session) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    await database.close()


class MeetingHasher(PasswordHasher):
    """Checks a password only once as many requests are here as were expected."""

    def __init__(self, keyring: Keyring, expected: int) -> None:
        super().__init__(keyring, threads=1)
        self._meeting = asyncio.Barrier(expected)

    @override
    async def _run(self, function: Callable[..., Any], *args: str) -> Any:
        async with asyncio.timeout(60):
            await self._meeting.wait()
        return await super()._run(function, *args)


async def test_no_connection_is_held_while_passwords_are_hashed(
    live_app: FastAPI,
    live_database: Database,
    live_client: httpx.AsyncClient,
    session: dict[str, str],
    keyring: Keyring,
) -> None:
    """With one connection, two requests meet at the hash pool only if neither keeps it."""
    database = live_app.state.database = patient_database(url_of(live_database), pool_size=1)
    hasher = live_app.state.hasher = MeetingHasher(keyring, expected=2)
    answers = await asyncio.gather(login(live_client), login(live_client))
    assert [answer.status_code for answer in answers] == [200, 200]
    answers = await asyncio.gather(register(live_client, "a@b.org"), register(live_client))
    assert [answer.status_code for answer in answers] == [202, 202]
    wrong = {"password": "not-the-Password-1"}
    answers = await asyncio.gather(
        live_client.request("DELETE", "/v1/account", json=wrong, headers=session),
        live_client.post(
            "/v1/account/email", json={"new_email": "new@b.org", **wrong}, headers=session
        ),
    )
    assert [answer.status_code for answer in answers] == [403, 403]
    hasher.close()
    await database.close()


# Addresses


def url_forms(url: str) -> list[str]:
    """Other ways to write the address of the test server, a Unix socket with a password."""
    parts = urlsplit(url)
    name, folder = parts.path, parts.query.partition("host=")[2].partition("&")[0]
    user, socket = f"{parts.username}:{parts.password}", f"host={folder}&port=5432"
    several = f"host=127.0.0.1,{folder}&port=1,5432"
    return [
        f"postgres://{user}@{name}?{socket}",
        f"postgresql://{name}?{socket}&user={parts.username}&password={parts.password}",
        f"postgresql://{user}@{quote(folder, safe='')}:5432{name}",
        f"postgresql://{user}@127.0.0.1:1,{quote(folder, safe='')}:5432{name}",
        f"postgresql://{user}@{name}?{several}",
        f"postgresql://{user}@{name}?{several}&target_session_attrs=read-write",
        f"{url}&sslmode=prefer&application_name=portal&options=-c%20geqo%3Doff",
    ]


@pytest.mark.parametrize("form", range(7))
async def test_every_standard_form_of_the_url_is_understood(
    server_url: str, monkeypatch: pytest.MonkeyPatch, form: int
) -> None:
    take_time_to_connect(monkeypatch)
    database = Database(url_forms(server_url.replace("DATABASE", "postgres"))[form])
    try:
        row = await database.reader.fetchrow("SELECT current_database() AS name")
        assert row is not None
        assert row["name"] == "postgres"
        async with database.transaction() as session:
            assert await session.scalar(text("SHOW statement_timeout")) == "5s"
            assert await session.scalar(text("SHOW idle_in_transaction_session_timeout")) == "30s"
    finally:
        await database.close()


async def test_behind_a_pooler_nothing_outlives_a_transaction(
    server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PgBouncer gives each transaction another connection: no name may be met again there."""
    take_time_to_connect(monkeypatch)
    database = Database(server_url.replace("DATABASE", "postgres"), pooled_by_server=True)
    names: list[str] = []
    try:
        for _ in range(2):
            async with database.transaction() as session:
                found = await session.scalars(text("SELECT name FROM pg_prepared_statements"))
                names += found.all()
                assert await session.scalar(text("SHOW statement_timeout")) == "0"
        assert await database.reader.fetch("SELECT FROM pg_prepared_statements") == []
    finally:
        await database.close()
    assert len(names) == len(set(names)) >= 2
    assert all(re.fullmatch(r"__[0-9a-f]{32}__", name) for name in names)
