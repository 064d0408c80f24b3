from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identified


class OutboxMail(Identified, Base):
    """A mail to be sent, written in the transaction of its cause.

    Address and contents are sealed, and wiped once the mail is sent, failed or cancelled.
    """

    __tablename__ = "mail_outbox"

    kind: Mapped[str]
    locale: Mapped[str]
    sealed: Mapped[bytes | None]
    # The code that this mail carries: renewed at sending when it would arrive too late.
    code_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("verification_code.id", ondelete="SET NULL")
    )
    account_id: Mapped[UUID | None] = mapped_column(ForeignKey("account.id", ondelete="SET NULL"))
    state: Mapped[str] = mapped_column(default="pending")
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    # The last answer of the mail server, without addresses.
    reason: Mapped[str | None]

    __table_args__ = (
        CheckConstraint(
            "state IN ('pending', 'sending', 'sent', 'failed', 'cancelled')", name="state"
        ),
        Index(
            "ix_mail_outbox_due_at",
            "due_at",
            postgresql_where=text("state IN ('pending', 'sending')"),
        ),
        Index(None, "code_id"),
        Index(None, "account_id"),
        Index(None, "finished_at"),
    )
