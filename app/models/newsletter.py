from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Computed, ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identified


class Topic(Base):
    """What a subscriber can choose. Digests show the assets that have one of its terms."""

    __tablename__ = "newsletter_topic"

    # In addresses, choices and CSV files, so it never changes.
    slug: Mapped[str] = mapped_column(primary_key=True)
    # By language: {"en": {"name": …, "description": …}}.
    labels: Mapped[dict[str, Any]]
    # As in `AssetSearch.terms`; an empty list takes in every asset.
    terms: Mapped[list[str]] = mapped_column(ARRAY(Text))
    position: Mapped[int]
    # Nobody can choose it any more; those who have, keep it.
    retired_at: Mapped[datetime | None]

    __table_args__ = (CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name="slug"),)


class Subscriber(Identified, Base):
    """An address whose owner once subscribed. An account's subscription is that of its address."""

    __tablename__ = "newsletter_subscriber"

    email: Mapped[str]
    email_key: Mapped[str]
    # For limits by recipient domain; the key's is in ASCII.
    domain: Mapped[str] = mapped_column(
        Computed("lower(split_part(email_key, '@', 2))", persisted=True)
    )
    state: Mapped[str]
    # Sorted slugs; an empty list means every topic, also those to come.
    topics: Mapped[list[str]] = mapped_column(ARRAY(Text))
    language: Mapped[str]
    frequency: Mapped[str]
    # When the subscription that holds now began; editions that started before are not sent.
    subscribed_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    # Of soft bounces: each counts one, and what it counts halves in policy.BOUNCE_HALF_LIFE.
    bounce_score: Mapped[float] = mapped_column(default=0, server_default=text("0"))
    bounced_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("email_key"),
        CheckConstraint("state IN ('subscribed', 'unsubscribed', 'suppressed')", name="state"),
        CheckConstraint("frequency IN ('each', 'daily', 'weekly')", name="frequency"),
    )


class Signup(Base):
    """A visitor's wish to subscribe, until the link of its mail is pressed; one per address."""

    __tablename__ = "newsletter_signup"

    email_key: Mapped[str] = mapped_column(primary_key=True)
    email: Mapped[str]
    token_hash: Mapped[bytes]
    # What was asked for and shown: topics, language, frequency, text_version, network, user_agent.
    request: Mapped[dict[str, Any]]
    mailed_at: Mapped[datetime]
    expires_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("token_hash"), Index(None, "expires_at"))


class Consent(Identified, Base):
    """One step in the history of a subscription (GDPR, article 7(1)); never changed.

    It outlives the subscriber: without the address, it can be found by whoever names that again.
    """

    __tablename__ = "newsletter_consent"

    email_hash: Mapped[bytes]
    subscriber_id: Mapped[UUID]
    event: Mapped[str]
    # Who or what did it: account, link, one_click, preferences, import, bounce, complaint, …
    source: Mapped[str]
    # What the person was told, word for word, by version and language.
    text_version: Mapped[str | None]
    locale: Mapped[str | None]
    # How it is proven, and what was chosen: requested_at, mailed_at, topics, frequency, …
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    network: Mapped[str | None]
    user_agent: Mapped[str | None]
    occurred_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint(
            "event IN ('requested', 'subscribed', 'changed', 'unsubscribed', 'suppressed', "
            "'address_changed', 'imported', 'erased')",
            name="event",
        ),
        Index(None, "email_hash"),
        Index(None, "subscriber_id"),
        Index(None, "occurred_at"),
    )


class Suppression(Base):
    """An address that is not written to, whoever asks, until its owner subscribes again.

    Only as a keyed hash, so that it can stay when everything else about the person is erased.
    """

    __tablename__ = "newsletter_suppression"

    email_hash: Mapped[bytes] = mapped_column(primary_key=True)
    reason: Mapped[str]
    created_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint(
            "reason IN ('hard_bounce', 'soft_bounces', 'complaint', 'erased', 'editor')",
            name="reason",
        ),
    )


class DigestProgress(Base):
    """Until when the digests of a frequency have shown what was published."""

    __tablename__ = "newsletter_digest"

    frequency: Mapped[str] = mapped_column(primary_key=True)
    covered_until: Mapped[datetime]
    edition_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("newsletter_edition.id", ondelete="SET NULL")
    )

    __table_args__ = (
        CheckConstraint("frequency IN ('daily', 'weekly')", name="frequency"),
        Index(None, "edition_id"),
    )
