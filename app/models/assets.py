from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identified


class Asset(Identified, Base):
    """A video, image, audio or story of the catalogue.

    `document` is the public JSON of the current version, rendered when it was published: the read
    path joins documents and builds nothing. Null for what is not public.
    """

    __tablename__ = "asset"

    slug: Mapped[str]
    type: Mapped[str]
    state: Mapped[str] = mapped_column(default="draft")
    # One more with every change that an editor or the worker makes: the entity tag.
    version: Mapped[int] = mapped_column(default=1)
    language: Mapped[str]
    # The descriptive fields, as the editor wrote them; `document` is made from these.
    fields: Mapped[dict[str, Any]] = mapped_column(default=dict)
    document: Mapped[str | None]
    # Which release of the rendering made it: the worker renders older ones again.
    document_format: Mapped[int] = mapped_column(default=0, server_default="0")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("account.id", ondelete="SET NULL"))
    # The embargo of a scheduled asset, and the end of the right to offer a published one.
    publish_at: Mapped[datetime | None]
    available_until: Mapped[datetime | None]
    published_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    withdrawal_reason: Mapped[str | None]

    __table_args__ = (
        UniqueConstraint("slug"),
        CheckConstraint("type IN ('video', 'image', 'audio', 'story')", name="type"),
        CheckConstraint("state IN ('draft', 'scheduled', 'published', 'withdrawn')", name="state"),
        CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name="slug"),
        CheckConstraint("state <> 'scheduled' OR publish_at IS NOT NULL", name="scheduled"),
        CheckConstraint("(state = 'published') = (document IS NOT NULL)", name="document"),
        Index("ix_asset_state_updated_at", "state", "updated_at", "id"),
        # For harvests of a type that few assets have, or none.
        Index(None, "type"),
        Index("ix_asset_publish_at", "publish_at", postgresql_where=text("state = 'scheduled'")),
        Index(
            "ix_asset_available_until",
            "available_until",
            postgresql_where=text("state = 'published' AND available_until IS NOT NULL"),
        ),
        Index(
            "ix_asset_document_format",
            "document_format",
            postgresql_where=text("state = 'published'"),
        ),
    )


class AssetVersion(Base):
    """What one change of an asset did: who changed which fields, from what, and why."""

    __tablename__ = "asset_version"

    asset_id: Mapped[UUID] = mapped_column(
        ForeignKey("asset.id", ondelete="CASCADE"), primary_key=True
    )
    version: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    note: Mapped[str | None]
    # By top-level field: {"title": {"before": …, "after": …}}.
    changes: Mapped[dict[str, Any]] = mapped_column(default=dict)
    account_id: Mapped[UUID | None] = mapped_column(ForeignKey("account.id", ondelete="SET NULL"))
    occurred_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint(
            "kind IN ('created', 'edited', 'scheduled', 'unscheduled', 'published', 'corrected',"
            " 'files', 'rendered', 'withdrawn')",
            name="kind",
        ),
    )


class AssetRelation(Base):
    """That one asset refers to another. Documents show those that are public."""

    __tablename__ = "asset_relation"

    asset_id: Mapped[UUID] = mapped_column(
        ForeignKey("asset.id", ondelete="CASCADE"), primary_key=True
    )
    related_id: Mapped[UUID] = mapped_column(
        ForeignKey("asset.id", ondelete="CASCADE"), primary_key=True
    )
    rel: Mapped[str]
    position: Mapped[int]

    __table_args__ = (Index(None, "related_id"),)
