from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from app.schemas.base import Answer

AssetType = Literal["video", "image", "audio", "story"]


class RenditionAnswer(Answer):
    name: str
    purpose: str
    filename: str
    media_type: str
    size_bytes: int
    sha256: str
    technical: dict[str, Any]
    download: str


class AssetAnswer(Answer):
    """The shape of a stored document. It describes; documents are sent as they are stored."""

    id: UUID
    slug: str
    type: AssetType
    version: int
    language: str
    title: str
    headline: str | None
    summary: str | None
    body: str | None
    location: dict[str, Any] | None
    people: list[dict[str, Any]]
    keywords: list[str]
    shotlist: list[dict[str, Any]]
    credits: list[dict[str, Any]]
    rights: dict[str, Any] | None
    related: list[dict[str, Any]]
    duration_ms: int | None
    renditions: list[RenditionAnswer]
    published_at: datetime
    updated_at: datetime


class Total(Answer):
    value: int
    relation: Literal["eq", "gte"]


class AssetList(Answer):
    items: list[AssetAnswer]
    next_cursor: str | None
    total: Total


class DownloadAnswer(Answer):
    url: str
    expires_at: datetime
    filename: str
    size_bytes: int
    sha256: str
