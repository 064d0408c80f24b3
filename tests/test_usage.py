"""What keys were used for: counted as it happened, stored, and told to their owners."""

import asyncio
import csv
import io
import itertools
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from structlog.testing import capture_logs

from app.crypto import Keyring, PasswordHasher
from app.db import Database
from app.main import create_app
from app.models import ApiKey, ApiKeyUsage
from app.services import policy
from app.services.key_usage import KeyUsage
from app.settings import Settings
from tests.conftest import running_app
from tests.factories import Published, publish_video
from tests.helpers import (
    Api,
    Clock,
    Mailbox,
    bearer,
    login,
    patient_database,
    patient_limits,
    rows,
    sign_up,
)
from tests.keys import KEYS, as_key, make_key, with_key

USAGE = "/v1/usage"
TODAY = date(2026, 11, 23)
PLAIN = {"Accept-Encoding": "identity"}
Headers = dict[str, str]
Made = dict[str, Any]


@pytest.fixture
async def jane(client: httpx.AsyncClient, mailbox: Mailbox) -> Headers:
    return bearer(await sign_up(client, mailbox))


@pytest.fixture
async def video(app: FastAPI) -> Published:
    return await publish_video(app)


@pytest.fixture
async def live_jane(live_client: httpx.AsyncClient, live_mailbox: Mailbox) -> Headers:
    return bearer(await sign_up(live_client, live_mailbox))


async def stored(app: FastAPI) -> None:
    await app.state.keys.store_usage(app.state.database)


async def usage_of(client: httpx.AsyncClient, headers: Headers, query: str = "") -> list[Made]:
    response = await client.get(f"{USAGE}{query}", headers=headers)
    assert response.status_code == 200, response.text
    items: list[Made] = response.json()["items"]
    return items


# Counting


async def test_every_call_with_a_good_key_counts_whatever_it_is_answered(
    app: FastAPI, client: httpx.AsyncClient, jane: Headers, video: Published
) -> None:
    made = await make_key(client, jane, name="Archive")
    size = 0
    for method, path, status in (
        ("GET", f"/v1/assets/{video.slug}", 200),
        ("HEAD", f"/v1/assets/{video.slug}", 200),
        ("GET", "/v1/assets", 200),
        ("GET", "/v1/auth/password-policy", 200),
        ("GET", "/v1/assets/never-was", 404),
        ("GET", "/v1/nothing", 404),
        ("PUT", "/v1/assets", 405),
        ("GET", "/v1/account", 403),
        ("POST", video.downloads, 403),
    ):
        response = await client.request(method, path, headers={**with_key(made), **PLAIN})
        assert response.status_code == status, path
        size += len(response.content)
    await client.get("/livez", headers=with_key(made))  # probes are of nobody
    await client.get("/v1/assets")
    await client.get("/v1/account", headers=jane)
    await stored(app)
    [row] = await usage_of(client, jane)
    assert row == {
        "day": "2026-11-23",
        "key_id": made["id"],
        "key_name": "Archive",
        "calls": 9,
        "response_bytes": size,
        "downloads": 0,
        "download_bytes": 0,
    }


async def test_call_that_was_refused_for_its_number_counts_too(
    app: FastAPI, client: httpx.AsyncClient, jane: Headers, database: Database
) -> None:
    made = await make_key(client, jane)
    async with database.transaction() as session:
        session.add(ApiKeyUsage(key_id=UUID(made["id"]), day=TODAY, calls=200_000))
    refused = await client.get(USAGE, headers=with_key(made))
    assert refused.status_code == 429
    await stored(app)
    [row] = await usage_of(client, jane)
    assert (row["calls"], row["response_bytes"]) == (200_001, len(refused.content))


async def test_bytes_are_those_that_leave(
    app: FastAPI, client: httpx.AsyncClient, jane: Headers, video: Published
) -> None:
    made = await make_key(client, jane)
    headers = {**with_key(made), "Accept-Encoding": "gzip"}
    response = await client.get("/openapi.json", headers=headers)
    assert response.headers["content-encoding"] == "gzip"
    assert response.num_bytes_downloaded < len(response.content)
    known = await client.get(f"/v1/assets/{video.slug}", headers={**headers, "If-None-Match": "*"})
    assert known.status_code == 304
    await stored(app)
    [row] = await usage_of(client, jane)
    assert (row["calls"], row["response_bytes"]) == (2, response.num_bytes_downloaded)


