from datetime import timedelta

import httpx
import pytest
from sqlalchemy import func, select

from app.db import Database
from app.models import Account, VerificationFlow
from tests.helpers import (
    NEW_PASSWORD,
    PASSWORD,
    Clock,
    Mailbox,
    bearer,
    login,
    register,
    sign_up,
    verify,
)


async def count(database: Database, table: type) -> int:
    async with database.transaction() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


async def test_registering_makes_no_account_until_the_code_is_entered(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database
) -> None:
    response = await register(client, "Jane@Example.org")
    assert response.status_code == 202
    body = response.json()
    assert body["email"] == "Jane@Example.org"
    assert body["code_expires_at"] == "2026-11-23T12:30:00Z"
    assert body["resend_available_at"] == "2026-11-23T12:01:00Z"
    assert await count(database, Account) == 0
    assert (await login(client)).json()["code"] == "invalid_credentials"

    response = await verify(client, body["flow_id"], await mailbox.code("Jane@Example.org"))
    assert response.status_code == 200
    assert response.json()["account"]["email"] == "Jane@Example.org"
    me = await client.get("/v1/account", headers=bearer(response.json()["session"]))
    assert me.json()["email"] == "Jane@Example.org"
    assert me.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("age", "status"),
    [(timedelta(minutes=29, seconds=59), 200), (timedelta(minutes=30), 422)],
)
async def test_code_is_valid_until_thirty_minutes_and_refused_at_them(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock, age: timedelta, status: int
) -> None:
    flow_id = (await register(client)).json()["flow_id"]
    clock.now += age
    response = await verify(client, flow_id, await mailbox.code("jane@example.org"))
    assert response.status_code == status


