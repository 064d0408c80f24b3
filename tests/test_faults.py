"""Faults of the database while requests run: clear refusals, then recovery without a restart."""

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select, text

from app.adapters import embedded_postgres, postgres_cluster
from app.adapters.embedded_postgres import EmbeddedPostgres
from app.crypto import Keyring, PasswordHasher
from app.db import Database
from app.migrate import migrate
from app.models import VerificationFlow
from app.services import changes
from app.settings import Settings
from tests.change_readers import Consumer, end_of_feed, following, listening, serving
from tests.conftest import running_app
from tests.factories import Published, publish_story, publish_video
from tests.helpers import (
    Api,
    Clock,
    Mailbox,
    bearer,
    login,
    patient_database,
    register,
    sign_up,
)
from tests.hurried_worker import eventually
from tests.keys import make_key, with_key
from tests.newsletters import add_subscribers, reaches, sending, start_edition
from tests.scripted_smtp import ScriptedSmtp
from tests.webhook_sink import Owner, receiving, telling


def assert_unavailable(response: httpx.Response) -> None:
    assert response.status_code == 503, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "service_unavailable"
    assert response.headers["retry-after"] == "2"


# A server that goes away and comes back


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL of this module alone, as durable as in production."""
    folder = Path(tempfile.mkdtemp(prefix="mma-"))
    folder.chmod(0o711)
    server = embedded_postgres.start(folder)
    migrate_in_thread(server.url())
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


def migrate_in_thread(url: str) -> None:
    """Alembic runs an event loop of its own, and this one may be running."""
    from threading import Thread

    thread = Thread(target=migrate, args=[url])
    thread.start()
    thread.join()


def stop_at_once(server: EmbeddedPostgres) -> None:
    """Cut every connection, as a crash would; the log is replayed at the next start."""
    server._cluster.run("pg_ctl", "stop", "--mode=immediate", "--no-wait")
    wait_until_gone(server)


def kill(server: EmbeddedPostgres) -> None:
    pid = int((server._cluster.home / "data/postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    wait_until_gone(server)


def wait_until_gone(server: EmbeddedPostgres) -> None:
    deadline = time.monotonic() + 60
    while postgres_cluster.is_running(server._cluster.home):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def start_again(server: EmbeddedPostgres) -> None:
    postgres_cluster.launch(server._cluster, (server._cluster.home / "postgresql.conf").read_text())


@pytest.fixture
async def fragile_app(
    server: EmbeddedPostgres,
    settings: Settings,
    keyring: Keyring,
    hasher: PasswordHasher,
    clock: Clock,
) -> AsyncIterator[FastAPI]:
    """The app on a server that this test may stop."""
    if not postgres_cluster.is_running(server._cluster.home):  # a test has failed before this one
        await asyncio.to_thread(start_again, server)
    database = patient_database(server.url(), pool_size=5)
    async with database.transaction() as session:
        await session.execute(text("TRUNCATE account, verification_flow, asset CASCADE"))
    unlimited = settings.model_copy(update={"rate_limits": "off"})
    yield await running_app(unlimited, database, keyring, hasher, clock)
    await database.close()


Request = Callable[[], Awaitable[httpx.Response]]


class Visitors:
    """Everything that people do, over and over."""

    def __init__(
        self, client: httpx.AsyncClient, headers: dict[str, str], video: Published
    ) -> None:
        self._client = client
        self.accepted: set[str] = set()
        self.refused = 0
        body = {"full_name": "Jane"}
        self.requests: dict[str, Request] = {
            "list": lambda: client.get("/v1/assets"),
            "read": lambda: client.get(f"/v1/assets/{video.id}"),
            "who": lambda: client.get("/v1/account", headers=headers),
            "write": lambda: client.patch("/v1/account", json=body, headers=headers),
            "export": lambda: client.get("/v1/account/export", headers=headers),
            "download": lambda: client.post(video.downloads, headers=headers),
            "login": lambda: login(client),
            "register": self._register,
        }

    async def _register(self) -> httpx.Response:
        response = await register(self._client, "john@example.org")
        if response.status_code == 202:
            self.accepted.add(response.json()["flow_id"])
        return response

    async def come(self, stop: asyncio.Event) -> Counter[int]:
        """Ask one thing after the other; the status of every answer, each a clear one."""
        statuses: Counter[int] = Counter()
        while not stop.is_set():
            for request in self.requests.values():
                response = await request()
                statuses[response.status_code] += 1
                if response.status_code >= 400:
                    self.refused += 1
                    assert_unavailable(response)
        return statuses


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        await asyncio.sleep(0.01)


@pytest.fixture
async def visitors(fragile_app: FastAPI, keyring: Keyring) -> AsyncIterator[Visitors]:
    async with Api(fragile_app) as client:
        mailbox = Mailbox(fragile_app.state.database, keyring)
        headers = bearer(await sign_up(client, mailbox))
        yield Visitors(client, headers, await publish_video(fragile_app))


@pytest.mark.parametrize("fault", [kill, pytest.param(stop_at_once, marks=pytest.mark.slow)])
async def test_database_that_goes_away_is_a_clear_503_until_it_is_back(
    server: EmbeddedPostgres,
    fragile_app: FastAPI,
    visitors: Visitors,
    fault: Callable[[EmbeddedPostgres], None],
) -> None:
    async with Api(fragile_app) as client:
        await asyncio.to_thread(fault, server)
        for request in visitors.requests.values():
            assert_unavailable(await request())
        readiness = await client.get("/readyz")
        assert readiness.status_code == 503
        assert readiness.json()["parts"]["database"] == {"status": "down"}
        assert readiness.json()["parts"]["storage"] == {"status": "ok"}
        for path in ("/livez", "/.well-known/jwks.json", "/v1/auth/password-policy"):
            assert (await client.get(path)).status_code == 200
        await asyncio.to_thread(start_again, server)
        for request in visitors.requests.values():
            assert (await request()).status_code in {200, 201, 202}
        assert (await client.get("/readyz")).status_code == 200


async def test_restart_of_the_database_under_load_loses_nothing_that_was_promised(
    server: EmbeddedPostgres, fragile_app: FastAPI, visitors: Visitors
) -> None:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        coming = [group.create_task(visitors.come(stop)) for _ in range(8)]
        await until(lambda: len(visitors.accepted) > 3)
        await asyncio.to_thread(stop_at_once, server)
        await until(lambda: visitors.refused > 10)
        await asyncio.to_thread(start_again, server)
        promised_before = len(visitors.accepted)
        await until(lambda: len(visitors.accepted) > promised_before + 3)
        stop.set()
    statuses = sum((task.result() for task in coming), Counter[int]())
    assert set(statuses) == {200, 201, 202, 503}
    async with fragile_app.state.database.transaction() as session:
        kept = {str(flow_id) for flow_id in await session.scalars(select(VerificationFlow.id))}
    assert visitors.accepted <= kept
    assert fragile_app.state.database.engine.pool.checkedout() == 0


# A connection that is cut in the middle


@pytest.fixture
async def session(live_client: httpx.AsyncClient, live_mailbox: Mailbox) -> dict[str, str]:
    return bearer(await sign_up(live_client, live_mailbox))


async def terminate_waiting(database: Database) -> None:
    """End the backends that wait for a lock, once there is one."""
    query = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    deadline = time.monotonic() + 60
    while not await database.reader.fetch(query):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_restart_of_the_database_in_the_middle_of_an_edition_misses_nobody(
    server: EmbeddedPostgres, fragile_app: FastAPI, keyring: Keyring
) -> None:
    database: Database = fragile_app.state.database
    await add_subscribers(database, 200)
    edition_id = await start_edition(database)
    async with (
        ScriptedSmtp(delays={"DATA": 0.01}) as smtp,
        # No mail is to come twice because the restart took longer than a lease.
        sending(database, smtp.url, keyring=keyring, lease=timedelta(minutes=5)),
    ):
        await smtp.has_taken(60)
        await asyncio.to_thread(stop_at_once, server)
        await asyncio.to_thread(start_again, server)
        await smtp.has_taken(200)
        await reaches(database, edition_id, "sent")
        # What was taken in the moment of the crash is noted when the database is back.
        assert Counter(Counter(mail.recipient for mail in smtp.taken).values()) == {1: 200}


@pytest.mark.parametrize("by", ["session", "key"])
async def test_restart_of_the_database_under_those_who_wait_for_changes_skips_nothing(
    server: EmbeddedPostgres, fragile_app: FastAPI, keyring: Keyring, by: str
) -> None:
    """Neither the API nor a stream has to be started again."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(listening(fragile_app, server.url()))
        served = await stack.enter_async_context(serving(fragile_app))
        api = await stack.enter_async_context(Api(fragile_app))
        headers = bearer(await sign_up(api, Mailbox(fragile_app.state.database, keyring)))
        if by == "key":
            headers = with_key(await make_key(api, headers, scopes=["changes:read"]))
        client = await stack.enter_async_context(served.client(headers))
        first = await end_of_feed(client)
        consumers = [Consumer(client, first) for _ in range(2)]
        for consumer, way in zip(consumers, (Consumer.by_waiting, Consumer.by_stream), strict=True):
            await stack.enter_async_context(following(consumer, way))
        await until(lambda: len(fragile_app.state.changes._watches) == 2)
        for number in range(2):
            await asyncio.to_thread(stop_at_once, server)
            await asyncio.to_thread(start_again, server)
            await publish_story(fragile_app, f"after-restart-{number}")  # mostly still unheard
        end = await end_of_feed(client)
        await until(lambda: all(consumer.after == end for consumer in consumers))
    assert consumers[1].streams == 1
    begin = changes.read_cursor(first).sequence
    assert [consumer.sequences for consumer in consumers] == [[begin + 1, begin + 2]] * 2


