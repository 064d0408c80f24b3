from datetime import date
from uuid import UUID

from pydantic import Field

from app.schemas.base import Answer


class UsageRow(Answer):
    day: date = Field(description="In UTC")
    key_id: UUID
    key_name: str
    calls: int = Field(description="Requests with this key, whatever they were answered")
    response_bytes: int = Field(description="Bodies of the answers, as they were sent")
    downloads: int = Field(description="Distinct renditions that a link was given for")
    download_bytes: int = Field(description="The sizes of these files together")


class UsageList(Answer):
    items: list[UsageRow]
    next_cursor: str | None
