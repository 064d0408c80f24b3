"""A new address: proven by a code, told to the old one, and undone from there within a week."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from app.crypto import Keyring
from app.db import Database
from app.models import Account, Consent, Delivery, Edition, EmailChangeUndo, Subscriber
from app.services import newsletter_tokens, subscriptions, suppressions
from app.services.consents import Evidence, email_hash
from app.services.emails import parse_email
from app.services.newsletter_tokens import Purpose, Recipient
from app.services.subscriptions import Choice
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
from tests.newsletters import message_of

OLD, NEW, OTHER = "jane@example.org", "jane@new.example", "other@new.example"
WEEK = timedelta(days=7)
SECOND = timedelta(seconds=1)


async def ask(
    client: httpx.AsyncClient, session: dict[str, Any], email: str = NEW, password: str = PASSWORD
) -> httpx.Response:
    body = {"new_email": email, "password": password}
    return await client.post("/v1/account/email", json=body, headers=bearer(session))


async def confirm(client: httpx.AsyncClient, session: dict[str, Any], code: str) -> httpx.Response:
    return await client.post(
        "/v1/account/email/verify", json={"code": code}, headers=bearer(session)
    )


async def change(
    client: httpx.AsyncClient, mailbox: Mailbox, session: dict[str, Any], email: str = NEW
) -> str:
    """Change the address; gives the token of the undo link that the old one was mailed."""
    assert (await ask(client, session, email)).status_code == 202
    response = await confirm(client, session, await mailbox.code(email))
    assert response.status_code == 200, response.text
    notices = [mail for mail in await mailbox.mails() if mail.kind == "email_changed"]
    return notices[-1].params["token"]


async def undo(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post("/v1/account/email/undo", json={"token": token})


async def reset(client: httpx.AsyncClient, token: str) -> httpx.Response:
    body = {"reset_token": token, "new_password": NEW_PASSWORD}
    return await client.post("/v1/auth/password-reset", json=body)


async def address(client: httpx.AsyncClient, session: dict[str, Any]) -> str:
    email: str = (await client.get("/v1/account", headers=bearer(session))).json()["email"]
    return email


def assert_refused(response: httpx.Response, code: str = "code_refused", status: int = 422) -> None:
    assert (response.status_code, response.json()["code"]) == (status, code)


# The change


async def test_code_goes_to_the_new_address_and_nothing_changes_before_it_is_entered(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    session = await sign_up(client, mailbox)
    asked = await ask(client, session, "Jane@New.example")
    assert asked.status_code == 202
    assert asked.json().keys() == {"flow_id", "email", "code_expires_at", "resend_available_at"}
    assert asked.json()["email"] == "Jane@New.example"
    assert asked.json()["code_expires_at"] == "2026-11-23T12:30:00Z"
    mail = await mailbox.last("Jane@New.example")
    assert mail.kind == "email_change_code"
    assert [mail.kind for mail in await mailbox.mails(OLD)] == ["registration_code"]
    assert await address(client, session) == OLD

    changed = await confirm(client, session, mail.params["code"])
    assert (changed.status_code, changed.json()["email"]) == (200, "Jane@New.example")
    assert await address(client, session) == "Jane@New.example"
    assert (await login(client, OLD)).status_code == 401
    assert (await login(client, NEW)).status_code == 200


async def test_old_address_is_told_with_a_link_to_undo(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database
) -> None:
    session = await sign_up(client, mailbox, locale="fr")
    await change(client, mailbox, session)
    notice = await mailbox.last(OLD)
    assert (notice.kind, notice.locale) == ("email_changed", "fr")
    assert notice.params["link"] == "http://127.0.0.1:8000/undo"
    assert NEW not in str(notice.params)
    assert len(notice.params["token"]) >= 43  # 256 bits
    [stored] = await rows(database, EmailChangeUndo)
    assert notice.params["token"].encode() not in stored.token_hash
    assert (await audited(database))[-1] == "email_changed"


@pytest.mark.parametrize("password", ["Wrong-Horse-7-Battery", PASSWORD.lower()])
async def test_change_needs_the_password(
    client: httpx.AsyncClient, mailbox: Mailbox, password: str
) -> None:
    session = await sign_up(client, mailbox)
    response = await ask(client, session, password=password)
    assert_refused(response, "wrong_password", 403)
    assert [error["pointer"] for error in response.json()["errors"]] == ["/password"]
    assert await mailbox.mails(NEW) == []


@pytest.mark.parametrize("email", ["", "jane", "a@b.com\r\nBcc: v@x.org", "a@localhost"])
async def test_new_address_must_be_one(
    client: httpx.AsyncClient, mailbox: Mailbox, email: str
) -> None:
    session = await sign_up(client, mailbox)
    response = await ask(client, session, email)
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "/new_email"


@pytest.mark.parametrize(("path", "body"), [("", {"new_email": NEW}), ("/verify", {"code": "1"})])
async def test_change_needs_a_login(
    client: httpx.AsyncClient, path: str, body: dict[str, str]
) -> None:
    body = {"password": PASSWORD, **body} if not path else body
    response = await client.post(f"/v1/account/email{path}", json=body)
    assert_refused(response, "login_required", 401)


async def test_fifth_wrong_try_kills_the_code(client: httpx.AsyncClient, mailbox: Mailbox) -> None:
    session = await sign_up(client, mailbox)
    await ask(client, session)
    code = await mailbox.code(NEW)
    wrong = "00000000" if code != "00000000" else "11111111"
    for _ in range(5):
        assert_refused(await confirm(client, session, wrong))
    assert_refused(await confirm(client, session, code))
    assert await address(client, session) == OLD


async def test_fourth_wrong_try_leaves_the_code_alive(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    session = await sign_up(client, mailbox)
    await ask(client, session)
    code = await mailbox.code(NEW)
    for _ in range(4):
        await confirm(client, session, "00000000" if code != "00000000" else "11111111")
    assert (await confirm(client, session, f"{code[:4]}-{code[4:]}")).status_code == 200


@pytest.mark.parametrize(
    ("age", "status"),
    [(timedelta(minutes=29, seconds=59), 200), (timedelta(minutes=30), 422)],
)
async def test_code_is_valid_until_thirty_minutes_and_refused_at_them(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock, age: timedelta, status: int
) -> None:
    session = await sign_up(client, mailbox)
    await ask(client, session)
    clock.now += age
    body = {"refresh_token": session["refresh_token"]}
    renewed = (await client.post("/v1/auth/refresh", json=body)).json()
    assert (await confirm(client, renewed, await mailbox.code(NEW))).status_code == status


async def test_code_works_once_and_only_the_newest_request_counts(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    session = await sign_up(client, mailbox)
    await ask(client, session, NEW)
    await ask(client, session, OTHER)
    older, newest = await mailbox.code(NEW), await mailbox.code(OTHER)
    assert_refused(await confirm(client, session, older))
    assert (await confirm(client, session, newest)).status_code == 200
    assert_refused(await confirm(client, session, newest))
    assert await address(client, session) == OTHER


async def test_code_is_of_no_use_to_another_account(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    jane = await sign_up(client, mailbox)
    john = await sign_up(client, mailbox, "john@example.org")
    await ask(client, jane)
    assert_refused(await confirm(client, john, await mailbox.code(NEW)))
    await ask(client, john, OTHER)
    assert_refused(await confirm(client, john, await mailbox.code(NEW)))
    assert await address(client, john) == "john@example.org"


async def test_code_is_of_no_use_outside_the_account(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    """The mailbox alone must neither log in nor reset what it does not have yet."""
    session = await sign_up(client, mailbox)
    flow_id = (await ask(client, session)).json()["flow_id"]
    mail = await mailbox.last(NEW)
    assert "token" not in mail.params
    assert_refused(await verify(client, flow_id, mail.params["code"]))
    assert (await confirm(client, session, mail.params["code"])).status_code == 200


# A taken address


async def test_taken_address_gets_the_same_answer_and_its_owner_a_notice(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    session = await sign_up(client, mailbox)
    await sign_up(client, mailbox, "John@New.example", locale="fr")
    free = await ask(client, session, NEW)
    taken = await ask(client, session, "john@new.example")
    assert free.status_code == taken.status_code == 202
    assert free.headers.keys() == taken.headers.keys()
    assert free.json().keys() == taken.json().keys()
    assert taken.json()["email"] == "john@new.example"
    notice = await mailbox.last("John@New.example")
    assert (notice.kind, notice.locale) == ("email_taken", "fr")
    assert not {"code", "token"} & notice.params.keys()
    assert OLD not in str(notice.params)
    assert_refused(await confirm(client, session, "12345678"))


async def test_address_that_somebody_took_meanwhile_is_refused_without_a_trace(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database
) -> None:
    session = await sign_up(client, mailbox)
    await ask(client, session)
    code = await mailbox.code(NEW)
    await sign_up(client, mailbox, NEW)
    assert_refused(await confirm(client, session, code))
    assert await address(client, session) == OLD
    # Nothing changed, so the owner is neither alarmed nor given a link that ends everything.
    assert "email_changed" not in [mail.kind for mail in await mailbox.mails()]
    assert await rows(database, EmailChangeUndo) == []
    assert "email_changed" not in await audited(database)


async def test_address_that_was_given_up_can_be_registered_again(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    session = await sign_up(client, mailbox)
    await change(client, mailbox, session)
    newcomer = await sign_up(client, mailbox, OLD)
    assert newcomer["account"]["id"] != session["account"]["id"]


async def test_changes_do_not_refill_the_budget_of_mails_to_a_stranger(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    """Five an hour to one address, however many other changes are carried through between."""
    session = await sign_up(client, mailbox)
    for number in range(5):
        assert (await ask(client, session, "victim@example.org")).status_code == 202
        await change(client, mailbox, session, f"jane+{number}@example.org")
        clock.now += SECOND
    response = await ask(client, session, "victim@example.org")
    assert_refused(response, "code_cooldown", 429)
    assert len(await mailbox.mails("victim@example.org")) == 5


async def test_reset_under_way_at_the_old_address_dies_with_the_change(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    """Or whoever reads the old mailbox could still set a password."""
    session = await sign_up(client, mailbox)
    body = {"email": OLD, "purpose": "password_reset"}
    pending = (await client.post("/v1/verification-codes", json=body)).json()["flow_id"]
    pending_code = await mailbox.code(OLD)
    proven_flow = (await client.post("/v1/verification-codes", json=body)).json()["flow_id"]
    granted = (await verify(client, proven_flow, await mailbox.code(OLD))).json()["reset_token"]
    await change(client, mailbox, session)
    assert_refused(await verify(client, pending, pending_code))
    assert_refused(await reset(client, granted), "reset_token_refused")


# Undoing it


@pytest.mark.parametrize(("age", "status"), [(WEEK - SECOND, 200), (WEEK, 422)])
async def test_change_can_be_undone_for_seven_days(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock, age: timedelta, status: int
) -> None:
    token = await change(client, mailbox, await sign_up(client, mailbox))
    clock.now += age
    response = await undo(client, token)
    assert response.status_code == status
    if status != 200:
        assert_refused(response, "undo_refused")
        assert (await login(client, NEW)).status_code == 200


async def test_undo_gives_the_account_back_to_the_old_mailbox(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database
) -> None:
    session = await sign_up(client, mailbox)
    other_device = (await login(client)).json()
    token = await change(client, mailbox, session)
    undone = await undo(client, token)
    assert undone.status_code == 200
    assert undone.json().keys() == {"reset_token", "expires_at"}
    assert undone.json()["expires_at"] == "2026-11-23T12:15:00Z"

    for each in (session, other_device):
        assert (await client.get("/v1/account", headers=bearer(each))).status_code == 401
        body = {"refresh_token": each["refresh_token"]}
        assert (await client.post("/v1/auth/refresh", json=body)).status_code == 401
    for email in (OLD, NEW):  # whoever made the change knew the password
        assert (await login(client, email)).json()["code"] == "invalid_credentials"
    assert (await reset(client, undone.json()["reset_token"])).status_code == 200
    renewed = (await login(client, OLD, NEW_PASSWORD)).json()
    assert renewed["account"]["id"] == session["account"]["id"]
    assert renewed["account"]["email"] == OLD
    assert "email_change_undone" in await audited(database)


async def test_undo_works_once(client: httpx.AsyncClient, mailbox: Mailbox) -> None:
    token = await change(client, mailbox, await sign_up(client, mailbox))
    assert (await undo(client, token)).status_code == 200
    assert_refused(await undo(client, token), "undo_refused")


async def test_owner_who_lost_the_answer_can_still_set_a_password(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    token = await change(client, mailbox, await sign_up(client, mailbox))
    await undo(client, token)
    body = {"email": OLD, "purpose": "password_reset"}
    flow_id = (await client.post("/v1/verification-codes", json=body)).json()["flow_id"]
    proven = await verify(client, flow_id, await mailbox.code(OLD))
    assert (await reset(client, proven.json()["reset_token"])).status_code == 200
    assert (await login(client, OLD, NEW_PASSWORD)).status_code == 200


@pytest.mark.parametrize("token", ["", "x", "\u00e9", "A" * 43])
async def test_unknown_undo_token_is_refused(
    client: httpx.AsyncClient, mailbox: Mailbox, token: str
) -> None:
    await change(client, mailbox, await sign_up(client, mailbox))
    assert_refused(await undo(client, token), "undo_refused")


async def test_undo_survives_a_password_that_the_thief_changed_or_reset(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    token = await change(client, mailbox, await sign_up(client, mailbox))
    body = {"email": NEW, "purpose": "password_reset"}
    flow_id = (await client.post("/v1/verification-codes", json=body)).json()["flow_id"]
    proven = await verify(client, flow_id, await mailbox.code(NEW))
    assert (await reset(client, proven.json()["reset_token"])).status_code == 200
    assert (await undo(client, token)).status_code == 200
    assert (await login(client, OLD, NEW_PASSWORD)).status_code == 401


async def test_thief_can_not_undo_the_undoing(client: httpx.AsyncClient, mailbox: Mailbox) -> None:
    """Two changes in a row give the thief a link of the same kind as the owner's."""
    session = await sign_up(client, mailbox)
    owners = await change(client, mailbox, session, NEW)
    thiefs = await change(client, mailbox, session, OTHER)
    assert thiefs == (await mailbox.last(NEW)).params["token"]
    undone = await undo(client, owners)
    assert_refused(await undo(client, thiefs), "undo_refused")
    assert (await reset(client, undone.json()["reset_token"])).status_code == 200
    assert (await login(client, OLD, NEW_PASSWORD)).status_code == 200


