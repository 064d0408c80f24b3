"""Logging in: who gets in, who is slowed down, and what a foreign page can't make a browser do."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from passlib.hash import argon2
from sqlalchemy import update

from app.crypto import HashingBusy, Keyring, PasswordHasher
from app.db import Database
from app.models import Account, AuditEvent, LoginFailures, Session
from app.services import login_failures, policy
from app.settings import Settings
from tests.conftest import clock_at_noon, running_app
from tests.helpers import (
    NEW_PASSWORD,
    PASSWORD,
    Api,
    Clock,
    Mailbox,
    audited,
    bearer,
    login,
    register,
    rows,
    sign_up,
    somebody_waits,
    verify,
)

JANE, NOBODY = "jane@example.org", "nobody@example.org"
WRONG = "Wrong-Horse-7-Battery"
OURS = "http://127.0.0.1:8000"


async def fail(client: httpx.AsyncClient, times: int, email: str = JANE) -> None:
    for _ in range(times):
        response = await login(client, email, WRONG)
        assert (response.status_code, response.json()["code"]) == (401, "invalid_credentials")


async def fail_from_all_over(app: FastAPI, times: int, email: str = JANE) -> None:
    """Wrong passwords from so many networks that none of them reaches its own limit."""
    for number in range(times):
        async with Api(app, network=f"192.0.2.{number % 100}") as stranger:
            await fail(stranger, 1, email)


def assert_throttled(response: httpx.Response, *, seconds: int) -> None:
    assert (response.status_code, response.json()["code"]) == (429, "too_many_failed_logins")
    assert response.headers["retry-after"] == str(seconds)


def presented(response: httpx.Response) -> tuple[int, dict[str, Any], dict[str, str]]:
    """What a caller sees, without what differs between any two requests."""
    body = {name: value for name, value in response.json().items() if name != "request_id"}
    changing = {"x-request-id", "ratelimit", "date"}
    headers = {name: value for name, value in response.headers.items() if name not in changing}
    return response.status_code, body, headers


# Getting in


async def test_login_answers_with_tokens_that_work(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    await sign_up(client, mailbox, full_name="Jane Doe")
    response = await login(client, device_name="Jane's phone")
    assert response.status_code == 200
    body = response.json()
    assert body.keys() == {
        "access_token",
        "token_type",
        "expires_in",
        "refresh_token",
        "account",
    }
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 600)
    assert (body["account"]["full_name"], body["account"]["role"]) == ("Jane Doe", "member")
    assert "password" not in response.text
    assert response.headers["cache-control"] == "no-store"
    assert "set-cookie" not in response.headers
    assert (await client.get("/v1/account", headers=bearer(body))).status_code == 200


async def test_each_login_is_a_session_of_its_own(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database
) -> None:
    registered = await sign_up(client, mailbox)
    first, second = (await login(client)).json(), (await login(client)).json()
    opened = (registered, first, second)
    assert len({session["access_token"] for session in opened}) == 3
    assert len({session["refresh_token"] for session in opened}) == 3
    assert len(await rows(database, Session)) == 3


@pytest.mark.parametrize(
    "typed",
    [PASSWORD.lower(), PASSWORD + " ", " " + PASSWORD, PASSWORD[:-1], PASSWORD + "x", "x"],
)
async def test_password_is_compared_exactly_as_typed(
    client: httpx.AsyncClient, mailbox: Mailbox, typed: str
) -> None:
    await sign_up(client, mailbox)
    assert (await login(client, password=typed)).status_code == 401


async def test_keyboard_that_decomposes_letters_logs_in_too(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    await sign_up(client, mailbox, password="Z\u00fcrich-47-Berge")
    assert (await login(client, password="Zu\u0308rich-47-Berge")).status_code == 200


async def test_longest_password_counts_to_its_last_character(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    longest = "Ab1-" + "\U0001f600" * 123 + "x"
    assert len(longest) == 128
    await sign_up(client, mailbox, password=longest)
    assert (await login(client, password=longest[:-1] + "y")).status_code == 401
    assert (await login(client, password=longest)).status_code == 200


async def test_wrong_password_and_unknown_address_look_alike(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    await sign_up(client, mailbox)
    await register(client, "pending@example.org")
    wrong = presented(await login(client, JANE, WRONG))
    assert wrong[:1] == (401,)
    assert wrong[1]["code"] == "invalid_credentials"
    assert presented(await login(client, NOBODY, WRONG)) == wrong
    # A pending registration is no account, whoever knows its password.
    assert presented(await login(client, "pending@example.org", PASSWORD)) == wrong


async def test_throttle_treats_known_and_unknown_addresses_alike(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    await sign_up(client, mailbox)
    refusals = []
    for email in (JANE, NOBODY):
        async with Api(app) as stranger:
            await fail(stranger, 10, email)
            refusals.append(presented(await login(stranger, email, WRONG)))
    assert refusals[0] == refusals[1]
    assert refusals[0][1]["code"] == "too_many_failed_logins"


async def test_new_database_has_no_account_to_guess(database: Database) -> None:
    assert await rows(database, Account) == []


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"email": JANE}, "/password"),
        ({"password": PASSWORD}, "/email"),
        ({"email": JANE, "password": ""}, "/password"),
        ({"email": JANE, "password": "x" * 4097}, "/password"),
        ({"email": JANE, "password": None}, "/password"),
        ({"email": JANE, "password": 12345678}, "/password"),
        ({"email": [JANE], "password": PASSWORD}, "/email"),
        ({"email": {"$ne": ""}, "password": PASSWORD}, "/email"),
        ({"email": "jane", "password": PASSWORD}, "/email"),
        ({"email": JANE, "password": PASSWORD, "transport": "Cookie"}, "/transport"),
        ({"email": JANE, "password": PASSWORD, "transport": None}, "/transport"),
        ({"email": JANE, "password": PASSWORD, "role": "admin"}, "/role"),
        ({"email": JANE, "password": PASSWORD, "device_name": "a\nb"}, "/device_name"),
    ],
)
async def test_confused_body_is_refused_with_a_pointer_and_without_an_echo(
    client: httpx.AsyncClient, body: dict[str, Any], pointer: str
) -> None:
    response = await client.post("/v1/auth/login", json=body)
    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]
    assert PASSWORD not in response.text


async def test_form_that_any_page_can_send_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/auth/login", data={"email": JANE, "password": PASSWORD})
    assert response.status_code == 415
    text = f'{{"email": "{JANE}", "password": "{PASSWORD}"}}'
    plain = await client.post(
        "/v1/auth/login", content=text, headers={"content-type": "text/plain"}
    )
    assert plain.status_code == 415


# Ten failures from one network


async def test_eleventh_try_from_a_network_must_wait_even_with_the_right_password(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    await sign_up(client, mailbox)
    async with Api(app) as stranger:
        await fail(stranger, 10)
        assert_throttled(await login(stranger), seconds=900)
        clock.now += timedelta(minutes=14, seconds=59)
        assert_throttled(await login(stranger), seconds=1)
        clock.now += timedelta(seconds=1)
        assert (await login(stranger)).status_code == 200


async def test_block_holds_for_one_address_from_one_network(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    await sign_up(client, mailbox)
    await sign_up(client, mailbox, "john@example.org")
    async with Api(app) as stranger, Api(app) as elsewhere:
        await fail(stranger, 10)
        assert_throttled(await login(stranger), seconds=900)
        assert (await login(stranger, "john@example.org")).status_code == 200
        assert (await login(elsewhere)).status_code == 200


async def test_second_block_is_twice_as_long(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    await sign_up(client, mailbox)
    async with Api(app) as stranger:
        for minutes in (15, 30):
            await fail(stranger, 10)
            assert_throttled(await login(stranger), seconds=minutes * 60)
            clock.now += timedelta(minutes=minutes)
        assert (await login(stranger)).status_code == 200


def test_blocks_grow_to_four_hours_and_no_further() -> None:
    minutes = [15, 30, 60, 120, 240, 240]
    assert [policy.login_block(n) for n in range(6)] == [timedelta(minutes=m) for m in minutes]
    assert policy.login_block(10_000) == timedelta(hours=4)


async def test_impatience_makes_a_block_no_longer(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    """Retry-After is a promise: tries in between check no password, so they are no failures."""
    await sign_up(client, mailbox)
    async with Api(app) as stranger:
        await fail(stranger, 1)
        clock.now += timedelta(minutes=12)  # soon the window is over, and the block is not
        await fail(stranger, 9)
        for minute in range(15):
            assert_throttled(await login(stranger), seconds=(15 - minute) * 60)
            clock.now += timedelta(minutes=1)
        await fail(stranger, 9)
        assert (await login(stranger)).status_code == 200


@pytest.mark.parametrize(("age", "throttled"), [(899, True), (900, False)])
async def test_failures_count_for_fifteen_minutes(
    app: FastAPI,
    client: httpx.AsyncClient,
    mailbox: Mailbox,
    clock: Clock,
    *,
    age: int,
    throttled: bool,
) -> None:
    await sign_up(client, mailbox)
    async with Api(app) as stranger:
        await fail(stranger, 9)
        clock.now += timedelta(seconds=age)
        await fail(stranger, 1)
        response = await login(stranger)
    assert response.status_code == (429 if throttled else 200)


async def test_log_ins_that_never_fail_leave_no_counters(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database
) -> None:
    """A counter that says nothing would only tell who logs in from where."""
    await sign_up(client, mailbox)
    for _ in range(3):
        assert (await login(client)).status_code == 200
    assert await rows(database, LoginFailures) == []


@pytest.mark.parametrize(("begun", "left"), [(2, []), (1, [1, 1])])
async def test_log_ins_of_one_moment_are_taken_back_one_by_one(
    live_database: Database, begun: int, left: list[int]
) -> None:
    """One that has waited for another's counters goes by what the other has left in them."""
    who, now = (b"jane", "203.0.113.5/32"), clock_at_noon().now
    for _ in range(begun):
        async with live_database.transaction() as session:
            await login_failures.begin_attempt(session, *who, now=now)

    async def take_back() -> None:
        async with live_database.transaction() as session:
            await login_failures.take_back(session, *who)

    async with live_database.transaction() as other:
        if begun == 1:
            await login_failures.begin_attempt(other, *who, now=now)
        else:
            await login_failures.take_back(other, *who)
        waiting = asyncio.create_task(take_back())
        await somebody_waits(live_database)
    await waiting
    assert [counter.attempts for counter in await rows(live_database, LoginFailures)] == left


