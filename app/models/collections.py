from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identified


class Collection(Identified, Base):
    """Assets that belong together: a series, an event, or a choice."""

    __tablename__ = "collection"

    slug: Mapped[str]
    kind: Mapped[str]
    title: Mapped[str]
    # The title folded, to look for it and to sort by it.
    folded: Mapped[str]
    summary: Mapped[str | None]
    language: Mapped[str]
    # By language: {"fr": {"title": …, "summary": …}}.
    translations: Mapped[dict[str, Any]] = mapped_column(default=dict)
    location: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    starts_on: Mapped[date | None]
    ends_on: Mapped[date | None]
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("slug"),
        CheckConstraint("kind IN ('series', 'event', 'collection')", name="kind"),
        CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name="slug"),
        CheckConstraint("ends_on >= starts_on", name="dates"),
    )


class CollectionItem(Base):
    """Membership of an asset, whatever its state: readers see the public ones."""

    __tablename__ = "collection_item"

    collection_id: Mapped[UUID] = mapped_column(
        ForeignKey("collection.id", ondelete="CASCADE"), primary_key=True
    )
    asset_id: Mapped[UUID] = mapped_column(
        ForeignKey("asset.id", ondelete="CASCADE"), primary_key=True
    )

    __table_args__ = (Index(None, "asset_id"),)
