"""What each process knows of keys, how soon all know better, and how much keys may ask for."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from app import crypto, deps
from app.crypto import AccessTokens, Keyring, PasswordHasher
from app.db import Database
from app.http import keyed_requests
from app.http.error_boundary import ErrorBoundaryMiddleware
from app.http.key_gate import PER_DAY, PER_MINUTE, KeyGate
from app.http.keyed_requests import KeyedRequestsMiddleware
from app.http.request_id import RequestIdMiddleware
from app.lifespan import change_listener
from app.models import Account, ApiKeyUsage
from app.services import key_records, policy
from app.services.key_records import KeyCaller, KeyRecords
from app.settings import Settings
from tests.conftest import running_app
from tests.helpers import (
    NEW_PASSWORD,
    PASSWORD,
    Api,
    Clock,
    Mailbox,
    bearer,
    login,
    make_admin,
    patient_database,
    rows,
    sign_up,
)
from tests.http_asgi import client_of, http_scope, messages_of
from tests.hurried_worker import eventually
from tests.keys import KEYS, as_key, forget_what_is_known, make_key, with_key
from tests.test_catalogue_events import running, until

Headers = dict[str, str]
USAGE = "/v1/usage"


def code_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


@pytest.fixture
async def jane(client: httpx.AsyncClient, mailbox: Mailbox) -> Headers:
    return bearer(await sign_up(client, mailbox))


@pytest.fixture
async def live_jane(live_client: httpx.AsyncClient, live_mailbox: Mailbox) -> Headers:
    return bearer(await sign_up(live_client, live_mailbox))


# Several processes

Start = Callable[[], Awaitable[FastAPI]]


@pytest.fixture
async def start_process(
    settings: Settings,
    live_database: Database,
    keyring: Keyring,
    hasher: PasswordHasher,
    clock: Clock,
) -> AsyncIterator[Start]:
    """Another application on the same database, with connections of its own."""
    databases: list[Database] = []

    async def start() -> FastAPI:
        databases.append(patient_database(live_database._url))
        return await running_app(settings, databases[-1], keyring, hasher, clock)

    yield start
    for database in databases:
        await database.close()


async def is_refused(client: httpx.AsyncClient, headers: Headers) -> bool:
    response = await client.get(USAGE, headers=headers)
    assert response.status_code == 200 or code_of(response) == (401, "invalid_token")
    return response.status_code == 401


def on_a_clock_to_turn(process: FastAPI) -> "Turning":
    """What a process knows of keys grows old by this clock alone, and not by the real one."""
    turning, records = Turning(), process.state.keys._records
    assert records._clock is time.monotonic
    records._clock = turning
    return turning


Ending = Callable[[httpx.AsyncClient, dict[str, Any], Headers], Awaitable[httpx.Response]]


async def revoke(
    client: httpx.AsyncClient, made: dict[str, Any], headers: Headers
) -> httpx.Response:
    return await client.delete(f"{KEYS}/{made['id']}", headers=headers)


async def rotate(
    client: httpx.AsyncClient, made: dict[str, Any], headers: Headers
) -> httpx.Response:
    body = {"overlap_seconds": 0}
    return await client.post(f"{KEYS}/{made['id']}/rotate", json=body, headers=headers)


@pytest.mark.parametrize("end", [revoke, rotate])
@pytest.mark.parametrize("hears", [True, False])
async def test_key_ends_within_a_second_in_every_process(
    live_client: httpx.AsyncClient,
    live_jane: Headers,
    start_process: Start,
    end: Ending,
    *,
    hears: bool,
) -> None:
    made = await make_key(live_client, live_jane)
    other = await start_process()
    listener = change_listener(other, other.state.database._url)
    turning = on_a_clock_to_turn(other)
    async with Api(other) as elsewhere, running(listener) if hears else nothing():
        if hears:
            await until(other.state.pages.is_trusted)
        assert not await is_refused(elsewhere, with_key(made))
        assert (await end(live_client, made, live_jane)).is_success
        if hears:
            await eventually(partial(is_refused, elsewhere, with_key(made)))
        else:
            turning.seconds += 0.9
            assert await is_refused(elsewhere, with_key(made))


@asynccontextmanager
async def nothing() -> AsyncIterator[None]:
    yield


async def test_suspended_account_and_revoked_token_end_within_a_second_elsewhere(
    live_client: httpx.AsyncClient,
    live_mailbox: Mailbox,
    live_jane: Headers,
    live_database: Database,
    start_process: Start,
) -> None:
    made, other_key = [await make_key(live_client, live_jane) for _ in range(2)]
    auth = httpx.BasicAuth(other_key["id"], other_key["key"])
    grant = {"grant_type": "client_credentials"}
    issued = await live_client.post("/oauth/token", data=grant, auth=auth)
    token = issued.json()["access_token"]
    admin = bearer(await sign_up(live_client, live_mailbox, "admin@example.org"))
    await make_admin(live_database, "admin@example.org")
    [account] = [each for each in await rows(live_database, Account) if each.role == "member"]
    other = await start_process()
    turning = on_a_clock_to_turn(other)
    async with Api(other) as elsewhere:
        for headers in (with_key(made), as_key(token)):
            assert not await is_refused(elsewhere, headers)
        revoked = await live_client.post("/oauth/revoke", data={"token": token}, auth=auth)
        assert revoked.status_code == 200
        turning.seconds += 0.9
        assert await is_refused(elsewhere, as_key(token))
        assert not await is_refused(elsewhere, with_key(other_key))
        path = f"/v1/accounts/{account.id}"
        suspended = await live_client.patch(path, json={"suspended": True}, headers=admin)
        assert suspended.status_code == 200
        turning.seconds += 0.9
        assert await is_refused(elsewhere, with_key(made))


# What is known, and for how long


class SlowReader:
    """Answers when it is told to, and counts how often it was asked."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.asked = 0
        self.released = asyncio.Event()
        self.released.set()

    async def fetchrow(self, *_: Any) -> Any:
        self.asked += 1
        answer = self.answer
        await self.released.wait()
        if isinstance(answer, Exception):
            raise answer
        return answer


