from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base


class Caption(Base):
    """Timed text of an asset in one language, as WebVTT."""

    __tablename__ = "caption"

    asset_id: Mapped[UUID] = mapped_column(
        ForeignKey("asset.id", ondelete="CASCADE"), primary_key=True
    )
    language: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    label: Mapped[str | None]
    webvtt: Mapped[str]
    sha256: Mapped[str]
    updated_at: Mapped[datetime]

    __table_args__ = (CheckConstraint("kind IN ('captions', 'subtitles')", name="kind"),)
