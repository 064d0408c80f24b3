from datetime import datetime
from typing import Literal
from uuid import UUID

from app.schemas.base import Answer
from app.schemas.technical import Technical


class DuplicateAnswer(Answer):
    """An earlier file of the catalogue with the same bytes."""

    asset_id: UUID
    rendition: str


class RenditionState(Answer):
    """A file of an asset. Readers see those that are ready, and nothing of what they may lack."""

    name: str
    purpose: str
    state: Literal["pending", "processing", "ready", "failed"]
    progress: int
    failure: str | None
    failure_detail: str | None
    duplicate_of: DuplicateAnswer | None
    filename: str
    media_type: str
    size_bytes: int
    sha256: str | None
    technical: Technical
    download: str | None
    created_at: datetime


class RenditionList(Answer):
    """All files of an asset: there are few, so they come on one page."""

    items: list[RenditionState]
