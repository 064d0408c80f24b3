"""Sessions: refresh tokens that rotate, survive a tunnel and betray a thief; devices that end."""

import base64
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import update

from app.crypto import Keyring, PasswordHasher
from app.db import Database
from app.models import Account, AuditEvent, Session
from app.settings import Settings
from tests.conftest import running_app
from tests.helpers import (
    PASSWORD,
    Api,
    Clock,
    Mailbox,
    audited,
    bearer,
    login,
    make_admin,
    rows,
    sign_up,
)

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


async def refresh(client: httpx.AsyncClient, token: object) -> httpx.Response:
    return await client.post("/v1/auth/refresh", json={"refresh_token": token})


async def successor(client: httpx.AsyncClient, token: str) -> str:
    """The refresh token that this one is exchanged for."""
    response = await refresh(client, token)
    assert response.status_code == 200, response.text
    renewed: str = response.json()["refresh_token"]
    return renewed


def assert_refused(response: httpx.Response, code: str = "invalid_refresh_token") -> None:
    assert (response.status_code, response.json()["code"]) == (401, code)
    assert "access_token" not in response.text


async def who_am_i(client: httpx.AsyncClient, session: dict[str, Any]) -> int:
    return (await client.get("/v1/account", headers=bearer(session))).status_code


async def listed(client: httpx.AsyncClient, session: dict[str, Any]) -> list[dict[str, Any]]:
    response = await client.get("/v1/auth/sessions", headers=bearer(session))
    assert response.status_code == 200
    items: list[dict[str, Any]] = response.json()["items"]
    return items


# Access tokens


