"""API keys: made, shown once, used, rotated, revoked; and that they open nothing else."""

import asyncio
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from sqlalchemy import update
from structlog.testing import capture_logs

from app import crypto
from app.crypto import Keyring, api_keys
from app.db import Database
from app.main import ROUTERS
from app.models import Account, ApiKey, ApiKeySecret, IdempotencyKey
from app.services import policy
from tests.factories import Published, publish_video
from tests.helpers import (
    NEW_PASSWORD,
    PASSWORD,
    Api,
    Clock,
    Mailbox,
    audited,
    bearer,
    login,
    make_admin,
    make_editor,
    rows,
    sign_up,
    verify,
)
from tests.keys import ALL_SCOPES, KEYS, as_key, forget_what_is_known, make_key, with_key
from tests.test_contract_roles import ACCOUNT, ADMIN, EDITOR, MATRIX, call

Headers = dict[str, str]
PROBLEM = "application/problem+json"
INVALID = 'Bearer error="invalid_token"'


@pytest.fixture
async def jane(client: httpx.AsyncClient, mailbox: Mailbox) -> Headers:
    return bearer(await sign_up(client, mailbox))


@pytest.fixture
async def video(app: FastAPI) -> Published:
    return await publish_video(app)


def code_of(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == PROBLEM, response.text
    return response.status_code, response.json()["code"]


async def is_good(client: httpx.AsyncClient, key: str) -> bool:
    """Whether a key is taken where any good one is, with nothing known of it before."""
    forget_what_is_known(client)
    response = await client.get("/v1/usage", headers=as_key(key))
    if response.status_code != 200:
        assert code_of(response) == (401, "invalid_token")
        assert response.headers["www-authenticate"] == INVALID
    return response.status_code == 200


# The form of a key


def test_key_has_a_prefix_190_random_bits_and_a_checksum() -> None:
    keys = {crypto.new_api_key() for _ in range(200)}
    assert len(keys) == 200
    for key in keys:
        assert re.fullmatch(r"mma_[0-9A-Za-z]{38}", key)
        assert crypto.is_api_key(key)
    drawn = {key[4:36] for key in keys}
    assert set("".join(drawn)) == set(api_keys._DIGITS)


def test_checksum_is_the_crc_32_in_base_62() -> None:
    # What zlib.crc32 gives of the text before it.
    assert crypto.is_api_key("mma_" + "0" * 32 + base_62(3_489_399_583))


def base_62(number: int) -> str:
    digits = ""
    for _ in range(6):
        number, rest = divmod(number, 62)
        digits = api_keys._DIGITS[rest] + digits
    return digits


@pytest.mark.parametrize(
    "change",
    [
        lambda key: key[:-1] + ("a" if key[-1] != "a" else "b"),
        lambda key: key[:10] + ("a" if key[10] != "a" else "b") + key[11:],
        lambda key: key.replace("mma_", "MMA_"),
        lambda key: key.replace("mma_", "mmb_"),
        lambda key: key + "0",
        lambda key: key[:-1],
        lambda key: key + "\n",
        lambda key: key[:20] + " " + key[21:],
        lambda key: key[:20] + "é" + key[21:],
        lambda key: key[:4],
        lambda key: key[4:],
    ],
)
def test_anything_else_is_no_key(change: Any) -> None:
    for _ in range(20):
        assert not crypto.is_api_key(change(crypto.new_api_key()))


# Making one


async def test_new_key_is_shown_once_and_stored_as_a_hash(
    client: httpx.AsyncClient, jane: Headers, database: Database
) -> None:
    response = await client.post(
        KEYS, json={"name": "Archive", "scopes": ["changes:read", "assets:read"]}, headers=jane
    )
    assert response.status_code == 201
    assert response.headers["cache-control"] == "no-store"
    made = response.json()
    key = made.pop("key")
    assert crypto.is_api_key(key)
    assert made == {
        "id": made["id"],
        "name": "Archive",
        "scopes": ["assets:read", "changes:read"],
        "state": "active",
        "hint": key[-4:],
        "secrets": [{"hint": key[-4:], "created_at": "2026-11-23T12:00:00Z", "expires_at": None}],
        "created_at": "2026-11-23T12:00:00Z",
        "expires_at": None,
        "revoked_at": None,
        "last_used_at": None,
        "usage_today": {
            "calls": 0,
            "response_bytes": 0,
            "downloads": 0,
            "download_bytes": 0,
        },
    }
    [stored] = await rows(database, ApiKeySecret)
    assert stored.hash == crypto.api_key_hash(key)
    assert UUID(made["id"]).version == 7
    for path in (KEYS, f"{KEYS}/{made['id']}"):
        again = (await client.get(path, headers=jane)).text
        assert "Archive" in again
        assert key[:-4] not in again
    assert "api_key_created" in await audited(database)


async def test_owner_is_told_of_a_new_key_by_mail_without_it(
    client: httpx.AsyncClient, jane: Headers, mailbox: Mailbox
) -> None:
    made = await make_key(client, jane, name="Archive", scopes=["assets:read"])
    mail = await mailbox.last("jane@example.org")
    assert mail.kind == "api_key_created"
    assert mail.params == {"key": f"Archive (…{made['key'][-4:]})", "scopes": "assets:read"}


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": "a\nb"}, "/name"),
        ({"name": "x" * 201}, "/name"),
        ({"name": None}, "/name"),
        ({"scopes": []}, "/scopes"),
        ({"scopes": ["account"]}, "/scopes/0"),
        ({"scopes": ["assets:read", "assets:write"]}, "/scopes/1"),
        ({"scopes": None}, "/scopes"),
        ({"expires_at": "2026-11-23T12:00:00Z"}, "/expires_at"),
        ({"expires_at": "2025-01-01T00:00:00Z"}, "/expires_at"),
        ({"expires_at": "2027-01-01T00:00:00"}, "/expires_at"),
    ],
)
async def test_key_that_makes_no_sense_is_refused(
    client: httpx.AsyncClient,
    jane: Headers,
    database: Database,
    change: dict[str, Any],
    pointer: str,
) -> None:
    body = {"name": "Archive", "scopes": ["assets:read"], **change}
    response = await client.post(KEYS, json=body, headers=jane)
    assert code_of(response) == (422, "invalid_input")
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]
    assert await rows(database, ApiKey) == []


