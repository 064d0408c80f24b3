"""An account's subscription, and what every subscription keeps: its one row and its evidence."""

import asyncio
from datetime import timedelta
from hashlib import sha256
from typing import Any

import httpx
import pytest
from sqlalchemy import update
from sqlalchemy.exc import DBAPIError

from app.crypto import Keyring
from app.db import Database
from app.models import Consent, Subscriber, Suppression
from app.services import consent_texts, consents, languages, subscriptions, suppressions
from app.services.consents import Evidence
from app.services.emails import EmailAddress
from app.services.subscriptions import Choice
from tests.helpers import Clock, Mailbox, bearer, rows, sign_up

SUBSCRIPTION = "/v1/newsletter/subscription"
JANE = "jane@example.org"
ADDRESS = EmailAddress("Jane@example.org", JANE)
ALL = Choice((), "en", "each")
BOUNCED = Evidence("bounce")
LINK = Evidence("one_click", network="192.0.2.7")


@pytest.fixture
async def account(client: httpx.AsyncClient, mailbox: Mailbox) -> httpx.AsyncClient:
    client.headers.update(
        bearer(await sign_up(client, mailbox, "Jane@example.org", locale="fr-CA"))
    )
    return client


async def put(account: httpx.AsyncClient, **wishes: Any) -> dict[str, Any]:
    response = await account.put(SUBSCRIPTION, json=wishes)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def events(database: Database) -> list[str]:
    """Of the evidence, oldest first."""
    return [each.event for each in sorted(await rows(database, Consent), key=lambda row: row.id)]


# By an account


async def test_one_click_gives_what_was_shown_before_it(
    account: httpx.AsyncClient, database: Database, clock: Clock
) -> None:
    shown = await account.get(SUBSCRIPTION)
    assert shown.headers["cache-control"] == "no-store"
    assert shown.json() == {
        "status": "unsubscribed",
        "topics": [],
        "language": "fr",
        "frequency": "each",
        "subscribed_at": None,
        "ended_at": None,
    }
    subscribed = await put(account)
    began = {"status": "subscribed", "subscribed_at": "2026-11-23T12:00:00Z"}
    assert subscribed == shown.json() | began == (await account.get(SUBSCRIPTION)).json()
    [subscriber] = await rows(database, Subscriber)
    assert (subscriber.email, subscriber.email_key) == ("Jane@example.org", JANE)
    assert subscriber.domain == "example.org"
    [evidence] = await rows(database, Consent)
    assert (evidence.event, evidence.source, evidence.locale) == ("subscribed", "account", "fr")
    assert evidence.occurred_at == clock.now
    assert evidence.network is not None
    assert evidence.user_agent is not None
    assert evidence.details == {
        "proof": "verified_account",
        "topics": [],
        "language": "fr",
        "frequency": "each",
    }


async def test_what_is_not_named_stays_as_it_was_chosen(
    account: httpx.AsyncClient, database: Database, clock: Clock
) -> None:
    version = consent_texts.CURRENT
    chosen = await put(account, topics=["videos", "audio", "videos"], consent_text_version=version)
    assert chosen["topics"] == ["audio", "videos"]
    clock.now += timedelta(minutes=2)
    weekly = await put(account, frequency="weekly")
    assert weekly == chosen | {"frequency": "weekly"}
    assert await put(account, frequency="weekly") == await put(account) == weekly
    assert await events(database) == ["subscribed", "changed"]
    first, change = sorted(await rows(database, Consent), key=lambda row: row.id)
    assert (first.text_version, change.text_version) == (version, None)
    before = {"topics": ["audio", "videos"], "language": "fr", "frequency": "each"}
    after = before | {"frequency": "weekly"}
    assert change.details == {"proof": "verified_account", "before": before, "after": after}
    assert (await put(account, topics=[]))["topics"] == []


