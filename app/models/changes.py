from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identified


class ChangeFeed(Base):
    """The one row that hands out sequence numbers.

    Its lock is taken at the very end of a transaction and held until that has committed, so the
    numbers have the order of the commits and no gaps.
    """

    __tablename__ = "change_feed"

    id: Mapped[int] = mapped_column(primary_key=True, default=1)
    # Another after a restore: numbers of before may have meant other changes.
    epoch: Mapped[UUID]
    last_sequence: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")

    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)


class Change(Identified, Base):
    """One change of the public catalogue; kept for ever, withdrawals included.

    No foreign key: that something was there stays true.
    """

    __tablename__ = "change"

    # Given by a deferred trigger, when the transaction commits.
    sequence: Mapped[int | None] = mapped_column(BigInteger)
    kind: Mapped[str]
    asset_id: Mapped[UUID]
    version: Mapped[int]
    occurred_at: Mapped[datetime]
    # By the server's clock, and so in the order of the sequence.
    committed_at: Mapped[datetime | None]
    # The latest of its asset.
    is_latest: Mapped[bool] = mapped_column(default=True)

    __table_args__ = (
        UniqueConstraint("sequence"),
        CheckConstraint("kind IN ('created', 'updated', 'withdrawn')", name="kind"),
        Index("uq_change_latest", "asset_id", unique=True, postgresql_where=text("is_latest")),
        Index(
            "ix_change_committed_at", "committed_at", "asset_id", postgresql_where=text("is_latest")
        ),
        Index("ix_change_withdrawn", "sequence", postgresql_where=text("kind = 'withdrawn'")),
    )
