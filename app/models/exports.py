from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identified


class Export(Identified, Base):
    """The public catalogue as of one moment, in files that hold the same lines."""

    __tablename__ = "export"

    # Where the feed of changes stood at that moment: what comes after goes on from the files.
    epoch: Mapped[UUID]
    sequence: Mapped[int] = mapped_column(BigInteger)
    taken_at: Mapped[datetime]
    # When the catalogue was last found to read as it does here.
    confirmed_at: Mapped[datetime]
    completed_at: Mapped[datetime]
    assets: Mapped[int]

    __table_args__ = (
        CheckConstraint("sequence >= 0", name="sequence"),
        CheckConstraint("assets >= 0", name="assets"),
    )


class ExportFile(Base):
    __tablename__ = "export_file"

    export_id: Mapped[UUID] = mapped_column(
        ForeignKey("export.id", ondelete="CASCADE"), primary_key=True
    )
    format: Mapped[str] = mapped_column(primary_key=True)
    object_key: Mapped[str] = mapped_column(ForeignKey("stored_object.key"))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]

    __table_args__ = (
        CheckConstraint("format IN ('ndjson', 'ndjson.gz', 'ndjson.zst')", name="format"),
        CheckConstraint("size_bytes >= 0", name="size_bytes"),
        CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="sha256"),
        Index(None, "object_key"),
    )
