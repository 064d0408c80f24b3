from datetime import datetime
from uuid import UUID

from app.schemas.base import Answer
from app.services.exports import Format


class ExportFileAnswer(Answer):
    format: Format
    # Of this very file, for as long as it is kept; needs the same rights as this list.
    url: str
    size_bytes: int
    sha256: str


class ExportAnswer(Answer):
    id: UUID
    # The number of the last change that is in it.
    sequence: int
    # What `GET /v1/changes?after=` goes on with.
    next_after: str
    taken_at: datetime
    # When the catalogue was last found to read as it does here.
    confirmed_at: datetime
    # Lines, one for each published asset.
    assets: int
    files: list[ExportFileAnswer]


class ExportList(Answer):
    items: list[ExportAnswer]
