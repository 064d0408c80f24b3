from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identified


class Rendition(Identified, Base):
    """One file of an asset: an object in the store with its size, hash and technical metadata."""

    __tablename__ = "rendition"

    asset_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id", ondelete="CASCADE"))
    name: Mapped[str]
    purpose: Mapped[str]
    state: Mapped[str] = mapped_column(default="ready")
    object_key: Mapped[str]
    filename: Mapped[str]
    media_type: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    technical: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("asset_id", "name"),
        CheckConstraint("state IN ('pending', 'processing', 'ready', 'failed')", name="state"),
        CheckConstraint("size_bytes >= 0", name="size_bytes"),
        CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="sha256"),
        Index(None, "sha256"),
    )