def record(account_id: UUID | None = None, **changes: Any) -> dict[str, Any]:
    return {
        "id": account_id or uuid4(),
        "role": "member",
        "key_id": uuid4(),
        "scopes": ["assets:read"],
        "ends_at": None,
        "calls": 0,
        **changes,
    }


class Turning:
    """A clock to turn, in seconds."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


async def some_turns() -> None:
    """Let everybody begin what they were going to."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_key_is_read_again_after_half_a_second(clock: Clock) -> None:
    reader, turning = SlowReader(record()), Turning()
    records = KeyRecords(reader, clock=turning)
    for seconds, asked in ((0.0, 1), (0.499, 1), (0.5, 2), (0.999, 2), (1.0, 3)):
        turning.seconds = 100 + seconds
        assert await records.by_secret(b"hash", now=clock.now) is not None
        assert reader.asked == asked, seconds


async def test_requests_at_the_same_time_share_one_reading(clock: Clock) -> None:
    reader = SlowReader(record())
    reader.released.clear()
    records = KeyRecords(reader, clock=Turning())
    asking = [asyncio.create_task(records.by_secret(b"hash", now=clock.now)) for _ in range(50)]
    await some_turns()
    asking[0].cancel()  # whoever asked first may leave: the others have their answer
    await some_turns()
    reader.released.set()
    found = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert all(isinstance(each, KeyCaller) for each in found[1:])
    assert reader.asked == 1


async def test_nobody_joins_a_reading_that_began_half_a_second_before(clock: Clock) -> None:
    reader, turning = SlowReader(record()), Turning()
    reader.released.clear()
    records = KeyRecords(reader, clock=turning)
    first = asyncio.create_task(records.by_secret(b"hash", now=clock.now))
    await some_turns()
    turning.seconds += 0.5
    reader.answer = None  # the key is revoked meanwhile
    second = asyncio.create_task(records.by_secret(b"hash", now=clock.now))
    await some_turns()
    reader.released.set()
    assert await first is not None
    assert await second is None