async def test_calls_of_access_tokens_and_for_them_are_those_of_their_key(
    app: FastAPI, client: httpx.AsyncClient, jane: Headers
) -> None:
    made = await make_key(client, jane)
    auth = httpx.BasicAuth(made["id"], made["key"])
    grant = {"grant_type": "client_credentials"}
    issued = await client.post("/oauth/token", data=grant, auth=auth)
    answer = await client.get(USAGE, headers=as_key(issued.json()["access_token"]))
    refused = await client.post("/oauth/token", data={"grant_type": "password"}, auth=auth)
    assert refused.status_code == 400
    await client.post("/oauth/token", data=grant, auth=httpx.BasicAuth(made["id"], "mma_x"))
    await stored(app)
    [row] = await usage_of(client, jane)
    assert row["calls"] == 3
    sizes = [len(each.content) for each in (issued, answer, refused)]
    assert row["response_bytes"] == sum(sizes)


async def test_distinct_files_of_a_day_count_as_downloads(
    app: FastAPI, client: httpx.AsyncClient, jane: Headers, video: Published, clock: Clock
) -> None:
    other = await publish_video(app, "second", contents=b"second")
    made = await make_key(client, jane, scopes=["assets:download"])
    for path in (video.downloads, video.downloads, other.downloads):
        assert (await client.post(path, headers=with_key(made))).status_code == 201
    redirect = other.downloads.removesuffix("s")
    assert (await client.get(redirect, headers=with_key(made))).status_code == 302
    await client.post(video.downloads, headers=jane)
    clock.now += timedelta(hours=12)
    await client.post(video.downloads, headers=with_key(made))
    await stored(app)
    rows_by_day = {row["day"]: row for row in await usage_of(client, with_key(made))}
    first, second = rows_by_day["2026-11-23"], rows_by_day["2026-11-24"]
    assert (first["downloads"], first["download_bytes"]) == (2, len(video.contents) + 6)
    assert (second["downloads"], second["download_bytes"]) == (1, len(video.contents))
    assert (first["calls"], second["calls"]) == (4, 1)


async def test_last_use_is_told_and_todays_figures(
    app: FastAPI, client: httpx.AsyncClient, jane: Headers, clock: Clock
) -> None:
    made = await make_key(client, jane)
    clock.now += timedelta(minutes=1)
    await client.get(USAGE, headers=with_key(made))
    clock.now += timedelta(minutes=1)
    last = await client.get("/v1/nothing", headers={**with_key(made), **PLAIN})
    assert last.status_code == 404
    await stored(app)
    clock.now += timedelta(minutes=1)
    seen = (await client.get(f"{KEYS}/{made['id']}", headers=jane)).json()
    assert seen["last_used_at"] == "2026-11-23T12:02:00Z"
    assert seen["usage_today"]["calls"] == 2
    assert seen["usage_today"]["response_bytes"] > len(last.content)
    [listed] = (await client.get(KEYS, headers=jane)).json()["items"]
    assert listed == seen


