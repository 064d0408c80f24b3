"""What a feed of the catalogue is asked for."""

from typing import Literal

from pydantic import Field

from app.http.paging import DEFAULT_LIMIT, MAX_LIMIT
from app.schemas.asset_lists import AssetFilterQuery


class FeedQuery(AssetFilterQuery):
    """The filters of lists. Feed readers know two orders: what is new, and what has changed."""

    sort: Literal["-published_at", "-updated_at"] = "-published_at"
    limit: int = Field(default=DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)
    cursor: str | None = None
