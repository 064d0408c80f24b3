"""A forgotten password, in three steps: ask for a code, prove the mailbox, set a new one."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from app.db import Database
from app.models import Account, AuditEvent, OutboxMail, VerificationFlow
from tests.helpers import (
    NEW_PASSWORD,
    PASSWORD,
    Clock,
    Mailbox,
    audited,
    bearer,
    login,
    register,
    rows,
    sign_up,
    verify,
)

JANE, NOBODY = "jane@example.org", "nobody@example.org"
SECOND = timedelta(seconds=1)


async def ask(client: httpx.AsyncClient, email: str = JANE, **fields: Any) -> httpx.Response:
    body = {"email": email, "purpose": "password_reset", **fields}
    return await client.post("/v1/verification-codes", json=body)


async def prove(client: httpx.AsyncClient, **proof: str) -> httpx.Response:
    return await client.post("/v1/verification-codes/verify", json=proof)


async def granted(client: httpx.AsyncClient, mailbox: Mailbox, **fields: Any) -> str:
    """The reset token for Jane, through her mailbox."""
    asked = await ask(client, **fields)
    assert asked.status_code == 202, asked.text
    code = (await mailbox.last(JANE)).params["code"]
    response = await prove(client, flow_id=asked.json()["flow_id"], code=code)
    assert response.status_code == 200, response.text
    token: str = response.json()["reset_token"]
    return token


async def reset(
    client: httpx.AsyncClient, token: str, password: str = NEW_PASSWORD
) -> httpx.Response:
    body = {"reset_token": token, "new_password": password}
    return await client.post("/v1/auth/password-reset", json=body)


def assert_refused(response: httpx.Response, code: str = "reset_token_refused") -> None:
    assert (response.status_code, response.json()["code"]) == (422, code)


async def kinds(mailbox: Mailbox, to: str | None = None) -> list[str]:
    return [mail.kind for mail in await mailbox.mails(to)]


# The three steps


@pytest.mark.parametrize(
    "return_to", ["/videos/harbour?x=1#top", "https://portal.example/videos", None]
)
async def test_three_steps_lead_back_to_the_page_the_user_was_on(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock, return_to: str | None
) -> None:
    await sign_up(client, mailbox)
    asked = await ask(client, return_to=return_to)
    assert asked.status_code == 202
    assert asked.json().keys() == {"flow_id", "email", "code_expires_at", "resend_available_at"}
    assert asked.json()["code_expires_at"] == "2026-11-23T12:30:00Z"

    mail = await mailbox.last(JANE)
    assert mail.kind == "password_reset_code"
    clock.now += timedelta(minutes=2)
    proven = await prove(client, flow_id=asked.json()["flow_id"], code=mail.params["code"])
    assert proven.status_code == 200
    assert proven.json().keys() == {"reset_token", "expires_at"}
    assert proven.json()["expires_at"] == "2026-11-23T12:17:00Z"
    assert (await login(client)).status_code == 200  # nothing has changed yet

    done = await reset(client, proven.json()["reset_token"])
    assert (done.status_code, done.json()) == (200, {"return_to": return_to})
    assert (await login(client, password=PASSWORD)).status_code == 401
    assert (await login(client, password=NEW_PASSWORD)).status_code == 200


async def test_reset_logs_nobody_in(client: httpx.AsyncClient, mailbox: Mailbox) -> None:
    await sign_up(client, mailbox)
    token = await granted(client, mailbox)
    done = await reset(client, token)
    assert done.json().keys() == {"return_to"}
    assert "set-cookie" not in done.headers
    me = await client.get("/v1/account", headers={"Authorization": f"Bearer {token}"})
    assert me.status_code == 401


@pytest.mark.parametrize("return_to", ["//evil.example", "https://evil.example/", "javascript:1"])
async def test_reset_leads_to_no_stranger(client: httpx.AsyncClient, return_to: str) -> None:
    response = await ask(client, return_to=return_to)
    assert_refused(response, "return_to_not_allowed")


async def test_code_mail_goes_to_the_stored_spelling_and_in_the_account_s_language(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    await sign_up(client, mailbox, "Jane@Example.org", locale="fr")
    client.headers["accept-language"] = "en"
    await ask(client, "JANE@EXAMPLE.ORG")
    mail = await mailbox.last("Jane@Example.org")
    assert (mail.kind, mail.locale) == ("password_reset_code", "fr")
    assert await mailbox.mails("JANE@EXAMPLE.ORG") == []


@pytest.mark.parametrize(
    ("age", "status"),
    [(timedelta(minutes=29, seconds=59), 200), (timedelta(minutes=30), 422)],
)
async def test_reset_code_is_valid_until_thirty_minutes_and_refused_at_them(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock, age: timedelta, status: int
) -> None:
    await sign_up(client, mailbox)
    flow_id = (await ask(client)).json()["flow_id"]
    code = await mailbox.code(JANE)
    clock.now += age
    assert (await prove(client, flow_id=flow_id, code=code)).status_code == status


# The reset token


@pytest.mark.parametrize(
    ("age", "status"),
    [(timedelta(minutes=14, seconds=59), 200), (timedelta(minutes=15), 422)],
)
async def test_reset_token_is_valid_until_fifteen_minutes_and_refused_at_them(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock, age: timedelta, status: int
) -> None:
    await sign_up(client, mailbox)
    token = await granted(client, mailbox)
    clock.now += age
    response = await reset(client, token)
    assert response.status_code == status
    if status != 200:
        assert_refused(response)
        assert (await login(client)).status_code == 200


async def test_reset_token_works_once(client: httpx.AsyncClient, mailbox: Mailbox) -> None:
    await sign_up(client, mailbox)
    token = await granted(client, mailbox)
    assert (await reset(client, token)).status_code == 200
    assert_refused(await reset(client, token, "Third-Anchor-9-Lantern"))
    assert (await login(client, password=NEW_PASSWORD)).status_code == 200


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("short-7A", "password_too_short"),
        ("Jane-1-example", "password_contains_email"),
        ("Password12345!", "password_too_common"),
    ],
)
async def test_password_that_breaks_the_policy_leaves_the_token_usable(
    client: httpx.AsyncClient, mailbox: Mailbox, password: str, code: str
) -> None:
    session = await sign_up(client, mailbox)
    token = await granted(client, mailbox)
    refused = await reset(client, token, password)
    assert (refused.status_code, refused.json()["code"]) == (422, "password_policy")
    [error] = refused.json()["errors"]
    assert (error["pointer"], error["code"]) == ("/new_password", code)
    assert (await client.get("/v1/account", headers=bearer(session))).status_code == 200
    assert (await reset(client, token)).status_code == 200


@pytest.mark.parametrize("token", ["", "x", "\u00e9", "A" * 43, "' OR 1=1 --"])
async def test_unknown_reset_token_is_refused(
    client: httpx.AsyncClient, mailbox: Mailbox, token: str
) -> None:
    await sign_up(client, mailbox)
    await granted(client, mailbox)
    assert_refused(await reset(client, token))


@pytest.mark.parametrize("token", [None, 7, [], "x" * 257])
async def test_reset_token_of_a_wrong_shape_is_invalid_input(
    client: httpx.AsyncClient, token: object
) -> None:
    body = {"reset_token": token, "new_password": NEW_PASSWORD}
    response = await client.post("/v1/auth/password-reset", json=body)
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "/reset_token"


async def test_no_step_can_be_skipped(client: httpx.AsyncClient, mailbox: Mailbox) -> None:
    """Neither the code, the link's token nor the flow's id sets a password."""
    await sign_up(client, mailbox)
    flow_id = (await ask(client)).json()["flow_id"]
    params = (await mailbox.last(JANE)).params
    for text in (flow_id, params["code"], params["token"]):
        assert_refused(await reset(client, text))
    assert (await login(client)).status_code == 200


async def test_neither_code_nor_tokens_are_stored(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database
) -> None:
    await sign_up(client, mailbox)
    token = await granted(client, mailbox)
    flows = await rows(database, VerificationFlow)
    [stored] = [flow.reset_token_hash for flow in flows if flow.reset_token_hash]
    assert len(stored) == 32
    assert token.encode() not in stored
    assert len(token) >= 43  # 256 bits


async def test_second_grant_leaves_the_first_to_its_own_term(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    """Somebody who asks twice may use either, but the first use ends all others."""
    await sign_up(client, mailbox)
    first = await granted(client, mailbox)
    clock.now += timedelta(minutes=1)
    second = await granted(client, mailbox)
    assert first != second
    assert (await reset(client, first)).status_code == 200
    assert_refused(await reset(client, second, "Third-Anchor-9-Lantern"))


# What a reset ends


async def test_reset_ends_every_session_and_mails_a_notice(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database
) -> None:
    sessions = [await sign_up(client, mailbox), (await login(client)).json()]
    john = await sign_up(client, mailbox, "john@example.org")
    assert (await reset(client, await granted(client, mailbox))).status_code == 200
    for session in sessions:
        assert (await client.get("/v1/account", headers=bearer(session))).status_code == 401
        body = {"refresh_token": session["refresh_token"]}
        assert (await client.post("/v1/auth/refresh", json=body)).status_code == 401
    assert (await client.get("/v1/account", headers=bearer(john))).status_code == 200
    notice = await mailbox.last(JANE)
    assert notice.kind == "password_changed"
    assert NEW_PASSWORD not in str(notice.params)
    assert (await audited(database))[-1] == "password_reset"
    [event] = [each for each in await rows(database, AuditEvent) if each.action == "password_reset"]
    assert event.subject == sessions[0]["account"]["id"]


async def test_refused_reset_changes_and_mails_nothing(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    session = await sign_up(client, mailbox)
    token = await granted(client, mailbox)
    clock.now += timedelta(minutes=15)
    assert_refused(await reset(client, token))
    body = {"refresh_token": session["refresh_token"]}
    assert (await client.post("/v1/auth/refresh", json=body)).status_code == 200
    assert "password_changed" not in await kinds(mailbox)


async def test_pending_change_of_address_dies_with_the_old_password(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    """Whoever had the old password may have begun it."""
    session = await sign_up(client, mailbox)
    body = {"new_email": "evil@example.org", "password": PASSWORD}
    asked = await client.post("/v1/account/email", json=body, headers=bearer(session))
    assert asked.status_code == 202
    code = await mailbox.code("evil@example.org")
    assert (await reset(client, await granted(client, mailbox))).status_code == 200
    renewed = (await login(client, password=NEW_PASSWORD)).json()
    response = await client.post(
        "/v1/account/email/verify", json={"code": code}, headers=bearer(renewed)
    )
    assert_refused(response, "code_refused")
    me = (await client.get("/v1/account", headers=bearer(renewed))).json()
    assert me["email"] == JANE


async def test_other_codes_and_grants_die_with_the_reset(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    await sign_up(client, mailbox)
    other_grant = await granted(client, mailbox)
    clock.now += timedelta(minutes=1)
    other_flow = (await ask(client)).json()["flow_id"]
    other_code = await mailbox.code(JANE)
    clock.now += timedelta(minutes=1)
    assert (await reset(client, await granted(client, mailbox))).status_code == 200
    assert_refused(await reset(client, other_grant, "Third-Anchor-9-Lantern"))
    late = await prove(client, flow_id=other_flow, code=other_code)
    assert_refused(late, "code_refused")


async def test_resets_do_not_refill_the_budget_of_mails(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    """Five an hour, though all flows but the last are over."""
    await sign_up(client, mailbox)
    for number in range(5):
        token = await granted(client, mailbox)
        assert (await reset(client, token, f"{number}-Anchor-Lantern-x")).status_code == 200
        clock.now += timedelta(minutes=1)
    response = await ask(client)
    assert (response.status_code, response.json()["code"]) == (429, "code_cooldown")


async def test_reset_of_a_suspended_account_does_not_lift_the_suspension(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database, clock: Clock
) -> None:
    await sign_up(client, mailbox)
    async with database.transaction() as session:
        await session.execute(update(Account).values(suspended_at=clock.now))
    assert (await reset(client, await granted(client, mailbox))).status_code == 200
    assert (await login(client, password=NEW_PASSWORD)).json()["code"] == "account_suspended"


# Unknown addresses


async def test_unknown_address_gets_the_same_answer(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    await sign_up(client, mailbox)
    known, unknown = await ask(client, JANE), await ask(client, NOBODY)
    assert known.status_code == unknown.status_code == 202
    assert known.headers.keys() == unknown.headers.keys()
    for name in ("code_expires_at", "resend_available_at"):
        assert known.json()[name] == unknown.json()[name]
    assert unknown.json()["email"] == NOBODY
    again = [await ask(client, email) for email in (JANE, NOBODY) for _ in range(5)]
    assert [response.status_code for response in again] == [202, 202, 202, 202, 429] * 2
    assert again[4].headers["retry-after"] == again[9].headers["retry-after"]
    resent = []
    for response in (known, unknown):
        flow = {"flow_id": response.json()["flow_id"]}
        resent.append(await client.post("/v1/verification-codes", json=flow))
    assert [each.json()["code"] for each in resent] == ["code_cooldown"] * 2
    wrong = [
        await prove(client, flow_id=each.json()["flow_id"], code="00000000")
        for each in (known, unknown)
    ]
    assert [each.json()["code"] for each in wrong] == ["code_refused"] * 2
    assert wrong[0].json().keys() == wrong[1].json().keys()


async def test_unknown_address_is_told_so_once_a_day(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock, database: Database
) -> None:
    for pause in (timedelta(0), timedelta(hours=1), timedelta(hours=22, minutes=59, seconds=59)):
        clock.now += pause
        assert (await ask(client, NOBODY)).status_code == 202
    [notice] = await mailbox.mails(NOBODY)
    assert notice.kind == "no_account"
    assert "code" not in notice.params
    assert "token" not in notice.params
    # The others cost as much work and leave a row, but never leave the house.
    suppressed = [mail for mail in await rows(database, OutboxMail) if mail.state == "cancelled"]
    assert [mail.sealed for mail in suppressed] == [None, None]


async def test_notice_holds_nothing_that_the_sender_typed(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    await ask(client, NOBODY, return_to="/buy-now", locale="fr")
    notice = await mailbox.last(NOBODY)
    assert "buy" not in str(notice.params)
    assert notice.locale == "fr"


async def test_account_made_after_the_request_is_reset_by_the_code_its_owner_gets(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    flow_id = (await ask(client)).json()["flow_id"]
    await sign_up(client, mailbox)
    clock.now += timedelta(minutes=1)
    await client.post("/v1/verification-codes", json={"flow_id": flow_id})
    mail = await mailbox.last(JANE)
    assert mail.kind == "password_reset_code"
    proven = await prove(client, flow_id=flow_id, code=mail.params["code"])
    assert proven.json().keys() == {"reset_token", "expires_at"}


async def test_stranger_s_flow_does_not_tell_that_the_owner_went_on(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    mine = (await ask(client)).json()["flow_id"]
    theirs = (await register(client, JANE)).json()["flow_id"]
    await sign_up(client, mailbox)
    sent = len(await mailbox.mails(JANE))
    clock.now += timedelta(minutes=1)
    for flow_id in (theirs, mine):
        again = await client.post("/v1/verification-codes", json={"flow_id": flow_id})
        assert again.status_code == 202
        assert again.json()["flow_id"] == flow_id
    # The reset is the owner's to go on with; the registration that somebody else won is silent.
    assert [mail.kind for mail in await mailbox.mails(JANE)][sent:] == ["password_reset_code"]


async def test_reset_lifts_what_failed_log_ins_imposed(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    await sign_up(client, mailbox)
    for _ in range(10):
        await login(client, password=NEW_PASSWORD + "x")
    assert (await login(client)).status_code == 429
    flow_id = (await ask(client)).json()["flow_id"]
    code = await mailbox.code(JANE)
    granted = (await prove(client, flow_id=flow_id, code=code)).json()["reset_token"]
    body = {"reset_token": granted, "new_password": NEW_PASSWORD}
    assert (await client.post("/v1/auth/password-reset", json=body)).status_code == 200
    assert (await login(client, password=NEW_PASSWORD)).status_code == 200


# One purpose never serves another


async def test_link_token_alone_opens_a_reset(client: httpx.AsyncClient, mailbox: Mailbox) -> None:
    await sign_up(client, mailbox)
    await ask(client)
    link_token = (await mailbox.last(JANE)).params["token"]
    proven = await prove(client, token=link_token)
    assert proven.status_code == 200
    assert (await reset(client, proven.json()["reset_token"])).status_code == 200
    assert_refused(await prove(client, token=link_token), "code_refused")


async def test_link_of_a_reset_works_when_the_code_s_tries_are_spent(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    await sign_up(client, mailbox)
    flow_id = (await ask(client)).json()["flow_id"]
    mail = await mailbox.last(JANE)
    wrong = "00000000" if mail.params["code"] != "00000000" else "11111111"
    for _ in range(5):
        await prove(client, flow_id=flow_id, code=wrong)
    assert_refused(await prove(client, flow_id=flow_id, code=mail.params["code"]), "code_refused")
    assert (await prove(client, token=mail.params["token"])).status_code == 200


async def test_link_of_a_reset_expires_and_is_replaced_with_its_code(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    await sign_up(client, mailbox)
    flow_id = (await ask(client)).json()["flow_id"]
    first = (await mailbox.last(JANE)).params["token"]
    clock.now += 60 * SECOND
    await client.post("/v1/verification-codes", json={"flow_id": flow_id})
    second = (await mailbox.last(JANE)).params["token"]
    assert_refused(await prove(client, token=first), "code_refused")
    clock.now += timedelta(minutes=30)
    assert_refused(await prove(client, token=second), "code_refused")


async def test_reset_never_verifies_a_registration_nor_the_other_way_round(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    await sign_up(client, mailbox)
    pending = (await register(client, "john@example.org")).json()["flow_id"]
    registration = (await mailbox.last("john@example.org")).params
    asked = (await ask(client)).json()["flow_id"]
    for_reset = (await mailbox.last(JANE)).params

    for flow_id, params in ((pending, for_reset), (asked, registration)):
        crossed = await verify(client, flow_id, params["code"])
        assert_refused(crossed, "code_refused")
        crossed = await prove(client, flow_id=flow_id, token=params["token"])
        assert_refused(crossed, "code_refused")
    # A registration's code and token give no reset token, and a reset's open no session.
    registered = await verify(client, pending, registration["code"])
    assert registered.json().keys() == {"account", "session"}
    proven = await prove(client, flow_id=asked, code=for_reset["code"])
    assert proven.json().keys() == {"reset_token", "expires_at"}


async def test_pending_registration_gives_no_reset(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    await register(client)
    await ask(client)
    assert await kinds(mailbox, JANE) == ["registration_code", "no_account"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": JANE},
        {"purpose": "password_reset"},
        {"email": JANE, "purpose": "registration"},
        {"email": JANE, "purpose": "email_change"},
        {"flow_id": "01936f6e-0000-7000-8000-000000000000", "email": JANE},
        {"flow_id": "x"},
        {"email": JANE, "purpose": "password_reset", "account_id": "x"},
    ],
)
async def test_confused_request_for_a_code_is_refused(
    client: httpx.AsyncClient, mailbox: Mailbox, body: dict[str, Any]
) -> None:
    response = await client.post("/v1/verification-codes", json=body)
    assert response.status_code == 422
    assert await mailbox.mails() == []