async def test_leaving_is_noted_once_and_a_return_begins_anew(
    account: httpx.AsyncClient, database: Database, clock: Clock
) -> None:
    assert (await account.delete(SUBSCRIPTION)).status_code == 204
    assert await rows(database, Subscriber) == []
    await put(account, topics=["audio"])
    clock.now += timedelta(minutes=2)
    for _ in range(2):
        assert (await account.delete(SUBSCRIPTION)).status_code == 204
        clock.now += timedelta(minutes=2)
    left = (await account.get(SUBSCRIPTION)).json()
    assert (left["status"], left["topics"]) == ("unsubscribed", ["audio"])
    assert left["ended_at"] == "2026-11-23T12:02:00Z"
    back = await put(account)
    assert back == left | {
        "status": "subscribed",
        "subscribed_at": "2026-11-23T12:06:00Z",
        "ended_at": None,
    }
    assert await events(database) == ["subscribed", "unsubscribed", "subscribed"]


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        ({"topics": ["videos", "nothing"]}, "unknown_topic", "/topics/1"),
        ({"consent_text_version": "2020-01-01"}, "unknown_consent_text", "/consent_text_version"),
        ({"frequency": "hourly"}, "invalid_input", "/frequency"),
        ({"language": "de"}, "invalid_input", "/language"),
        ({"topics": None}, "invalid_input", "/topics"),
        ({"email": "john@example.org"}, "unknown_field", "/email"),
    ],
)
async def test_wish_that_cannot_be_met_changes_nothing(
    account: httpx.AsyncClient, database: Database, body: dict[str, Any], code: str, pointer: str
) -> None:
    refused = await account.put(SUBSCRIPTION, json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, code)
    assert [error["pointer"] for error in refused.json()["errors"]] == [pointer]
    assert await rows(database, Subscriber) == []


async def test_account_finds_the_subscription_of_its_address_and_lifts_its_suppression(
    account: httpx.AsyncClient, database: Database, keyring: Keyring, clock: Clock
) -> None:
    async with database.transaction() as session:
        subscriber = await subscriptions.subscribe(
            session, ADDRESS, ALL, LINK, keyring=keyring, now=clock.now
        )
        subscriber.email = "JANE@example.org"  # as somebody else spelled it
        subscriber.bounce_score, subscriber.bounced_at = 4.5, clock.now
        await subscriptions.suppress(
            session, subscriber, "complaint", BOUNCED, keyring=keyring, now=clock.now
        )
    assert (await account.get(SUBSCRIPTION)).json()["status"] == "suppressed"
    assert (await put(account))["status"] == "subscribed"
    assert await rows(database, Suppression) == []
    [again] = await rows(database, Subscriber)
    assert (again.id, again.email) == (subscriber.id, "Jane@example.org")
    assert (again.bounce_score, again.bounced_at) == (0, None)
    assert await events(database) == ["subscribed", "suppressed", "subscribed"]


async def test_twenty_clicks_at_once_are_one_subscription_with_one_piece_of_evidence(
    live_client: httpx.AsyncClient, live_mailbox: Mailbox, live_database: Database
) -> None:
    live_client.headers.update(bearer(await sign_up(live_client, live_mailbox, JANE)))
    answers = await asyncio.gather(*[live_client.put(SUBSCRIPTION, json={}) for _ in range(20)])
    assert {answer.status_code for answer in answers} == {200}
    assert len(await rows(live_database, Subscriber)) == 1
    assert await events(live_database) == ["subscribed"]
    left = await asyncio.gather(*[live_client.delete(SUBSCRIPTION) for _ in range(5)])
    assert {answer.status_code for answer in left} == {204}
    assert await events(live_database) == ["subscribed", "unsubscribed"]


# The service, without the account's lock around it


async def test_constraint_decides_between_ways_to_subscribe_at_once(
    live_database: Database, keyring: Keyring, clock: Clock
) -> None:
    async def subscribe(source: str) -> bytes:
        async with live_database.transaction() as session:
            subscriber = await subscriptions.subscribe(
                session, ADDRESS, ALL, Evidence(source), keyring=keyring, now=clock.now
            )
            return subscriber.id.bytes

    async def leave() -> bool:
        async with live_database.transaction() as session:
            subscriber = await subscriptions.find(session, JANE)
            assert subscriber is not None
            return await subscriptions.unsubscribe(
                session, subscriber, LINK, keyring=keyring, now=clock.now
            )

    found = await asyncio.gather(*[subscribe(f"{number}") for number in range(10)])
    assert len(set(found)) == 1
    assert await events(live_database) == ["subscribed"]
    assert sorted(await asyncio.gather(*[leave() for _ in range(10)])) == [False] * 9 + [True]
    assert await events(live_database) == ["subscribed", "unsubscribed"]


