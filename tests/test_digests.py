"""Digests: when they are made, what they show to whom, and that nothing is shown twice or never."""

import asyncio
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from typing import Any
from unittest.mock import AsyncMock
from uuid import UUID

import pytest
from fastapi import FastAPI

from app.crypto import Keyring
from app.db import Database
from app.jobs.digests import Digester
from app.models import DigestProgress, Edition, EditionMessage, Subscriber, Topic
from app.services import digests, editions, fan_out
from app.services.context import Newsroom
from app.services.digests import Frequency
from app.services.edition_messages import FrozenMessage, Letter
from app.services.newsletter_tokens import Recipient
from tests.factories import create, publish, publish_story, withdraw
from tests.helpers import audited, rows

NEWSROOM = Newsroom(
    sender="News <news@example.org>",
    api_url="https://api.example.org",
    pages_url="https://example.org",
)
# The day after a Monday.
SIX = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
DAY, SECOND, INSTANT = timedelta(days=1), timedelta(seconds=1), timedelta(microseconds=1)


async def make(database: Database, now: datetime, frequency: Frequency = "daily") -> Edition | None:
    """What the worker does at a time."""
    async with database.transaction() as session:
        made = await digests.make_due(session, frequency, newsroom=NEWSROOM, now=now)
        return await session.get(Edition, made) if made else None


async def begin(database: Database) -> None:
    """Let digests be made from now on, and show what appears after five minutes to six."""
    for frequency in digests.FREQUENCIES:
        assert await make(database, SIX - DAY + SECOND, frequency) is None


async def subscribe(database: Database, email: str, *topics: str, **columns: Any) -> UUID:
    subscriber = Subscriber(
        **{
            "email": email,
            "email_key": email,
            "state": "subscribed",
            "topics": sorted(topics),
            "language": "en",
            "frequency": "daily",
            "subscribed_at": SIX - DAY,
            "created_at": SIX - DAY,
            "updated_at": SIX - DAY,
            **columns,
        }
    )
    async with database.transaction() as session:
        session.add(subscriber)
    return subscriber.id


async def messages(database: Database, edition: Edition | None) -> dict[Any, EditionMessage]:
    """By topics and language."""
    assert edition is not None
    return {
        (*(message.topics or ()), message.language): message
        for message in await rows(database, EditionMessage)
        if message.edition_id == edition.id
    }


def opened(message: EditionMessage, keyring: Keyring) -> Any:
    """The mail that one of its readers gets."""
    letter = Letter(Recipient(UUID(int=1), 1), "jane@example.org")
    mail = FrozenMessage(message.frozen).fill(letter, keyring=keyring, now=SIX)
    return message_from_bytes(mail, policy=default)


def shown(message: EditionMessage, keyring: Keyring) -> list[str]:
    """The pages of assets that its text leads to, in their order."""
    text = opened(message, keyring).get_body(("plain",)).get_content()
    prefix = f"{NEWSROOM.pages_url}/assets/"
    return [part.split()[0].strip("()<>") for part in text.split(prefix)[1:]]


@pytest.fixture
async def _reader(database: Database) -> None:
    """Somebody who gets a daily digest of everything."""
    await begin(database)
    await subscribe(database, "jane@example.org")


with_reader = pytest.mark.usefixtures("_reader")


@with_reader
async def test_digest_is_made_at_six_and_once(app: FastAPI, database: Database) -> None:
    await publish_story(app, "new", published_at=SIX - timedelta(hours=1))
    assert await make(database, SIX - INSTANT) is None
    edition = await make(database, SIX)
    assert edition is not None
    assert (edition.kind, edition.frequency, edition.state) == ("digest", "daily", "sending")
    assert (edition.started_at, edition.in_archive) == (SIX, False)
    assert await make(database, SIX) is None
    assert await make(database, SIX + DAY - INSTANT) is None
    assert (await audited(database))[-1] == "edition.started"
    progress = {row.frequency: row for row in await rows(database, DigestProgress)}
    assert progress["daily"].edition_id == edition.id
    assert progress["daily"].covered_until == SIX - timedelta(minutes=5)


async def test_weekly_digest_is_made_on_mondays_and_shows_the_week(
    app: FastAPI, database: Database, keyring: Keyring
) -> None:
    await begin(database)
    await subscribe(database, "jane@example.org", frequency="weekly")
    for day in range(7):
        await publish_story(app, f"day-{day}", published_at=SIX + day * DAY)
    for day in range(6):
        assert await make(database, SIX + day * DAY, "weekly") is None
    assert await make(database, SIX + 6 * DAY - INSTANT, "weekly") is None
    monday = await make(database, SIX + 6 * DAY, "weekly")
    assert monday is not None
    assert monday.frequency == "weekly"
    [message] = (await messages(database, monday)).values()
    assert shown(message, keyring) == [f"day-{day}" for day in (5, 4, 3, 2, 1, 0)]