async def test_code_may_be_grouped_by_spaces_and_hyphens(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    flow_id = (await register(client)).json()["flow_id"]
    code = await mailbox.code("jane@example.org")
    assert len(code) == 8
    assert (await verify(client, flow_id, f" {code[:4]} - {code[4:]}")).status_code == 200


async def test_code_in_other_digits_is_refused(client: httpx.AsyncClient, mailbox: Mailbox) -> None:
    flow_id = (await register(client)).json()["flow_id"]
    code = await mailbox.code("jane@example.org")
    arabic = code.translate({ord("0") + i: 0x0660 + i for i in range(10)})
    full_width = code.translate({ord("0") + i: 0xFF10 + i for i in range(10)})
    for text in (arabic, full_width, code + "\n"):
        response = await verify(client, flow_id, text)
        assert (response.status_code, response.json()["code"]) == (422, "code_refused")


async def test_fifth_wrong_try_kills_the_code_but_not_the_link(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    flow_id = (await register(client)).json()["flow_id"]
    mail = await mailbox.last("jane@example.org")
    wrong = "00000000" if mail.params["code"] != "00000000" else "11111111"
    for _ in range(5):
        assert (await verify(client, flow_id, wrong)).json()["code"] == "code_refused"
    assert (await verify(client, flow_id, mail.params["code"])).status_code == 422
    by_link = {"flow_id": flow_id, "token": mail.params["token"]}
    assert (await client.post("/v1/verification-codes/verify", json=by_link)).status_code == 200


async def test_fourth_wrong_try_leaves_the_code_alive(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    flow_id = (await register(client)).json()["flow_id"]
    code = await mailbox.code("jane@example.org")
    for _ in range(4):
        await verify(client, flow_id, "00000000" if code != "00000000" else "11111111")
    assert (await verify(client, flow_id, code)).status_code == 200


async def test_code_works_once(client: httpx.AsyncClient, mailbox: Mailbox) -> None:
    flow_id = (await register(client)).json()["flow_id"]
    code = await mailbox.code("jane@example.org")
    assert (await verify(client, flow_id, code)).status_code == 200
    assert (await verify(client, flow_id, code)).json()["code"] == "code_refused"


async def test_code_of_another_flow_is_refused(client: httpx.AsyncClient, mailbox: Mailbox) -> None:
    mine = (await register(client, "a@example.org")).json()["flow_id"]
    await register(client, "b@example.org")
    assert (await verify(client, mine, await mailbox.code("b@example.org"))).status_code == 422


async def test_new_code_kills_the_older_one(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    flow_id = (await register(client)).json()["flow_id"]
    first = await mailbox.code("jane@example.org")
    clock.now += timedelta(seconds=60)
    response = await client.post("/v1/verification-codes", json={"flow_id": flow_id})
    assert response.status_code == 202
    assert response.json()["flow_id"] == flow_id
    second = await mailbox.code("jane@example.org")
    assert (await verify(client, flow_id, first)).status_code == 422
    assert (await verify(client, flow_id, second)).status_code == 200


async def test_new_code_must_wait_sixty_seconds(client: httpx.AsyncClient, clock: Clock) -> None:
    flow_id = (await register(client)).json()["flow_id"]
    clock.now += timedelta(seconds=59)
    response = await client.post("/v1/verification-codes", json={"flow_id": flow_id})
    assert (response.status_code, response.json()["code"]) == (429, "code_cooldown")
    assert response.headers["retry-after"] == "1"


async def test_five_mails_an_hour_and_then_never_none(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    for _ in range(5):
        assert (await register(client)).status_code == 202
        clock.now += timedelta(minutes=1)
    refused = await register(client)
    assert (refused.status_code, refused.json()["code"]) == (429, "code_cooldown")
    assert refused.headers["retry-after"] == str(55 * 60)
    clock.now += timedelta(minutes=55)
    assert (await register(client)).status_code == 202
    assert len(await mailbox.mails("jane@example.org")) == 6


async def test_link_on_another_device_needs_the_password_that_was_chosen(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    await register(client)
    token = (await mailbox.last("jane@example.org")).params["token"]
    verify_path = "/v1/verification-codes/verify"
    missing = await client.post(verify_path, json={"token": token})
    assert (missing.status_code, missing.json()["code"]) == (422, "password_required")
    wrong = await client.post(verify_path, json={"token": token, "password": NEW_PASSWORD})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "code_refused")
    right = await client.post(verify_path, json={"token": token, "password": PASSWORD})
    assert right.status_code == 200


async def test_owner_of_a_known_address_gets_a_notice_instead_of_a_code(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    await sign_up(client, mailbox, "Jane@example.org")
    known = await register(client, "jane@example.org")
    unknown = await register(client, "john@example.org")
    assert known.status_code == unknown.status_code == 202
    assert known.json().keys() == unknown.json().keys()
    assert known.headers.keys() == unknown.headers.keys()
    notice = await mailbox.last("Jane@example.org")  # the stored spelling, not the typed one
    assert notice.kind == "account_exists"
    assert "code" not in notice.params


async def test_activation_drops_the_rivals_of_an_address(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database
) -> None:
    first = (await register(client, password=NEW_PASSWORD)).json()["flow_id"]
    first_code = await mailbox.code("jane@example.org")
    await sign_up(client, mailbox)
    assert (await verify(client, first, first_code)).json()["code"] == "code_refused"
    assert (await login(client, password=NEW_PASSWORD)).status_code == 401
    assert (await login(client)).status_code == 200
    async with database.transaction() as session:
        flows = list(await session.scalars(select(VerificationFlow)))
    assert [(flow.password_hash, flow.profile) for flow in flows] == [(None, {})] * 2


async def test_pending_password_does_not_outlive_the_activation(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database
) -> None:
    await sign_up(client, mailbox, full_name="Jane Doe", country="BE")
    async with database.transaction() as session:
        flow = (await session.scalars(select(VerificationFlow))).one()
        account = (await session.scalars(select(Account))).one()
    assert (flow.password_hash, flow.profile) == (None, {})
    assert (account.full_name, account.country) == ("Jane Doe", "BE")


@pytest.mark.parametrize(
    ("password", "codes"),
    [
        ("Short-7-pass", []),
        ("Shorter-7-x", ["password_too_short"]),
        ("a" * 60, ["uppercase", "number", "symbol", "common"]),
        ("Correct Horse-7", ["password_has_space"]),
        ("Correct\u00a0Horse-7", ["password_has_space"]),
        ("correct-horse-7", ["password_needs_uppercase"]),
        ("CORRECT-HORSE-7", ["password_needs_lowercase"]),
        ("Correct-Horse-x", ["password_needs_number"]),
        ("CorrectHorse77x", ["password_needs_symbol"]),
        ("Password12345!", ["password_too_common"]),
        ("P@ssw0rd-12345", ["password_too_common"]),
        ("My-jane.doe-77", ["password_contains_email"]),
        ("Ab1-" + "xyzw" * 31, []),
        ("Ab1-" + "xyzw" * 31 + "q", ["password_too_long"]),
        ("Ab1-" + "\U0001f600" * 124, []),
        ("Zürich-Öl-47x", []),
    ],
)
async def test_password_policy_names_each_rule_that_is_broken(
    client: httpx.AsyncClient, password: str, codes: list[str]
) -> None:
    response = await register(client, "jane.doe@mail.example", password=password)
    if not codes:
        assert response.status_code == 202, response.text
        return
    assert (response.status_code, response.json()["code"]) == (422, "password_policy")
    errors = response.json()["errors"]
    assert all(error["pointer"] == "/password" for error in errors)
    assert len(errors) == len(codes)
    for error, code in zip(errors, codes, strict=True):
        assert error["code"].endswith(code)


async def test_password_policy_is_public_data(client: httpx.AsyncClient) -> None:
    policy = (await client.get("/v1/auth/password-policy")).json()
    assert (policy["min_length"], policy["max_length"]) == (12, 128)
    assert {rule["code"] for rule in policy["rules"]} >= {
        "password_too_short",
        "password_has_space",
    }


@pytest.mark.parametrize(
    "email",
    [
        "a@b.com\r\nBcc: v@x.org",
        "<a@b.com>",
        "a@b.com ",
        "a@localhost",
        "a" * 65 + "@b.com",
        "a@" + "b" * 64 + ".com",
        "a@b,c@d.com",
        "a@1.2.3.4",
        "a\u200b@b.com",
        "@b.com",
        "a..b@b.com",
    ],
)
async def test_what_is_no_address_is_refused(client: httpx.AsyncClient, email: str) -> None:
    response = await register(client, email)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_email")
    assert response.json()["errors"][0]["pointer"] == "/email"


@pytest.mark.parametrize(
    ("stored", "typed"),
    [
        ("jane@example.org", "JANE@EXAMPLE.ORG"),
        ("jane@b\u00fccher.example", "jane@xn--bcher-kva.example"),
        ("j\u00fcrgen@example.org", "ju\u0308rgen@example.org"),
    ],
)
async def test_spellings_of_one_address_are_one_account(
    client: httpx.AsyncClient, mailbox: Mailbox, stored: str, typed: str
) -> None:
    await sign_up(client, mailbox, stored)
    assert (await login(client, typed)).status_code == 200


async def test_look_alike_address_is_another_account(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    await sign_up(client, mailbox, "jane@example.org")
    cyrillic = "j\u0430ne@example.org"
    assert (await login(client, cyrillic)).status_code == 401


@pytest.mark.parametrize(
    "return_to",
    [
        "//evil.example",
        "/\\evil.example",
        "https:evil.example",
        "https:/evil.example",
        "https://user@portal.example",
        "https://portal.example@evil.example/",
        "https://portal.example.evil.example/",
        "https://portal.example:8443/",
        "http://portal.example/",
        "https://evil.example/https://portal.example",
        "/\t/evil.example",
        "\t//evil.example",
        "/a\nb",
        "javascript:alert(1)",
        "https://portal.example\\@evil.example",
        "",
        "videos",
    ],
)
async def test_return_to_never_leaves_for_a_stranger(
    client: httpx.AsyncClient, return_to: str
) -> None:
    response = await register(client, return_to=return_to)
    assert (response.status_code, response.json()["code"]) == (422, "return_to_not_allowed")


@pytest.mark.parametrize(
    "return_to", ["/", "/videos/harbour?x=1#top", "https://portal.example/videos"]
)
async def test_return_to_our_own_pages_is_fine(client: httpx.AsyncClient, return_to: str) -> None:
    assert (await register(client, return_to=return_to)).status_code == 202


@pytest.mark.parametrize(
    "name", ["Jane\r\nBcc: x@y.org", "a\u2028b", "a\u202eb", "a\u0085b", "", "x" * 201]
)
async def test_name_must_be_one_visible_line(client: httpx.AsyncClient, name: str) -> None:
    response = await register(client, full_name=name)
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "/full_name"
