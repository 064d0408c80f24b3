"""What is asked of the change feed, and how it answers."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.schemas.assets import AssetAnswer
from app.schemas.base import Answer
from app.services import policy
from app.services.changes import Kind


class ChangesQuery(BaseModel):
    """A name that is none of these is an error: mistyped, it would begin at the beginning."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    # Of any length: a bad one is a bad cursor, whatever is bad in it.
    after: str | None = Field(
        default=None,
        description="`next_after` of the page before; `now` for the end of the feed;"
        " without it, the feed is read from its beginning",
    )
    limit: int = Field(
        default=policy.CHANGES_DEFAULT_LIMIT,
        ge=1,
        le=policy.CHANGES_MAX_LIMIT,
        description="At most so many items; where documents are long, a page has fewer",
    )
    wait: int = Field(
        default=0,
        ge=0,
        le=policy.CHANGES_LONGEST_WAIT,
        description="Seconds to wait for the next change when there is none yet",
    )
    collapse: bool = Field(
        default=False, description="Only the latest change of each asset, for catching up"
    )


class ChangeAnswer(Answer):
    sequence: Annotated[int, Field(description="Without gaps, in the order of the commits")]
    kind: Kind
    asset_id: UUID
    version: Annotated[int, Field(description="Of the asset, at this change")]
    occurred_at: datetime
    asset: Annotated[
        AssetAnswer | None,
        Field(description="The document as it is now, however old the change; null if withdrawn"),
    ]


class ChangeListAnswer(Answer):
    items: list[ChangeAnswer]
    next_after: Annotated[str, Field(description="Where to go on; never expires")]
