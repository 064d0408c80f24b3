from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identified


class Upload(Identified, Base):
    """A file on its way in, by tus. `offset_bytes` counts what is durable in the store."""

    __tablename__ = "upload"

    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    asset_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id", ondelete="CASCADE"))
    # Of the file that it becomes, and what that is to be called.
    rendition_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("rendition.id", ondelete="SET NULL")
    )
    rendition_name: Mapped[str]
    purpose: Mapped[str]
    filename: Mapped[str]
    # The header as it was sent; HEAD gives it back.
    metadata_header: Mapped[str]
    expected_sha256: Mapped[str | None]
    length_bytes: Mapped[int] = mapped_column(BigInteger)
    offset_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    state: Mapped[str] = mapped_column(default="open")
    # Who appends at this moment, and until when nobody else may.
    lock_id: Mapped[UUID | None]
    locked_until: Mapped[datetime | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint("state IN ('open', 'complete', 'ended')", name="state"),
        CheckConstraint("offset_bytes BETWEEN 0 AND length_bytes", name="offset_bytes"),
        Index(None, "account_id"),
        Index(None, "asset_id"),
        Index(None, "rendition_id"),
        Index("ix_upload_expires_at", "expires_at", postgresql_where=text("state = 'open'")),
    )


class UploadPart(Base):
    """A durable piece of an upload: an object of its own until the worker has joined them."""

    __tablename__ = "upload_part"

    upload_id: Mapped[UUID] = mapped_column(
        ForeignKey("upload.id", ondelete="CASCADE"), primary_key=True
    )
    start_bytes: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    object_key: Mapped[str]
