"""What the links in newsletter mails do: leaving by one click, choosing, and coming back.

Whoever holds such a link has read a mail to the address, and needs no account and no log-in.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.crypto import Keyring
from app.models import Delivery, Edition, Subscriber
from app.services import (
    account_newsletter,
    newsletter_tokens,
    newsletter_topics,
    subscriptions,
)
from app.services.consents import Evidence
from app.services.emails import EmailAddress
from app.services.newsletter_tokens import Recipient, TokenRefused
from app.services.newsletter_topics import TopicLabel
from app.services.subscriptions import Choice


@dataclass(frozen=True, slots=True)
class LinkDescription:
    """Whom a link is for, so that they know what they are about to end."""

    # Masked; None when the address is gone, or has become another since.
    email: str | None
    status: str


async def describe(session: AsyncSession, token: str, *, keyring: Keyring) -> LinkDescription:
    """What the link to leave is about; changes nothing. Raises `TokenRefused`."""
    recipient = newsletter_tokens.read("unsubscribe", token, keyring=keyring)
    subscriber = await session.get(Subscriber, recipient.subscriber_id)
    if subscriber is not None:
        return LinkDescription(masked(subscriber.email), subscriber.state)
    follower = await account_newsletter.find_follower(session, recipient.subscriber_id)
    return LinkDescription(None, follower.state if follower else "unsubscribed")


async def leave(
    session: AsyncSession, token: str, evidence: Evidence, *, keyring: Keyring, now: datetime
) -> None:
    """End the subscription that a mail was sent for, as RFC 8058 asks; again changes nothing.

    The link of an old mail works for as long as the mail is kept, also when its reader's account
    has another address by now, and when there is nobody left to unsubscribe.
    """
    recipient = newsletter_tokens.read("unsubscribe", token, keyring=keyring)
    # Locked, so that a change of address under way is over, and its new subscriber is found.
    subscriber = await session.get(Subscriber, recipient.subscriber_id, with_for_update=True)
    if subscriber is None:
        subscriber = await account_newsletter.find_follower(session, recipient.subscriber_id)
    if subscriber is not None:
        await _end(session, subscriber, recipient, evidence, keyring=keyring, now=now)


@dataclass(frozen=True, slots=True)
class Preferences:
    """What a subscriber has chosen, and what else they could."""

    email: str
    status: str
    choice: Choice
    options: Sequence[TopicLabel]
    # Grows with every change: the time of the last one, in microseconds.
    version: int


async def preferences(
    session: AsyncSession, token: str, *, language: str, keyring: Keyring
) -> Preferences:
    """What a link opens, for whoever reads `language`.

    Raises `TokenRefused`, also when the subscriber has been erased.
    """
    subscriber, _ = await _owner(session, token, keyring=keyring)
    return Preferences(
        email=masked(subscriber.email),
        status=subscriber.state,
        choice=subscriptions.choice_of(subscriber),
        options=await newsletter_topics.list_choice(session, language, kept=subscriber.topics),
        version=_version(subscriber),
    )


async def change_preferences(
    session: AsyncSession,
    token: str,
    sent: Mapping[str, Any],
    evidence: Evidence,
    *,
    check: Callable[[int], None],
    keyring: Keyring,
    now: datetime,
) -> None:
    """Choose, leave or come back; what is not sent stays as it is.

    Coming back needs no other proof: the link was mailed to this very address. `check` compares
    the version that the change meets. Raises `TokenRefused` and `UnknownTopic`.
    """
    subscriber, recipient = await _owner(session, token, keyring=keyring, for_update=True)
    check(_version(subscriber))
    choice = await _choice(session, subscriber, sent)
    if sent.get("status") == "subscribed":
        email = EmailAddress(subscriber.email, subscriber.email_key)
        await subscriptions.subscribe(session, email, choice, evidence, keyring=keyring, now=now)
        return
    await subscriptions.change(session, subscriber, choice, evidence, keyring=keyring, now=now)
    if sent.get("status") == "unsubscribed":
        await _end(session, subscriber, recipient, evidence, keyring=keyring, now=now)


def masked(email: str) -> str:
    """An address that its owner recognises, and whoever else has the link doesn't learn."""
    local_part, _, domain = email.rpartition("@")
    end = local_part[-1] if len(local_part) > 2 else ""  # noqa: PLR2004  # or nothing is masked
    return f"{local_part[0]}…{end}@{domain}"


async def _owner(
    session: AsyncSession, token: str, *, keyring: Keyring, for_update: bool = False
) -> tuple[Subscriber, Recipient]:
    recipient = newsletter_tokens.read("preferences", token, keyring=keyring)
    subscriber = await session.get(
        Subscriber, recipient.subscriber_id, with_for_update=for_update or None
    )
    if subscriber is None:
        raise TokenRefused
    return subscriber, recipient


def _version(subscriber: Subscriber) -> int:
    return (subscriber.updated_at - _EPOCH) // timedelta(microseconds=1)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def _choice(session: AsyncSession, subscriber: Subscriber, sent: Mapping[str, Any]) -> Choice:
    """The present choice with what was sent of a new one; retired topics may be kept."""
    topics = tuple(subscriber.topics)
    if "topics" in sent:
        topics = await subscriptions.check_topics(session, sent["topics"], allow_retired=topics)
    language = sent.get("language", subscriber.language)
    return Choice(topics, language, sent.get("frequency", subscriber.frequency))


async def _end(
    session: AsyncSession,
    subscriber: Subscriber,
    recipient: Recipient,
    evidence: Evidence,
    *,
    keyring: Keyring,
    now: datetime,
) -> None:
    """End the subscription, and note in the ledger which edition's link it was that did it."""
    ended = await subscriptions.unsubscribe(session, subscriber, evidence, keyring=keyring, now=now)
    if not ended:
        return
    by_number = select(Edition.id).where(Edition.number == recipient.edition_number)
    await session.execute(
        update(Delivery)
        .where(Delivery.edition_id == by_number.scalar_subquery())
        .where(Delivery.subscriber_id == recipient.subscriber_id)
        .values(unsubscribed_at=now)
    )
