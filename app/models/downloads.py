from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, false, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identified


class Download(Identified, Base):
    """A download URL that was handed out.

    Counted once per account, or API key, and rendition and UTC day.
    """

    __tablename__ = "download"

    # Erasing the account leaves the bare fact for the counts.
    account_id: Mapped[UUID | None] = mapped_column(ForeignKey("account.id", ondelete="SET NULL"))
    rendition_id: Mapped[UUID] = mapped_column(ForeignKey("rendition.id", ondelete="CASCADE"))
    day: Mapped[date]
    occurred_at: Mapped[datetime]
    # The API key that asked, and that one did: the id goes with the key, the fact stays.
    key_id: Mapped[UUID | None] = mapped_column(ForeignKey("api_key.id", ondelete="SET NULL"))
    by_key: Mapped[bool] = mapped_column(default=False, server_default=false())
    # True of the first by its account or key, of its rendition, on its day. Said once, when it
    # happens, so that the counts stay the same when the account is erased.
    is_counted: Mapped[bool] = mapped_column(default=False, server_default=false())

    __table_args__ = (
        Index(None, "account_id", "id"),
        Index(
            "uq_download_counted",
            "rendition_id",
            "day",
            "account_id",
            unique=True,
            postgresql_where=text("is_counted AND NOT by_key"),
        ),
        Index(
            "uq_download_counted_by_key",
            "rendition_id",
            "day",
            "key_id",
            unique=True,
            postgresql_where=text("is_counted AND by_key"),
        ),
        # For whoever deletes a key.
        Index(None, "key_id", postgresql_where=text("key_id IS NOT NULL")),
    )
