"""The evidence of consent (GDPR, article 7(1)): each step of a subscription, appended for good."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, cast
from uuid import UUID

from sqlalchemy import Table, insert
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from app.crypto import Keyring
from app.models import Consent
from app.services.context import Client

Event = Literal[
    "requested",
    "subscribed",
    "changed",
    "unsubscribed",
    "suppressed",
    "address_changed",
    "imported",
    "erased",
]


@dataclass(frozen=True, slots=True)
class Evidence:
    """How a step came about: by whom or what, from where, and on which words."""

    source: str
    network: str | None = None
    user_agent: str | None = None
    # Of the text that the person was shown, if any was (services/consent_texts.py).
    text_version: str | None = None
    locale: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


def evidence(
    client: Client,
    source: str,
    *,
    text_version: str | None = None,
    locale: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> Evidence:
    """What a person at the other end of this connection did."""
    return Evidence(
        source=source,
        network=client.network,
        user_agent=client.user_agent,
        text_version=text_version,
        locale=locale,
        details=details or {},
    )


def email_hash(email_key: str, *, keyring: Keyring) -> bytes:
    """What evidence and suppressions know an address by; nobody can turn it back into one."""
    return keyring.digest("newsletter-address", email_key)


async def record(
    session: AsyncSession,
    subscriber_id: UUID,
    email_key: str,
    event: Event,
    evidence: Evidence,
    *,
    keyring: Keyring,
    now: datetime,
) -> None:
    """Append a step. `now` is when it happened, which may be earlier than when it is written."""
    values = {
        "id": uuid7(),
        "email_hash": email_hash(email_key, keyring=keyring),
        "subscriber_id": subscriber_id,
        "event": event,
        "source": evidence.source,
        "text_version": evidence.text_version,
        "locale": evidence.locale,
        "details": dict(evidence.details),
        "network": evidence.network,
        "user_agent": evidence.user_agent,
        "occurred_at": now,
    }
    await session.execute(_APPEND, values)


# Into the bare table: nobody reads the row back here, and none is ever changed.
_APPEND = insert(cast("Table", Consent.__table__))
