"""What is sent and answered about saved searches."""

from datetime import UTC, datetime
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from app.schemas.asset_lists import AssetFilterQuery, AssetListQuery, AssetListView
from app.schemas.base import Answer, Body, Line
from app.services import policy
from app.services.asset_hits import TERM_FILTERS
from app.services.saved_searches import whole_words

Alert = Literal["none", "mail", "webhook"]


class SavedQuery(AssetFilterQuery):
    """The filters of `GET /v1/assets`; a list may be a single value, and null is no filter."""

    @field_validator(*TERM_FILTERS, mode="before")
    @classmethod
    def _is_a_list(cls, value: object) -> object:
        if value is None:
            return []
        return [value] if isinstance(value, str) else value

    @field_validator(*TERM_FILTERS)
    @classmethod
    def _is_not_too_long(cls, values: list[Any]) -> list[Any]:
        if len(values) > policy.SAVED_FILTER_MAX_VALUES:
            raise PydanticCustomError("too_many_values", "Must have 50 values at most")
        return values

    @field_validator("q")
    @classmethod
    def _can_be_searched_for(cls, q: str | None) -> str | None:
        if q is not None and len(q.strip()) > policy.QUERY_MAX_LENGTH:
            raise PydanticCustomError("query_too_long", "Must have 200 characters at most")
        return q

    @field_validator("published_from", "published_to")
    @classmethod
    def _in_utc(cls, moment: datetime | None) -> datetime | None:
        try:
            return moment.astimezone(UTC) if moment else None
        except OverflowError:
            raise ValueError("must be in the years 1 to 9999, in UTC too") from None


class SavedSearchPatch(Body):
    """A JSON merge patch (RFC 7396): members of `query` are merged, and null takes one away."""

    name: Line | None = None
    query: SavedQuery | None = None
    alert: Alert | None = Field(
        default=None, description="How the account is told of what newly matches"
    )
    paused: bool | None = None

    @model_validator(mode="after")
    def _keeps_what_it_needs(self) -> Self:
        for name in self.model_fields_set:
            if getattr(self, name) is None:
                raise ValueError(f"{name} can't be taken away")
        return self

    def sent(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_unset=True)


class SavedSearchBody(Body):
    name: Line
    query: SavedQuery = Field(default_factory=SavedQuery)
    alert: Alert = "none"
    paused: bool = False

    def sent(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


class SavedSearchAnswer(Answer):
    id: UUID
    name: str
    query: SavedQuery
    alert: Alert
    paused: bool
    last_matched_at: datetime | None
    created_at: datetime
    updated_at: datetime


class SavedSearchList(Answer):
    items: list[SavedSearchAnswer]
    next_cursor: str | None


class StopLinkAnswer(Answer):
    name: str | None
    is_active: bool


def list_query(stored: dict[str, Any], view: AssetListView) -> AssetListQuery:
    """The list that a saved search is now, shown as somebody asks for it."""
    filters = {**stored, "q": whole_words(stored.get("q"))}
    return AssetListQuery(**filters, **view.model_dump(exclude_unset=True))
