import asyncio
import json
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import update

from app.adapters.storage import ObjectStorage
from app.crypto import Keyring
from app.db import Database
from app.models import Download, IdempotencyKey
from tests.factories import Published, add_draft, publish_video
from tests.helpers import PASSWORD, Clock, Mailbox, bearer, login, rows, sign_up

Headers = dict[str, str]


@pytest.fixture
async def video(app: FastAPI) -> Published:
    return await publish_video(app)


@pytest.fixture
async def session(client: httpx.AsyncClient, mailbox: Mailbox) -> Headers:
    return bearer(await sign_up(client, mailbox))


def with_key(session: Headers, key: str = "key-1") -> Headers:
    return {**session, "Idempotency-Key": key}


def code_of(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, response.json()["code"]


async def test_same_key_gives_the_same_answer_and_does_it_once(
    client: httpx.AsyncClient,
    video: Published,
    session: Headers,
    database: Database,
    clock: Clock,
) -> None:
    first = await client.post(video.downloads, headers=with_key(session))
    clock.now += timedelta(minutes=5)
    again = await client.post(video.downloads, headers=with_key(session))
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert again.headers["content-type"] == "application/json"
    assert again.headers["cache-control"] == "no-store"
    assert len(await rows(database, Download)) == 1


async def test_without_a_key_each_request_counts(
    client: httpx.AsyncClient, video: Published, session: Headers, database: Database
) -> None:
    for _ in range(2):
        assert (await client.post(video.downloads, headers=session)).status_code == 201
    assert len(await rows(database, Download)) == 2
    assert await rows(database, IdempotencyKey) == []


async def test_another_body_under_the_same_key_is_refused(
    client: httpx.AsyncClient, video: Published, session: Headers, database: Database
) -> None:
    await client.post(video.downloads, headers=with_key(session))
    response = await client.post(video.downloads, headers=with_key(session), json={})
    assert code_of(response) == (422, "idempotency_key_reused")
    assert len(await rows(database, Download)) == 1


async def test_key_belongs_to_its_caller(
    client: httpx.AsyncClient,
    video: Published,
    session: Headers,
    mailbox: Mailbox,
    database: Database,
) -> None:
    john = bearer(await sign_up(client, mailbox, "john@example.org"))
    mine = await client.post(video.downloads, headers=with_key(session))
    his = await client.post(video.downloads, headers=with_key(john))
    assert his.status_code == 201
    assert "idempotent-replayed" not in his.headers
    assert his.json()["url"] != mine.json()["url"]
    assert len(await rows(database, Download)) == 2


async def test_key_belongs_to_its_route(
    client: httpx.AsyncClient, app: FastAPI, video: Published, session: Headers
) -> None:
    other = await publish_video(app, "other", filename="other.mp4")
    await client.post(video.downloads, headers=with_key(session))
    response = await client.post(other.downloads, headers=with_key(session))
    assert response.json()["filename"] == "other.mp4"


async def test_key_is_kept_for_twenty_four_hours(
    client: httpx.AsyncClient, video: Published, session: Headers, clock: Clock
) -> None:
    first = await client.post(video.downloads, headers=with_key(session))
    clock.now += timedelta(hours=23, minutes=59, seconds=59)
    session = bearer((await login(client)).json())
    replayed = await client.post(video.downloads, headers=with_key(session))
    assert replayed.json() == first.json()
    clock.now += timedelta(seconds=1)
    fresh = await client.post(video.downloads, headers=with_key(session))
    assert "idempotent-replayed" not in fresh.headers
    assert fresh.json()["expires_at"] == "2026-11-24T12:15:00Z"


async def test_request_that_failed_may_be_tried_again(
    client: httpx.AsyncClient, app: FastAPI, session: Headers, database: Database
) -> None:
    draft = await add_draft(app)
    path = f"/v1/assets/{draft}/renditions/hd/downloads"
    for _ in range(2):
        response = await client.post(path, headers=with_key(session))
        assert code_of(response) == (404, "not_found")
    assert await rows(database, IdempotencyKey) == []


async def test_answer_is_stored_sealed(
    client: httpx.AsyncClient,
    video: Published,
    session: Headers,
    database: Database,
    keyring: Keyring,
) -> None:
    """It is a signed URL: whoever reads the database must not be able to use it."""
    answer = (await client.post(video.downloads, headers=with_key(session))).json()
    [stored] = await rows(database, IdempotencyKey)
    assert stored.sealed_answer is not None
    assert b"files" not in stored.sealed_answer
    assert json.loads(keyring.unseal("idempotency", stored.sealed_answer)) == answer


async def forget_answer(database: Database) -> None:
    """Leave the claim as a process that died in the middle would."""
    async with database.transaction() as writing:
        await writing.execute(update(IdempotencyKey).values(status=None, sealed_answer=None))


async def keys(database: Database) -> list[tuple[str, str, str]]:
    return [(row.caller, row.route, row.key) for row in await rows(database, IdempotencyKey)]


async def test_request_that_still_runs_is_a_conflict_for_a_minute(
    client: httpx.AsyncClient,
    video: Published,
    session: Headers,
    database: Database,
    clock: Clock,
) -> None:
    await client.post(video.downloads, headers=with_key(session))
    await forget_answer(database)
    clock.now += timedelta(seconds=59)
    running = await client.post(video.downloads, headers=with_key(session))
    assert code_of(running) == (409, "idempotency_key_running")
    assert running.headers["retry-after"] == "60"
    other = await client.post(video.downloads, headers=with_key(session), json={})
    assert code_of(other) == (422, "idempotency_key_reused")
    clock.now += timedelta(seconds=1)  # its process has died
    assert (await client.post(video.downloads, headers=with_key(session))).status_code == 201


async def test_request_that_is_cut_off_gives_its_key_back(
    live_app: FastAPI,
    live_client: httpx.AsyncClient,
    live_mailbox: Mailbox,
    live_database: Database,
) -> None:
    video = await publish_video(live_app)
    session = bearer(await sign_up(live_client, live_mailbox))
    storage: ObjectStorage = live_app.state.storage
    live_app.state.storage = slow = HangingStorage()
    running = asyncio.create_task(live_client.post(video.downloads, headers=with_key(session)))
    await slow.asked.wait()
    twin = await live_client.post(video.downloads, headers=with_key(session))
    assert code_of(twin) == (409, "idempotency_key_running")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    live_app.state.storage = storage
    assert await keys(live_database) == []
    response = await live_client.post(video.downloads, headers=with_key(session))
    assert response.status_code == 201


class HangingStorage:
    """A store that takes for ever to sign a URL."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def presigned_url(self, _: str, *, lifetime: timedelta) -> str:
        assert lifetime == timedelta(minutes=15)
        self.asked.set()
        await asyncio.Event().wait()
        return ""


@pytest.mark.parametrize("key", ["", "a b", "é", "x" * 256, "tab\there"])
async def test_malformed_key_is_refused(
    client: httpx.AsyncClient, video: Published, session: Headers, key: str
) -> None:
    headers = [
        (name.encode(), value.encode("latin-1")) for name, value in with_key(session, key).items()
    ]
    response = await client.post(video.downloads, headers=headers)
    assert code_of(response) == (422, "invalid_input")
    assert response.json()["errors"][0]["pointer"] == "/idempotency-key"


async def test_longest_key_is_taken(
    client: httpx.AsyncClient, video: Published, session: Headers
) -> None:
    headers = with_key(session, "x" * 255)
    assert (await client.post(video.downloads, headers=headers)).status_code == 201


async def test_key_that_comes_twice_is_refused(
    client: httpx.AsyncClient, video: Published, session: Headers
) -> None:
    headers = [*session.items(), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    response = await client.post(video.downloads, headers=headers)
    assert code_of(response) == (400, "duplicate_header")


async def test_key_of_a_stranger_is_not_looked_at(
    client: httpx.AsyncClient, video: Published, database: Database
) -> None:
    response = await client.post(video.downloads, headers={"Idempotency-Key": "key-1"})
    assert code_of(response) == (401, "login_required")
    assert await rows(database, IdempotencyKey) == []


async def test_calls_of_the_account_ignore_the_key(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database
) -> None:
    """Their answers hold secrets."""
    await sign_up(client, mailbox)
    body = {"email": "jane@example.org", "password": PASSWORD}
    headers = {"Idempotency-Key": "key-1"}
    tokens = [
        (await client.post("/v1/auth/login", json=body, headers=headers)).json() for _ in range(2)
    ]
    assert tokens[0]["refresh_token"] != tokens[1]["refresh_token"]
    assert await rows(database, IdempotencyKey) == []
