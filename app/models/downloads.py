from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identified


class Download(Identified, Base):
    """A download URL that was handed out. Counted once per account, rendition and UTC day."""

    __tablename__ = "download"

    # Erasing the account leaves the bare fact for the counts.
    account_id: Mapped[UUID | None] = mapped_column(ForeignKey("account.id", ondelete="SET NULL"))
    rendition_id: Mapped[UUID] = mapped_column(ForeignKey("rendition.id", ondelete="CASCADE"))
    day: Mapped[date]
    occurred_at: Mapped[datetime]

    __table_args__ = (
        Index(None, "account_id", "id"),
        Index(None, "rendition_id", "day", "account_id"),
    )
