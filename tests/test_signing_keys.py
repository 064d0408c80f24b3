"""The keys of access tokens: made once, sealed at rest, rotated without logging anyone out."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.crypto import AccessTokens, Keyring, PasswordHasher, base64url_decode
from app.db import Database
from app.jobs.retention import purge
from app.models import StoredSigningKey
from app.services import signing_keys
from app.settings import Settings
from tests.conftest import running_app
from tests.helpers import Api, Clock, Mailbox, bearer, login, rows, sign_up

SECOND = timedelta(seconds=1)


async def reload(app: FastAPI, clock: Clock) -> None:
    """What every process does once a minute."""
    database, keyring = app.state.database, app.state.deployment.keyring
    async with database.transaction() as session:
        keys = await signing_keys.load(session, keyring=keyring, now=clock.now)
    app.state.access_tokens.use_keys(keys)


async def rotate(app: FastAPI, clock: Clock) -> str:
    async with app.state.database.transaction() as session:
        keyring = app.state.deployment.keyring
        return await signing_keys.rotate(session, keyring=keyring, now=clock.now)


async def published(client: httpx.AsyncClient) -> set[str]:
    response = await client.get("/.well-known/jwks.json")
    return {key["kid"] for key in response.json()["keys"]}


def kid_of(session: dict[str, Any]) -> str:
    match = re.search(rb'"kid":\s*"(\w+)"', base64url_decode(session["access_token"].split(".")[0]))
    assert match
    return match[1].decode()


async def who_am_i(client: httpx.AsyncClient, session: dict[str, Any]) -> int:
    return (await client.get("/v1/account", headers=bearer(session))).status_code


# The first key


async def test_processes_that_start_together_make_one_key_and_sign_with_it_at_once(
    settings: Settings,
    live_database: Database,
    keyring: Keyring,
    hasher: PasswordHasher,
    clock: Clock,
) -> None:
    apps = await asyncio.gather(
        *(running_app(settings, live_database, keyring, hasher, clock) for _ in range(8))
    )
    [stored] = await rows(live_database, StoredSigningKey)
    assert stored.retires_at is None
    for app in apps:
        async with Api(app) as client:
            assert await published(client) == {stored.kid}


async def test_key_is_kept_over_a_restart(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    session = await sign_up(client, mailbox)
    state = app.state
    restarted = await running_app(
        state.settings, state.database, state.deployment.keyring, state.hasher, clock
    )
    async with Api(restarted) as again:
        assert await who_am_i(again, session) == 200
        assert await published(again) == {kid_of(session)}


async def test_private_key_is_sealed_at_rest(
    app: FastAPI, database: Database, keyring: Keyring
) -> None:
    [stored] = await rows(database, StoredSigningKey)
    pem = keyring.unseal("signing-key", stored.sealed_pem)
    assert pem.startswith(b"-----BEGIN PRIVATE KEY-----")
    assert b"PRIVATE" not in stored.sealed_pem
    assert app.state.access_tokens.jwks()["keys"][0]["kid"] == stored.kid


async def test_jwks_is_public_cacheable_and_holds_no_private_half(
    client: httpx.AsyncClient,
) -> None:
    response = await client.get("/.well-known/jwks.json")
    assert response.status_code == 200
    assert response.headers["cache-control"] == "public, max-age=300"
    [key] = response.json()["keys"]
    assert key.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert (key["kty"], key["crv"], key["use"], key["alg"]) == ("EC", "P-256", "sig", "ES256")
    assert [len(base64url_decode(key[name])) for name in ("x", "y")] == [32, 32]


async def test_key_under_another_secret_key_is_passed_over(
    settings: Settings,
    client: httpx.AsyncClient,
    mailbox: Mailbox,
    database: Database,
    hasher: PasswordHasher,
    clock: Clock,
) -> None:
    """A lost SECRET_KEY logs everybody out, but it stops nobody from logging in again."""
    session = await sign_up(client, mailbox)
    keyring = Keyring("the new secret key after the old one was lost")
    async with Api(await running_app(settings, database, keyring, hasher, clock)) as again:
        assert await who_am_i(again, session) == 401
        renewed = (await login(again)).json()
        assert await who_am_i(again, renewed) == 200
        assert await published(again) == {kid_of(renewed)}
    assert kid_of(renewed) != kid_of(session)
    assert await who_am_i(client, renewed) == 401
    assert len(await rows(database, StoredSigningKey)) == 2


@pytest.mark.parametrize("sealed", [b"", b"short", b"x" * 200])
async def test_damaged_key_is_passed_over(
    app: FastAPI, database: Database, clock: Clock, sealed: bytes
) -> None:
    async with database.transaction() as session:
        [stored] = await rows(database, StoredSigningKey)
        damaged = await session.get_one(StoredSigningKey, stored.kid)
        damaged.sealed_pem = sealed
    await reload(app, clock)
    [key] = app.state.access_tokens.jwks()["keys"]
    assert key["kid"] != stored.kid


# Rotation


async def test_new_key_is_published_at_once_and_signs_fifteen_minutes_later(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    old = kid_of(await sign_up(client, mailbox))
    new = await rotate(app, clock)
    await reload(app, clock)
    assert await published(client) == {old, new}
    assert kid_of((await login(client)).json()) == old
    clock.now += timedelta(minutes=15) - SECOND
    assert kid_of((await login(client)).json()) == old
    clock.now += SECOND
    assert kid_of((await login(client)).json()) == new


async def test_rotation_logs_nobody_out(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    session = await sign_up(client, mailbox)
    await rotate(app, clock)
    clock.now += timedelta(minutes=15) - SECOND
    await reload(app, clock)
    last_of_old = (await login(client)).json()
    clock.now += SECOND
    first_of_new = (await login(client)).json()
    assert kid_of(last_of_old) != kid_of(first_of_new)
    for minutes in (1, 8):
        clock.now += timedelta(minutes=minutes)
        await reload(app, clock)
        assert await who_am_i(client, last_of_old) == 200
        assert await who_am_i(client, first_of_new) == 200
    token = {"refresh_token": session["refresh_token"]}
    assert (await client.post("/v1/auth/refresh", json=token)).status_code == 200


@pytest.mark.parametrize(
    ("age", "is_there"),
    [
        (timedelta(minutes=25, seconds=29), True),  # 15 of lead, 10 of a token, 30 s of leeway
        (timedelta(minutes=25, seconds=30), False),
    ],
)
async def test_old_key_retires_once_its_last_token_has_expired(
    app: FastAPI,
    client: httpx.AsyncClient,
    mailbox: Mailbox,
    clock: Clock,
    age: timedelta,
    *,
    is_there: bool,
) -> None:
    old = kid_of(await sign_up(client, mailbox))
    new = await rotate(app, clock)
    clock.now += age
    await reload(app, clock)
    assert await published(client) == ({old, new} if is_there else {new})


async def test_second_rotation_before_the_first_took_effect_leaves_no_gap(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    first = kid_of(await sign_up(client, mailbox))
    second = await rotate(app, clock)
    clock.now += timedelta(minutes=5)
    third = await rotate(app, clock)
    signing = []
    for _ in range(8):
        await reload(app, clock)
        session = (await login(client)).json()
        assert await who_am_i(client, session) == 200
        signing.append(kid_of(session))
        clock.now += timedelta(minutes=5)
    assert signing == [first, first, second, *[third] * 5]
    await reload(app, clock)
    assert await published(client) == {third}


async def test_retired_key_is_deleted_and_the_one_that_signs_is_not(
    app: FastAPI, database: Database, clock: Clock
) -> None:
    new = await rotate(app, clock)
    clock.now += timedelta(minutes=25, seconds=31)
    await purge(database, now=clock.now)
    assert [key.kid for key in await rows(database, StoredSigningKey)] == [new]


async def test_process_that_missed_the_reload_still_knows_its_own_tokens(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    """A database that is away leaves the keys that a process has."""
    await sign_up(client, mailbox)
    await rotate(app, clock)
    clock.now += timedelta(hours=1)
    assert await who_am_i(client, (await login(client)).json()) == 200


async def test_keys_of_the_future_do_not_sign_in_an_empty_installation(
    live_database: Database, keyring: Keyring
) -> None:
    """`rotate-keys` before the first start publishes a key, and the start makes one for now."""
    now = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    async with live_database.transaction() as session:
        next_kid = await signing_keys.rotate(session, keyring=keyring, now=now)
        keys = await signing_keys.load(session, keyring=keyring, now=now)
    tokens = AccessTokens(issuer="http://a.example", audience="http://a.example")
    tokens.use_keys(keys)
    assert next_kid in {key.kid for key in keys}
    assert [key.kid for key in keys if key.signs_from <= now] != [next_kid]
    assert len(keys) == 2