async def test_suppression_outlives_its_subscriber_and_a_complaint_every_other_reason(
    database: Database, keyring: Keyring, clock: Clock
) -> None:
    async with database.transaction() as session:
        subscriber = await subscriptions.subscribe(
            session, ADDRESS, ALL, LINK, keyring=keyring, now=clock.now
        )

        async def suppress(reason: suppressions.Reason) -> bool:
            return await subscriptions.suppress(
                session, subscriber, reason, BOUNCED, keyring=keyring, now=clock.now
            )

        async def reason() -> str | None:
            return await suppressions.reason(session, JANE, keyring=keyring)

        assert not await suppressions.is_suppressed(session, JANE, keyring=keyring)
        assert await suppress("hard_bounce")
        assert (subscriber.state, subscriber.ended_at) == ("suppressed", clock.now)
        assert not await suppress("soft_bounces")
        assert await reason() == "hard_bounce"
        assert not await suppress("complaint")
        assert not await suppress("hard_bounce")
        assert await reason() == "complaint"
        assert not await subscriptions.unsubscribe(
            session, subscriber, LINK, keyring=keyring, now=clock.now
        )
        await session.delete(subscriber)
        await session.flush()
        assert not await suppress("editor")
        assert await reason() == "complaint"
        assert not await suppressions.is_suppressed(session, "j@example.org", keyring=keyring)
    assert await events(database) == ["subscribed", "suppressed"]
    suppressed = next(row for row in await rows(database, Consent) if row.event == "suppressed")
    assert (suppressed.source, suppressed.details) == ("bounce", {"reason": "hard_bounce"})


async def test_choice_can_be_changed_while_nothing_is_subscribed(
    database: Database, keyring: Keyring, clock: Clock
) -> None:
    async with database.transaction() as session:
        options: dict[str, Any] = {"keyring": keyring, "now": clock.now}
        subscriber = await subscriptions.subscribe(session, ADDRESS, ALL, LINK, **options)
        assert await subscriptions.unsubscribe(session, subscriber, LINK, **options)
        daily = Choice(("audio",), "fr", "daily")
        for _ in range(2):
            await subscriptions.change(session, subscriber, daily, LINK, **options)
        assert subscriptions.choice_of(subscriber) == daily
        assert subscriber.state == "unsubscribed"
    assert await events(database) == ["subscribed", "unsubscribed", "changed"]


async def test_evidence_names_no_address_and_is_never_changed(
    database: Database, keyring: Keyring, clock: Clock
) -> None:
    async with database.transaction() as session:
        subscriber = await subscriptions.subscribe(
            session, ADDRESS, ALL, LINK, keyring=keyring, now=clock.now
        )
    [evidence] = await rows(database, Consent)
    assert evidence.subscriber_id == subscriber.id
    assert evidence.email_hash == consents.email_hash(JANE, keyring=keyring)
    assert evidence.email_hash != consents.email_hash("john@example.org", keyring=keyring)
    columns = {name: value for name, value in vars(evidence).items() if name[0] != "_"}
    assert "jane" not in str(columns).lower()
    with pytest.raises(DBAPIError, match="rows of newsletter_consent are never changed"):
        async with database.transaction() as session:
            await session.execute(update(Consent).values(source="forged"))


# What people are told


def test_texts_of_consent_are_never_reworded() -> None:
    """Whoever agreed to a version agreed to these words: other words need another version."""
    told = {
        f"{version}.{language}": sha256(text.encode()).hexdigest()[:16]
        for version, texts in consent_texts.TEXTS.items()
        for language, text in texts.items()
    }
    assert told == {
        "2026-11-24.en": "4280bd85e70d9a5b",
        "2026-11-24.fr": "7c6ed6eaa0a7e6f8",
        "2026-11-30.en": "4280bd85e70d9a5b",
        "2026-11-30.fr": "9d4238a0f26884e6",
    }
    for texts in consent_texts.TEXTS.values():
        assert tuple(texts) == languages.LOCALES


@pytest.mark.parametrize(
    ("tag", "language"),
    [("en", "en"), ("fr-CA", "fr"), ("FR_fr", "fr"), ("frr", "en"), ("de", "en"), ("", "en")],
)
def test_nearest_of_our_languages(tag: str, language: str) -> None:
    assert languages.nearest(tag) == language