async def test_account_has_fifty_live_keys_at_most(
    client: httpx.AsyncClient, jane: Headers, clock: Clock
) -> None:
    expiring = await make_key(client, jane, expires_at="2026-11-23T12:01:00Z")
    made = [await make_key(client, jane) for _ in range(49)]
    body = {"name": "One more", "scopes": ["assets:read"]}
    assert code_of(await client.post(KEYS, json=body, headers=jane)) == (409, "too_many_api_keys")
    await client.delete(f"{KEYS}/{made[0]['id']}", headers=jane)
    assert (await client.post(KEYS, json=body, headers=jane)).status_code == 201
    assert code_of(await client.post(KEYS, json=body, headers=jane)) == (409, "too_many_api_keys")
    clock.now += timedelta(minutes=1)
    assert expiring["state"] == "active"
    assert (await client.post(KEYS, json=body, headers=jane)).status_code == 201


# The password, again


def wish(**more: Any) -> dict[str, Any]:
    return {"name": "Archive", "scopes": ["assets:read"], **more}


async def refreshed(client: httpx.AsyncClient, session: dict[str, Any]) -> Headers:
    """The same session with a fresh access token, which proves no password."""
    body = {"refresh_token": session["refresh_token"]}
    response = await client.post("/v1/auth/refresh", json=body)
    assert response.status_code == 200
    return bearer(response.json())


@pytest.mark.parametrize("path", [KEYS, "rotate"])
async def test_password_vouches_for_fifteen_minutes(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock, path: str
) -> None:
    session = await sign_up(client, mailbox)
    made = await make_key(client, bearer(session))
    body = wish() if path == KEYS else {}
    path = path if path == KEYS else f"{KEYS}/{made['id']}/rotate"
    clock.now += timedelta(minutes=14, seconds=59)
    headers = await refreshed(client, session)
    assert (await client.post(path, json=body, headers=headers)).status_code in {200, 201}
    clock.now += timedelta(seconds=1)
    refused = await client.post(path, json=body, headers=headers)
    assert code_of(refused) == (403, "reauthentication_required")
    given = {**body, "password": PASSWORD}
    assert (await client.post(path, json=given, headers=headers)).status_code in {200, 201}
    # With that request alone: the next one needs it again.
    refused = await client.post(path, json=body, headers=headers)
    assert code_of(refused) == (403, "reauthentication_required")
    wrong = await client.post(path, json={**body, "password": "Wrong-Horse-7-B"}, headers=headers)
    assert code_of(wrong) == (403, "wrong_password")


