"""What a list of the catalogue is asked for, and how it answers."""

from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from app.http.paging import DEFAULT_LIMIT, MAX_LIMIT
from app.schemas.assets import AssetAnswer, AssetStatus, AssetType, EditorAsset, Total
from app.schemas.base import SPARSE, Answer
from app.services import policy
from app.services.asset_facets import FACETS, Facet

Sort = Literal["-published_at", "published_at", "relevance", "-updated_at", "title"]
FilterValue = Annotated[str, StringConstraints(min_length=1, max_length=200)]


def _begin(moment: datetime | date) -> datetime:
    """A date is the whole day, and times without a zone are UTC."""
    if not isinstance(moment, datetime):
        return datetime.combine(moment, time.min, UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _end(moment: datetime | date) -> datetime:
    is_day = not isinstance(moment, datetime)
    return datetime.combine(moment, time.max, UTC) if is_day else _begin(moment)


class AssetFilterQuery(BaseModel):
    """The filters that lists and feeds share: `query: Annotated[AssetFilterQuery, Query()]`.

    Several values of one filter are alternatives; different filters must all hold. A name that is
    none of these is an error: mistyped, it would let everything through.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    q: str | None = Field(
        default=None,
        description='Words, "phrases", -not, or; the last word may be a beginning. With `status`, '
        "plain words or parts of them",
    )
    type: list[AssetType] = []
    language: list[FilterValue] = []
    location: list[FilterValue] = []
    country: list[FilterValue] = []
    person: list[FilterValue] = []
    keyword: list[FilterValue] = []
    collection: list[FilterValue] = Field(default=[], description="Slugs or ids")
    published_from: Annotated[date | datetime, AfterValidator(_begin)] | None = None
    published_to: Annotated[date | datetime, AfterValidator(_end)] | None = None
    min_duration: int | None = Field(default=None, ge=0, le=1_000_000, description="Seconds")
    min_height: int | None = Field(default=None, ge=0, le=1_000_000, description="Pixels")
    has_captions: bool | None = None


def _names(known: tuple[str, ...], most: int) -> AfterValidator:
    def split(text: str) -> str:
        names = text.split(",")
        for name in names:
            if name not in known:
                raise PydanticCustomError("unknown_name", "One of these names is not known")
        if len(names) > most:
            raise PydanticCustomError("too_many_names", "Too many names")
        return text

    return AfterValidator(split)


class AssetListView(BaseModel):
    """How a list is shown, whatever it is of."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    sort: Sort | None = Field(default=None, description="`relevance` with `q`, else newest first")
    fields: Annotated[str, _names(tuple(AssetAnswer.model_fields), 100)] | None = Field(
        default=None, description="Members that each item has; `id` is always there"
    )
    facets: Annotated[str, _names(FACETS, policy.MAX_FACETS)] | None = Field(
        default=None, description="What to count: " + ", ".join(FACETS)
    )
    limit: int = Field(default=DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)
    # Of any length: a bad one is a bad cursor, whatever is bad in it.
    cursor: str | None = None


class AssetListQuery(AssetListView, AssetFilterQuery):
    status: AssetStatus | None = Field(default=None, description="For editors: latest change first")


class FacetValue(Answer):
    value: str
    count: int


class MatchAnswer(Answer):
    """A passage that was found: HTML with `<mark>` as its only element."""

    model_config = SPARSE

    field: str
    snippet: str
    timecode: str | None = None
    start_ms: int | None = None
    language: str | None = None


class ListedAsset(AssetAnswer):
    model_config = SPARSE

    matches: list[MatchAnswer] = Field(default=[], description="With `q`")


class AssetListAnswer(Answer):
    model_config = SPARSE

    items: list[ListedAsset | EditorAsset]
    next_cursor: str | None
    total: Total
    facets: dict[Facet, list[FacetValue]] = Field(default={}, description="With `facets`")
    facets_counted: Total | None = None


def members(names: str | None) -> list[Any]:
    return names.split(",") if names else []