async def test_usage_is_what_was_done_by_many_at_once(
    live_app: FastAPI,
    live_client: httpx.AsyncClient,
    live_jane: Headers,
    live_database: Database,
    settings: Settings,
    keyring: Keyring,
    hasher: PasswordHasher,
    clock: Clock,
) -> None:
    """Two processes, four keys, and counts that are stored again and again meanwhile."""
    video = await publish_video(live_app)
    keys = [
        await make_key(live_client, live_jane, scopes=["assets:read", "assets:download"])
        for _ in range(4)
    ]
    unlimited = settings.model_copy(update={"rate_limits": "off"})
    database = patient_database(live_database._url)
    other = await running_app(unlimited, database, keyring, hasher, clock)
    calls: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    done = asyncio.Event()
    kinds = itertools.cycle(
        [
            ("GET", "/v1/assets"),
            ("GET", f"/v1/assets/{video.slug}"),
            ("GET", "/v1/nothing"),
            ("POST", video.downloads),
            ("GET", "/v1/account"),
        ]
    )

    async def ask(client: httpx.AsyncClient, made: Made) -> None:
        method, path = next(kinds)
        response = await client.request(method, path, headers={**with_key(made), **PLAIN})
        assert response.status_code in {200, 201, 403, 404}
        calls[made["id"]] += 1
        sizes[made["id"]] += len(response.content)

    async def store_again_and_again() -> None:
        while not done.is_set():
            await asyncio.gather(stored(live_app), stored(other))
            await asyncio.sleep(0.01)

    storing = asyncio.create_task(store_again_and_again())
    async with Api(other) as elsewhere:
        clients = (live_client, elsewhere)
        for _ in range(10):
            wave = [ask(client, made) for client in clients for made in keys for _ in range(4)]
            await asyncio.gather(*wave)
    done.set()
    await storing
    await asyncio.gather(stored(live_app), stored(other))
    found = {str(row.key_id): row for row in await rows(live_database, ApiKeyUsage)}
    await database.close()
    assert sum(calls.values()) == 320
    for key_id, count in calls.items():
        assert (found[key_id].calls, found[key_id].response_bytes) == (count, sizes[key_id])
        assert (found[key_id].downloads, found[key_id].download_bytes) == (1, len(video.contents))


# Storing


