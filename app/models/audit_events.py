from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identified


class AuditEvent(Identified, Base):
    """Something security-relevant that happened; only ever appended.

    `subject` is the account's id, or its pseudonym once that is erased: no foreign key.
    """

    __tablename__ = "audit_event"

    occurred_at: Mapped[datetime]
    action: Mapped[str]
    subject: Mapped[str | None]
    actor_id: Mapped[UUID | None]
    network: Mapped[str | None]
    request_id: Mapped[str | None]
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)

    __table_args__ = (Index(None, "subject", "id"), Index(None, "action", "id"))