async def test_reauthentication_vouches_for_fifteen_minutes_of_its_session(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    session = await sign_up(client, mailbox)
    other = (await login(client)).json()
    clock.now += timedelta(minutes=15)
    headers, elsewhere = await refreshed(client, session), await refreshed(client, other)
    proof = {"password": PASSWORD}
    response = await client.post("/v1/auth/reauthenticate", json=proof, headers=headers)
    assert (response.status_code, response.content) == (204, b"")
    assert (await client.post(KEYS, json=wish(), headers=headers)).status_code == 201
    refused = await client.post(KEYS, json=wish(), headers=elsewhere)
    assert code_of(refused) == (403, "reauthentication_required")
    clock.now += timedelta(minutes=14, seconds=59)
    headers = bearer(await refreshed_twice(client, headers, session))
    assert (await client.post(KEYS, json=wish(), headers=headers)).status_code == 201
    clock.now += timedelta(seconds=1)
    refused = await client.post(KEYS, json=wish(), headers=headers)
    assert code_of(refused) == (403, "reauthentication_required")


async def refreshed_twice(
    client: httpx.AsyncClient, _: Headers, session: dict[str, Any]
) -> dict[str, Any]:
    """The parent of the newest refresh token gives the same successor again."""
    body = {"refresh_token": session["refresh_token"]}
    answer: dict[str, Any] = (await client.post("/v1/auth/refresh", json=body)).json()
    return answer


async def test_wrong_passwords_count_as_failed_logins(
    client: httpx.AsyncClient, jane: Headers, database: Database
) -> None:
    wrong = {"password": "Wrong-Horse-7-Battery"}
    for _ in range(10):
        response = await client.post("/v1/auth/reauthenticate", json=wrong, headers=jane)
        assert code_of(response) == (403, "wrong_password")
    right = {"password": PASSWORD}
    response = await client.post("/v1/auth/reauthenticate", json=right, headers=jane)
    assert response.status_code == 429
    assert (await login(client)).status_code == 429
    assert (await audited(database)).count("login_failed") == 10


# Idempotency


@pytest.mark.parametrize("path", [KEYS, "rotate"])
async def test_secret_is_not_shown_again_to_the_same_idempotency_key(
    client: httpx.AsyncClient, jane: Headers, database: Database, path: str
) -> None:
    made = await make_key(client, jane)
    body = wish(password=PASSWORD) if path == KEYS else {"password": PASSWORD}
    path = path if path == KEYS else f"{KEYS}/{made['id']}/rotate"
    headers = {**jane, "Idempotency-Key": "once"}
    first = await client.post(path, json=body, headers=headers)
    secrets = len(await rows(database, ApiKeySecret))
    again = await client.post(path, json=body, headers=headers)
    assert first.status_code in {200, 201}
    assert code_of(again) == (409, "idempotency_secret_shown")
    assert len(await rows(database, ApiKeySecret)) == secrets
    other = await client.post(path, json={**body, "password": "Other-1-Pass"}, headers=headers)
    assert code_of(other) == (422, "idempotency_key_reused")
    [stored] = await rows(database, IdempotencyKey)
    assert stored.sealed_answer is None


async def test_request_hash_can_not_be_searched_for_a_password(
    client: httpx.AsyncClient, jane: Headers, database: Database, keyring: Keyring
) -> None:
    headers = {**jane, "Idempotency-Key": "once", "Content-Type": "application/json"}
    body = b'{"name":"a","scopes":["assets:read"],"password":"%b"}' % PASSWORD.encode()
    assert (await client.post(KEYS, content=body, headers=headers)).status_code == 201
    [stored] = await rows(database, IdempotencyKey)
    assert stored.request_hash == keyring.digest("idempotency-request", body)


async def test_refused_creation_may_be_tried_again_with_the_same_idempotency_key(
    client: httpx.AsyncClient, jane: Headers
) -> None:
    headers = {**jane, "Idempotency-Key": "once"}
    wrong = wish(password="Wrong-Horse-7-Battery")
    assert (await client.post(KEYS, json=wrong, headers=headers)).status_code == 403
    assert (await client.post(KEYS, json=wish(), headers=headers)).status_code == 201


# Listing, naming


async def test_list_has_the_newest_first_and_also_those_that_ended(
    client: httpx.AsyncClient, jane: Headers, clock: Clock
) -> None:
    names = [f"key {number}" for number in range(5)]
    made = [await make_key(client, jane, name=name) for name in names]
    short = await make_key(client, jane, name="short", expires_at="2026-11-23T12:00:01Z")
    await client.delete(f"{KEYS}/{made[0]['id']}", headers=jane)
    clock.now += timedelta(seconds=1)
    listed: list[dict[str, Any]] = []
    url = f"{KEYS}?limit=4"
    while url:
        response = await client.get(url, headers=jane)
        listed += response.json()["items"]
        url = response.links.get("next", {}).get("url", "")
    assert [each["name"] for each in listed] == ["short", *reversed(names)]
    assert [each["state"] for each in listed] == ["expired", *["active"] * 4, "revoked"]
    assert listed[0]["id"] == short["id"]
    assert listed[-1]["revoked_at"] == "2026-11-23T12:00:00Z"
    assert listed[-1]["hint"] == made[0]["hint"]


async def test_key_of_somebody_else_is_as_unknown_as_one_that_never_was(
    client: httpx.AsyncClient, jane: Headers, mailbox: Mailbox, database: Database
) -> None:
    john = bearer(await sign_up(client, mailbox, "john@example.org"))
    made = await make_key(client, john)
    for key_id in (made["id"], "00000000-0000-7000-8000-000000000000"):
        for method, path, body in (
            ("GET", "", None),
            ("PATCH", "", {"name": "mine"}),
            ("DELETE", "", None),
            ("POST", "/rotate", {}),
        ):
            url = f"{KEYS}/{key_id}{path}"
            response = await client.request(method, url, json=body, headers=jane)
            assert code_of(response) == (404, "not_found"), (method, path)
    assert (await client.get(KEYS, headers=jane)).json()["items"] == []
    [stored] = await rows(database, ApiKey)
    assert (stored.name, stored.revoked_at) == ("Archive", None)
    assert len(await rows(database, ApiKeySecret)) == 1


async def test_key_may_be_renamed(
    client: httpx.AsyncClient, jane: Headers, database: Database
) -> None:
    made = await make_key(client, jane)
    path = f"{KEYS}/{made['id']}"
    renamed = await client.patch(path, json={"name": "Studio 2"}, headers=jane)
    assert renamed.json()["name"] == "Studio 2"
    assert (await client.get(path, headers=jane)).json() == renamed.json()
    assert (await client.patch(path, json={}, headers=jane)).json()["name"] == "Studio 2"
    refused = await client.patch(path, json={"scopes": ["webhooks:manage"]}, headers=jane)
    assert code_of(refused) == (422, "unknown_field")
    assert (await audited(database)).count("api_key_renamed") == 1
    assert await is_good(client, made["key"])


# Using it


async def test_good_key_opens_what_its_scopes_say(
    client: httpx.AsyncClient, jane: Headers, video: Published
) -> None:
    reader = await make_key(client, jane, scopes=["assets:read"])
    taker = await make_key(client, jane, scopes=["assets:download"])
    document = f"/v1/assets/{video.slug}"
    public = (document, f"{document}/renditions", "/v1/assets", "/v1/feeds/assets.json")
    for path in (*public, f"{document}.jsonld", "/v1/keywords", "/v1/collections"):
        assert (await client.get(path, headers=with_key(reader))).status_code == 200, path
        refused = await client.get(path, headers=with_key(taker))
        assert code_of(refused) == (403, "insufficient_scope"), path
        expected = 'Bearer error="insufficient_scope", scope="assets:read"'
        assert refused.headers["www-authenticate"] == expected
    for method, path in (
        ("POST", video.downloads),
        ("GET", video.downloads.removesuffix("s")),
        ("GET", f"{document}/manifest"),
    ):
        taken = await client.request(method, path, headers=with_key(taker))
        assert taken.status_code in {200, 201, 302}
        refused = await client.request(method, path, headers=with_key(reader))
        assert code_of(refused) == (403, "insufficient_scope")
        expected = 'Bearer error="insufficient_scope", scope="assets:download"'
        assert refused.headers["www-authenticate"] == expected


def routes_that_take_keys() -> Iterator[str]:
    """By what they depend on: a scope, or any caller at all."""
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute):
                names = {
                    getattr(each.call, "__qualname__", "") for each in route.dependant.dependencies
                }
                names |= {
                    getattr(deeper.call, "__qualname__", "")
                    for each in route.dependant.dependencies
                    for deeper in each.dependencies
                }
                if names & {"allowed.<locals>.get_allowed", "get_any_caller"}:
                    yield from (f"{method} {route.path}" for method in route.methods or ())


