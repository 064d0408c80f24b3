from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identified


class Asset(Identified, Base):
    """A video, image, audio or story of the catalogue.

    `document` is the public JSON of the current version, rendered when it was published: the read
    path joins documents and builds nothing.
    """

    __tablename__ = "asset"

    slug: Mapped[str]
    type: Mapped[str]
    state: Mapped[str] = mapped_column(default="draft")
    version: Mapped[int] = mapped_column(default=1)
    language: Mapped[str]
    # The descriptive fields, as the editor wrote them; `document` is made from these.
    fields: Mapped[dict[str, Any]] = mapped_column(default=dict)
    document: Mapped[str | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    published_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    withdrawal_reason: Mapped[str | None]

    __table_args__ = (
        UniqueConstraint("slug"),
        CheckConstraint("type IN ('video', 'image', 'audio', 'story')", name="type"),
        CheckConstraint("state IN ('draft', 'scheduled', 'published', 'withdrawn')", name="state"),
        CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name="slug"),
        Index(
            "ix_asset_published",
            "published_at",
            "id",
            postgresql_where=text("state = 'published'"),
        ),
    )
