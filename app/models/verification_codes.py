from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identified

PURPOSES = "'registration', 'password_reset', 'email_change'"


class VerificationFlow(Identified, Base):
    """One attempt to prove a mailbox, from the request until its code is entered.

    A registration's password hash and profile wait here and nowhere else: there is no account, so
    nobody can squat an address or plant a password.
    """

    __tablename__ = "verification_flow"

    purpose: Mapped[str]
    email: Mapped[str]
    email_key: Mapped[str]
    address_hash: Mapped[bytes]
    account_id: Mapped[UUID | None] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    password_hash: Mapped[str | None]
    profile: Mapped[dict[str, Any]] = mapped_column(default=dict)
    locale: Mapped[str]
    return_to: Mapped[str | None]
    created_at: Mapped[datetime]
    completed_at: Mapped[datetime | None]
    # Only for a password reset, between the code and the new password.
    reset_token_hash: Mapped[bytes | None]
    reset_token_expires_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(f"purpose IN ({PURPOSES})", name="purpose"),
        UniqueConstraint("reset_token_hash"),
        Index(None, "email_key", "purpose"),
        Index(None, "account_id"),
        Index(None, "created_at"),
    )


class VerificationCode(Identified, Base):
    """One mailed code with the link token of the same mail; both only as HMAC."""

    __tablename__ = "verification_code"

    flow_id: Mapped[UUID] = mapped_column(ForeignKey("verification_flow.id", ondelete="CASCADE"))
    purpose: Mapped[str]
    address_hash: Mapped[bytes]
    code_hash: Mapped[bytes]
    token_hash: Mapped[bytes]
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    failed_attempts: Mapped[int] = mapped_column(default=0)
    # Used, or replaced by a newer one of the same flow.
    closed_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("token_hash"),
        Index(None, "flow_id"),
        Index(None, "address_hash", "purpose", "issued_at"),
    )


class FailedCodes(Base):
    """How many wrong codes were entered on a day, for one address or (empty scope) for all."""

    __tablename__ = "failed_codes"

    day: Mapped[date] = mapped_column(primary_key=True)
    scope: Mapped[bytes] = mapped_column(primary_key=True)
    failures: Mapped[int]


class EmailChangeUndo(Identified, Base):
    """The way back for the owner of the old mailbox after a change of address."""

    __tablename__ = "email_change_undo"

    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    email: Mapped[str]
    email_key: Mapped[str]
    token_hash: Mapped[bytes]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]

    __table_args__ = (UniqueConstraint("token_hash"), Index(None, "account_id"))