async def test_success_takes_back_its_own_hit_and_no_failure(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    """Or whoever has an account could reset the counter between guesses at another's."""
    await sign_up(client, mailbox)
    async with Api(app) as stranger:
        await fail(stranger, 9)
        for _ in range(3):
            assert (await login(stranger)).status_code == 200
        await fail(stranger, 1)
        assert_throttled(await login(stranger), seconds=900)


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("198.51.100.7", "::ffff:198.51.100.7", True),
        ("198.51.100.7", "198.51.100.8", False),
    ],
)
async def test_network_is_an_ipv4_address_or_an_ipv6_64(
    app: FastAPI, first: str, second: str, *, shared: bool
) -> None:
    async with Api(app, network=first) as one, Api(app, network=second) as other:
        await fail(one, 10)
        response = await login(other, password=WRONG)
    assert response.status_code == (429 if shared else 401)


async def test_forwarding_header_of_a_stranger_makes_no_new_network(app: FastAPI) -> None:
    async with Api(app) as stranger:
        await fail(stranger, 10)
        stranger.headers["x-forwarded-for"] = "203.0.113.9"
        stranger.headers["forwarded"] = "for=203.0.113.9"
        assert_throttled(await login(stranger, password=WRONG), seconds=900)


async def test_spellings_of_an_address_share_their_failures(app: FastAPI) -> None:
    async with Api(app) as stranger:
        for email in ("jane@example.org", "JANE@example.org", "Jane@EXAMPLE.ORG"):
            await fail(stranger, 3, email)
        await fail(stranger, 1)
        assert_throttled(await login(stranger, "jAne@example.org", WRONG), seconds=900)


