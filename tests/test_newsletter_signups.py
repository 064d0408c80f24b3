"""Visitors: one answer for every address, one mail a day, and nothing without its owner's press."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import event

from app.crypto import Keyring
from app.db import Database
from app.models import Consent, OutboxMail, Signup, Subscriber, Suppression
from app.services import consent_texts, mails, newsletter_tokens, subscriptions, suppressions
from app.services.consents import Evidence
from app.services.emails import parse_email
from app.services.subscriptions import Choice
from tests.helpers import Api, Clock, Mail, Mailbox, bearer, rows, sign_up

SIGNUPS = "/v1/newsletter/subscriptions"
CONFIRM = f"{SIGNUPS}/confirm"
SUBSCRIPTION = "/v1/newsletter/subscription"
JANE = "jane@example.org"
WEB_PAGE = Evidence("test")
# Whatever a stranger might want others to read.
TYPED = re.compile("audio|weekly|consent-me|evil", re.IGNORECASE)


async def ask(client: httpx.AsyncClient, email: str = JANE, **fields: Any) -> httpx.Response:
    response = await client.post(SIGNUPS, json={"email": email, **fields})
    assert response.status_code == 202, response.text
    return response


async def confirm(client: httpx.AsyncClient, mail: Mail) -> httpx.Response:
    return await client.post(CONFIRM, json={"token": mail.params["token"]})


def assert_refused(response: httpx.Response) -> None:
    assert (response.status_code, response.json()["code"]) == (422, "confirmation_refused")


async def subscribe(database: Database, keyring: Keyring, clock: Clock, email: str) -> Subscriber:
    everything = Choice((), "fr", "each")
    async with database.transaction() as session:
        return await subscriptions.subscribe(
            session, parse_email(email), everything, WEB_PAGE, keyring=keyring, now=clock.now
        )


# From the form to the subscription


async def test_nothing_is_subscribed_before_the_mailed_link_is_pressed(
    app: FastAPI,
    client: httpx.AsyncClient,
    mailbox: Mailbox,
    database: Database,
    keyring: Keyring,
    clock: Clock,
) -> None:
    form_sent = clock.now
    async with Api(app, network="192.0.2.9") as visitor:
        visitor.headers["User-Agent"] = "the form's browser"
        wishes = {"topics": ["videos", "audio"], "language": "fr", "frequency": "weekly"}
        version = consent_texts.CURRENT
        answer = await ask(visitor, "Jane@example.org", **wishes, consent_text_version=version)
    assert answer.json() == {
        "email": "Jane@example.org",
        "link_lifetime": 7 * 24 * 3600,
        "mail_interval": 24 * 3600,
    }
    assert answer.headers["cache-control"] == "no-store"
    assert await rows(database, Subscriber) == []
    assert await rows(database, Consent) == []
    [mail] = await mailbox.mails()
    assert (mail.kind, mail.to, mail.locale) == ("newsletter_confirm", "Jane@example.org", "fr")
    [signup] = await rows(database, Signup)
    token = mail.params["token"]
    assert token not in str(vars(signup))
    assert signup.token_hash == keyring.digest("newsletter-signup", token)
    clock.now += timedelta(minutes=5)
    client.headers["User-Agent"] = "the mailbox's browser"
    confirmed = await confirm(client, mail)
    assert confirmed.status_code == 200
    subscription = confirmed.json()
    [subscriber] = await rows(database, Subscriber)
    own = newsletter_tokens.read(
        "preferences", subscription.pop("preferences_token"), keyring=keyring
    )
    assert own.subscriber_id == subscriber.id
    assert subscription == {
        **wishes,
        "topics": ["audio", "videos"],
        "status": "subscribed",
        "subscribed_at": "2026-11-23T12:05:00Z",
        "ended_at": None,
    }
    assert subscriber.email == "Jane@example.org"
    by_event = {row.event: row for row in await rows(database, Consent)}
    assert sorted(by_event) == ["requested", "subscribed"]
    requested, subscribed = by_event["requested"], by_event["subscribed"]
    assert requested.occurred_at == form_sent
    assert (requested.network, requested.user_agent) == ("192.0.2.9/32", "the form's browser")
    assert (requested.source, requested.text_version, requested.locale) == ("form", version, "fr")
    assert subscribed.occurred_at == clock.now
    assert subscribed.network not in {None, "192.0.2.9/32"}
    assert subscribed.user_agent == "the mailbox's browser"
    assert (subscribed.source, subscribed.text_version) == ("link", version)
    proof = {
        "proof": "double_opt_in",
        "requested_at": "2026-11-23T12:00:00+00:00",
        "requested_from": "192.0.2.9/32",
        "mailed_at": "2026-11-23T12:00:00+00:00",
        "confirmed_at": "2026-11-23T12:05:00+00:00",
    }
    assert subscribed.details == proof | wishes | {"topics": ["audio", "videos"]}


async def test_link_works_for_seven_days_and_not_a_moment_longer(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    for email in (JANE, "john@example.org"):
        await ask(client, email)
    asked = clock.now
    clock.now = asked + timedelta(days=7)
    assert_refused(await confirm(client, await mailbox.last(JANE)))
    clock.now = asked + timedelta(days=6, hours=23, minutes=59, seconds=59)
    assert (await confirm(client, await mailbox.last("john@example.org"))).status_code == 200
    clock.now = asked + timedelta(days=7)
    assert_refused(await confirm(client, await mailbox.last("john@example.org")))
    for forged in ("", "x" * 256, "é\u2028"):
        assert_refused(await client.post(CONFIRM, json={"token": forged}))


async def test_link_pressed_twice_subscribes_once_and_never_undoes_a_leaving(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database, keyring: Keyring, clock: Clock
) -> None:
    await ask(client)
    mail = await mailbox.last(JANE)
    first = await confirm(client, mail)
    clock.now += timedelta(days=1)
    assert (await confirm(client, mail)).json() == first.json()
    assert len(await rows(database, Consent)) == 2
    async with database.transaction() as session:
        subscriber = await subscriptions.find(session, JANE)
        assert subscriber is not None
        await subscriptions.unsubscribe(
            session, subscriber, WEB_PAGE, keyring=keyring, now=clock.now
        )
    again = await confirm(client, mail)
    assert (again.status_code, again.json()["status"]) == (200, "unsubscribed")
    async with database.transaction() as session:
        await session.delete(await session.merge(subscriber))
    assert_refused(await confirm(client, mail))
    assert await rows(database, Subscriber) == []


async def test_link_leaves_a_subscription_alone_that_has_begun_meanwhile(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database
) -> None:
    """A stranger may have filled in the form."""
    await ask(client, topics=["audio"], frequency="weekly")
    mail = await mailbox.last(JANE)
    account = bearer(await sign_up(client, mailbox, JANE))
    chosen = await client.put(SUBSCRIPTION, json={"topics": ["videos"]}, headers=account)
    confirmed = (await confirm(client, mail)).json()
    assert chosen.json() == {name: confirmed[name] for name in chosen.json()}
    assert [row.source for row in await rows(database, Consent)] == ["account"]


# Who may be mailed what, and when


async def test_second_mail_goes_after_a_day_and_what_the_first_promised_stays(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock
) -> None:
    await ask(client, topics=["audio"])
    clock.now += timedelta(hours=23, minutes=59, seconds=59)
    await ask(client, "JANE@example.org", topics=["videos"], language="fr")
    [first] = await mailbox.mails()
    assert (await confirm(client, first)).json()["topics"] == ["audio"]
    await ask(client, "john@example.org")
    clock.now += timedelta(days=1)
    await ask(client, "john@example.org", topics=["videos"])
    old, new = await mailbox.mails("john@example.org")
    assert_refused(await confirm(client, old))
    assert (await confirm(client, new)).json()["topics"] == ["videos"]


async def test_subscriber_is_told_so_in_the_stored_spelling_and_language(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database, keyring: Keyring, clock: Clock
) -> None:
    subscriber = await subscribe(database, keyring, clock, "Jane@example.org")
    await ask(client, "jANE@example.org", language="en", topics=["audio"])
    [mail] = await mailbox.mails()
    assert (mail.kind, mail.to, mail.locale) == ("newsletter_already", "Jane@example.org", "fr")
    own = newsletter_tokens.read("preferences", mail.params["token"], keyring=keyring)
    assert own.subscriber_id == subscriber.id
    assert mail.params["link"].endswith("/newsletter/preferences")
    assert_refused(await confirm(client, mail))
    [unchanged] = await rows(database, Subscriber)
    assert unchanged.topics == []


@pytest.mark.parametrize(
    ("reason", "mails_sent"),
    [("hard_bounce", 1), ("erased", 1), ("editor", 1), ("complaint", 0)],
)
async def test_suppressed_address_comes_back_by_its_mailbox_unless_it_complained(
    client: httpx.AsyncClient,
    mailbox: Mailbox,
    database: Database,
    keyring: Keyring,
    clock: Clock,
    reason: suppressions.Reason,
    mails_sent: int,
) -> None:
    async with database.transaction() as session:
        await suppressions.add(session, JANE, reason, keyring=keyring, now=clock.now)
    await ask(client)
    assert len(await rows(database, Suppression)) == 1
    found = await mailbox.mails()
    assert len(found) == mails_sent
    for mail in found:
        assert (await confirm(client, mail)).json()["status"] == "subscribed"
        assert await rows(database, Suppression) == []


@pytest.mark.parametrize("accepted", ["fr-CA, en;q=0.5", "en"])
async def test_mail_reads_as_its_reader_does_and_holds_nothing_that_was_typed(
    client: httpx.AsyncClient, mailbox: Mailbox, accepted: str
) -> None:
    client.headers.update({"Accept-Language": accepted, "User-Agent": "evil/1.0"})
    fields = {"topics": ["audio"], "frequency": "weekly"}
    await ask(client, "consent-me@evil.example", **fields)
    [mail] = await mailbox.mails()
    language = accepted[:2]
    assert mail.locale == language
    rendered = mails.render(mail.kind, mail.locale, mail.params, site="https://app.example")
    assert rendered.language == language
    assert consent_texts.current(language) in rendered.text
    link = f"{mail.params['link']}#token={mail.params['token']}"
    assert f"\n{link}\n" in rendered.text
    assert mail.params["link"] == "http://127.0.0.1:8000/newsletter/confirm"
    for text in (rendered.subject, rendered.text.replace(link, ""), rendered.html):
        assert not TYPED.search(text.replace(mail.params["token"], ""))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"email": "jane"}, "invalid_email"),
        ({"email": JANE, "topics": ["nothing"]}, "unknown_topic"),
        ({"email": JANE, "consent_text_version": "1"}, "unknown_consent_text"),
        ({"email": JANE, "language": "de"}, "invalid_input"),
        ({"email": JANE, "name": "Jane"}, "unknown_field"),
    ],
)
async def test_form_that_is_not_filled_in_right_mails_nobody(
    client: httpx.AsyncClient, database: Database, body: dict[str, Any], code: str
) -> None:
    refused = await client.post(SIGNUPS, json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, code)
    assert await rows(database, Signup) == []
    assert await rows(database, OutboxMail) == []


# What others can see


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """What is sent to the database meanwhile, but for the savepoints, which are numbered."""
    seen: list[str] = []

    def note(*args: Any) -> None:
        if "SAVEPOINT" not in args[2]:
            seen.append(args[2])

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    yield seen
    event.remove(database.engine.sync_engine, "before_cursor_execute", note)


async def test_answer_and_work_are_the_same_for_every_address(
    client: httpx.AsyncClient, database: Database, keyring: Keyring, clock: Clock
) -> None:
    addresses = {
        standing: f"{standing}@example.org" for standing in ("none", "here", "left", "hurt", "lost")
    }
    for standing in ("here", "left", "hurt", "lost"):
        subscriber = await subscribe(database, keyring, clock, addresses[standing])
        options: dict[str, Any] = {"keyring": keyring, "now": clock.now}
        async with database.transaction() as session:
            subscriber = await session.merge(subscriber)
            if standing == "left":
                await subscriptions.unsubscribe(session, subscriber, WEB_PAGE, **options)
            if standing in {"hurt", "lost"}:
                reason: Any = "complaint" if standing == "hurt" else "hard_bounce"
                await subscriptions.suppress(session, subscriber, reason, WEB_PAGE, **options)
    answers, work = [], []
    for email in [*addresses.values(), *addresses.values()]:  # first ones, and those too soon
        with statements(database) as seen:
            answer = await ask(client, email)
        del answer.headers["x-request-id"], answer.headers["ratelimit"]
        assert answer.json() == {"email": email, "link_lifetime": 604800, "mail_interval": 86400}
        answers.append(answer.headers.multi_items())
        work.append(seen)
    assert all(headers == answers[0] for headers in answers)
    # Whoever lets us write to strangers is counted like whoever logs in.
    assert '"auth";q=60;w=60' in dict(answers[0])["ratelimit-policy"]
    assert len({tuple(each) for each in work}) == 1
    assert len(work[0]) > 4
    assert len(await rows(database, OutboxMail)) == 10


async def test_twenty_requests_at_once_send_one_mail_and_two_presses_make_one_subscription(
    live_app: FastAPI,
    live_client: httpx.AsyncClient,
    live_mailbox: Mailbox,
    live_database: Database,
) -> None:
    live_app.state.deployment = replace(live_app.state.deployment, limits_on=True)
    await asyncio.gather(*[ask(live_client, f"{'jJ'[n % 2]}ane@example.org") for n in range(20)])
    assert len(await rows(live_database, OutboxMail)) == 20
    [mail] = await live_mailbox.mails()
    pressed = await asyncio.gather(*[confirm(live_client, mail) for _ in range(10)])
    assert {answer.status_code for answer in pressed} == {200}
    assert len({answer.text for answer in pressed}) == 1
    consents = await rows(live_database, Consent)
    assert sorted(row.event for row in consents) == ["requested", "subscribed"]


async def test_load_tests_may_ask_as_often_as_they_like(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    app.state.deployment = replace(app.state.deployment, limits_on=False)
    for _ in range(2):
        await ask(client)
    assert len(await mailbox.mails()) == 2
