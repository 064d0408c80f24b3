"""Subscriptions, each of one address: beginning, changing, ending them, with their evidence."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from app.crypto import Keyring
from app.errors import FieldError, InvalidInput
from app.models import Subscriber, Topic
from app.services import consents, suppressions
from app.services.consents import Evidence
from app.services.emails import EmailAddress


class UnknownTopic(InvalidInput):
    code, title = "unknown_topic", "This is no topic that can be chosen"


@dataclass(frozen=True, slots=True)
class Choice:
    """What a subscriber gets. No topics stands for all of them, also those to come."""

    topics: tuple[str, ...]
    language: str
    frequency: str


def choice_of(subscriber: Subscriber) -> Choice:
    return Choice(tuple(subscriber.topics), subscriber.language, subscriber.frequency)


async def find(
    session: AsyncSession, email_key: str, *, for_update: bool = False
) -> Subscriber | None:
    """The subscriber with this address, in whatever state; locked it is read again."""
    query = select(Subscriber).where(Subscriber.email_key == email_key)
    if for_update:
        query = query.with_for_update().execution_options(populate_existing=True)
    return (await session.scalars(query)).one_or_none()


async def subscribe(
    session: AsyncSession,
    email: EmailAddress,
    choice: Choice,
    evidence: Evidence,
    *,
    keyring: Keyring,
    now: datetime,
) -> Subscriber:
    """Begin a subscription, or change the one that runs.

    Lifts a suppression, so it is only for what the owner of the address does. Of requests at
    once the constraint lets one insert; the others wait for it and find nothing left to do.
    """
    subscriber, is_new = await _inserted_or_locked(session, email, choice, now)
    await suppressions.lift(session, email.key, keyring=keyring)
    # Two spellings may share a key (RFC 8264): mails go to the one that was proven last.
    subscriber.email = email.typed
    if subscriber.state == "subscribed" and not is_new:
        await _apply_change(session, subscriber, choice, evidence, keyring=keyring, now=now)
        return subscriber
    if not is_new:
        subscriber.state = "subscribed"
        subscriber.subscribed_at, subscriber.ended_at, subscriber.updated_at = now, None, now
        subscriber.bounce_score, subscriber.bounced_at = 0, None
        _set_choice(subscriber, choice)
        await session.flush()
    details = asdict(choice)
    await _record(session, subscriber, "subscribed", evidence, details, keyring=keyring, now=now)
    return subscriber


async def change(
    session: AsyncSession,
    subscriber: Subscriber,
    choice: Choice,
    evidence: Evidence,
    *,
    keyring: Keyring,
    now: datetime,
) -> None:
    """Choose something else; the same again leaves no trace. The state stays what it is."""
    locked = await _lock(session, subscriber)
    if locked is not None:
        await _apply_change(session, locked, choice, evidence, keyring=keyring, now=now)


async def unsubscribe(
    session: AsyncSession,
    subscriber: Subscriber,
    evidence: Evidence,
    *,
    keyring: Keyring,
    now: datetime,
) -> bool:
    """End a subscription; False when it had ended before."""
    locked = await _lock(session, subscriber)
    if locked is None or locked.state != "subscribed":
        return False
    await _end(session, locked, "unsubscribed", evidence, keyring=keyring, now=now)
    return True


async def suppress(
    session: AsyncSession,
    subscriber: Subscriber,
    reason: suppressions.Reason,
    evidence: Evidence,
    *,
    keyring: Keyring,
    now: datetime,
) -> bool:
    """Write to this address no more; False when that was so before."""
    locked = await _lock(session, subscriber)
    await suppressions.add(session, subscriber.email_key, reason, keyring=keyring, now=now)
    if locked is None or locked.state == "suppressed":
        return False
    evidence = replace(evidence, details={**evidence.details, "reason": reason})
    await _end(session, locked, "suppressed", evidence, keyring=keyring, now=now)
    return True


async def check_topics(
    session: AsyncSession,
    topics: Sequence[str],
    *,
    pointer: str = "/topics",
    allow_retired: Collection[str] = (),
) -> tuple[str, ...]:
    """The topics, sorted and each once. Raises `UnknownTopic` with the pointer of each bad one.

    Retired ones can be kept by whoever has them, and chosen by nobody.
    """
    if not topics:
        return ()
    query = select(Topic.slug, Topic.retired_at).where(Topic.slug.in_(set(topics)))
    rows = (await session.execute(query)).all()
    allowed = {row.slug for row in rows if row.retired_at is None or row.slug in allow_retired}
    title = UnknownTopic.title
    errors = [
        FieldError(pointer=f"{pointer}/{index}", code=UnknownTopic.code, message=title)
        for index, slug in enumerate(topics)
        if slug not in allowed
    ]
    if errors:
        raise UnknownTopic(errors=errors)
    return tuple(sorted(allowed))


async def _lock(session: AsyncSession, subscriber: Subscriber) -> Subscriber | None:
    """The same row as it is now, until this transaction ends; None when it was erased."""
    query = select(Subscriber).where(Subscriber.id == subscriber.id).with_for_update()
    found = await session.scalars(query, execution_options={"populate_existing": True})
    return found.one_or_none()


async def _inserted_or_locked(
    session: AsyncSession, email: EmailAddress, choice: Choice, now: datetime
) -> tuple[Subscriber, bool]:
    """The address's one row and whether it is new; a known one is locked and left as it is."""
    new_id = uuid7()
    row = insert(Subscriber).values(
        id=new_id,
        email=email.typed,
        email_key=email.key,
        state="subscribed",
        topics=list(choice.topics),
        language=choice.language,
        frequency=choice.frequency,
        subscribed_at=now,
        created_at=now,
        updated_at=now,
    )
    upsert = row.on_conflict_do_update(
        constraint="uq_newsletter_subscriber_email_key",
        set_={"updated_at": Subscriber.updated_at},
    ).returning(Subscriber)
    found = await session.scalars(upsert, execution_options={"populate_existing": True})
    subscriber = found.one()
    return subscriber, subscriber.id == new_id


async def _apply_change(
    session: AsyncSession,
    subscriber: Subscriber,
    choice: Choice,
    evidence: Evidence,
    *,
    keyring: Keyring,
    now: datetime,
) -> None:
    before = choice_of(subscriber)
    if choice == before:
        return
    _set_choice(subscriber, choice)
    subscriber.updated_at = now
    await session.flush()
    details = {"before": asdict(before), "after": asdict(choice)}
    await _record(session, subscriber, "changed", evidence, details, keyring=keyring, now=now)


def _set_choice(subscriber: Subscriber, choice: Choice) -> None:
    subscriber.topics = list(choice.topics)
    subscriber.language, subscriber.frequency = choice.language, choice.frequency


async def _end(
    session: AsyncSession,
    subscriber: Subscriber,
    state: Literal["unsubscribed", "suppressed"],
    evidence: Evidence,
    *,
    keyring: Keyring,
    now: datetime,
) -> None:
    subscriber.state, subscriber.updated_at = state, now
    subscriber.ended_at = subscriber.ended_at or now
    await session.flush()
    await _record(session, subscriber, state, evidence, {}, keyring=keyring, now=now)


async def _record(
    session: AsyncSession,
    subscriber: Subscriber,
    event: consents.Event,
    evidence: Evidence,
    details: dict[str, Any],
    *,
    keyring: Keyring,
    now: datetime,
) -> None:
    complete = replace(evidence, details={**evidence.details, **details})
    await consents.record(
        session, subscriber.id, subscriber.email_key, event, complete, keyring=keyring, now=now
    )
