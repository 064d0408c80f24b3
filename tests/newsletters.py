"""Subscribers, editions on their way, and what tests ask of the ledger."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select, text, update
from uuid_utils.compat import uuid7

from app.adapters.smtp import SmtpLimits, SmtpPool
from app.crypto import Keyring
from app.db import Database
from app.jobs.delivery_attempts import Post
from app.jobs.mail_outbox import Circuit
from app.jobs.newsletter_sending import EditionSender
from app.models import Delivery, Edition, EditionMessage, Subscriber
from app.services import edition_messages
from app.services.context import Newsroom
from app.services.edition_messages import RenderedEdition
from tests.hurried_worker import eventually

NEWSROOM = Newsroom(
    sender="The Desk <newsletter@media.example>",
    api_url="https://api.example",
    pages_url="https://app.example",
    bounce_domain="bounces.media.example",
)
TABLES = (
    "newsletter_subscriber, newsletter_consent, newsletter_suppression, newsletter_signup, "
    "newsletter_edition, newsletter_delivery, newsletter_rate, newsletter_digest"
)
# Longer than any machine stands still: what is given up here is tried again a minute later.
LIMITS = SmtpLimits(connect=60, command=60, contents=60, send=120)


async def add_subscribers(
    database: Database, count: int, *, domain: str = "example.org", **fields: Any
) -> list[UUID]:
    """Subscribers of an hour, named `reader0@…` onwards; every third one reads French."""
    now = datetime.now(UTC)
    ids = [uuid7() for _ in range(count)]
    async with database.transaction() as session:
        for number, subscriber_id in enumerate(ids):
            address = f"reader{number}@{domain}"
            given = {
                "state": "subscribed",
                "topics": [],
                "language": "en" if number % 3 else "fr",
                "frequency": "each",
                **fields,
            }
            since = now - timedelta(hours=1)
            session.add(
                Subscriber(
                    id=subscriber_id,
                    email=address,
                    email_key=address,
                    subscribed_at=since,
                    created_at=since,
                    updated_at=since,
                    **given,
                )
            )
    return ids


async def start_edition(database: Database, **fields: Any) -> UUID:
    """An edition that is being sent, in English and French."""
    now = datetime.now(UTC)
    given: dict[str, Any] = {
        "kind": "edition",
        "frequency": "each",
        "topics": [],
        "name": "Harbour",
        "translations": {},
        "language": "en",
        "state": "sending",
        "started_at": now,
        "created_at": now,
        "updated_at": now,
    }
    async with database.transaction() as session:
        edition = Edition(**{**given, **fields})
        session.add(edition)
        await session.flush()
        await session.refresh(edition)
        for variant, language in enumerate(("en", "fr")):
            session.add(message_of(edition, variant, language))
        return edition.id


def message_of(edition: Edition, variant: int, language: str) -> EditionMessage:
    leave = "https://app.example/newsletter/unsubscribe#token=@@unsubscribe@@"
    rendered = RenderedEdition(
        html=f'<p lang="{language}">Été</p><a href="{leave}">.</a>',
        text=f"{language}: {leave}\n",
        language=language,
        subject=f"Harbour ({language})",
        preheader="",
        archive_html="",
        archive_text="",
    )
    return EditionMessage(
        edition_id=edition.id,
        variant=variant,
        language=language,
        subject=rendered.subject,
        preheader="",
        frozen=edition_messages.freeze(rendered, edition=edition, newsroom=NEWSROOM),
        html="",
        text="",
    )


@asynccontextmanager
async def sending(
    database: Database, smtp_url: str, *, keyring: Keyring, **options: Any
) -> AsyncIterator[EditionSender]:
    """A worker's share in sending editions, for as long as the block runs."""
    stop = asyncio.Event()
    limits = options.pop("limits", LIMITS)
    smtp = SmtpPool(smtp_url, size=options.get("connections", 8), limits=limits)
    post = Post(smtp, Circuit(stop, shortest=0.1, longest=0.2), NEWSROOM, keyring)
    given: dict[str, Any] = {"connections": 8, "lease": timedelta(minutes=2), **options}
    sender = EditionSender(database, post, **given)
    running = asyncio.create_task(sender.run(stop))
    try:
        yield sender
    finally:
        stop.set()
        await running
        await smtp.close()


async def edition_of(database: Database, edition_id: UUID) -> Edition:
    async with database.transaction() as session:
        return await session.get_one(Edition, edition_id)


async def ledger(database: Database, edition_id: UUID) -> Sequence[Delivery]:
    async with database.transaction() as session:
        query = select(Delivery).where(Delivery.edition_id == edition_id)
        return (await session.scalars(query.order_by(Delivery.subscriber_id))).all()


async def states(database: Database, edition_id: UUID) -> Counter[str]:
    return Counter(delivery.state for delivery in await ledger(database, edition_id))


async def reaches(
    database: Database, edition_id: UUID, state: str, *, within: float = 60
) -> Edition:
    """Wait until the edition is in this state."""

    async def has_state() -> bool:
        return (await edition_of(database, edition_id)).state == state

    await eventually(has_state, within=within)
    return await edition_of(database, edition_id)


async def counts(database: Database, edition_id: UUID, **least: int) -> None:
    """Wait until at least so many deliveries are in each of these states."""

    async def are_there() -> bool:
        found = await states(database, edition_id)
        return all(found[state] >= count for state, count in least.items())

    await eventually(are_there)


async def set_state(database: Database, edition_id: UUID, state: str) -> None:
    async with database.transaction() as session:
        await session.execute(update(Edition).where(Edition.id == edition_id).values(state=state))


async def let_time_pass(database: Database, edition_id: UUID) -> None:
    """Make what waits for its next attempt due."""
    async with database.transaction() as session:
        await session.execute(
            update(Delivery)
            .where(Delivery.edition_id == edition_id, Delivery.state == "deferred")
            .values(due_at=datetime.now(UTC))
        )


async def emptied(database: Database) -> None:
    async with database.transaction() as session:
        await session.execute(text(f"TRUNCATE {TABLES} CASCADE"))