@with_reader
async def test_every_asset_is_in_one_digest(
    app: FastAPI, database: Database, keyring: Keyring
) -> None:
    """Also those of the last moment, whose transaction ends only when the digest was made."""
    end = SIX - timedelta(minutes=5)
    moments = {
        "before-the-first": end - DAY - INSTANT,
        "first": end - DAY,
        "last": end - INSTANT,
        "next": end,
        "at-six": SIX,
    }
    for slug, moment in moments.items():
        if slug != "next":
            await publish_story(app, slug, published_at=moment)
    [today] = (await messages(database, await make(database, SIX))).values()
    await publish_story(app, "next", published_at=moments["next"])
    [tomorrow] = (await messages(database, await make(database, SIX + DAY))).values()
    assert shown(today, keyring) == ["last", "first"]
    assert shown(tomorrow, keyring) == ["at-six", "next"]


@with_reader
async def test_outage_of_two_days_is_made_up_for_by_one_digest(
    app: FastAPI, database: Database, keyring: Keyring
) -> None:
    for day in range(3):
        await publish_story(app, f"day-{day}", published_at=SIX + (day - 1) * DAY)
    late = await make(database, SIX + 2 * DAY + timedelta(hours=5))
    [message] = (await messages(database, late)).values()
    assert shown(message, keyring) == ["day-2", "day-1", "day-0"]
    assert len(await rows(database, Edition)) == 1
    # It goes no further than one in time would have, so the next is whole as well.
    await publish_story(app, "after", published_at=SIX + 2 * DAY)
    [message] = (await messages(database, await make(database, SIX + 3 * DAY))).values()
    assert shown(message, keyring) == ["after"]


async def test_readers_get_what_their_topics_have_and_nothing_if_they_have_none(
    app: FastAPI, database: Database, keyring: Keyring
) -> None:
    await begin(database)
    now = SIX - DAY
    labels = {"en": {"name": "Harbours"}}
    async with database.transaction() as session:
        for slug, terms in (("harbour", ["keyword:harbour", "country:be"]), ("any", [])):
            session.add(Topic(slug=slug, labels=labels, terms=terms, position=9))
    await publish_story(app, "quay", published_at=now + SECOND, keywords=["Harbour"])
    await publish_story(app, "speech", published_at=now, keywords=["talk"])
    ids = {
        "all": await subscribe(database, "all@example.org"),
        "all-too": await subscribe(database, "all-too@example.org"),
        "harbour": await subscribe(database, "harbour@example.org", "harbour"),
        "two": await subscribe(database, "two@example.org", "harbour", "videos"),
        "any": await subscribe(database, "any@example.org", "any", "harbour"),
        "none": await subscribe(database, "none@example.org", "videos"),
        "weekly": await subscribe(database, "weekly@example.org", frequency="weekly"),
        "gone": await subscribe(database, "gone@example.org", "images", state="unsubscribed"),
        "late": await subscribe(database, "late@example.org", subscribed_at=SIX + SECOND),
    }
    edition = await make(database, SIX)
    found = await messages(database, edition)
    assert {choice: shown(message, keyring) for choice, message in found.items()} == {
        ("en",): ["quay", "speech"],
        ("any", "harbour", "en"): ["quay", "speech"],
        ("harbour", "en"): ["quay"],
        ("harbour", "videos", "en"): ["quay"],
    }
    assert edition is not None
    await fan_out.write_chunk(database.reader.fetch, edition.id, now=SIX)
    ledger = "SELECT subscriber_id, variant FROM newsletter_delivery WHERE edition_id = $1"
    variants = {message.variant: choice for choice, message in found.items()}
    names = {subscriber_id: name for name, subscriber_id in ids.items()}
    delivered = await database.reader.fetch(ledger, edition.id)
    assert {names[row["subscriber_id"]]: variants[row["variant"]] for row in delivered} == {
        "all": ("en",),
        "all-too": ("en",),
        "harbour": ("harbour", "en"),
        "two": ("harbour", "videos", "en"),
        "any": ("any", "harbour", "en"),
    }


@with_reader
async def test_each_reads_their_own_language(
    app: FastAPI, database: Database, keyring: Keyring
) -> None:
    await subscribe(database, "jean@example.org", language="fr")
    await publish_story(app, "story", published_at=SIX - DAY)
    await publish_story(
        app,
        "winter",
        published_at=SIX - timedelta(hours=1),
        title="The *winter* harbour",
        summary="Ice & <snow>.",
        translations={"fr": {"title": "Le port « en hiver »", "summary": "La glace est là."}},
    )
    edition = await make(database, SIX)
    found = await messages(database, edition)
    english, french = (opened(found[(language,)], keyring) for language in ("en", "fr"))
    assert english["subject"] == "The *winter* harbour and 1 more"
    assert french["subject"] == "Le port « en hiver » et 1 autre"
    assert found[("en",)].preheader == "story"
    assert edition is not None
    assert edition.translations["fr"]["subject"] == french["subject"]
    text, html = (english.get_body((kind,)).get_content() for kind in ("plain", "html"))
    assert "2 new items since Monday, November 23, 2026, the newest first." in text
    assert "The *winter* harbour" in text
    assert "Ice &amp; &lt;snow&gt;." in html
    text, html = (french.get_body((kind,)).get_content() for kind in ("plain", "html"))
    assert "2 nouveautés depuis le lundi 23 novembre 2026, les plus récentes" in text
    for part in (text, html):
        assert "La glace est là." in part
        assert f"{NEWSROOM.pages_url}/newsletter/unsubscribe#token=" in part
    assert shown(found[("fr",)], keyring) == ["winter", "story"]