async def test_reading_under_way_is_not_believed_after_a_change(clock: Clock) -> None:
    reader = SlowReader(record())
    reader.released.clear()
    records = KeyRecords(reader, clock=Turning())
    before = asyncio.create_task(records.by_secret(b"hash", now=clock.now))
    await some_turns()
    reader.answer = None
    records.drop(str(uuid4()))
    after = asyncio.create_task(records.by_secret(b"hash", now=clock.now))
    await some_turns()
    reader.released.set()
    assert await before is not None
    assert await after is None
    assert await records.by_secret(b"hash", now=clock.now) is None
    assert reader.asked == 2


async def test_change_drops_the_keys_of_its_account_alone(clock: Clock) -> None:
    mine, others = record(), record()
    reader = SlowReader()
    records = KeyRecords(reader, clock=Turning())
    for name, answer in ((b"mine", mine), (b"others", others), (b"unknown", None)):
        reader.answer = answer
        await records.by_secret(name, now=clock.now)
    records.drop(str(mine["id"]))
    assert [records.knows(name) for name in (b"mine", b"others", b"unknown")] == [
        False,
        True,
        True,
    ]


async def test_failed_reading_is_forgotten(clock: Clock) -> None:
    reader = SlowReader(ConnectionRefusedError())
    records = KeyRecords(reader)
    for _ in range(2):
        with pytest.raises(ConnectionRefusedError):
            await records.by_secret(b"hash", now=clock.now)
        await some_turns()
    reader.answer = record()
    assert await records.by_secret(b"hash", now=clock.now) is not None
    assert reader.asked == 3


async def test_memory_for_keys_is_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    assert key_records.MAX_RECORDS == 5000
    monkeypatch.setattr(key_records, "MAX_RECORDS", 3)
    records = KeyRecords(SlowReader())
    for number in range(10):
        await records.by_secret(b"%d" % number, now=clock.now)
    assert list(records._readings) == [b"7", b"8", b"9"]


async def test_outage_of_the_database_is_told_as_one(
    app: FastAPI, client: httpx.AsyncClient, jane: Headers
) -> None:
    made = await make_key(client, jane)
    app.state.keys._records = KeyRecords(SlowReader(ConnectionRefusedError()))
    refused = await client.get(USAGE, headers=with_key(made))
    assert code_of(refused) == (503, "service_unavailable")
    assert int(refused.headers["retry-after"]) >= 1


async def test_gate_without_a_database_lets_nobody_in() -> None:
    gate = KeyGate(None)
    assert await gate.by_secret(crypto.new_api_key()) is None
    with pytest.raises(crypto.InvalidToken):
        await gate.identify(crypto.new_api_key())


# Limits


def test_limits_are_1200_a_minute_and_200000_a_day() -> None:
    assert (PER_MINUTE.name, PER_MINUTE.quota, PER_MINUTE.window) == ("key", 1200, 60)
    assert (PER_DAY.name, PER_DAY.quota, PER_DAY.window) == ("daily", 200_000, 86_400)


def fields(response: httpx.Response) -> dict[str, int]:
    """What remains of each policy."""
    members = response.headers["ratelimit"].split(", ")
    return {
        member.partition(";")[0].strip('"'): int(member.partition("r=")[2].partition(";")[0])
        for member in members
    }


async def test_answers_tell_what_is_left_of_every_limit(
    client: httpx.AsyncClient, jane: Headers
) -> None:
    made = await make_key(client, jane)
    first = await client.get(USAGE, headers=with_key(made))
    second = await client.get("/v1/account", headers=with_key(made))
    assert fields(first) == {"keys": 5999, "key": 1199, "daily": 199_999}
    assert fields(second) == {"keys": 5998, "key": 1198, "daily": 199_998}
    expected = '"keys";q=6000;w=60, "key";q=1200;w=60, "daily";q=200000;w=86400'
    for response in (first, second):
        assert response.headers["ratelimit-policy"] == expected
        assert response.headers["ratelimit"].endswith(";t=43200")  # from noon to midnight
        assert len(response.headers.get_list("ratelimit")) == 1