async def test_guesses_that_race_are_counted_one_by_one(
    settings: Settings,
    live_database: Database,
    keyring: Keyring,
    hasher: PasswordHasher,
    clock: Clock,
) -> None:
    """In two API processes: what they count lies in the database."""
    apps = [await running_app(settings, live_database, keyring, hasher, clock) for _ in range(2)]
    clients = [Api(app, network="203.0.113.5") for app in apps]
    responses = await asyncio.gather(
        *(login(clients[number % 2], password=WRONG) for number in range(20))
    )
    for client in clients:
        await client.aclose()
    assert sorted(response.status_code for response in responses) == [401] * 10 + [429] * 10


# A delay over all networks


def test_delay_doubles_from_one_second_to_thirty() -> None:
    failures = [0, 19, 20, 21, 22, 23, 24, 25, 26, 1000]
    seconds = [0, 0, 1, 2, 4, 8, 16, 30, 30, 30]
    assert [policy.login_delay(n) for n in failures] == [timedelta(seconds=s) for s in seconds]


async def test_nineteen_failures_from_all_over_delay_nobody_and_twenty_do(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    await sign_up(client, mailbox)
    await fail_from_all_over(app, 19)
    async with Api(app) as newcomer:
        assert (await login(newcomer)).status_code == 200
    await fail_from_all_over(app, 1)
    async with Api(app) as newcomer:
        assert_throttled(await login(newcomer), seconds=1)


@pytest.mark.parametrize("email", [JANE, NOBODY])
async def test_delay_for_an_unknown_device_is_thirty_seconds_at_most(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock, email: str
) -> None:
    await sign_up(client, mailbox)
    await fail_from_all_over(app, 20, email)
    for _ in range(6):  # each waits its turn, and makes the next one's longer
        async with Api(app) as stranger:
            await login(stranger, email)
            clock.now += timedelta(seconds=30)
            await fail(stranger, 1, email)
    async with Api(app) as newcomer:
        assert_throttled(await login(newcomer, email), seconds=30)
        clock.now += timedelta(seconds=29)
        assert_throttled(await login(newcomer, email), seconds=1)
        clock.now += timedelta(seconds=1)
        assert (await login(newcomer, email)).status_code == (200 if email == JANE else 401)


async def test_who_waits_out_a_stranger_s_delay_is_not_blocked_for_it(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    """A delay that grew into the network's block would be a lock that others impose."""
    await sign_up(client, mailbox)
    await fail_from_all_over(app, 20)
    async with Api(app) as newcomer:
        for _ in range(12):
            assert_throttled(await login(newcomer), seconds=1)
        clock.now += timedelta(seconds=1)
        assert (await login(newcomer)).status_code == 200


async def test_each_wait_is_good_for_one_try(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    await sign_up(client, mailbox)
    await fail_from_all_over(app, 20)
    async with Api(app) as stranger:
        assert_throttled(await login(stranger, password=WRONG), seconds=1)
        clock.now += timedelta(seconds=1)
        await fail(stranger, 1)
        assert_throttled(await login(stranger), seconds=2)


async def test_strangers_who_keep_trying_can_not_keep_the_owner_out(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    await sign_up(client, mailbox)
    await fail_from_all_over(app, 20)
    async with Api(app) as owner:
        assert_throttled(await login(owner), seconds=1)
        for number in range(60):
            async with Api(app, network=f"198.51.100.{number}") as stranger:
                await login(stranger, password=WRONG)
        clock.now += timedelta(seconds=1)
        async with Api(app, network="198.51.100.1") as stranger:
            await login(stranger, password=WRONG)
        assert (await login(owner)).status_code == 200


async def test_delay_is_not_passed_by_many_at_once(
    live_app: FastAPI, live_client: httpx.AsyncClient, live_mailbox: Mailbox
) -> None:
    """Forty guesses from forty networks in one moment, while the delay runs: none is checked."""
    deployment = live_app.state.deployment
    live_app.state.deployment = replace(deployment, limits_on=True)
    await sign_up(live_client, live_mailbox)
    await fail_from_all_over(live_app, 20)
    strangers = [Api(live_app, network=f"198.51.100.{number}") for number in range(40)]
    guesses = await asyncio.gather(*(login(each, password=WRONG) for each in strangers))
    assert {guess.status_code for guess in guesses} == {429}


async def test_right_passwords_in_parallel_block_nobody(
    live_app: FastAPI, live_client: httpx.AsyncClient, live_mailbox: Mailbox
) -> None:
    live_app.state.deployment = replace(live_app.state.deployment, limits_on=True)
    await sign_up(live_client, live_mailbox)
    at_once = await asyncio.gather(*(login(live_client) for _ in range(14)))
    assert {response.status_code for response in at_once} <= {200, 429}
    for response in at_once:
        assert response.headers.get("retry-after", "2") == "2"
    assert (await login(live_client)).status_code == 200


async def test_attempt_that_was_never_checked_does_not_count(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sign_up(client, mailbox)

    async def busy(*_: object) -> bool:
        raise HashingBusy(retry_after=timedelta(seconds=2))

    with monkeypatch.context() as patched:
        patched.setattr(app.state.hasher, "verify", busy)
        for _ in range(12):
            refused = await login(client)
            assert (refused.status_code, refused.json()["code"]) == (503, "busy")
    assert (await login(client)).status_code == 200


async def test_device_is_known_by_the_network_of_an_earlier_login(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    await sign_up(client, mailbox)
    await sign_up(client, mailbox, "john@example.org")
    async with Api(app) as elsewhere:
        assert (await login(elsewhere, "john@example.org")).status_code == 200
        await fail_from_all_over(app, 20)
        assert (await login(client)).status_code == 200
        assert_throttled(await login(elsewhere), seconds=1)  # known to John's account, not Jane's


async def test_network_stays_known_after_the_logout(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    session = await sign_up(client, mailbox)
    token = {"refresh_token": session["refresh_token"]}
    assert (await client.post("/v1/auth/logout", json=token)).status_code == 204
    await fail_from_all_over(app, 20)
    assert (await login(client)).status_code == 200


async def test_device_is_known_by_the_cookie_of_an_earlier_login(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    await sign_up(client, mailbox)
    await sign_up(client, mailbox, "john@example.org")
    mark = await device_cookie(client, JANE)
    foreign = await device_cookie(client, "john@example.org")
    await fail_from_all_over(app, 20)
    for cookie, status in [
        (mark, 200),
        (foreign, 429),
        (mark[:-1] + "_", 429),
        ("", 429),
        ("\u00e9", 429),
    ]:
        async with Api(app) as elsewhere:
            elsewhere.headers["cookie"] = f"__Host-device={cookie}"
            response = await login(elsewhere)
        assert response.status_code == status, cookie


async def device_cookie(client: httpx.AsyncClient, email: str) -> str:
    response = await client.post(
        "/v1/auth/login",
        json={"email": email, "password": PASSWORD, "transport": "cookie"},
        headers={"origin": OURS},
    )
    return cookies_of(response)["__Host-device"].split(";")[0]


async def test_known_device_still_has_no_more_than_ten_tries(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    await sign_up(client, mailbox)
    await fail(client, 10)
    assert_throttled(await login(client), seconds=900)


# Limits off, suspension, renewal of the hash, audit


async def test_limits_can_be_switched_off_for_load_tests(
    live_client: httpx.AsyncClient, live_mailbox: Mailbox, live_database: Database
) -> None:
    await sign_up(live_client, live_mailbox)
    await fail(live_client, 12)
    assert (await login(live_client)).status_code == 200
    assert await rows(live_database, LoginFailures) == []


async def test_suspension_shows_only_to_who_knows_the_password(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database, clock: Clock
) -> None:
    await sign_up(client, mailbox)
    async with database.transaction() as session:
        await session.execute(update(Account).values(suspended_at=clock.now))
    stranger = presented(await login(client, NOBODY, WRONG))
    assert presented(await login(client, JANE, WRONG)) == stranger
    for _ in range(12):  # a right password is no failure, so it is never throttled
        response = await login(client)
        assert (response.status_code, response.json()["code"]) == (403, "account_suspended")
        assert "access_token" not in response.text
    assert len(await rows(database, Session)) == 1


async def store_older_hash(database: Database, hasher: PasswordHasher) -> str:
    """Jane's password as an earlier release would have hashed it."""
    handler: Any = argon2
    weaker = handler.using(type="ID", memory_cost=8, rounds=1, parallelism=1)
    older = f"{hasher._pepper_id}:{weaker.hash(hasher._peppered(PASSWORD))}"
    async with database.transaction() as session:
        await session.execute(update(Account).values(password_hash=older))
    return older


async def test_login_renews_a_hash_with_older_parameters(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database, hasher: PasswordHasher
) -> None:
    await sign_up(client, mailbox)
    older = await store_older_hash(database, hasher)
    await fail(client, 1)
    assert [account.password_hash for account in await rows(database, Account)] == [older]
    assert (await login(client)).status_code == 200
    [account] = await rows(database, Account)
    assert not hasher.needs_rehash(account.password_hash)
    renewed = account.password_hash
    assert (await login(client)).status_code == 200
    assert [account.password_hash for account in await rows(database, Account)] == [renewed]


async def test_wrong_password_is_not_hashed_a_second_time(
    client: httpx.AsyncClient,
    mailbox: Mailbox,
    database: Database,
    hasher: PasswordHasher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The time of two hashes would tell that the address has an account with an older hash."""
    await sign_up(client, mailbox)
    await store_older_hash(database, hasher)
    hashed = []

    async def observed(password: str) -> str:
        hashed.append(password)
        return "none"

    monkeypatch.setattr(hasher, "hash", observed)
    await fail(client, 1)
    assert hashed == []


async def test_renewal_of_the_hash_disturbs_no_login_at_the_same_moment(
    live_client: httpx.AsyncClient,
    live_mailbox: Mailbox,
    live_database: Database,
    hasher: PasswordHasher,
) -> None:
    await sign_up(live_client, live_mailbox)
    await store_older_hash(live_database, hasher)
    responses = await asyncio.gather(*(login(live_client) for _ in range(8)))
    assert [response.status_code for response in responses] == [200] * 8


async def test_login_with_a_password_that_is_reset_meanwhile_is_refused(
    client: httpx.AsyncClient,
    mailbox: Mailbox,
    hasher: PasswordHasher,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or a session would begin with the old password after the reset has ended them all."""
    await sign_up(client, mailbox)
    check = hasher.verify

    async def check_slowly(password: str, stored: str | None) -> bool:
        matches = await check(password, stored)
        clock.now += timedelta(seconds=1)
        await reset_password(client, mailbox)
        return matches

    with monkeypatch.context() as slow:
        slow.setattr(hasher, "verify", check_slowly)
        overtaken = await login(client)
    assert (overtaken.status_code, overtaken.json()["code"]) == (401, "invalid_credentials")
    assert (await login(client, password=NEW_PASSWORD)).status_code == 200


async def reset_password(client: httpx.AsyncClient, mailbox: Mailbox) -> None:
    body = {"email": JANE, "purpose": "password_reset"}
    flow_id = (await client.post("/v1/verification-codes", json=body)).json()["flow_id"]
    granted = await verify(client, flow_id, await mailbox.code(JANE))
    token = granted.json()["reset_token"]
    done = {"reset_token": token, "new_password": NEW_PASSWORD}
    assert (await client.post("/v1/auth/password-reset", json=done)).status_code == 200


async def test_every_login_and_every_failure_is_audited_without_a_secret(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox, database: Database
) -> None:
    session = await sign_up(client, mailbox)
    async with Api(app, network="203.0.113.77") as stranger:
        await login(stranger, JANE, WRONG)
        await login(stranger, NOBODY, WRONG)
    await login(client)
    assert await audited(database) == [
        "registered",
        "login",
        "login_failed",
        "login_failed",
        "login",
    ]
    events = sorted(await rows(database, AuditEvent), key=lambda event: event.id)
    jane = str(session["account"]["id"])
    assert [event.subject for event in events] == [jane, jane, jane, None, jane]
    assert events[2].network == "203.0.113.77/32"
    assert all(event.request_id for event in events)
    written = repr([vars(event) for event in events])
    for secret in (PASSWORD, WRONG, NOBODY, JANE, session["refresh_token"]):
        assert secret not in written


# Who may present an access token, and how


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "login_required"),
        ({"Authorization": ""}, "invalid_token"),
        ({"Authorization": "Bearer"}, "invalid_token"),
        ({"Authorization": "Bearer "}, "invalid_token"),
        ({"Authorization": "Bearer null"}, "invalid_token"),
        ({"Authorization": "Basic {token}"}, "invalid_token"),
        ({"Authorization": "{token}"}, "invalid_token"),
        ({"Authorization": "Bearer {token},Bearer {token}"}, "invalid_token"),
        ({"Authorization": "Bearer {refresh}"}, "invalid_token"),
        ({"X-Access-Token": "{token}"}, "login_required"),
        ({"Cookie": "access_token={token}"}, "login_required"),
        ({"Cookie": "__Host-refresh={refresh}"}, "login_required"),
    ],
    ids=str,
)
async def test_access_token_comes_in_one_header_and_nowhere_else(
    client: httpx.AsyncClient, mailbox: Mailbox, headers: dict[str, str], code: str
) -> None:
    session = await sign_up(client, mailbox)
    names = {"token": session["access_token"], "refresh": session["refresh_token"]}
    sent = {name: value.format(**names) for name, value in headers.items()}
    response = await client.get("/v1/account?access_token=" + names["token"], headers=sent)
    assert (response.status_code, response.json()["code"]) == (401, code)
    challenge = 'Bearer error="invalid_token"' if code == "invalid_token" else "Bearer"
    assert response.headers["www-authenticate"] == challenge
    assert response.headers["cache-control"] == "no-store"


async def test_scheme_of_the_header_is_case_insensitive(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    token = (await sign_up(client, mailbox))["access_token"]
    response = await client.get("/v1/account", headers={"Authorization": f"bEARER {token}"})
    assert response.status_code == 200


async def test_second_authorization_header_is_refused(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    value = bearer(await sign_up(client, mailbox))["Authorization"]
    twice = [("Authorization", value), ("Authorization", value)]
    assert (await client.get("/v1/account", headers=twice)).status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/auth/login", {"email": JANE, "password": PASSWORD}),
        ("POST", "/v1/auth/login", {"email": JANE, "password": WRONG}),
        ("POST", "/v1/auth/login", {"email": JANE}),
        ("POST", "/v1/auth/login", None),
        ("POST", "/v1/auth/refresh", {"refresh_token": "x"}),
        ("POST", "/v1/auth/refresh", {}),
        ("POST", "/v1/auth/logout", {}),
        ("GET", "/v1/auth/sessions", None),
        ("POST", "/v1/auth/register", {"email": "new@example.org", "password": PASSWORD}),
        ("POST", "/v1/auth/password-reset", {"reset_token": "x", "new_password": PASSWORD}),
        ("POST", "/v1/verification-codes", {"email": JANE, "purpose": "password_reset"}),
        ("POST", "/v1/verification-codes/verify", {"token": "x"}),
        ("GET", "/v1/account", None),
        ("GET", "/v1/account/export", None),
        ("GET", "/v1/accounts", None),
        ("GET", "/v1/audit-events", None),
    ],
)
async def test_no_cache_may_keep_what_is_personal_or_secret(
    client: httpx.AsyncClient,
    mailbox: Mailbox,
    method: str,
    path: str,
    body: dict[str, Any] | None,
) -> None:
    session = await sign_up(client, mailbox)
    response = await client.request(method, path, json=body, headers=bearer(session))
    assert response.headers["cache-control"] == "no-store"


# The cookie transport


def cookies_of(response: httpx.Response) -> dict[str, str]:
    """Each Set-Cookie: the name, and the value with its attributes."""
    pairs = (text.partition("=") for text in response.headers.get_list("set-cookie"))
    return {name: rest for name, _, rest in pairs}


async def cookie_login(client: httpx.AsyncClient, **headers: str) -> httpx.Response:
    return await client.post(
        "/v1/auth/login",
        json={"email": JANE, "password": PASSWORD, "transport": "cookie"},
        headers=headers,
    )


async def logged_in_browser(client: httpx.AsyncClient, mailbox: Mailbox) -> str:
    """Jane's refresh cookie, as a request would send it."""
    await sign_up(client, mailbox)
    response = await cookie_login(client, origin=OURS)
    client.cookies.clear()
    return "__Host-refresh=" + cookies_of(response)["__Host-refresh"].split(";")[0]


async def verify_by_cookie(client: httpx.AsyncClient, mailbox: Mailbox) -> httpx.Response:
    flow_id = (await register(client)).json()["flow_id"]
    code = await mailbox.code(JANE)
    client.headers["origin"] = OURS
    return await verify(client, flow_id, code, transport="cookie")


@pytest.mark.parametrize("route", ["login", "verify"])
async def test_refresh_token_is_in_a_cookie_that_no_script_and_no_other_site_gets(
    client: httpx.AsyncClient, mailbox: Mailbox, route: str
) -> None:
    if route == "login":
        await sign_up(client, mailbox)
        response = await cookie_login(client, origin=OURS)
        session = response.json()
    else:
        response = await verify_by_cookie(client, mailbox)
        session = response.json()["session"]
    assert response.status_code == 200
    assert "refresh_token" not in session
    cookies = cookies_of(response)
    assert cookies.keys() == {"__Host-refresh", "__Host-device"}
    for cookie in cookies.values():
        value, *attributes = cookie.split("; ")
        assert value not in response.text
        assert {part.lower() for part in attributes if not part.startswith("expires=")} == {
            "path=/",
            "secure",
            "httponly",
            "samesite=strict",
        }
    assert "expires=Sat, 22 May 2027 12:00:00 GMT" in cookies["__Host-refresh"]  # 180 days
    assert "expires=Tue, 28 Dec 2027 12:00:00 GMT" in cookies["__Host-device"]  # 400 days


async def test_browser_that_registered_is_a_known_device(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    cookies = cookies_of(await verify_by_cookie(client, mailbox))
    mark = cookies["__Host-device"].split(";")[0]
    await fail_from_all_over(app, 20)
    async with Api(app) as elsewhere:
        elsewhere.headers["cookie"] = f"__Host-device={mark}"
        assert (await login(elsewhere)).status_code == 200


EVIL = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "http://127.0.0.1:8000.evil.example"},
    {"origin": "http://127.0.0.1:80000"},
    {"origin": "http://127.0.0.1"},
    {"origin": "https://127.0.0.1:8000"},
    {"origin": "http://127.0.0.1:8000/"},
    {"origin": "http://user@127.0.0.1:8000"},
    {"origin": "http://portal.example"},
    {"origin": "https://portal.example.evil.example"},
    {"origin": "https://sub.portal.example"},
    {"origin": "https://evil.example", "sec-fetch-site": "same-origin"},
    {"origin": "", "sec-fetch-site": "same-origin"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"},
    {"sec-fetch-site": ""},
    {"referer": OURS},
    {},
]
FRIENDLY = [
    {"origin": OURS},
    {"origin": "https://portal.example"},
    {"origin": "HTTPS://PORTAL.EXAMPLE"},
    {"origin": OURS, "sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-origin"},
]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/auth/login",
        "/v1/auth/refresh",
        "/v1/auth/logout",
        "/v1/verification-codes/verify",
    ],
)
async def test_foreign_page_can_not_use_the_cookie_transport(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox, database: Database, path: str
) -> None:
    cookie = await logged_in_browser(client, mailbox)
    flow_id = (await register(client, "john@example.org")).json()["flow_id"]
    code = await mailbox.code("john@example.org")
    bodies = {
        "/v1/auth/login": {"email": JANE, "password": PASSWORD, "transport": "cookie"},
        "/v1/verification-codes/verify": {"flow_id": flow_id, "code": code, "transport": "cookie"},
    }
    before = await session_states(database)
    for headers in EVIL:
        async with Api(app) as page:
            sent = {**headers, "cookie": cookie}
            response = await page.post(path, json=bodies.get(path), headers=sent)
        code_seen = response.json()["code"]
        assert (response.status_code, code_seen) == (403, "origin_not_allowed"), headers
        assert "set-cookie" not in response.headers, headers
    assert await session_states(database) == before
    assert (await verify(client, flow_id, code)).status_code == 200  # the code is not used up


async def session_states(database: Database) -> list[tuple[int, bool]]:
    return [(entry.counter, entry.ended_at is None) for entry in await rows(database, Session)]


@pytest.mark.parametrize("body", [{"refresh_token": ""}, {"refresh_token": "x"}], ids=str)
@pytest.mark.parametrize("path", ["/v1/auth/refresh", "/v1/auth/logout"])
async def test_token_in_the_body_never_smuggles_the_cookie_past_the_origin_check(
    client: httpx.AsyncClient,
    mailbox: Mailbox,
    database: Database,
    path: str,
    body: dict[str, str],
) -> None:
    cookie = await logged_in_browser(client, mailbox)
    headers = {"origin": "https://evil.example", "cookie": cookie}
    response = await client.post(path, json=body, headers=headers)
    assert response.status_code == (401 if path.endswith("refresh") else 204)
    assert await session_states(database) == [(0, True), (0, True)]


@pytest.mark.parametrize("headers", FRIENDLY, ids=str)
async def test_our_own_pages_log_in_refresh_and_log_out_by_cookie(
    client: httpx.AsyncClient, mailbox: Mailbox, headers: dict[str, str]
) -> None:
    await sign_up(client, mailbox)
    opened = await cookie_login(client, **headers)
    assert opened.status_code == 200
    tokens = [cookies_of(opened)["__Host-refresh"].split(";")[0]]
    client.cookies.clear()

    cookie = {"cookie": f"__Host-refresh={tokens[0]}"}
    renewed = await client.post("/v1/auth/refresh", headers={**headers, **cookie})
    assert renewed.status_code == 200
    assert "refresh_token" not in renewed.json()
    tokens.append(cookies_of(renewed)["__Host-refresh"].split(";")[0])
    assert tokens[0] != tokens[1]
    assert cookies_of(renewed).keys() == {"__Host-refresh", "__Host-device"}
    client.cookies.clear()

    cookie = {"cookie": f"__Host-refresh={tokens[1]}"}
    gone = await client.post("/v1/auth/logout", headers={**headers, **cookie})
    assert gone.status_code == 204
    cleared = cookies_of(gone)["__Host-refresh"]
    assert cleared.startswith('""; ')
    assert "Max-Age=0" in cleared
    assert (await client.get("/v1/account", headers=bearer(renewed.json()))).status_code == 401


async def test_bearer_transport_needs_no_origin_and_sets_no_cookie(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    await sign_up(client, mailbox)
    client.headers["origin"] = "https://app.elsewhere.example"
    opened = await login(client)
    assert opened.status_code == 200
    token = {"refresh_token": opened.json()["refresh_token"]}
    renewed = await client.post("/v1/auth/refresh", json=token)
    assert renewed.status_code == 200
    assert renewed.json()["refresh_token"].startswith("mmr_")
    for response in (opened, renewed):
        assert "set-cookie" not in response.headers
        assert "access-control-allow-origin" not in response.headers


async def test_logging_out_with_a_cookie_that_is_over_clears_it(client: httpx.AsyncClient) -> None:
    headers = {"origin": OURS, "cookie": "__Host-refresh=mmr_over"}
    response = await client.post("/v1/auth/logout", headers=headers)
    assert response.status_code == 204
    assert "Max-Age=0" in cookies_of(response)["__Host-refresh"]


async def test_refresh_without_any_token_asks_for_a_login(client: httpx.AsyncClient) -> None:
    for body in (None, {}, {"refresh_token": None}):
        response = await client.post("/v1/auth/refresh", json=body, headers={"origin": OURS})
        assert (response.status_code, response.json()["code"]) == (401, "login_required")


@pytest.mark.parametrize("call", [bearer, lambda _: {}], ids=["logged_in", "anonymous"])
async def test_registering_or_logging_in_is_never_done_by_get(
    client: httpx.AsyncClient, mailbox: Mailbox, call: Callable[[dict[str, Any]], dict[str, str]]
) -> None:
    session = await sign_up(client, mailbox)
    for path in ("login", "logout", "refresh", "register", "password-reset"):
        response = await client.get(f"/v1/auth/{path}", headers=call(session))
        assert response.status_code == 405
    assert (await client.get("/v1/account", headers=bearer(session))).status_code == 200