async def test_counts_that_can_not_be_stored_are_stored_later(
    app: FastAPI, client: httpx.AsyncClient, jane: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await make_key(client, jane)
    first = await client.get(USAGE, headers=with_key(made))

    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionRefusedError

    with monkeypatch.context() as broken:
        broken.setattr(app.state.database, "transaction", fail)
        with pytest.raises(ConnectionRefusedError):
            await stored(app)
    second = await client.get(USAGE, headers=with_key(made))
    assert '"daily";r=199998' in second.headers["ratelimit"]
    await stored(app)
    await stored(app)
    [row] = await usage_of(client, jane)
    expected = (2, len(first.content) + len(second.content))
    assert (row["calls"], row["response_bytes"]) == expected


async def test_counts_are_stored_every_second_and_at_the_end(
    live_client: httpx.AsyncClient,
    live_jane: Headers,
    live_database: Database,
    settings: Settings,
) -> None:
    """As the server runs it: started, asked, and stopped by SIGTERM, which ends the lifespan."""
    assert timedelta(seconds=1) == policy.KEY_USAGE_FLUSH_INTERVAL
    made = await make_key(live_client, live_jane)
    own = {
        "database_url": live_database._url,
        "secret_key": SecretStr("a secret for tests that is long enough to be one"),
    }
    app = create_app(settings.model_copy(update=own))
    with patient_limits():
        async with app.router.lifespan_context(app), Api(app) as program:
            assert (await program.get(USAGE, headers=with_key(made))).status_code == 200
            async with asyncio.timeout(60):
                while not await rows(live_database, ApiKeyUsage):
                    pass
            for _ in range(3):
                assert (await program.get(USAGE, headers=with_key(made))).status_code == 200
    # Of one day, or of two at midnight.
    assert sum(row.calls for row in await rows(live_database, ApiKeyUsage)) == 4
    [key] = await rows(live_database, ApiKey)
    assert key.last_used_at is not None
    assert datetime.now(UTC) - key.last_used_at < timedelta(minutes=1)


async def test_outage_while_storing_is_logged_and_ends_nothing(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, stopping, tries = app.state.keys, asyncio.Event(), 0

    async def fail(_: Database) -> None:
        nonlocal tries
        tries += 1
        if tries == 3:
            stopping.set()
        raise ConnectionRefusedError

    monkeypatch.setattr(gate, "store_usage", fail)
    monkeypatch.setattr(policy, "KEY_USAGE_FLUSH_INTERVAL", timedelta(milliseconds=1))
    with capture_logs() as events:
        await asyncio.wait_for(gate.keep_usage(app.state.database, stopping), 60)
    assert [event["event"] for event in events] == ["key_usage_not_stored"] * 3


def test_calls_are_never_counted_twice_while_they_are_being_stored() -> None:
    usage, key_id, now = KeyUsage(), uuid4(), datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    for _ in range(3):
        usage.add_call(key_id, now)
    assert usage.calls_of(key_id, TODAY, stored=100) == 103
    taken = usage.take()
    usage.add_call(key_id, now)
    # Somebody reads what is stored, with or without those that are under way.
    for read in (100, 103, 110):
        assert usage.calls_of(key_id, TODAY, stored=read) == 104
    usage.settle(taken, {(key_id, TODAY): 113})
    assert usage.calls_of(key_id, TODAY, stored=100) == 114
    assert usage.calls_of(key_id, TODAY, stored=120) == 121


def test_what_was_idle_is_forgotten() -> None:
    usage, now = KeyUsage(), datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    usage.add_call(uuid4(), now)
    taken = usage.take()
    assert usage.take() == []
    assert len(usage._counts) == 1
    usage.settle(taken, {})
    assert usage.take() == []
    assert usage._counts == {}


# Reading


async def some_usage(
    client: httpx.AsyncClient, headers: Headers, database: Database
) -> tuple[Made, Made]:
    """Two keys, each used on three days."""
    archive = await make_key(client, headers, name="Archive")
    studio = await make_key(client, headers, name="=Studio, 2")
    async with database.transaction() as session:
        for number, made in enumerate((archive, studio)):
            session.add_all(
                ApiKeyUsage(
                    key_id=UUID(made["id"]),
                    day=TODAY - timedelta(days=days),
                    calls=days,
                    response_bytes=number,
                )
                for days in (0, 30, 31)
            )
    return archive, studio


def days_of(items: list[Made]) -> list[tuple[str, str]]:
    return [(item["day"], item["key_name"]) for item in items]


async def test_owner_sees_all_keys_and_a_key_itself_alone(
    client: httpx.AsyncClient, jane: Headers, mailbox: Mailbox, database: Database
) -> None:
    archive, studio = await some_usage(client, jane, database)
    john = bearer(await sign_up(client, mailbox, "john@example.org"))
    await some_usage(client, john, database)
    mine = await usage_of(client, jane)
    assert days_of(mine) == [
        ("2026-11-23", "=Studio, 2"),
        ("2026-11-23", "Archive"),
        ("2026-10-24", "=Studio, 2"),
        ("2026-10-24", "Archive"),
    ]
    for headers, query in (
        (jane, f"?key_id={archive['id']}"),
        (with_key(archive), ""),
        (with_key(archive), f"?key_id={archive['id']}"),
    ):
        found = await usage_of(client, headers, query)
        assert days_of(found) == [("2026-11-23", "Archive"), ("2026-10-24", "Archive")]
    for headers, key_id in (
        (john, archive["id"]),
        (with_key(archive), studio["id"]),
        (jane, str(uuid4())),
    ):
        refused = await client.get(f"{USAGE}?key_id={key_id}", headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (404, "not_found")


async def test_usage_of_a_revoked_key_is_still_told(
    client: httpx.AsyncClient, jane: Headers, database: Database
) -> None:
    archive, _ = await some_usage(client, jane, database)
    await client.delete(f"{KEYS}/{archive['id']}", headers=jane)
    assert len(await usage_of(client, jane, f"?key_id={archive['id']}")) == 2


@pytest.mark.parametrize(
    ("query", "days"),
    [
        ("", ["2026-11-23", "2026-10-24"]),
        ("?from=2026-10-23", ["2026-11-23", "2026-10-24", "2026-10-23"]),
        ("?to=2026-11-22", ["2026-10-24", "2026-10-23"]),
        ("?from=2026-10-24&to=2026-10-24", ["2026-10-24"]),
        ("?to=2020-01-01", []),
        ("?to=0001-01-01", []),
    ],
)
async def test_days_are_those_from_first_to_last(
    client: httpx.AsyncClient, jane: Headers, database: Database, query: str, days: list[str]
) -> None:
    archive, _ = await some_usage(client, jane, database)
    found = await usage_of(client, with_key(archive), query)
    assert [item["day"] for item in found] == days


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("from=2026-11-24&to=2026-11-23", "/from"),
        ("from=yesterday", "/from"),
        ("to=2026-02-30", "/to"),
        ("key_id=mma_x", "/key_id"),
        ("format=xml", "/format"),
        ("limit=101", "/limit"),
    ],
)
async def test_question_that_makes_no_sense_is_refused(
    client: httpx.AsyncClient, jane: Headers, query: str, pointer: str
) -> None:
    refused = await client.get(f"{USAGE}?{query}", headers=jane)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_input")
    assert [error["pointer"] for error in refused.json()["errors"]] == [pointer]


async def test_usage_is_paged(client: httpx.AsyncClient, jane: Headers, database: Database) -> None:
    await some_usage(client, jane, database)
    whole = await usage_of(client, jane, "?from=2026-01-01")
    paged: list[Made] = []
    url = f"{USAGE}?from=2026-01-01&limit=4"
    while url:
        response = await client.get(url, headers=jane)
        paged += response.json()["items"]
        url = response.links.get("next", {}).get("url", "")
    assert paged == whole
    assert len(paged) == 6
    cursor = (await client.get(f"{USAGE}?limit=1", headers=jane)).json()["next_cursor"]
    other = await client.get(f"{USAGE}?limit=1&to=2026-11-22&cursor={cursor}", headers=jane)
    assert (other.status_code, other.json()["code"]) == (400, "invalid_cursor")


async def test_pages_go_on_past_midnight(
    client: httpx.AsyncClient, jane: Headers, database: Database, clock: Clock
) -> None:
    await some_usage(client, jane, database)
    whole = await usage_of(client, jane, "")
    clock.now = clock.now.replace(hour=23, minute=59, second=59)
    headers = bearer((await login(client)).json())
    paged: list[Made] = []
    url = f"{USAGE}?limit=1"
    while url:
        response = await client.get(url, headers=headers)
        assert response.status_code == 200, response.text
        paged += response.json()["items"]
        url = response.links.get("next", {}).get("url", "")
        clock.now += timedelta(seconds=1)
    assert paged == whole
    assert len(paged) > 1


@pytest.mark.parametrize(
    ("query", "accept"),
    [
        ("format=csv", "*/*"),
        ("format=csv", "application/json"),
        ("", "text/csv"),
        ("", "application/json;q=0.5, text/csv"),
    ],
)
async def test_usage_may_be_had_as_csv(
    client: httpx.AsyncClient,
    jane: Headers,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    query: str,
    accept: str,
) -> None:
    monkeypatch.setattr(policy, "EXPORT_CHUNK", 3)
    archive, studio = await some_usage(client, jane, database)
    headers = {**jane, "Accept": accept}
    response = await client.get(f"{USAGE}?from=2026-10-23&{query}", headers=headers)
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    disposition = 'attachment; filename="usage-2026-10-23-2026-11-23.csv"'
    assert response.headers["content-disposition"].startswith(disposition)
    assert response.headers["cache-control"] == "no-store"
    head, *lines = csv.reader(io.StringIO(response.text))
    expected = "day,key_id,key_name,calls,response_bytes,downloads,download_bytes"
    assert ",".join(head) == expected
    assert response.text.startswith(expected + "\r\n")
    assert len(lines) == 6
    # A name that a spreadsheet would compute.
    assert lines[0] == ["2026-11-23", studio["id"], "'=Studio, 2", "0", "1", "0", "0"]
    assert lines[-1] == ["2026-10-23", archive["id"], "Archive", "31", "0", "0", "0"]


async def test_json_is_given_where_both_are_welcome(
    client: httpx.AsyncClient, jane: Headers
) -> None:
    for accept in ("*/*", "application/json", "application/json, text/csv"):
        response = await client.get(USAGE, headers={**jane, "Accept": accept})
        assert response.headers["content-type"] == "application/json"
        assert "accept" in response.headers["vary"].lower()
    response = await client.get(f"{USAGE}?format=json", headers={**jane, "Accept": "text/csv"})
    assert response.json() == {"items": [], "next_cursor": None}
    refused = await client.get(USAGE, headers={**jane, "Accept": "application/xml"})
    assert (refused.status_code, refused.json()["code"]) == (406, "not_acceptable")