async def test_token_of_a_key_has_the_limits_of_the_key(
    client: httpx.AsyncClient, jane: Headers
) -> None:
    made = await make_key(client, jane)
    grant = {"grant_type": "client_credentials"}
    auth = httpx.BasicAuth(made["id"], made["key"])
    issued = await client.post("/oauth/token", data=grant, auth=auth)
    assert fields(issued) == {"keys": 5999, "key": 1199, "daily": 199_999}
    response = await client.get(USAGE, headers=as_key(issued.json()["access_token"]))
    assert fields(response) == {"keys": 5998, "key": 1198, "daily": 199_998}


async def test_key_may_make_1200_requests_a_minute_from_wherever(
    app: FastAPI, client: httpx.AsyncClient, jane: Headers, clock: Clock
) -> None:
    made, other = await make_key(client, jane), await make_key(client, jane)
    gate: KeyGate = app.state.keys
    known = await gate.identify(made["key"])
    for _ in range(1199):
        await gate.admit(http_scope(), known)
    async with Api(app) as elsewhere:
        assert (await elsewhere.get(USAGE, headers=with_key(made))).status_code == 200
        refused = await client.get(USAGE, headers=with_key(made))
        assert code_of(refused) == (429, "rate_limited")
        assert fields(refused)["key"] == 0
        wait = int(refused.headers["retry-after"])
        assert 1 <= wait <= 60
        assert (await client.get(USAGE, headers=with_key(other))).status_code == 200
        assert (await client.get("/v1/account", headers=jane)).status_code == 200
        clock.now += timedelta(seconds=wait)
        assert (await client.get(USAGE, headers=with_key(made))).status_code == 200


async def test_key_may_make_200000_calls_a_utc_day(
    app: FastAPI, client: httpx.AsyncClient, jane: Headers, database: Database, clock: Clock
) -> None:
    made = await make_key(client, jane)
    await add_calls(database, made, 199_998)
    for left in (1, 0):
        response = await client.get(USAGE, headers=with_key(made))
        assert response.status_code == 200
        assert fields(response)["daily"] == left
        await app.state.keys.store_usage(database)
        forget_what_is_known(client)
    for _ in range(2):
        refused = await client.get(USAGE, headers=with_key(made))
        assert code_of(refused) == (429, "rate_limited")
        assert refused.headers["retry-after"] == "43200"
        assert fields(refused)["daily"] == 0
    clock.now += timedelta(hours=11, minutes=59, seconds=59)
    assert (await client.get(USAGE, headers=with_key(made))).headers["retry-after"] == "1"
    clock.now += timedelta(seconds=1)
    response = await client.get(USAGE, headers=with_key(made))
    assert (response.status_code, fields(response)["daily"]) == (200, 199_999)


async def add_calls(database: Database, made: dict[str, Any], calls: int) -> None:
    """As another process would have stored them."""
    insert = text("""
        INSERT INTO api_key_usage (key_id, day, calls) VALUES (:key_id, '2026-11-23', :calls)
        ON CONFLICT (key_id, day) DO UPDATE SET calls = api_key_usage.calls + excluded.calls
    """)
    async with database.transaction() as session:
        await session.execute(insert, {"key_id": UUID(made["id"]), "calls": calls})


@pytest.mark.parametrize("by", ["reading", "storing"])
async def test_calls_of_other_processes_count(
    app: FastAPI, client: httpx.AsyncClient, jane: Headers, database: Database, by: str
) -> None:
    made = await make_key(client, jane)
    assert fields(await client.get(USAGE, headers=with_key(made)))["daily"] == 199_999
    await add_calls(database, made, 1000)
    assert fields(await client.get(USAGE, headers=with_key(made)))["daily"] == 199_998
    if by == "reading":
        forget_what_is_known(client)
    else:
        await app.state.keys.store_usage(database)
    assert fields(await client.get(USAGE, headers=with_key(made)))["daily"] == 198_997