async def test_access_token_lives_ten_minutes(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    session = await sign_up(client, mailbox)
    assert session["expires_in"] == 600
    clock.now += timedelta(minutes=10, seconds=29)  # with the leeway for clocks that differ
    assert await who_am_i(client, session) == 200
    clock.now += SECOND
    assert await who_am_i(client, session) == 401


async def test_refreshed_access_token_lives_ten_minutes_more(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    session = await sign_up(client, mailbox)
    clock.now += timedelta(minutes=9)
    renewed = (await refresh(client, session["refresh_token"])).json()
    assert renewed["access_token"] != session["access_token"]
    clock.now += timedelta(minutes=10)
    assert await who_am_i(client, renewed) == 200
    assert await who_am_i(client, session) == 401


# Rotation


async def test_each_refresh_gives_a_new_token_of_the_same_session(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database
) -> None:
    session = await sign_up(client, mailbox)
    tokens = [session["refresh_token"]]
    for _ in range(4):
        tokens.append(await successor(client, tokens[-1]))
    assert len(set(tokens)) == 5
    assert len(await rows(database, Session)) == 1


async def test_who_reads_the_database_alone_can_make_no_refresh_token(
    settings: Settings,
    client: httpx.AsyncClient,
    mailbox: Mailbox,
    database: Database,
    hasher: PasswordHasher,
    clock: Clock,
) -> None:
    """No token is stored, and the row's secret is worth nothing without SECRET_KEY."""
    token = (await sign_up(client, mailbox))["refresh_token"]
    [stored] = await rows(database, Session)
    assert stored.secret not in base64.urlsafe_b64decode(token.removeprefix("mmr_") + "==")
    keyring = Keyring("whatever the reader may guess")
    async with Api(await running_app(settings, database, keyring, hasher, clock)) as foreign:
        assert_refused(await refresh(foreign, token))
    assert (await refresh(client, token)).status_code == 200


async def test_parent_gets_the_same_successor_for_as_long_as_that_is_unused(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    """A phone that lost the answer in a tunnel may be there for days."""
    parent = (await sign_up(client, mailbox))["refresh_token"]
    first = await successor(client, parent)
    for pause in (timedelta(0), 31 * SECOND, timedelta(hours=5), 29 * DAY):
        clock.now += pause
        assert await successor(client, parent) == first
    assert await successor(client, first) != first


@pytest.mark.parametrize(("age", "same"), [(0, True), (29, True), (30, False), (3600, False)])
async def test_parent_is_good_for_thirty_seconds_after_its_successor_was_used(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock, age: int, *, same: bool
) -> None:
    parent = (await sign_up(client, mailbox))["refresh_token"]
    first = await successor(client, parent)
    clock.now += timedelta(hours=1)
    second = await successor(client, first)
    clock.now += age * SECOND
    response = await refresh(client, parent)
    if same:
        assert response.json()["refresh_token"] == first
        assert await successor(client, first) == second
        return
    assert_refused(response, "refresh_token_reused")
    assert_refused(await refresh(client, second))


async def test_grace_begins_with_the_first_use_and_no_later_one_renews_it(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    parent = (await sign_up(client, mailbox))["refresh_token"]
    first = await successor(client, parent)
    second = await successor(client, first)
    for _ in range(2):
        clock.now += 15 * SECOND
        assert await successor(client, first) == second
    assert_refused(await refresh(client, parent), "refresh_token_reused")


async def test_grandparent_of_the_newest_token_is_reuse_even_at_once(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    tokens = [(await sign_up(client, mailbox))["refresh_token"]]
    for _ in range(3):
        tokens.append(await successor(client, tokens[-1]))
    assert_refused(await refresh(client, tokens[0]), "refresh_token_reused")


async def test_reuse_ends_the_session_tells_the_owner_and_is_audited(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database, clock: Clock
) -> None:
    await sign_up(client, mailbox)
    stolen = (await login(client)).json()
    other_device = (await login(client)).json()
    newest = (await refresh(client, await successor(client, stolen["refresh_token"]))).json()
    clock.now += timedelta(minutes=1)
    assert_refused(await refresh(client, stolen["refresh_token"]), "refresh_token_reused")

    assert_refused(await refresh(client, newest["refresh_token"]))
    assert await who_am_i(client, newest) == 401
    assert await who_am_i(client, stolen) == 401
    assert await who_am_i(client, other_device) == 200
    notices = [mail for mail in await mailbox.mails() if mail.kind == "sessions_ended"]
    assert [mail.to for mail in notices] == ["jane@example.org"]
    event = max(await rows(database, AuditEvent), key=lambda event: event.id)
    assert event.action == "refresh_token_reused"
    assert event.subject == stolen["account"]["id"]
    assert event.network is not None
    assert newest["refresh_token"] not in str(event.details)


async def test_thief_who_tries_again_causes_no_second_mail(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database
) -> None:
    tokens = [(await sign_up(client, mailbox))["refresh_token"]]
    for _ in range(3):
        tokens.append(await successor(client, tokens[-1]))
    assert_refused(await refresh(client, tokens[0]), "refresh_token_reused")
    for token in tokens:
        assert_refused(await refresh(client, token))
    assert [mail.kind for mail in await mailbox.mails()].count("sessions_ended") == 1
    assert (await audited(database)).count("refresh_token_reused") == 1


# Tokens that are none of ours


def tampered(token: str, place: int) -> str:
    raw = bytearray(base64.urlsafe_b64decode(token.removeprefix("mmr_") + "=="))
    raw[place] ^= 1
    return "mmr_" + base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()


async def test_changed_token_is_refused_and_ends_nothing(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    """Or anybody who knows a session's id could log its owner out as a thief."""
    session = await sign_up(client, mailbox)
    token = session["refresh_token"]
    for place in (0, 15, 16, 19, 20, 51):  # the session's id, the counter, the proof
        assert_refused(await refresh(client, tampered(token, place)))
    for text in (token[4:], token.upper(), token + "=", token + " ", token[:-1], token + "AA"):
        assert_refused(await refresh(client, text))
    assert await who_am_i(client, session) == 200
    assert (await refresh(client, token)).status_code == 200


async def test_token_from_the_future_of_a_session_is_refused(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database
) -> None:
    session = await sign_up(client, mailbox)
    third = session["refresh_token"]
    for _ in range(2):
        third = await successor(client, third)
    async with database.transaction() as transaction:  # as a restored backup would
        await transaction.execute(update(Session).values(counter=0))
    assert_refused(await refresh(client, third))
    assert (await refresh(client, session["refresh_token"])).status_code == 200


@pytest.mark.parametrize(
    "token", ["", "mmr_", "x", "mmr_" + "A" * 70, "\u00e9", "mmr_" + "A" * 252, "a.b.c"]
)
async def test_unknown_token_is_refused(client: httpx.AsyncClient, token: str) -> None:
    assert_refused(await refresh(client, token))


@pytest.mark.parametrize("token", [7, True, [], {}, "x" * 257])
async def test_token_of_a_wrong_shape_is_invalid_input(
    client: httpx.AsyncClient, token: object
) -> None:
    response = await refresh(client, token)
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "/refresh_token"


async def test_access_token_is_no_refresh_token(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    session = await sign_up(client, mailbox)
    response = await refresh(client, session["access_token"])
    assert response.status_code in {401, 422}
    assert "access_token" not in response.text


# How long a session lives


@pytest.mark.parametrize(("idle", "alive"), [(30 * DAY - SECOND, True), (30 * DAY, False)])
async def test_session_ends_after_thirty_idle_days(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock, idle: timedelta, *, alive: bool
) -> None:
    token = (await sign_up(client, mailbox))["refresh_token"]
    clock.now += 10 * DAY
    token = await successor(client, token)
    clock.now += idle
    response = await refresh(client, token)
    assert response.status_code == (200 if alive else 401)
    if not alive:
        assert_refused(response)


@pytest.mark.parametrize(("age", "alive"), [(180 * DAY - SECOND, True), (180 * DAY, False)])
async def test_session_ends_after_a_hundred_and_eighty_days_however_busy(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock, age: timedelta, *, alive: bool
) -> None:
    session = await sign_up(client, mailbox)
    token, begun = session["refresh_token"], clock.now
    for month in range(1, 7):
        clock.now = begun + month * 29 * DAY
        token = await successor(client, token)
    clock.now = begun + age
    response = await refresh(client, token)
    assert response.status_code == (200 if alive else 401)
    if alive:  # what was given out in the last second dies with the session
        clock.now += SECOND
        assert await who_am_i(client, response.json()) == 401


async def test_replay_of_an_expired_session_is_no_theft(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    tokens = [(await sign_up(client, mailbox))["refresh_token"]]
    for _ in range(3):
        tokens.append(await successor(client, tokens[-1]))
    clock.now += 30 * DAY
    assert_refused(await refresh(client, tokens[0]))
    assert "sessions_ended" not in [mail.kind for mail in await mailbox.mails()]


# Logging out


async def test_logout_ends_the_session_and_its_access_token_at_once(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    session = await sign_up(client, mailbox)
    other = (await login(client)).json()
    body = {"refresh_token": session["refresh_token"]}
    for _ in range(2):  # repeating it is fine
        response = await client.post("/v1/auth/logout", json=body)
        assert (response.status_code, response.content) == (204, b"")
    assert await who_am_i(client, session) == 401
    assert_refused(await refresh(client, session["refresh_token"]))
    assert await who_am_i(client, other) == 200


async def test_logout_with_an_older_token_of_the_session_ends_it_too(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    session = await sign_up(client, mailbox)
    newest = (await refresh(client, session["refresh_token"])).json()
    await client.post("/v1/auth/logout", json={"refresh_token": session["refresh_token"]})
    assert await who_am_i(client, newest) == 401


async def test_logout_with_a_forged_token_ends_nothing(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    session = await sign_up(client, mailbox)
    for token in (tampered(session["refresh_token"], 51), "", "x", "mmr_" + "A" * 70):
        response = await client.post("/v1/auth/logout", json={"refresh_token": token})
        assert response.status_code == 204
    assert await who_am_i(client, session) == 200


# The list of devices


async def test_list_shows_each_device_and_marks_the_one_that_asks(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    await sign_up(client, mailbox)
    clock.now += timedelta(hours=1)
    async with Api(app, network="2001:db8:1:2::99") as phone:
        phone.headers["user-agent"] = "Phone/1 " + "x" * 400
        session = (await login(phone, device_name="Jane's phone")).json()
    current, first = await listed(client, session)
    assert (current["is_current"], first["is_current"]) == (True, False)
    assert current["device_name"] == "Jane's phone"
    assert current["user_agent"] == ("Phone/1 " + "x" * 400)[:300]
    assert current["network"] == "2001:db8:1:2::/64"
    assert current["transport"] == "bearer"
    assert current["created_at"] == current["last_used_at"] == "2026-11-23T13:00:00Z"
    assert current["expires_at"] == "2026-12-23T13:00:00Z"  # 30 idle days
    assert first["device_name"] is None
    assert "secret" not in current
    assert current.keys() == {
        "id",
        "is_current",
        "device_name",
        "user_agent",
        "network",
        "transport",
        "created_at",
        "last_used_at",
        "expires_at",
    }


async def test_list_has_the_most_recently_used_device_first(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    older = await sign_up(client, mailbox)
    clock.now += timedelta(hours=1)
    newer = (await login(client, device_name="newer")).json()
    assert [item["device_name"] for item in await listed(client, newer)] == ["newer", None]
    clock.now += timedelta(hours=1)
    await refresh(client, older["refresh_token"])
    renewed = (await refresh(client, newer["refresh_token"])).json()
    assert len(await listed(client, renewed)) == 2
    clock.now += timedelta(minutes=1)
    await refresh(client, older["refresh_token"])
    assert [item["device_name"] for item in await listed(client, renewed)] == [None, "newer"]


async def test_list_leaves_out_what_is_over_and_what_is_others(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    await sign_up(client, mailbox)  # idle from here on
    ended = (await login(client)).json()
    await client.post("/v1/auth/logout", json={"refresh_token": ended["refresh_token"]})
    clock.now += 30 * DAY
    await sign_up(client, mailbox, "john@example.org")
    session = (await login(client, device_name="the only one")).json()
    assert [item["device_name"] for item in await listed(client, session)] == ["the only one"]


async def test_ending_one_device_leaves_the_others(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    mine = await sign_up(client, mailbox)
    lost = (await login(client, device_name="lost")).json()
    [lost_id] = [item["id"] for item in await listed(client, mine) if item["device_name"]]
    path = f"/v1/auth/sessions/{lost_id}"
    assert (await client.delete(path, headers=bearer(mine))).status_code == 204
    assert await who_am_i(client, lost) == 401
    assert_refused(await refresh(client, lost["refresh_token"]))
    assert await who_am_i(client, mine) == 200
    assert len(await listed(client, mine)) == 1
    assert (await client.delete(path, headers=bearer(mine))).status_code == 404


async def test_ending_all_other_devices_keeps_the_one_that_asks(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    others = [await sign_up(client, mailbox), (await login(client)).json()]
    mine = (await login(client)).json()
    stranger = await sign_up(client, mailbox, "john@example.org")
    response = await client.delete("/v1/auth/sessions", headers=bearer(mine))
    assert response.status_code == 204
    for other in others:
        assert await who_am_i(client, other) == 401
        assert_refused(await refresh(client, other["refresh_token"]))
    assert await who_am_i(client, mine) == 200
    assert await who_am_i(client, stranger) == 200


async def test_ending_the_own_session_is_a_logout(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    session = await sign_up(client, mailbox)
    [item] = await listed(client, session)
    path = f"/v1/auth/sessions/{item['id']}"
    assert (await client.delete(path, headers=bearer(session))).status_code == 204
    assert await who_am_i(client, session) == 401


async def test_session_of_somebody_else_does_not_exist(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database
) -> None:
    jane = await sign_up(client, mailbox)
    john = await sign_up(client, mailbox, "john@example.org")
    await make_admin(database, "john@example.org")
    [item] = await listed(client, jane)
    path = f"/v1/auth/sessions/{item['id']}"
    response = await client.delete(path, headers=bearer(john))
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert await who_am_i(client, jane) == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/auth/sessions"),
        ("DELETE", "/v1/auth/sessions"),
        ("DELETE", "/v1/auth/sessions/01936f6e-0000-7000-8000-000000000000"),
    ],
)
async def test_devices_are_shown_and_ended_for_who_is_logged_in(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    response = await client.request(method, path)
    assert (response.status_code, response.json()["code"]) == (401, "login_required")


@pytest.mark.parametrize("name", ["not-a-uuid", "..%2Faccount", "%27%20OR%201=1", "null"])
async def test_session_id_must_be_one(
    client: httpx.AsyncClient, mailbox: Mailbox, name: str
) -> None:
    session = await sign_up(client, mailbox)
    response = await client.delete(f"/v1/auth/sessions/{name}", headers=bearer(session))
    assert response.status_code in {404, 422}
    assert await who_am_i(client, session) == 200


async def test_fifty_first_session_ends_the_one_that_was_idle_longest(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    idle = await sign_up(client, mailbox)
    kept = (await login(client)).json()
    john = await sign_up(client, mailbox, "john@example.org")
    clock.now += SECOND
    kept = (await refresh(client, kept["refresh_token"])).json()
    async with Api(app) as elsewhere:
        for _ in range(48):
            clock.now += SECOND
            assert (await login(elsewhere)).status_code == 200
        assert await who_am_i(client, idle) == 200
        assert len(await listed(client, kept)) == 50
        clock.now += SECOND
        assert (await login(elsewhere)).status_code == 200
    assert await who_am_i(client, idle) == 401
    assert_refused(await refresh(client, idle["refresh_token"]))
    assert await who_am_i(client, kept) == 200
    assert await who_am_i(client, john) == 200
    assert len(await listed(client, kept)) == 50


# Accounts that lose access


async def test_suspended_account_loses_access_at_once(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database, clock: Clock
) -> None:
    session = await sign_up(client, mailbox)
    assert await who_am_i(client, session) == 200  # so that the token is a known one
    async with database.transaction() as transaction:
        await transaction.execute(update(Account).values(suspended_at=clock.now))
    response = await client.get("/v1/account", headers=bearer(session))
    assert (response.status_code, response.json()["code"]) == (401, "invalid_token")
    assert_refused(await refresh(client, session["refresh_token"]))


async def test_refused_refresh_of_a_suspended_account_does_not_rotate(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database, clock: Clock
) -> None:
    session = await sign_up(client, mailbox)
    for suspended_at in (clock.now, None):
        async with database.transaction() as transaction:
            await transaction.execute(update(Account).values(suspended_at=suspended_at))
        response = await refresh(client, session["refresh_token"])
        assert response.status_code == (401 if suspended_at else 200)
    assert [entry.counter for entry in await rows(database, Session)] == [1]


async def test_deleted_account_loses_access_at_once(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    sessions = [await sign_up(client, mailbox), (await login(client)).json()]
    response = await client.request(
        "DELETE", "/v1/account", json={"password": PASSWORD}, headers=bearer(sessions[0])
    )
    assert response.status_code == 204
    for session in sessions:
        assert await who_am_i(client, session) == 401
        assert_refused(await refresh(client, session["refresh_token"]))