@with_reader
async def test_digest_shows_forty_assets_and_fewer_if_gmail_would_cut_them_off(
    database: Database, keyring: Keyring
) -> None:
    long = {"title": "Ships " * 30, "summary": "The fleet is back. " * 250}
    async with database.transaction() as session:
        for number in range(41):
            at = SIX - DAY + number * SECOND
            await publish(session, await create(session, f"a-{number}", "story", fields={}), at=at)
        for number in range(24):
            asset = await create(session, f"b-{number}", "story", fields=long)
            await publish(session, asset, at=SIX + number * SECOND)
    [message] = (await messages(database, await make(database, SIX))).values()
    assert message.subject == "a-40 and 40 more"
    assert shown(message, keyring) == [f"a-{number}" for number in range(40, 0, -1)]
    more = f"And 1 more on Multimedia Account ({NEWSROOM.pages_url})"
    assert more in opened(message, keyring).get_body(("plain",)).get_content()
    [message] = (await messages(database, await make(database, SIX + DAY))).values()
    assert message.subject == " ".join(["Ships"] * 16) + "… and 23 more"
    assert shown(message, keyring) == [f"b-{number}" for number in range(23, 11, -1)]
    mail = opened(message, keyring)
    assert "And 12 more" in mail.get_body(("plain",)).get_content()
    assert len(mail.get_body(("html",)).get_content().encode()) < 102_400


@with_reader
async def test_withdrawn_assets_are_not_shown_and_an_empty_digest_is_not_sent(
    app: FastAPI, database: Database, keyring: Keyring
) -> None:
    withdrawn = await publish_story(app, "withdrawn", published_at=SIX - DAY)
    await withdraw(app, withdrawn, "It was wrong")
    assert await make(database, SIX) is None
    assert await rows(database, Edition) == []
    progress = {row.frequency: row.covered_until for row in await rows(database, DigestProgress)}
    assert progress["daily"] == SIX - timedelta(minutes=5)
    await publish_story(app, "good", published_at=SIX)
    [message] = (await messages(database, await make(database, SIX + DAY))).values()
    assert shown(message, keyring) == ["good"]
    assert opened(message, keyring)["subject"] == "good"


@with_reader
async def test_digest_whose_worker_dies_is_made_again_whole(
    app: FastAPI, database: Database, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish_story(app, "new", published_at=SIX - DAY)
    with monkeypatch.context() as patch:
        # The last step of all, when edition and mails have been written.
        patch.setattr(editions, "audit", AsyncMock(side_effect=ConnectionError))
        with pytest.raises(ConnectionError):
            await make(database, SIX)
    assert await rows(database, Edition) == []
    [message] = (await messages(database, await make(database, SIX + SECOND))).values()
    assert shown(message, keyring) == ["new"]


async def test_two_workers_at_once_make_one_digest(
    live_app: FastAPI, live_database: Database
) -> None:
    await begin(live_database)
    await subscribe(live_database, "jane@example.org")
    await publish_story(live_app, "new", published_at=SIX - DAY)
    made = await asyncio.gather(*(make(live_database, SIX) for _ in range(8)))
    assert len([edition for edition in made if edition is not None]) == 1
    assert len(await rows(live_database, Edition)) == 1
    assert len(await rows(live_database, EditionMessage)) == 1


async def test_fault_of_one_frequency_does_not_hold_up_the_other(
    app: FastAPI, database: Database
) -> None:
    """No template is in this language, which none of our forms lets anybody choose."""
    now = datetime.now(UTC)
    async with database.transaction() as session:
        for frequency in ("daily", "weekly"):
            session.add(DigestProgress(frequency=frequency, covered_until=now - 30 * DAY))
    await publish_story(app, "story", published_at=now - 10 * DAY)
    began = {"subscribed_at": now - DAY}
    await subscribe(database, "nobody@example.org", language="xx", **began)
    await subscribe(database, "jane@example.org", frequency="weekly", **began)
    await Digester(database, NEWSROOM).make_due()
    assert [edition.frequency for edition in await rows(database, Edition)] == ["weekly"]
    progress = {row.frequency: row.covered_until for row in await rows(database, DigestProgress)}
    assert progress["daily"] == now - 30 * DAY
    assert progress["weekly"] > now - 8 * DAY
