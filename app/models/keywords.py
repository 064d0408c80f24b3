from datetime import datetime
from typing import Any

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identified


class Keyword(Identified, Base):
    """A term of the one vocabulary. Two that differ in case or accents alone are the same."""

    __tablename__ = "keyword"

    name: Mapped[str]
    folded: Mapped[str]
    # By language: {"fr": "port"}.
    labels: Mapped[dict[str, Any]] = mapped_column(default=dict)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("folded"),)
