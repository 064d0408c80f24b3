"""What the newsletter holds about the owner of an address, for the document they can ask for."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Executable, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.crypto import Keyring
from app.models import Consent, Delivery, Edition, Signup, Subscriber, Suppression
from app.services import consents

# Of a change of address, evidence names the other one by its hash, which would only help thieves.
_HASHES = frozenset({"from", "to"})


async def export(
    session: AsyncSession, email_key: str, account_id: UUID, *, keyring: Keyring
) -> Mapping[str, Sequence[dict[str, Any]]]:
    """By section: the subscription, its evidence, requests, mails, and editions one has made.

    With all that is known of the former addresses from which it came.
    """
    hashes = await _hashes(session, consents.email_hash(email_key, keyring=keyring))
    evidence = await _fetch(
        session, _CONSENTS.where(Consent.email_hash.in_(hashes)).order_by(Consent.id)
    )
    subscribers = {step.pop("subscriber_id") for step in evidence}
    return {
        "newsletter_subscriptions": await _fetch(
            session, _SUBSCRIPTIONS.where(Subscriber.email_key == email_key)
        ),
        "newsletter_signups": await _fetch(session, _SIGNUPS.where(Signup.email_key == email_key)),
        "newsletter_consents": [_without_hashes(step) for step in evidence],
        "newsletter_suppressions": await _fetch(
            session, _SUPPRESSIONS.where(Suppression.email_hash.in_(hashes))
        ),
        "newsletter_deliveries": await _fetch(
            session, _DELIVERIES.where(Delivery.subscriber_id.in_(subscribers))
        ),
        "newsletter_editions": await _fetch(
            session, _EDITIONS.where(Edition.created_by == account_id)
        ),
    }


_SUBSCRIPTIONS = select(
    Subscriber.email,
    Subscriber.state,
    Subscriber.topics,
    Subscriber.language,
    Subscriber.frequency,
    Subscriber.subscribed_at,
    Subscriber.ended_at,
    Subscriber.created_at,
    Subscriber.updated_at,
    Subscriber.bounce_score,
    Subscriber.bounced_at,
)
_SIGNUPS = select(Signup.email, Signup.request, Signup.mailed_at, Signup.expires_at)
_CONSENTS = select(
    Consent.subscriber_id,
    Consent.event,
    Consent.source,
    Consent.text_version,
    Consent.locale,
    Consent.details,
    Consent.network,
    Consent.user_agent,
    Consent.occurred_at,
)
_SUPPRESSIONS = select(Suppression.reason, Suppression.created_at)
# Through the editions, which are few: the ledger's key begins with theirs.
_DELIVERIES = (
    select(
        Edition.number.label("edition"),
        Edition.name,
        Delivery.state,
        Delivery.attempts,
        Delivery.first_tried_at,
        Delivery.finished_at,
        Delivery.smtp_code,
        Delivery.smtp_status,
        Delivery.reason,
        Delivery.bounced_at,
        Delivery.complained_at,
        Delivery.unsubscribed_at,
    )
    .join(Edition, Edition.id == Delivery.edition_id)
    .order_by(Edition.number)
)
# What was written there is the newsroom's, not about a person.
_EDITIONS = select(Edition.number, Edition.name, Edition.created_at).order_by(Edition.number)


async def _hashes(session: AsyncSession, current: bytes) -> set[bytes]:
    """Of the address, and of those that its subscription came from by changes of address."""
    found, new = set[bytes](), {current}
    came_from = select(Consent.details["from"].astext).where(Consent.details.has_key("from"))
    while new:
        found |= new
        rows = await session.scalars(came_from.where(Consent.email_hash.in_(new)))
        new = {bytes.fromhex(each) for each in rows} - found
    return found


async def _fetch(session: AsyncSession, query: Executable) -> list[dict[str, Any]]:
    return [dict(row) for row in (await session.execute(query)).mappings()]


def _without_hashes(step: dict[str, Any]) -> dict[str, Any]:
    details = {name: value for name, value in step["details"].items() if name not in _HASHES}
    return {**step, "details": details}