async def test_key_opens_nothing_that_is_for_people(
    app: FastAPI, client: httpx.AsyncClient, jane: Headers, database: Database
) -> None:
    made = await make_key(client, jane, scopes=ALL_SCOPES)
    await make_admin(database, "jane@example.org")
    for_keys = set(routes_that_take_keys())
    assert {"GET /v1/usage", f"POST {DOWNLOADS}"} <= for_keys
    for_people = {route for route, who in MATRIX.items() if who in (ACCOUNT, EDITOR, ADMIN)}
    assert len(for_people - for_keys) > 60
    app.state.keys._counters = None  # there are more of them than a minute allows
    async with Api(app, network="127.0.0.1") as program:
        program.headers.update(with_key(made))
        for route in sorted(for_people - for_keys):
            response = await call(program, route)
            assert response.status_code == 403, route
            field = response.headers["www-authenticate"]
            assert field == 'Bearer error="insufficient_scope", scope="account"', route
        for route in sorted(for_keys & set(MATRIX)):
            response = await call(program, route)
            assert response.headers.get("www-authenticate") is None, route


DOWNLOADS = "/v1/assets/{reference}/renditions/{name}/downloads"


async def test_key_of_an_editor_sees_what_the_public_sees(
    client: httpx.AsyncClient, jane: Headers, database: Database, video: Published
) -> None:
    made = await make_key(client, jane, scopes=ALL_SCOPES)
    await make_editor(database, "jane@example.org")
    path = f"/v1/assets/{video.slug}"
    public = await client.get(path)
    by_key = await client.get(path, headers=with_key(made))
    assert by_key.json() == public.json()
    drafts = await client.get("/v1/assets?status=draft", headers=with_key(made))
    assert code_of(drafts) == (403, "insufficient_scope")


