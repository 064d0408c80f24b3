from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Computed, ForeignKey, Index, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base


class AssetSearch(Base):
    """What lists, filters, facets and searches look at: one narrow row for each public asset.

    Rows stay small enough to be read by the ten thousand: `vector`, which has every word, is kept
    out of the way and hardly ever read, for its index answers alone.
    """

    __tablename__ = "asset_search"

    asset_id: Mapped[UUID] = mapped_column(
        ForeignKey("asset.id", ondelete="CASCADE"), primary_key=True
    )
    published_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    # Folded and cut, for sorting.
    title: Mapped[str] = mapped_column(Text(collation="C"))
    duration_ms: Mapped[int | None]
    height: Mapped[int | None]
    # Filters and facets, each as `name:value`: type:video, country:be, keyword:harbour.
    terms: Mapped[list[str]] = mapped_column(ARRAY(Text))
    # What decides the rank: title, headline, names, keywords, and how the texts begin.
    head: Mapped[Any] = mapped_column(TSVECTOR)
    # Every word, for finding.
    vector: Mapped[Any] = mapped_column(TSVECTOR)

    __table_args__ = (
        Index("ix_asset_search_published_at", "published_at", "asset_id"),
        Index("ix_asset_search_updated_at", "updated_at", "asset_id"),
        Index("ix_asset_search_title", "title", "asset_id"),
        # One index for both, so that a search within filters reads what they have in common.
        Index(
            "ix_asset_search_found",
            "terms",
            "vector",
            postgresql_using="gin",
            postgresql_with={"fastupdate": "off"},
        ),
    )


class FacetCount(Base):
    """How many public assets have a term: the facets and the total of an unfiltered list."""

    __tablename__ = "facet_count"

    # As in `AssetSearch.terms`, folded; `label` is the value as somebody wrote it.
    term: Mapped[str] = mapped_column(primary_key=True)
    facet: Mapped[str] = mapped_column(Computed("split_part(term, ':', 1)", persisted=True))
    label: Mapped[str]
    count: Mapped[int]

    __table_args__ = (
        Index(
            "ix_facet_count_facet_count",
            "facet",
            text("count DESC"),
            postgresql_where=text("count > 0"),
        ),
    )