async def test_restart_of_the_database_costs_no_webhook(
    server: EmbeddedPostgres, fragile_app: FastAPI, keyring: Keyring, clock: Clock
) -> None:
    database: Database = fragile_app.state.database
    # Earlier tests have left changes, which are not told to who comes later.
    before = await database.reader.fetchrow("SELECT last_sequence FROM change_feed")
    assert before is not None
    head = before["last_sequence"]
    async with Api(fragile_app) as client, receiving() as sink:
        owner = Owner(client, await sign_up(client, Mailbox(database, keyring)))
        async with telling(database, keyring, lease=timedelta(seconds=2)):
            webhook = await owner.create(sink.url)
            await owner.reaches(webhook, "active")
            async with database.transaction() as session:
                for _ in range(200):
                    await changes.record(
                        session, "created", asset_id=uuid4(), version=1, now=clock.now
                    )
            await sink.has(60)
            await asyncio.to_thread(stop_at_once, server)
            await asyncio.to_thread(start_again, server)
            await sink.has(200)

            async def has_all() -> bool:
                return set(sink.sequences) == set(range(head + 1, head + 201))

            await eventually(has_all)
    # What had left in the moment of the crash may come twice, with the same id.
    assert len({got.id for got in sink.received}) == 200
    assert len(sink.received) <= 210