async def test_anything_that_is_no_good_key_has_no_higher_limit(
    app: FastAPI, client: httpx.AsyncClient, jane: Headers
) -> None:
    made = await make_key(client, jane)
    unsigned = ".".join(
        crypto.base64url(part) for part in (b'{"alg":"ES256"}', b'{"sub":"x"}', b"x")
    )
    garbage = [crypto.new_api_key(), "mma_x", unsigned]
    async with Api(app, network="198.51.100.7") as stranger:
        for number in range(600):
            # Also where no token is needed.
            path = (USAGE, "/v1/assets", "/v1/nothing")[number % 3]
            refused = await stranger.get(path, headers=as_key(garbage[number % len(garbage)]))
            assert code_of(refused) == (401, "invalid_token")
        refused = await stranger.get(USAGE, headers=as_key(garbage[0]))
        assert code_of(refused) == (429, "rate_limited")
        assert fields(refused) == {"keys": 5399, "default": 0}
        assert (await stranger.get("/v1/assets")).status_code == 429
        # A good key at the same address goes on.
        assert (await stranger.get(USAGE, headers=with_key(made))).status_code == 200


async def test_network_of_keys_has_6000_requests_a_minute(
    client: httpx.AsyncClient, jane: Headers
) -> None:
    made = await make_key(client, jane)
    for _ in range(699):
        response = await client.get("/v1/auth/password-policy", headers=with_key(made))
        assert response.status_code == 200
    response = await client.get("/v1/auth/password-policy", headers=with_key(made))
    assert fields(response) == {"keys": 5300, "key": 500, "daily": 199_300}
    assert fields(await client.get("/v1/account", headers=jane))["default"] < 600


async def test_limits_may_be_off_while_everything_is_counted(
    live_app: FastAPI, live_client: httpx.AsyncClient, live_jane: Headers, live_database: Database
) -> None:
    made = await make_key(live_client, live_jane)
    await add_calls(live_database, made, 200_000)
    response = await live_client.get(USAGE, headers=with_key(made))
    assert response.status_code == 200
    assert "ratelimit" not in response.headers
    await live_app.state.keys.store_usage(live_database)
    [usage] = await rows(live_database, ApiKeyUsage)
    assert usage.calls == 200_001


# Answers that take long


