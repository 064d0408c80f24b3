from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identified


class SavedSearch(Identified, Base):
    """Filters of the catalogue's list that an account has kept, and who is told of new matches."""

    __tablename__ = "saved_search"

    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    name: Mapped[str]
    # Parameters of GET /v1/assets, without those that are not used.
    query: Mapped[dict[str, Any]] = mapped_column(default=dict)
    alert: Mapped[str] = mapped_column(default="none")
    paused: Mapped[bool] = mapped_column(default=False)
    # It looks at what changed after this change of the feed, and was published since this moment.
    last_sequence: Mapped[int] = mapped_column(BigInteger)
    watches_since: Mapped[datetime]
    # Matches wait for the account's next mail.
    has_news: Mapped[bool] = mapped_column(default=False)
    # When its account was last mailed about any of its searches.
    mailed_at: Mapped[datetime | None]
    last_matched_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint("alert IN ('none', 'mail', 'webhook')", name="alert"),
        Index(None, "account_id", "id"),
        # No index has what changes with each change of the catalogue, so that rows are replaced
        # in their places.
        {"postgresql_with": {"fillfactor": "70"}},
    )


class SavedSearchMatch(Base):
    """That an asset has matched a search, so that nobody is told of it twice.

    No foreign key to the asset, whose row an editor may hold for long: what was published is never
    deleted.
    """

    __tablename__ = "saved_search_match"

    search_id: Mapped[UUID] = mapped_column(
        ForeignKey("saved_search.id", ondelete="CASCADE"), primary_key=True
    )
    asset_id: Mapped[UUID] = mapped_column(primary_key=True)
    matched_at: Mapped[datetime]
    told_at: Mapped[datetime | None]

    __table_args__ = (
        Index(
            "ix_saved_search_match_untold", "search_id", postgresql_where=text("told_at IS NULL")
        ),
        Index(None, "matched_at"),
    )
