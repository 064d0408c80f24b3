from datetime import datetime

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identified


class Account(Identified, Base):
    """A person whose mailbox is proven; before that there is only a verification flow."""

    __tablename__ = "account"

    email: Mapped[str]
    # What two spellings of one address share; see services/emails.py.
    email_key: Mapped[str]
    password_hash: Mapped[str]
    full_name: Mapped[str | None]
    organisation: Mapped[str | None]
    country: Mapped[str | None]
    locale: Mapped[str]
    role: Mapped[str] = mapped_column(default="member")
    suspended_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("email_key"),
        CheckConstraint("role IN ('member', 'editor', 'admin')", name="role"),
    )
