"""The links of newsletter mails: one click to leave, preferences, and the pages behind them."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from uuid_utils.compat import uuid7

from app.crypto import Keyring
from app.db import Database
from app.models import Consent, Delivery, Edition, Subscriber, Suppression, Topic
from app.services import (
    account_newsletter,
    newsletter_links,
    newsletter_tokens,
    subscriptions,
)
from app.services.consents import Evidence
from app.services.context import Client
from app.services.emails import parse_email
from app.services.newsletter_tokens import Purpose, Recipient
from app.services.subscriptions import Choice
from tests.helpers import Clock, rows, somebody_waits

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
JANE = "Jane@Example.org"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


async def subscribe(
    database: Database, keyring: Keyring, email: str = JANE, *topics: str
) -> Subscriber:
    choice = Choice(topics, "en", "each")
    async with database.transaction() as session:
        return await subscriptions.subscribe(
            session, parse_email(email), choice, Evidence("form"), keyring=keyring, now=NOON
        )


async def deliver(database: Database, subscriber_id: UUID) -> Recipient:
    """An edition in the ledger of this subscriber; gives what its links name."""
    async with database.transaction() as session:
        edition = Edition(
            kind="edition",
            frequency="each",
            topics=[],
            name="November",
            translations={},
            language="en",
            state="sent",
            created_at=NOON,
            updated_at=NOON,
        )
        session.add(edition)
        await session.flush()
        sent = {"variant": 0, "state": "sent", "due_at": NOON, "finished_at": NOON}
        session.add(Delivery(edition_id=edition.id, subscriber_id=subscriber_id, **sent))
        return Recipient(subscriber_id, edition.number)


def link(keyring: Keyring, purpose: Purpose, recipient: Recipient | Subscriber) -> str:
    if isinstance(recipient, Subscriber):
        recipient = Recipient(recipient.id)
    token = newsletter_tokens.make(purpose, recipient, keyring=keyring)
    return f"/v1/newsletter/{purpose}/{token}"


async def events(database: Database) -> list[tuple[str, str]]:
    steps = sorted(await rows(database, Consent), key=lambda step: step.id)
    return [(step.event, step.source) for step in steps]


async def state(database: Database) -> str:
    [subscriber] = await rows(database, Subscriber)
    return subscriber.state


# Leaving by one click


@pytest.mark.parametrize(
    ("sent", "source"),
    [
        ({"data": ONE_CLICK}, "one_click"),
        ({"files": {"List-Unsubscribe": (None, "One-Click")}}, "one_click"),
        ({"data": {**ONE_CLICK, "utm": "x", "List-Unsubscribe2": "y"}}, "one_click"),
        ({}, "link"),
        ({"content": b"\xff\x00{", "headers": {"Content-Type": "application/json"}}, "link"),
        ({"content": b"x", "headers": {"Content-Type": "no type at all"}}, "link"),
        ({"data": ONE_CLICK, "headers": {"Origin": "https://mail.example"}}, "one_click"),
        ({"data": ONE_CLICK, "headers": {"Accept": "image/png", "Cookie": "a=b"}}, "one_click"),
    ],
    ids=["form", "multipart", "more", "empty", "broken", "untyped", "foreign", "odd"],
)
async def test_one_click_leaves_whatever_the_body_is_and_however_often(
    client: httpx.AsyncClient,
    database: Database,
    keyring: Keyring,
    clock: Clock,
    sent: dict[str, Any],
    source: str,
) -> None:
    recipient = await deliver(database, (await subscribe(database, keyring)).id)
    path = link(keyring, "unsubscribe", recipient)
    for _ in range(2):
        response = await client.post(path, **sent)
        assert (response.status_code, response.history) == (200, [])
        assert response.json() == {"email": "J…e@Example.org", "status": "unsubscribed"}
        assert response.headers["cache-control"] == "no-store"
        clock.now += timedelta(hours=1)
    assert await events(database) == [("subscribed", "form"), ("unsubscribed", source)]
    [delivery] = await rows(database, Delivery)
    assert delivery.unsubscribed_at == NOON


async def test_get_and_head_describe_and_change_nothing(
    client: httpx.AsyncClient, database: Database, keyring: Keyring
) -> None:
    path = link(keyring, "unsubscribe", await subscribe(database, keyring, "jo@example.org"))
    described = await client.get(path)
    assert described.json() == {"email": "j…@example.org", "status": "subscribed"}
    assert (await client.head(path)).headers["content-type"] == "application/json"
    page = await client.get(path, headers={"Accept": "text/html,*/*;q=0.8"})
    assert (await client.head(path, headers={"Accept": "text/html"})).content == b""
    assert await state(database) == "subscribed"

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-store"
    assert "form-action 'self'" in page.headers["content-security-policy"]
    assert "script" not in page.text
    assert page.text.count("<button>") == page.text.count('<form method="post">') == 1
    assert "j…@example.org" in page.text
    # As a browser sends an empty form.
    gone = await client.post(
        path, data={}, headers={"Accept": "text/html", "Accept-Language": "fr"}
    )
    assert 'lang="fr"' in gone.text
    assert "Vous avez quitté" in gone.text
    assert "<form" not in gone.text
    assert await state(database) == "unsubscribed"


async def test_link_of_an_erased_subscriber_still_answers_200(
    client: httpx.AsyncClient, keyring: Keyring
) -> None:
    path = link(keyring, "unsubscribe", Recipient(uuid7(), 7))
    gone = {"email": None, "status": "unsubscribed"}
    assert (await client.get(path)).json() == gone
    left = await client.post(path, data=ONE_CLICK)
    assert (left.status_code, left.json()) == (200, gone)
    path = path.replace("/unsubscribe/", "/preferences/")
    assert (await client.get(path)).json()["code"] == "token_refused"


async def test_who_leaves_while_the_address_changes_has_left(
    live_database: Database, keyring: Keyring
) -> None:
    former = await subscribe(live_database, keyring)
    token = newsletter_tokens.make("unsubscribe", Recipient(former.id), keyring=keyring)

    async def leave() -> None:
        proof = Evidence("one_click")
        async with live_database.transaction() as session:
            await newsletter_links.leave(session, token, proof, keyring=keyring, now=NOON)

    old, new = parse_email(JANE), parse_email("jane@new.example")
    async with live_database.transaction() as session:
        client = Client(network="192.0.2.1")
        await account_newsletter.move(session, old, new, client=client, keyring=keyring, now=NOON)
        leaving = asyncio.create_task(leave())
        await somebody_waits(live_database)
    await leaving
    [present] = await rows(live_database, Subscriber)
    assert (present.email, present.state) == ("jane@new.example", "unsubscribed")


async def test_token_that_is_not_ours_or_of_another_purpose_is_refused(
    client: httpx.AsyncClient, database: Database, keyring: Keyring
) -> None:
    subscriber = await subscribe(database, keyring)
    preferences = link(keyring, "preferences", subscriber)
    unsubscribe = link(keyring, "unsubscribe", subscriber)
    for path in (
        unsubscribe[:-1],
        unsubscribe[:-1] + ("A" if unsubscribe[-1] != "A" else "B"),
        unsubscribe + "A",
        preferences.replace("/preferences/", "/unsubscribe/"),
        "/v1/newsletter/unsubscribe/" + "x" * 3000,
        "/v1/newsletter/unsubscribe/%C3%A9",
    ):
        response = await client.post(path, data=ONE_CLICK)
        assert (response.status_code, response.json()["code"]) == (404, "token_refused")
    for method in ("GET", "PUT"):
        path = unsubscribe.replace("/unsubscribe/", "/preferences/")
        response = await client.request(method, path, json={} if method == "PUT" else None)
        assert response.json()["code"] == "token_refused"
    assert await state(database) == "subscribed"


async def test_body_over_eight_kibibytes_is_refused(
    client: httpx.AsyncClient, database: Database, keyring: Keyring
) -> None:
    path = link(keyring, "unsubscribe", await subscribe(database, keyring))

    async def chunks(size: int) -> Any:
        for _ in range(size // 1024):
            yield b"x" * 1024

    for content in (b"x" * 8193, chunks(9 * 1024)):
        assert (await client.post(path, content=content)).json()["code"] == "body_too_large"
    assert await state(database) == "subscribed"
    assert (await client.post(path, content=chunks(8 * 1024))).status_code == 200


async def test_suppressed_address_stays_suppressed_when_its_owner_leaves(
    client: httpx.AsyncClient, database: Database, keyring: Keyring
) -> None:
    subscriber = await subscribe(database, keyring)
    async with database.transaction() as session:
        proof = Evidence("bounce")
        await subscriptions.suppress(
            session, subscriber, "hard_bounce", proof, keyring=keyring, now=NOON
        )
    left = await client.post(link(keyring, "unsubscribe", subscriber), data=ONE_CLICK)
    assert left.json()["status"] == "suppressed"
    assert len(await rows(database, Suppression)) == 1


# Preferences


async def test_preferences_show_the_choice_and_what_else_there_is(
    client: httpx.AsyncClient, database: Database, keyring: Keyring
) -> None:
    subscriber = await subscribe(database, keyring, JANE, "audio", "videos")
    async with database.transaction() as session:
        for slug in ("audio", "images"):
            topic = await session.get(Topic, slug)
            assert topic is not None
            topic.retired_at = NOON
    shown = await client.get(
        link(keyring, "preferences", subscriber), headers={"Accept-Language": "fr"}
    )
    assert shown.headers["cache-control"] == "no-store"
    body = shown.json()
    topics = body["choice"].pop("topics")
    consent = body["choice"].pop("consent")
    assert body == {
        "email": "J…e@Example.org",
        "status": "subscribed",
        "topics": ["audio", "videos"],
        "language": "en",
        "frequency": "each",
        "choice": {"languages": ["en", "fr"], "frequencies": ["each", "daily", "weekly"]},
    }
    # Nobody else can choose `images` any more; `audio` can be kept.
    assert [(topic["slug"], topic["is_retired"]) for topic in topics] == [
        ("stories", False),
        ("videos", False),
        ("audio", True),
    ]
    assert topics[0]["name"] == "Articles"
    assert consent["text"].startswith("Oui")
    assert "Example.org".lower() not in shown.text.replace("J…e@Example.org", "").lower()


async def test_preferences_change_what_is_sent_and_nothing_else(
    client: httpx.AsyncClient, database: Database, keyring: Keyring, clock: Clock
) -> None:
    subscriber = await subscribe(database, keyring, JANE, "videos")
    path = link(keyring, "preferences", subscriber)
    clock.now += timedelta(minutes=1)
    changed = await client.put(path, json={"topics": ["videos", "audio"], "frequency": "daily"})
    assert changed.status_code == 200, changed.text
    assert (changed.json()["topics"], changed.json()["frequency"]) == (["audio", "videos"], "daily")
    assert (changed.json()["language"], changed.json()["status"]) == ("en", "subscribed")
    same = await client.put(path, json={"frequency": "daily", "status": "subscribed"})
    assert same.headers["etag"] == changed.headers["etag"]
    assert await events(database) == [("subscribed", "form"), ("changed", "preferences")]

    for body, code in (
        ({"topics": ["nothing"]}, "unknown_topic"),
        ({"frequency": "hourly"}, "invalid_input"),
        ({"language": "de"}, "invalid_input"),
        ({"status": "suppressed"}, "invalid_input"),
        ({"email": "john@example.org"}, "unknown_field"),
        ({"consent_text_version": "1999"}, "unknown_consent_text"),
    ):
        refused = await client.put(path, json=body)
        assert (refused.status_code, refused.json()["code"]) == (422, code)
        [error] = refused.json()["errors"]
        assert error["pointer"].startswith(f"/{next(iter(body))}")
    assert (await client.get(path)).headers["etag"] == changed.headers["etag"]


async def test_of_two_windows_the_later_one_learns_that_it_is_late(
    client: httpx.AsyncClient, database: Database, keyring: Keyring, clock: Clock
) -> None:
    path = link(keyring, "preferences", await subscribe(database, keyring))
    tag = (await client.get(path)).headers["etag"]
    clock.now += timedelta(seconds=1)
    first = await client.put(path, json={"language": "fr"}, headers={"If-Match": tag})
    assert first.status_code == 200
    late = await client.put(path, json={"frequency": "weekly"}, headers={"If-Match": tag})
    assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")
    [subscriber] = await rows(database, Subscriber)
    assert (subscriber.language, subscriber.frequency) == ("fr", "each")


async def test_who_left_can_come_back_by_the_link_of_a_mail(
    client: httpx.AsyncClient, database: Database, keyring: Keyring, clock: Clock
) -> None:
    subscriber = await subscribe(database, keyring, JANE, "videos")
    recipient = await deliver(database, subscriber.id)
    path = link(keyring, "preferences", recipient)
    left = await client.put(path, json={"status": "unsubscribed", "frequency": "weekly"})
    assert (left.json()["status"], left.json()["frequency"]) == ("unsubscribed", "weekly")
    [delivery] = await rows(database, Delivery)
    assert delivery.unsubscribed_at == NOON
    # Choosing something is not coming back.
    chosen = await client.put(path, json={"topics": []})
    assert chosen.json()["status"] == "unsubscribed"

    clock.now += timedelta(days=30)
    consent = left.json()["choice"]["consent"]
    headers = {"Accept-Language": "fr", "User-Agent": "a browser"}
    body = {"status": "subscribed", "consent_text_version": consent["version"]}
    back = (await client.put(path, json=body, headers=headers)).json()
    assert (back["status"], back["topics"], back["frequency"]) == ("subscribed", [], "weekly")
    step = max(await rows(database, Consent), key=lambda step: step.id)
    assert (step.event, step.source, step.locale) == ("subscribed", "preferences", "fr")
    assert (step.text_version, step.user_agent) == (consent["version"], "a browser")
    assert step.occurred_at == NOON + timedelta(days=30)


async def test_owner_of_a_suppressed_address_can_come_back(
    client: httpx.AsyncClient, database: Database, keyring: Keyring
) -> None:
    subscriber = await subscribe(database, keyring)
    async with database.transaction() as session:
        await subscriptions.suppress(
            session, subscriber, "complaint", Evidence("complaint"), keyring=keyring, now=NOON
        )
    path = link(keyring, "preferences", subscriber)
    back = await client.put(path, json={"status": "subscribed"})
    assert back.json()["status"] == "subscribed"
    assert await rows(database, Suppression) == []


@pytest.mark.parametrize(
    ("email", "shown"),
    [
        ("jane.doe@example.org", "j…e@example.org"),
        ("abc@x.org", "a…c@x.org"),
        ("ab@x.org", "a…@x.org"),
        ("a@x.org", "a…@x.org"),
        ("Žofie@příklad.cz", "Ž…e@příklad.cz"),
    ],
)
def test_masked_address_shows_its_ends_alone(email: str, shown: str) -> None:
    assert newsletter_links.masked(email) == shown


# Pages


@pytest.mark.parametrize("name", ["confirm", "unsubscribe", "preferences"])
async def test_page_loads_its_own_files_alone_and_sends_nothing_by_itself(
    plain_client: httpx.AsyncClient, name: str
) -> None:
    page = await plain_client.get(f"/newsletter/{name}")
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "form-action 'none'" in policy
    files = re.findall(r'(?:src|href)="(/[^"]*)"', page.text)
    assert files == ["/static/page.css", "/static/newsletter.js"]
    for file in files:
        assert (await plain_client.get(file)).status_code == 200
    assert not re.search(r"\s(on\w+|style)=", page.text)


async def test_page_has_every_text_in_both_languages_and_every_element_it_uses(
    plain_client: httpx.AsyncClient,
) -> None:
    script = (await plain_client.get("/static/newsletter.js")).text
    page = (await plain_client.get("/newsletter/preferences")).text
    english, french = re.findall(r"^  (?:en|fr): \{$(.*?)^  \},$", script, re.MULTILINE | re.DOTALL)
    names = [set(re.findall(r"[ {,](\w+): [\"\[{]", texts)) for texts in (english, french)]
    assert names[0] == names[1]
    used = set(re.findall(r"\btexts\.(\w+)", script))
    assert used <= names[0]
    ids = set(re.findall(r'\$\("([\w-]+)"\)', script)) | set(
        re.findall(r'"([\w-]+-label)"', script)
    )
    assert ids <= set(re.findall(r'\bid="([\w-]+)"', page))
