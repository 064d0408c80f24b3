from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from app.schemas.base import Answer


class LineErrorAnswer(Answer):
    line: int = Field(description="As editors of text count it: the header is line 1")
    code: str
    message: str


class ImportReport(Answer):
    """`lines` is the sum of the next five; blank ones are not counted."""

    lines: int
    imported: int
    updated: int
    unchanged: int
    suppressed_kept: int = Field(
        description="Stayed unsubscribed or suppressed although the file says otherwise"
    )
    errors_total: int
    errors: list[LineErrorAnswer] = Field(description="The first thousand")


class ConsentAnswer(Answer):
    id: UUID
    subscriber_id: UUID
    event: str
    source: str
    text_version: str | None
    locale: str | None
    details: dict[str, Any]
    network: str | None
    user_agent: str | None
    occurred_at: datetime


class ConsentList(Answer):
    items: list[ConsentAnswer]
    next_cursor: str | None
