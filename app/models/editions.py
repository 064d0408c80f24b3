from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identified

LIVE = "state IN ('pending', 'leased', 'sending', 'deferred')"


class Edition(Identified, Base):
    """One issue of the newsletter, from its draft to the last of its mails."""

    __tablename__ = "newsletter_edition"

    # Short, for the tokens and the Message-ID of its mails.
    number: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    kind: Mapped[str]
    # Whom it is for: subscribers of this frequency who chose one of these topics (none: everybody).
    frequency: Mapped[str]
    topics: Mapped[list[str]] = mapped_column(ARRAY(Text))
    # What it is called among editors.
    name: Mapped[str]
    # By language: {"en": {"subject": …, "preheader": …, "body": Markdown}}.
    translations: Mapped[dict[str, Any]]
    # Whose text is sent to those whose language has none.
    language: Mapped[str]
    # Beside the address of NEWSLETTER_FROM.
    from_name: Mapped[str | None]
    in_archive: Mapped[bool] = mapped_column(default=True)
    state: Mapped[str] = mapped_column(default="draft")
    version: Mapped[int] = mapped_column(default=1)
    # Why it is paused: an editor's word, or a code of our own such as `sender_refused`.
    pause_reason: Mapped[str | None]
    send_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("account.id", ondelete="SET NULL"))
    # How far the ledger has been written: the last subscriber looked at, then the time of its end.
    fanned_out_to: Mapped[UUID | None]
    fanned_out_at: Mapped[datetime | None]
    recipients: Mapped[int] = mapped_column(default=0)
    # Its figures, once its ledger is past its term (services/edition_stats.py).
    totals: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB(none_as_null=True))

    __table_args__ = (
        UniqueConstraint("number"),
        CheckConstraint("kind IN ('edition', 'digest')", name="kind"),
        CheckConstraint("frequency IN ('each', 'daily', 'weekly')", name="frequency"),
        CheckConstraint(
            "state IN ('draft', 'scheduled', 'sending', 'paused', 'sent', 'cancelled')",
            name="state",
        ),
        # Few are on their way at any time, and each worker looks for them several times a second.
        Index(
            "ix_newsletter_edition_active",
            "state",
            "send_at",
            postgresql_where=text("state IN ('scheduled', 'sending', 'paused')"),
        ),
        Index(None, "started_at", "id"),
        Index(None, "created_by"),
    )


class EditionMessage(Base):
    """What all recipients of one variant get: the whole mail, with gaps for what is personal.

    An edition has a variant for each language; a digest for each language and choice of topics.
    """

    __tablename__ = "newsletter_message"

    edition_id: Mapped[UUID] = mapped_column(
        ForeignKey("newsletter_edition.id", ondelete="CASCADE"), primary_key=True
    )
    variant: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    language: Mapped[str]
    # Of a digest: the choice of its recipients. Of an edition: null, whoever speaks the language.
    topics: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    subject: Mapped[str]
    preheader: Mapped[str]
    # The MIME message with its gaps (services/edition_messages.py).
    frozen: Mapped[bytes]
    # For the archive, without anything personal.
    html: Mapped[str]
    text: Mapped[str]


class Delivery(Base):
    """The ledger: one row for each recipient of an edition, and what became of it.

    No foreign keys: a million rows are written in seconds, and the ledger outlives its subscribers.
    """

    __tablename__ = "newsletter_delivery"

    edition_id: Mapped[UUID] = mapped_column(primary_key=True)
    subscriber_id: Mapped[UUID] = mapped_column(primary_key=True)
    variant: Mapped[int] = mapped_column(SmallInteger)
    state: Mapped[str] = mapped_column(server_default=text("'pending'"))
    # When it may be claimed; of a claimed one, when its lease ends, which also names the claim.
    due_at: Mapped[datetime]
    # Its domain's limit has given it this turn already.
    has_slot: Mapped[bool] = mapped_column(server_default=text("false"))
    # How often its contents were about to be sent, and how often it stayed unknown if they were.
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    doubts: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    first_tried_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    # The last answer: SMTP's code, the enhanced one (RFC 3463), and the text without addresses.
    smtp_code: Mapped[int | None] = mapped_column(SmallInteger)
    smtp_status: Mapped[str | None]
    reason: Mapped[str | None]
    # What came back later.
    bounced_at: Mapped[datetime | None]
    complained_at: Mapped[datetime | None]
    unsubscribed_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(
            "state IN ('pending', 'leased', 'sending', 'deferred', "
            "'sent', 'failed', 'unknown', 'skipped')",
            name="state",
        ),
        Index(
            "ix_newsletter_delivery_due",
            "edition_id",
            "due_at",
            "subscriber_id",
            postgresql_where=text(LIVE),
        ),
    )


class MailRate(Base):
    """How fast mail may leave, for all workers together: by sender or by recipient domain."""

    __tablename__ = "newsletter_rate"

    # "sender", or "domain:example.org".
    scope: Mapped[str] = mapped_column(primary_key=True)
    # Mails per second: as an admin has set it, and as it is now after a server asked for less.
    allowed: Mapped[float | None]
    current: Mapped[float | None]
    # Everything up to here is given away: the next turn is at the earliest then (GCRA).
    given_until: Mapped[datetime]
    # Those for whom there was no turn yet ask again up to here (services/mail_rates.py).
    asked_until: Mapped[datetime | None]
    slowed_at: Mapped[datetime | None]
    # What `current` was at first, when servers began to ask for less.
    slowed_to: Mapped[float | None]
    updated_at: Mapped[datetime]
