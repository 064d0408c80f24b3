from datetime import datetime
from uuid import UUID

from pydantic import Field

from app.schemas.base import Answer
from app.services.exports import Format


class ExportFileAnswer(Answer):
    format: Format
    url: str = Field(
        description="Of this very file, for as long as it is kept; needs the rights of this list"
    )
    size_bytes: int
    sha256: str


class ExportAnswer(Answer):
    id: UUID
    sequence: int = Field(description="The number of the last change that is in it")
    next_after: str = Field(description="What `GET /v1/changes?after=` goes on with")
    taken_at: datetime
    confirmed_at: datetime = Field(
        description="When the catalogue was last found to read as it does here"
    )
    assets: int = Field(description="Lines, one for each published asset")
    files: list[ExportFileAnswer]


class ExportList(Answer):
    items: list[ExportAnswer]
