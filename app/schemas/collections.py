from datetime import date, datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from app.schemas.asset_editing import Location, Paragraphs, Slug
from app.schemas.assets import LocationAnswer
from app.schemas.base import Answer, Body, LanguageTag, Line

Kind = Literal["series", "event", "collection"]


class CollectionTranslation(Body):
    title: Line | None = None
    summary: Paragraphs | None = None


class CollectionPatch(Body):
    """A JSON merge patch (RFC 7396): null takes a field away, objects are merged."""

    kind: Kind | None = None
    title: Line | None = None
    summary: Paragraphs | None = None
    language: LanguageTag | None = None
    translations: (
        Annotated[dict[LanguageTag, CollectionTranslation | None], Field(max_length=50)] | None
    ) = None
    location: Location | None = None
    starts_on: date | None = None
    ends_on: date | None = None

    @model_validator(mode="after")
    def _keeps_what_it_needs(self) -> Self:
        for name in ("kind", "title", "language"):
            if name in self.model_fields_set and getattr(self, name) is None:
                raise ValueError(f"{name} can't be taken away")
        return self

    def sent(self) -> dict[str, Any]:
        return self.model_dump(exclude_unset=True)


class CollectionBody(CollectionPatch):
    """A new collection. Without a slug it gets one from its title; a slug stays for good."""

    kind: Kind
    title: Line
    slug: Slug | None = None


class CollectionTranslationAnswer(Answer):
    title: str | None = None
    summary: str | None = None


class CollectionAnswer(Answer):
    id: UUID
    slug: str
    kind: Kind
    title: str
    summary: str | None
    language: str
    translations: dict[str, CollectionTranslationAnswer]
    location: LocationAnswer | None
    starts_on: date | None
    ends_on: date | None
    version: int
    created_at: datetime
    updated_at: datetime
    # Public assets alone.
    asset_count: int = 0


class CollectionList(Answer):
    items: list[CollectionAnswer]
    next_cursor: str | None