async def test_owner_s_link_outlives_the_thief_s(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    session = await sign_up(client, mailbox)
    owners = await change(client, mailbox, session, NEW)
    thiefs = await change(client, mailbox, session, OTHER)
    assert (await undo(client, thiefs)).status_code == 200
    assert (await undo(client, owners)).status_code == 200


async def test_reset_that_the_thief_has_under_way_dies_with_the_undoing(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    token = await change(client, mailbox, await sign_up(client, mailbox))
    body = {"email": NEW, "purpose": "password_reset"}
    pending = (await client.post("/v1/verification-codes", json=body)).json()["flow_id"]
    pending_code = await mailbox.code(NEW)
    proven_flow = (await client.post("/v1/verification-codes", json=body)).json()["flow_id"]
    granted = (await verify(client, proven_flow, await mailbox.code(NEW))).json()["reset_token"]
    undone = await undo(client, token)
    assert_refused(await verify(client, pending, pending_code))
    assert_refused(await reset(client, granted), "reset_token_refused")
    assert (await reset(client, undone.json()["reset_token"])).status_code == 200


async def test_undo_after_somebody_took_the_old_address_is_refused_and_changes_nothing(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database
) -> None:
    session = await sign_up(client, mailbox)
    token = await change(client, mailbox, session)
    await sign_up(client, mailbox, OLD)
    assert_refused(await undo(client, token), "undo_refused")
    assert await address(client, session) == NEW
    assert (await login(client, NEW)).status_code == 200
    assert "email_change_undone" not in await audited(database)
    assert len(await rows(database, Account)) == 2


async def test_pending_registration_of_the_new_address_does_not_block_the_change(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    session = await sign_up(client, mailbox)
    rival = (await register(client, NEW, password=NEW_PASSWORD)).json()["flow_id"]
    rival_code = await mailbox.code(NEW)
    await change(client, mailbox, session)
    assert_refused(await verify(client, rival, rival_code))
    assert (await login(client, NEW, NEW_PASSWORD)).status_code == 401


# The newsletter


async def put_subscription(
    client: httpx.AsyncClient, session: dict[str, Any], **choice: Any
) -> dict[str, Any]:
    response = await client.put("/v1/newsletter/subscription", json=choice, headers=bearer(session))
    assert response.status_code == 200, response.text
    subscription: dict[str, Any] = response.json()
    return subscription


async def subscribe(database: Database, keyring: Keyring, email: str, clock: Clock) -> None:
    """As a visitor does, without the account."""
    proof, choice = Evidence("form"), Choice(("audio",), "fr", "daily")
    async with database.transaction() as session:
        await subscriptions.subscribe(
            session, parse_email(email), choice, proof, keyring=keyring, now=clock.now
        )


async def subscribers(database: Database) -> dict[str, tuple[str, list[str]]]:
    """State and topics by address."""
    found = await rows(database, Subscriber)
    return {each.email: (each.state, each.topics) for each in found}


async def link(database: Database, keyring: Keyring, email: str, purpose: Purpose) -> str:
    """Where a link leads in a mail that this address got."""
    [subscriber] = [each for each in await rows(database, Subscriber) if each.email == email]
    token = newsletter_tokens.make(purpose, Recipient(subscriber.id), keyring=keyring)
    return f"/v1/newsletter/{purpose}/{token}"


RUNS, LEFT = ("subscribed", ["videos"]), ("unsubscribed", ["videos"])
OWN = ("subscribed", ["audio"])


async def test_subscription_follows_the_account_and_comes_back_with_it(
    client: httpx.AsyncClient,
    mailbox: Mailbox,
    database: Database,
    keyring: Keyring,
    clock: Clock,
) -> None:
    session = await sign_up(client, mailbox)
    await put_subscription(client, session, topics=["videos"], frequency="weekly")
    clock.now += SECOND
    token = await change(client, mailbox, session)
    assert await subscribers(database) == {NEW: RUNS}
    shown = await client.get("/v1/newsletter/subscription", headers=bearer(session))
    assert (shown.json()["status"], shown.json()["frequency"]) == ("subscribed", "weekly")
    async with database.transaction() as reading:
        # No list that somebody imports may bring the old address back.
        assert await suppressions.is_suppressed(reading, OLD, keyring=keyring)
        assert not await suppressions.is_suppressed(reading, NEW, keyring=keyring)

    clock.now += SECOND
    await put_subscription(client, session, topics=["audio"])  # perhaps a thief
    assert (await undo(client, token)).status_code == 200
    assert await subscribers(database) == {OLD: RUNS}
    [subscriber] = await rows(database, Subscriber)
    assert (subscriber.frequency, subscriber.language) == ("weekly", "en")
    async with database.transaction() as reading:
        assert not await suppressions.is_suppressed(reading, OLD, keyring=keyring)
        assert await suppressions.is_suppressed(reading, NEW, keyring=keyring)


async def test_evidence_of_a_change_of_address_names_neither(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database, keyring: Keyring
) -> None:
    session = await sign_up(client, mailbox)
    await put_subscription(client, session, topics=["videos"])
    await change(client, mailbox, session)
    first, began, moved = sorted(await rows(database, Consent), key=lambda step: step.id)
    old, new = email_hash(OLD, keyring=keyring), email_hash(NEW, keyring=keyring)
    assert (moved.event, moved.email_hash, moved.details["to"]) == (
        "address_changed",
        old,
        new.hex(),
    )
    assert moved.details["successor"] == str(began.subscriber_id) != str(first.subscriber_id)
    assert moved.subscriber_id == first.subscriber_id
    assert (began.event, began.email_hash, began.details["from"]) == ("subscribed", new, old.hex())
    # The new address's evidence stands alone, for that of the old one has its own term.
    assert began.details["origin"]["source"] == first.source
    assert began.details["origin"]["details"] == first.details
    assert "@" not in f"{moved.details}{began.details}"


async def test_links_of_old_mails_leave_for_good_but_give_no_other_power(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database, keyring: Keyring
) -> None:
    session = await sign_up(client, mailbox)
    await put_subscription(client, session, topics=["videos"])
    leave = await link(database, keyring, OLD, "unsubscribe")
    preferences = await link(database, keyring, OLD, "preferences")
    await change(client, mailbox, session)
    await change(client, mailbox, session, OTHER)

    assert (await client.get(preferences)).json()["code"] == "token_refused"
    refused = await client.put(preferences, json={"topics": []})
    assert refused.json()["code"] == "token_refused"
    # The reader of the old mailbox does not learn the new address.
    assert (await client.get(leave)).json() == {"email": None, "status": "subscribed"}
    assert (await client.post(leave)).json() == {"email": None, "status": "unsubscribed"}
    assert await subscribers(database) == {OTHER: LEFT}


async def test_links_that_a_thief_was_mailed_are_void_after_the_undoing(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database, keyring: Keyring
) -> None:
    session = await sign_up(client, mailbox)
    await put_subscription(client, session, topics=["videos"])
    owners = await link(database, keyring, OLD, "unsubscribe")
    token = await change(client, mailbox, session)
    thiefs = await link(database, keyring, NEW, "unsubscribe")
    await undo(client, token)
    assert (await client.post(thiefs)).json()["status"] == "unsubscribed"
    assert await subscribers(database) == {OLD: RUNS}
    await client.post(owners)
    assert await subscribers(database) == {OLD: LEFT}


async def test_subscription_that_the_new_address_has_itself_stays_and_the_old_one_ends(
    client: httpx.AsyncClient,
    mailbox: Mailbox,
    database: Database,
    keyring: Keyring,
    clock: Clock,
) -> None:
    session = await sign_up(client, mailbox)
    await put_subscription(client, session, topics=["videos"])
    await subscribe(database, keyring, NEW, clock)
    token = await change(client, mailbox, session)
    assert await subscribers(database) == {NEW: OWN}
    await undo(client, token)
    assert await subscribers(database) == {NEW: OWN, OLD: RUNS}


async def test_change_of_address_subscribes_nobody_who_has_left_there(
    client: httpx.AsyncClient,
    mailbox: Mailbox,
    database: Database,
    keyring: Keyring,
    clock: Clock,
) -> None:
    session = await sign_up(client, mailbox)
    await put_subscription(client, session, topics=["videos"])
    await subscribe(database, keyring, NEW, clock)
    await client.post(await link(database, keyring, NEW, "unsubscribe"))
    await change(client, mailbox, session)
    assert await subscribers(database) == {NEW: ("unsubscribed", ["audio"])}


async def test_undoing_subscribes_nobody_who_was_not_subscribed_before(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database
) -> None:
    """What began at the thief's address stays there."""
    session = await sign_up(client, mailbox)
    token = await change(client, mailbox, session)
    await put_subscription(client, session, topics=["videos"])
    await undo(client, token)
    assert await subscribers(database) == {NEW: RUNS}


async def test_undoing_subscribes_nobody_who_has_left_meanwhile(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database
) -> None:
    session = await sign_up(client, mailbox)
    await put_subscription(client, session, topics=["videos"])
    token = await change(client, mailbox, session)
    await client.delete("/v1/newsletter/subscription", headers=bearer(session))
    await undo(client, token)
    assert await subscribers(database) == {}


async def test_mails_that_wait_to_be_sent_go_to_the_new_address(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database, clock: Clock
) -> None:
    session = await sign_up(client, mailbox)
    await put_subscription(client, session, topics=["videos"])
    [former] = await rows(database, Subscriber)
    made = {"kind": "edition", "frequency": "each", "topics": [], "translations": {}}
    at = {"created_at": clock.now, "updated_at": clock.now}
    cases = [
        ("sending", "pending"),
        ("sending", "leased"),
        ("paused", "deferred"),
        ("sending", "sending"),
        ("sent", "sent"),
    ]
    async with database.transaction() as writing:
        for edition_state, delivery_state in cases:
            edition = Edition(name="e", language="en", state=edition_state, **made, **at)
            edition.fanned_out_at = clock.now
            writing.add(edition)
            await writing.flush()
            ids = {"edition_id": edition.id, "subscriber_id": former.id}
            waiting = {"variant": 0, "state": delivery_state, "due_at": clock.now}
            writing.add(Delivery(**ids, **waiting, has_slot=True))
    await change(client, mailbox, session)
    [present] = await rows(database, Subscriber)
    ledger = [
        (each.state, each.subscriber_id, each.has_slot)
        for each in sorted(await rows(database, Delivery), key=lambda each: each.edition_id)
    ]
    assert ledger == [
        ("pending", present.id, False),
        # The worker that had it finds it gone.
        ("pending", present.id, False),
        ("deferred", present.id, False),
        # One that is on the wire is its worker's, and what was sent was sent to the old address.
        ("sending", former.id, True),
        ("sent", former.id, True),
    ]


async def test_editions_whose_ledger_is_being_written_miss_no_new_address(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database, clock: Clock
) -> None:
    session = await sign_up(client, mailbox)
    await put_subscription(client, session, topics=["videos"])
    [former] = await rows(database, Subscriber)
    clock.now += SECOND
    ahead, passed = UUID(int=0), UUID(int=2**128 - 1)
    cases: list[tuple[str, list[str], UUID]] = [
        ("has come to nobody", [], ahead),
        ("is for others", ["audio"], ahead),
        ("has passed her", [], passed),
    ]
    async with database.transaction() as writing:
        for name, topics, reached in cases:
            edition = edition_under_way(name, topics, reached, clock)
            writing.add(edition)
            await writing.flush()
            writing.add(message_of(edition, 0, "en"))
            if reached == passed:
                writing.add(
                    Delivery(
                        edition_id=edition.id,
                        subscriber_id=former.id,
                        variant=0,
                        due_at=clock.now,
                        state="sent",
                    )
                )
    token = await change(client, mailbox, session)
    [present] = await rows(database, Subscriber)
    assert await on_their_way(database) == {
        ("has come to nobody", present.id, "pending"),
        ("has passed her", former.id, "sent"),
    }
    await undo(client, token)
    [restored] = await rows(database, Subscriber)
    assert ("has come to nobody", restored.id, "pending") in await on_their_way(database)


def edition_under_way(name: str, topics: list[str], reached: UUID, clock: Clock) -> Edition:
    return Edition(
        name=name,
        topics=topics,
        fanned_out_to=reached,
        kind="edition",
        frequency="each",
        language="en",
        translations={},
        state="paused",
        started_at=clock.now,
        created_at=clock.now,
        updated_at=clock.now,
    )


async def on_their_way(database: Database) -> set[tuple[str, UUID, str]]:
    names = {each.id: each.name for each in await rows(database, Edition)}
    entries = await rows(database, Delivery)
    return {(names[each.edition_id], each.subscriber_id, each.state) for each in entries}
