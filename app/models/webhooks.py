from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from app.models.base import Base, Identified


class WebhookEndpoint(Identified, Base):
    """Where an account wants to be told of events, and how far it has been told."""

    __tablename__ = "webhook_endpoint"

    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    url: Mapped[str]
    description: Mapped[str | None]
    events: Mapped[list[str]] = mapped_column(ARRAY(Text))
    state: Mapped[str] = mapped_column(default="pending")
    disabled_reason: Mapped[str | None]
    # What messages are signed with: HMAC keys and the seed of an Ed25519 key.
    sealed_secret: Mapped[bytes]
    sealed_previous_secret: Mapped[bytes | None]
    previous_secret_ends_at: Mapped[datetime | None]
    sealed_signing_key: Mapped[bytes]
    public_key: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    # The first failure since the last success.
    failing_since: Mapped[datetime | None]
    last_success_at: Mapped[datetime | None]
    # Nothing is sent before; an endpoint that asked for less, or is overloaded, has peace so long.
    held_until: Mapped[datetime | None]
    # The changes up to here have become deliveries, or are none for this endpoint.
    read_until: Mapped[int] = mapped_column(BigInteger)
    # What was not sent while it was away: after the one change, up to the other.
    missed_after: Mapped[int | None] = mapped_column(BigInteger)
    missed_until: Mapped[int | None] = mapped_column(BigInteger)

    __table_args__ = (
        CheckConstraint("state IN ('pending', 'active', 'paused', 'disabled')", name="state"),
        Index(None, "account_id", "id"),
        Index(
            "ix_webhook_endpoint_failing_since",
            "failing_since",
            postgresql_where=text("state = 'active'"),
        ),
    )


class WebhookDelivery(Identified, Base):
    """One message to one endpoint, and what became of the latest attempt to deliver it."""

    __tablename__ = "webhook_delivery"

    endpoint_id: Mapped[UUID] = mapped_column(ForeignKey("webhook_endpoint.id", ondelete="CASCADE"))
    # The same at each attempt and replay, so that a receiver can tell what it has had.
    message_id: Mapped[str]
    event: Mapped[str]
    # Of the change feed, where the event is a change.
    sequence: Mapped[int | None] = mapped_column(BigInteger)
    payload: Mapped[str]
    state: Mapped[str] = mapped_column(default="pending")
    attempts: Mapped[int] = mapped_column(default=0)
    # When a worker may take it: for the next attempt, or because the one that had it is gone.
    next_at: Mapped[datetime]
    leased_until: Mapped[datetime | None]
    last_attempt_at: Mapped[datetime | None]
    response_status: Mapped[int | None]
    response_excerpt: Mapped[str | None]
    error: Mapped[str | None]
    duration_ms: Mapped[int | None]
    created_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint("state IN ('pending', 'delivered', 'failed')", name="state"),
        UniqueConstraint("endpoint_id", "message_id"),
        Index(None, "endpoint_id", "id"),
        Index(
            "ix_webhook_delivery_due",
            "endpoint_id",
            "next_at",
            "id",
            postgresql_where=text("state = 'pending'"),
        ),
        Index(
            "ix_webhook_delivery_leased",
            "endpoint_id",
            postgresql_where=text("leased_until IS NOT NULL"),
        ),
        Index(
            "ix_webhook_delivery_challenge",
            "endpoint_id",
            postgresql_where=text("state = 'pending' AND event = 'webhook.challenge'"),
        ),
        Index(None, "created_at"),
    )
