from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identified


class Session(Identified, Base):
    """One log-in on one device: a family of refresh tokens.

    No token is stored. The nth one is derived from `secret` and n (see services/sessions.py), so
    that a phone which lost an answer can be given the same successor again.
    """

    __tablename__ = "session"

    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    secret: Mapped[bytes]
    counter: Mapped[int] = mapped_column(default=0)
    rotated_at: Mapped[datetime]
    transport: Mapped[str]
    device_name: Mapped[str | None]
    user_agent: Mapped[str | None]
    network: Mapped[str]
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    # When the password was last asked for again; until then, the log-in itself has proven it.
    password_proven_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("transport IN ('bearer', 'cookie')", name="transport"),
        Index(None, "account_id", "id"),
        Index(None, "expires_at"),
    )
