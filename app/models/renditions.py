from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identified


class StoredObject(Base):
    """An object in the store. Renditions share one where their bytes are the same.

    Whoever is about to put or to use one claims it first (services/stored_objects.py). Its key is
    never used again for another, so that nothing that comes late can hit the wrong object.
    """

    __tablename__ = "stored_object"

    key: Mapped[str] = mapped_column(primary_key=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    created_at: Mapped[datetime]
    # It is kept for a day from here on, also while nothing refers to it.
    claimed_at: Mapped[datetime] = mapped_column(default=func.now(), server_default=func.now())

    __table_args__ = (
        CheckConstraint("size_bytes >= 0", name="size_bytes"),
        CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="sha256"),
        Index(None, "sha256"),
    )


class CondemnedObject(Base):
    """The key of an object that is to be deleted from the store.

    It is no `StoredObject` any more: its foreign key keeps renditions from referring to it.
    """

    __tablename__ = "condemned_object"

    key: Mapped[str] = mapped_column(primary_key=True)
    condemned_at: Mapped[datetime]


class Rendition(Identified, Base):
    """One file of an asset: an object in the store with its size, hash and technical metadata.

    `poster`, `poster@small` and `preview` are made by the worker from another one; clients see them
    by their own addresses and not among the renditions. One that a newer file of its name has
    taken the place of is `replaced`: its downloads still count.
    """

    __tablename__ = "rendition"

    asset_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id", ondelete="CASCADE"))
    name: Mapped[str]
    purpose: Mapped[str]
    state: Mapped[str] = mapped_column(default="ready")
    # How much of the processing is done, in percent.
    progress: Mapped[int] = mapped_column(default=100, server_default="100")
    # When a worker may take it up: it is new, a try has failed for now, its worker has died, or,
    # of a ready one, it is to make the poster and the preview. Null where there is nothing to do.
    due_at: Mapped[datetime | None]
    # Counted at each claim, so it also tells one worker's claim from a later one.
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    # Why it is `failed`, what it waits for, or what a ready one lacks: a stable code (see
    # services/rendition_rules.py) and a sentence for the editor.
    failure: Mapped[str | None]
    failure_detail: Mapped[str | None]
    object_key: Mapped[str | None] = mapped_column(ForeignKey("stored_object.key"))
    # Since when the collector knows that nobody can download it: its object goes a month later.
    unused_since: Mapped[datetime | None]
    filename: Mapped[str]
    media_type: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    # Null until the file has been read.
    sha256: Mapped[str | None]
    technical: Mapped[dict[str, Any]] = mapped_column(default=dict)
    # Which rendition of the asset a poster or preview was made from.
    source_id: Mapped[UUID | None]
    created_at: Mapped[datetime]
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("account.id", ondelete="SET NULL"))

    __table_args__ = (
        CheckConstraint(
            "state IN ('pending', 'processing', 'ready', 'failed', 'replaced')", name="state"
        ),
        CheckConstraint("progress BETWEEN 0 AND 100", name="progress"),
        CheckConstraint("size_bytes >= 0", name="size_bytes"),
        CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="sha256"),
        CheckConstraint(
            "state <> 'ready' OR (object_key IS NOT NULL AND sha256 IS NOT NULL)", name="ready"
        ),
        Index(
            "uq_rendition_ready",
            "asset_id",
            "name",
            unique=True,
            postgresql_where=text("state = 'ready'"),
        ),
        Index(None, "asset_id"),
        Index(None, "sha256"),
        Index(None, "object_key"),
        Index("ix_rendition_due_at", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index(
            "ix_rendition_unused",
            "id",
            postgresql_where=text("state IN ('replaced', 'failed') AND object_key IS NOT NULL"),
        ),
    )
