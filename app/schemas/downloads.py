from datetime import date, datetime
from uuid import UUID

from app.schemas.assets import AssetType
from app.schemas.base import Answer


class DownloadAnswer(Answer):
    url: str
    expires_at: datetime
    filename: str
    size_bytes: int
    sha256: str


class PastDownload(Answer):
    id: UUID
    occurred_at: datetime
    asset_id: UUID
    slug: str
    type: AssetType
    status: str
    # Null once the asset is withdrawn.
    title: str | None
    rendition: str
    filename: str
    size_bytes: int
    sha256: str | None
    # Of the API key that asked, if one did.
    key_id: UUID | None
    key_name: str | None


class PastDownloadList(Answer):
    items: list[PastDownload]
    next_cursor: str | None


class RenditionCount(Answer):
    name: str
    count: int


class DayCount(Answer):
    day: date
    count: int


class DownloadCounts(Answer):
    asset_id: UUID
    total: int
    renditions: list[RenditionCount]
    days: list[DayCount]