async def test_backend_that_dies_in_a_write_is_a_503(
    live_client: httpx.AsyncClient, live_database: Database, session: dict[str, str]
) -> None:
    async with live_database.transaction() as holding:
        await holding.execute(text("SELECT FROM account FOR UPDATE"))
        body = {"full_name": "Jane"}
        request = live_client.patch("/v1/account", json=body, headers=session)
        running = asyncio.create_task(request)
        await terminate_waiting(live_database)
        assert_unavailable(await running)
    assert (await live_client.get("/v1/account", headers=session)).json()["full_name"] is None


async def test_backend_that_dies_in_a_read_is_not_noticed(
    live_app: FastAPI, live_client: httpx.AsyncClient, live_database: Database
) -> None:
    live_app.state.database = reading = patient_database(live_database._url)
    async with live_database.transaction() as holding:
        await holding.execute(text("LOCK TABLE asset IN ACCESS EXCLUSIVE MODE"))
        running = asyncio.create_task(live_client.get("/v1/assets"))
        await terminate_waiting(live_database)
    assert (await running).status_code == 200
    await reading.close()


async def test_database_without_room_for_connections_is_a_503(
    live_app: FastAPI, live_client: httpx.AsyncClient, live_database: Database
) -> None:
    name = "SELECT current_database() AS name"
    row = await live_database.reader.fetchrow(name)
    assert row is not None
    async with live_database.transaction() as writing:
        await writing.execute(text(f"ALTER DATABASE {row['name']} CONNECTION LIMIT 0"))
    live_app.state.database = crowded = Database(live_database._url)
    assert_unavailable(await live_client.get("/v1/assets"))
    assert_unavailable(await register(live_client))
    await crowded.close()


async def test_database_at_a_wrong_address_is_a_503(
    live_app: FastAPI, live_client: httpx.AsyncClient
) -> None:
    for url in ("postgresql://u:p@127.0.0.1:1/x", "postgresql://u:p@nowhere.invalid/x"):
        live_app.state.database = lost = Database(url)
        assert_unavailable(await live_client.get("/v1/assets"))
        assert_unavailable(await register(live_client))
        await lost.close()