class Service:
    """An application with routes that take their time, behind the gate."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.gate = KeyGate(None, clock=lambda: clock.now)
        self.gate.open(database, AccessTokens(issuer="x", audience="x"))
        self.going_on = asyncio.Event()
        self.chunks = 0
        self.app = Starlette(
            routes=[Route("/poll", self.poll), Route("/stream", self.stream)],
            middleware=[
                Middleware(RequestIdMiddleware),
                Middleware(ErrorBoundaryMiddleware),
                Middleware(KeyedRequestsMiddleware, gate=self.gate),
            ],
        )

    async def poll(self, _: Request) -> Response:
        await self.going_on.wait()
        return PlainTextResponse("news")

    async def stream(self, _: Request) -> Response:
        async def chunks() -> AsyncIterator[str]:
            while self.chunks < 100:
                self.chunks += 1
                yield "chunk\n"
                await asyncio.sleep(0.05)

        return StreamingResponse(chunks())


@pytest.mark.parametrize("revoked", [True, False])
async def test_long_poll_is_answered_only_if_its_key_lives_then(
    live_client: httpx.AsyncClient,
    live_jane: Headers,
    live_database: Database,
    clock: Clock,
    *,
    revoked: bool,
) -> None:
    made = await make_key(live_client, live_jane)
    service = Service(live_database, clock)
    async with client_of(service.app) as program:
        polling = asyncio.create_task(program.get("/poll", headers=with_key(made)))
        await asyncio.sleep(1)
        if revoked:
            await revoke(live_client, made, live_jane)
        service.going_on.set()
        answer = await polling
    if revoked:
        assert code_of(answer) == (401, "invalid_token")
    else:
        assert answer.text == "news"


async def test_stream_is_cut_off_within_a_second_of_the_revocation(
    live_client: httpx.AsyncClient,
    live_jane: Headers,
    live_database: Database,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = await make_key(live_client, live_jane)
    service = Service(live_database, clock)
    header = ("authorization", f"Bearer {made['key']}")
    scope = http_scope("/stream", headers=[header])
    turning = Turning()
    service.gate._records = KeyRecords(live_database.reader, clock=turning)
    monkeypatch.setattr(keyed_requests, "time", SimpleNamespace(monotonic=turning))
    streaming = asyncio.create_task(messages_of(service.app, scope))
    await until(lambda: service.chunks > 3)
    await revoke(live_client, made, live_jane)
    turning.seconds += 0.45  # what is known of the key is still believed
    passed = service.chunks
    await until(lambda: service.chunks > passed + 2)
    turning.seconds += 0.45
    passed = service.chunks
    sent = await streaming
    assert 3 < len(sent) - 1 <= passed
    # Cut, and not ended: the client must not take the part for the whole.
    assert sent[-1]["more_body"] is True
    [(_, counted)] = service.gate.usage._counts.items()
    assert counted.response_bytes == sum(len(each.get("body", b"")) for each in sent)
    assert counted.calls == 1


async def test_answer_that_was_refused_in_the_middle_of_an_outage_says_so(
    live_client: httpx.AsyncClient, live_jane: Headers, live_database: Database, clock: Clock
) -> None:
    made = await make_key(live_client, live_jane)
    service = Service(live_database, clock)
    async with client_of(service.app) as program:
        polling = asyncio.create_task(program.get("/poll", headers=with_key(made)))
        await asyncio.sleep(1)
        service.gate._records = KeyRecords(SlowReader(ConnectionRefusedError()))
        service.going_on.set()
        assert code_of(await polling) == (503, "service_unavailable")


async def test_stream_waits_for_a_database_that_is_away_and_goes_on(
    live_client: httpx.AsyncClient, live_jane: Headers, live_database: Database, clock: Clock
) -> None:
    """As after a restart: nothing leaves that nobody could judge, and nothing is cut off."""
    made = await make_key(live_client, live_jane)
    service = Service(live_database, clock)
    scope = http_scope("/stream", headers=[("authorization", f"Bearer {made['key']}")])
    streaming = asyncio.create_task(messages_of(service.app, scope))
    await until(lambda: service.chunks > 3)
    known, away = service.gate._records, SlowReader(ConnectionRefusedError())
    service.gate._records = KeyRecords(away)
    await until(lambda: away.asked >= 3)
    held = service.chunks
    await asyncio.sleep(0.2)
    assert service.chunks == held
    service.gate._records = known
    sent = await streaming
    assert [each["body"] for each in sent[1:]] == [b"chunk\n"] * 100 + [b""]
    assert sent[-1]["more_body"] is False


async def test_stream_is_cut_off_when_the_database_stays_away(
    live_client: httpx.AsyncClient,
    live_jane: Headers,
    live_database: Database,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert timedelta(seconds=30) == policy.KEY_CHECK_PATIENCE
    monkeypatch.setattr(policy, "KEY_CHECK_PATIENCE", timedelta(seconds=0.5))
    made = await make_key(live_client, live_jane)
    service = Service(live_database, clock)
    scope = http_scope("/stream", headers=[("authorization", f"Bearer {made['key']}")])
    streaming = asyncio.create_task(messages_of(service.app, scope))
    await until(lambda: service.chunks > 3)
    away = SlowReader(ConnectionRefusedError())
    service.gate._records = KeyRecords(away)
    sent = await streaming
    assert away.asked >= 2
    assert sent[-1]["more_body"] is True


@pytest.mark.parametrize("by", ["key", "session"])
async def test_right_that_is_asked_about_again_is_looked_up_again(
    app: FastAPI, client: httpx.AsyncClient, jane: Headers, clock: Clock, by: str
) -> None:
    """As those do who answer for long: the same request, at a later time."""
    made = await make_key(client, jane)
    headers = with_key(made) if by == "key" else jane
    state = {"api_key": await app.state.keys.identify(made["key"])} if by == "key" else {}
    scope = http_scope(headers=[("authorization", headers["Authorization"])])
    request = Request({**scope, "app": app, "state": state})
    check = deps.allowed("assets:read")
    assert await check(request, clock.now) is await check(request, clock.now)
    if by == "key":
        await revoke(client, made, jane)
        forget_what_is_known(client)
    else:
        body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        other = bearer((await login(client)).json())
        assert (await client.post("/v1/account/password", json=body, headers=other)).is_success
    await check(request, clock.now)
    with pytest.raises(crypto.InvalidToken):
        await check(request, clock.now + timedelta(seconds=1))