@pytest.mark.parametrize(
    "shown",
    [
        "mma_" + "0" * 38,
        "mma_",
        "mma_x",
        "mma_é",
        "mma_" + "x" * 5000,
    ],
)
async def test_what_only_looks_like_a_key_is_refused_without_a_query(
    client: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch, shown: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(app.state.keys._records, "_begin", fail)
    for path in ("/v1/usage", "/v1/assets", "/v1/nothing"):
        headers = {"Authorization": f"Bearer {shown}".encode("latin-1")}
        response = await client.get(path, headers=headers)  # type: ignore[arg-type]  # bytes pass
        assert code_of(response) == (401, "invalid_token")
        assert response.headers["www-authenticate"] == INVALID


async def test_every_bad_key_is_refused_alike(
    client: httpx.AsyncClient, jane: Headers, clock: Clock
) -> None:
    unknown = crypto.new_api_key()
    revoked = (await make_key(client, jane))["key"]
    expired = (await make_key(client, jane, expires_at="2026-11-23T12:00:01Z"))["key"]
    await client.delete(f"{KEYS}/{await id_of(client, jane, revoked)}", headers=jane)
    clock.now += timedelta(seconds=1)
    answers = []
    for key in (unknown, revoked, expired):
        assert not await is_good(client, key)
        response = await client.get("/v1/usage", headers=as_key(key))
        body = response.json()
        del body["request_id"]
        answers.append((response.status_code, body, response.headers["www-authenticate"]))
    assert answers[0] == answers[1] == answers[2]


async def id_of(client: httpx.AsyncClient, headers: Headers, key: str) -> str:
    items = (await client.get(KEYS, headers=headers)).json()["items"]
    return next(str(each["id"]) for each in items if each["hint"] == key[-4:])


async def test_key_is_good_until_the_last_moment_before_it_expires(
    client: httpx.AsyncClient, jane: Headers, clock: Clock
) -> None:
    made = await make_key(client, jane, expires_at="2026-12-01T00:00:00Z")
    clock.now = clock.now.replace(day=30, hour=23, minute=59, second=59)
    assert await is_good(client, made["key"])
    # What is known of a key is not newer, but its end is looked at each time.
    clock.now += timedelta(seconds=1)
    response = await client.get("/v1/usage", headers=with_key(made))
    assert code_of(response) == (401, "invalid_token")


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer"])
async def test_scheme_may_be_written_in_any_case(
    client: httpx.AsyncClient, jane: Headers, scheme: str
) -> None:
    made = await make_key(client, jane)
    headers = {"Authorization": f"{scheme} {made['key']}"}
    assert (await client.get("/v1/usage", headers=headers)).status_code == 200


@pytest.mark.parametrize("form", ["Basic {}", "Bearer  {}", "Bearer {} ", "Token {}", "{}"])
async def test_key_is_taken_as_a_bearer_token_alone(
    client: httpx.AsyncClient, jane: Headers, form: str
) -> None:
    made = await make_key(client, jane)
    headers = {"Authorization": form.format(made["key"])}
    response = await client.get("/v1/usage", headers=headers)
    assert code_of(response) == (401, "invalid_token")
    response = await client.get(f"/v1/usage?access_token={made['key']}")
    assert code_of(response) == (401, "login_required")


async def test_key_ends_with_a_suspension_and_comes_back_with_its_account(
    client: httpx.AsyncClient, jane: Headers, mailbox: Mailbox, database: Database
) -> None:
    made = await make_key(client, jane)
    assert await is_good(client, made["key"])
    admin = await sign_up(client, mailbox, "admin@example.org")
    await make_admin(database, "admin@example.org")
    [account] = [each for each in await rows(database, Account) if each.role == "member"]
    path = f"/v1/accounts/{account.id}"
    for suspended in (True, False):
        body = {"suspended": suspended}
        changed = await client.patch(path, json=body, headers=bearer(admin))
        assert changed.status_code == 200
        assert await is_good(client, made["key"]) != suspended


async def test_key_goes_with_its_account(
    client: httpx.AsyncClient, jane: Headers, database: Database, app: FastAPI
) -> None:
    made = await make_key(client, jane)
    assert await is_good(client, made["key"])
    body = {"password": PASSWORD}
    deleted = await client.request("DELETE", "/v1/account", json=body, headers=jane)
    assert deleted.status_code == 204
    # The calls that were not stored yet are of nobody any more, which is no error.
    await app.state.keys.store_usage(database)
    assert not await is_good(client, made["key"])
    for table in (ApiKey, ApiKeySecret):
        assert await rows(database, table) == []


# Rotation and revocation


async def rotate(
    client: httpx.AsyncClient, headers: Headers, made: dict[str, Any], **body: Any
) -> dict[str, Any]:
    response = await client.post(f"{KEYS}/{made['id']}/rotate", json=body, headers=headers)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_rotation_lets_the_former_secret_work_for_a_day(
    client: httpx.AsyncClient, jane: Headers, clock: Clock, mailbox: Mailbox, database: Database
) -> None:
    made = await make_key(client, jane)
    response = await client.post(f"{KEYS}/{made['id']}/rotate", headers=jane)
    assert response.status_code == 200
    rotated = response.json()
    assert rotated["key"] != made["key"]
    assert rotated["id"] == made["id"]
    hints = [(each["hint"], each["expires_at"]) for each in rotated["secrets"]]
    assert hints == [(rotated["key"][-4:], None), (made["key"][-4:], "2026-11-24T12:00:00Z")]
    assert (await mailbox.last("jane@example.org")).kind == "api_key_rotated"
    assert "api_key_rotated" in await audited(database)
    clock.now += timedelta(hours=23, minutes=59, seconds=59)
    assert await is_good(client, made["key"])
    clock.now += timedelta(seconds=1)
    refused = await client.get("/v1/usage", headers=with_key(made))
    assert code_of(refused) == (401, "invalid_token")
    assert await is_good(client, rotated["key"])


async def test_overlap_is_what_was_asked_for_to_the_second(
    client: httpx.AsyncClient, jane: Headers, clock: Clock
) -> None:
    made = await make_key(client, jane)
    rotated = await rotate(client, jane, made, overlap_seconds=90)
    clock.now += timedelta(seconds=89, microseconds=999_999)
    assert await is_good(client, made["key"])
    clock.now += timedelta(microseconds=1)
    assert not await is_good(client, made["key"])
    assert await is_good(client, rotated["key"])


async def test_rotation_without_overlap_ends_every_former_secret(
    client: httpx.AsyncClient, jane: Headers
) -> None:
    first = await make_key(client, jane)
    second = await rotate(client, jane, first, overlap_seconds=604_800)
    third = await rotate(client, jane, first, overlap_seconds=3600)
    # A later rotation makes an earlier overlap shorter, never longer.
    fourth = await rotate(client, jane, first, overlap_seconds=604_800)
    ends = [each["expires_at"] for each in fourth["secrets"]]
    assert ends == [None, "2026-11-30T12:00:00Z", *["2026-11-23T13:00:00Z"] * 2]
    for each in (first, second, third, fourth):
        assert await is_good(client, each["key"])
    last = await rotate(client, jane, first, overlap_seconds=0)
    for each in (first, second, third, fourth):
        assert not await is_good(client, each["key"])
    assert await is_good(client, last["key"])
    assert len(last["secrets"]) == 1


@pytest.mark.parametrize("seconds", [-1, 604_801, None, "soon", 1.5])
async def test_overlap_is_seven_days_at_most(
    client: httpx.AsyncClient, jane: Headers, seconds: Any
) -> None:
    made = await make_key(client, jane)
    path = f"{KEYS}/{made['id']}/rotate"
    refused = await client.post(path, json={"overlap_seconds": seconds}, headers=jane)
    assert code_of(refused) == (422, "invalid_input")
    assert await is_good(client, made["key"])


async def test_key_that_has_ended_can_not_be_rotated(
    client: httpx.AsyncClient, jane: Headers, clock: Clock
) -> None:
    revoked = await make_key(client, jane)
    expired = await make_key(client, jane, expires_at="2026-11-23T12:00:01Z")
    await client.delete(f"{KEYS}/{revoked['id']}", headers=jane)
    clock.now += timedelta(seconds=1)
    for made in (revoked, expired):
        refused = await client.post(f"{KEYS}/{made['id']}/rotate", headers=jane)
        assert code_of(refused) == (409, "api_key_ended")


async def test_revoked_key_is_over_with_all_its_secrets_and_may_be_revoked_again(
    client: httpx.AsyncClient, jane: Headers, database: Database
) -> None:
    made = await make_key(client, jane)
    rotated = await rotate(client, jane, made)
    path = f"{KEYS}/{made['id']}"
    for _ in range(2):
        response = await client.delete(path, headers=jane)
        assert (response.status_code, response.content) == (204, b"")
    assert not await is_good(client, made["key"])
    assert not await is_good(client, rotated["key"])
    assert (await audited(database)).count("api_key_revoked") == 1


async def test_key_is_refused_in_its_own_process_at_once_after_its_revocation(
    client: httpx.AsyncClient, app: FastAPI, jane: Headers, database: Database
) -> None:
    database.hearers = {"api_keys": app.state.keys.hear}
    made, other = await make_key(client, jane), await make_key(client, jane)
    for each in (made, other):
        assert (await client.get("/v1/usage", headers=with_key(each))).status_code == 200
    await client.delete(f"{KEYS}/{made['id']}", headers=jane)
    refused = await client.get("/v1/usage", headers=with_key(made))
    assert code_of(refused) == (401, "invalid_token")
    assert (await client.get("/v1/usage", headers=with_key(other))).status_code == 200


# Passwords


async def reset_password(client: httpx.AsyncClient, mailbox: Mailbox) -> None:
    body = {"email": "jane@example.org", "purpose": "password_reset"}
    flow_id = (await client.post("/v1/verification-codes", json=body)).json()["flow_id"]
    granted = await verify(client, flow_id, await mailbox.code("jane@example.org"))
    body = {"reset_token": granted.json()["reset_token"], "new_password": NEW_PASSWORD}
    assert (await client.post("/v1/auth/password-reset", json=body)).status_code == 200


async def test_notice_of_a_reset_names_the_keys_that_live(
    client: httpx.AsyncClient, jane: Headers, mailbox: Mailbox, clock: Clock
) -> None:
    first = await make_key(client, jane, name="Archive")
    second = await make_key(client, jane, name="Studio")
    await make_key(client, jane, name="Short", expires_at="2026-11-23T12:00:01Z")
    gone = await make_key(client, jane, name="Gone")
    await client.delete(f"{KEYS}/{gone['id']}", headers=jane)
    second = await rotate(client, jane, second)
    clock.now += timedelta(seconds=1)
    await reset_password(client, mailbox)
    notice = await mailbox.last("jane@example.org")
    assert notice.kind == "password_changed"
    expected = f"Archive (…{first['key'][-4:]}), Studio (…{second['key'][-4:]})"
    assert notice.params == {"api_keys": expected}
    assert await is_good(client, first["key"])


async def test_notice_of_a_reset_without_keys_speaks_of_none(
    client: httpx.AsyncClient, jane: Headers, mailbox: Mailbox
) -> None:
    assert jane
    await reset_password(client, mailbox)
    assert (await mailbox.last("jane@example.org")).params == {}


# Secrets stay secret


async def test_secret_is_in_no_log_mail_export_audit_or_stored_answer(
    client: httpx.AsyncClient,
    jane: Headers,
    mailbox: Mailbox,
    database: Database,
    video: Published,
) -> None:
    with capture_logs() as events:
        headers = {**jane, "Idempotency-Key": "once"}
        made = (await client.post(KEYS, json=wish(scopes=ALL_SCOPES), headers=headers)).json()
        rotated = await rotate(client, jane, made)
        for key in (made["key"], rotated["key"]):
            await client.get("/v1/usage", headers=as_key(key))
            await client.post(
                video.downloads, headers={**as_key(key), "Idempotency-Key": "download"}
            )
            await client.get("/v1/account", headers=as_key(key))
            form = {"grant_type": "client_credentials", "client_id": made["id"]}
            await client.post("/oauth/token", data={**form, "client_secret": key})
            await client.post("/oauth/token", data={**form, "client_secret": key + "x"})
        export = (await client.get("/v1/account/export", headers=jane)).text
    mails = str([(mail.kind, mail.params) for mail in await mailbox.mails()])
    stored = str([await contents(database, table) for table in TABLES_WITH_TEXT])
    for key in (made["key"], rotated["key"]):
        for text in (str(events), mails, export, stored):
            assert key not in text
            assert key[:-4] not in text
        assert crypto.api_key_hash(key).hex() not in export
    assert made["hint"] in export


TABLES_WITH_TEXT = ("api_key", "api_key_secret", "audit_event", "idempotency_key", "download")


async def contents(database: Database, table: str) -> list[str]:
    query = f"SELECT row_to_json(t)::text AS row FROM {table} AS t"  # noqa: S608  # our own names
    return [row["row"] for row in await database.reader.fetch(query)]


# The same Idempotency-Key, by several callers of one account


async def test_idempotency_key_belongs_to_the_key_that_sent_it(
    client: httpx.AsyncClient, jane: Headers, video: Published
) -> None:
    callers = [
        jane,
        with_key(await make_key(client, jane, scopes=["assets:download"])),
        with_key(await make_key(client, jane, scopes=["assets:download"])),
    ]
    urls = set()
    for caller in callers:
        headers = {**caller, "Idempotency-Key": "same"}
        first = await client.post(video.downloads, headers=headers)
        again = await client.post(video.downloads, headers=headers)
        assert again.headers["idempotent-replayed"] == "true"
        assert first.json() == again.json()
        urls.add(first.json()["url"])
    assert len(urls) == 3


async def test_key_without_the_scope_claims_no_idempotency_key(
    client: httpx.AsyncClient, jane: Headers, video: Published, database: Database
) -> None:
    made = await make_key(client, jane, scopes=["assets:read"])
    headers = {**with_key(made), "Idempotency-Key": "once"}
    refused = await client.post(video.downloads, headers=headers)
    assert code_of(refused) == (403, "insufficient_scope")
    assert await rows(database, IdempotencyKey) == []


# Downloads


async def test_link_that_a_key_got_dies_with_the_key(
    client: httpx.AsyncClient, jane: Headers, video: Published, database: Database, clock: Clock
) -> None:
    made = await make_key(client, jane, scopes=["assets:download"])
    short = await make_key(
        client, jane, scopes=["assets:download"], expires_at="2026-11-23T12:05:00Z"
    )
    url = await link(client, video, with_key(made))
    expiring = await link(client, video, with_key(short))
    own = await link(client, video, jane)
    for each in (url, expiring, own):
        assert (await client.get(each)).content == video.contents
    await client.delete(f"{KEYS}/{made['id']}", headers=jane)
    assert code_of(await client.get(url)) == (403, "link_expired")
    assert (await client.get(expiring)).status_code == 200
    clock.now += timedelta(minutes=5)
    assert code_of(await client.get(expiring)) == (403, "link_expired")
    assert (await client.get(own)).status_code == 200
    async with database.transaction() as session:
        await session.execute(update(ApiKey).values(revoked_at=None))
    assert (await client.get(url)).status_code == 200


async def link(client: httpx.AsyncClient, video: Published, headers: Headers) -> str:
    return str((await client.post(video.downloads, headers=headers)).json()["url"])


async def test_ticket_can_not_be_made_to_forget_its_key(
    client: httpx.AsyncClient, jane: Headers, video: Published
) -> None:
    made = await make_key(client, jane, scopes=["assets:download"])
    url = await link(client, video, with_key(made))
    start, ticket, name = url.rpartition("/")[0].rpartition("/")[0], url.split("/")[-2], "a.mp4"
    packed = crypto.base64url_decode(ticket)
    assert len(packed) == 72
    await client.delete(f"{KEYS}/{made['id']}", headers=jane)
    for changed in (packed[:56], packed[:57], packed + b"x", packed[:56] + bytes(16)):
        forged = f"{start}/{crypto.base64url(changed)}/{name}"
        assert code_of(await client.get(forged)) == (403, "link_expired")


async def test_history_says_which_key_took_a_file(
    client: httpx.AsyncClient, jane: Headers, video: Published
) -> None:
    made = await make_key(client, jane, name="Archive", scopes=["assets:download"])
    await client.post(video.downloads, headers=jane)
    await client.post(video.downloads, headers=with_key(made))
    items = (await client.get("/v1/account/downloads", headers=jane)).json()["items"]
    named = [(each["key_id"], each["key_name"]) for each in items]
    assert named == [(made["id"], "Archive"), (None, None)]


async def test_account_and_each_of_its_keys_count_apart(
    client: httpx.AsyncClient,
    jane: Headers,
    mailbox: Mailbox,
    database: Database,
    video: Published,
) -> None:
    keys = [await make_key(client, jane, scopes=["assets:download"]) for _ in range(2)]
    for caller in (jane, *map(with_key, keys)):
        for _ in range(3):
            await client.post(video.downloads, headers=caller)
    editor = bearer(await sign_up(client, mailbox, "editor@example.org"))
    await make_editor(database, "editor@example.org")
    path = f"/v1/assets/{video.id}/downloads"
    assert (await client.get(path, headers=editor)).json()["total"] == 3
    # Erased or purged, they leave the counts as they are.
    body = {"password": PASSWORD}
    await client.request("DELETE", "/v1/account", json=body, headers=jane)
    assert (await client.get(path, headers=editor)).json()["total"] == 3


def test_policy_is_as_it_is_documented() -> None:
    assert timedelta(minutes=15) == policy.RECENT_PASSWORD
    assert policy.MAX_API_KEYS_PER_ACCOUNT == 50
    assert timedelta(milliseconds=500) == policy.KEY_RECORD_MAX_AGE
    assert timedelta(hours=1) == policy.KEY_TOKEN_LIFETIME


# Many at once


async def test_requests_that_race_make_no_more_than_fifty_keys(
    live_client: httpx.AsyncClient, live_mailbox: Mailbox, live_database: Database
) -> None:
    jane = bearer(await sign_up(live_client, live_mailbox))
    for _ in range(46):
        await make_key(live_client, jane)
    asking = [live_client.post(KEYS, json=wish(), headers=jane) for _ in range(12)]
    statuses = [response.status_code for response in await asyncio.gather(*asking)]
    assert sorted(statuses) == [201] * 4 + [409] * 8
    assert len(await rows(live_database, ApiKey)) == 50


async def test_rotations_that_race_leave_one_current_secret(
    live_client: httpx.AsyncClient, live_mailbox: Mailbox
) -> None:
    jane = bearer(await sign_up(live_client, live_mailbox))
    made = await make_key(live_client, jane)
    rotated = await asyncio.gather(
        *(rotate(live_client, jane, made, overlap_seconds=0) for _ in range(8))
    )
    good = [each for each in rotated if await is_good(live_client, each["key"])]
    assert len(good) == 1
    seen = (await live_client.get(f"{KEYS}/{made['id']}", headers=jane)).json()
    assert [each["hint"] for each in seen["secrets"]] == [good[0]["key"][-4:]]
