from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from app.schemas.base import Answer

AssetType = Literal["video", "image", "audio", "story"]
AssetStatus = Literal["draft", "scheduled", "published", "withdrawn"]


class RenditionAnswer(Answer):
    name: str
    purpose: str
    filename: str
    media_type: str
    size_bytes: int
    sha256: str
    technical: dict[str, Any]
    download: str


class LocationAnswer(Answer):
    name: str | None
    city: str | None
    country: str | None
    latitude: float | None
    longitude: float | None


class PersonAnswer(Answer):
    name: str
    role: str | None
    rank: str | None
    relation: Literal["shown", "heard", "mentioned"]
    uri: str | None


class ShotAnswer(Answer):
    number: int
    timecode_in: str
    timecode_out: str | None
    start_ms: int
    end_ms: int | None
    kind: Literal["shot", "soundbite", "graphic", "black"]
    text: str
    speaker: str | None
    language: str | None
    location: str | None
    filmed_on: date | None


class RightsAnswer(Answer):
    usage_terms: str | None
    credit_line: str | None
    license: str | None
    copyright_notice: str | None
    copyright_holder: str | None
    copyright_year: int | None
    data_mining: str | None
    digital_source_type: str | None


class CollectionReference(Answer):
    id: UUID
    slug: str
    kind: Literal["series", "event", "collection"]
    title: str


class CaptionAnswer(Answer):
    language: str
    kind: Literal["captions", "subtitles"]
    label: str | None
    url: str


class PictureAnswer(Answer):
    """A poster or a preview."""

    url: str
    width: int | None
    height: int | None
    media_type: str
    size_bytes: int


class RelatedAnswer(Answer):
    rel: str
    id: UUID
    slug: str
    type: AssetType
    title: str


class PublicVersion(Answer):
    version: int
    kind: Literal["published", "corrected"]
    note: str | None
    occurred_at: datetime


class AssetAnswer(Answer):
    """The shape of a stored document. It describes; documents are sent as they are stored."""

    id: UUID
    slug: str
    type: AssetType
    status: AssetStatus
    version: int
    language: str
    spoken_languages: list[str]
    content_class: str | None
    title: str
    headline: str | None
    slugline: str | None
    summary: str | None
    body: str | None
    script: str | None
    transcript: str | None
    urgency: int | None
    location: LocationAnswer | None
    people: list[PersonAnswer]
    organisations: list[dict[str, Any]]
    keywords: list[str]
    subjects: list[dict[str, Any]]
    collections: list[CollectionReference]
    shotlist: list[ShotAnswer]
    captions: list[CaptionAnswer]
    credits: list[dict[str, Any]]
    rights: RightsAnswer | None
    restrictions: list[dict[str, Any]]
    third_party: list[dict[str, Any]]
    alternative_ids: list[dict[str, Any]]
    filmed_from: date | None
    filmed_to: date | None
    duration_ms: int | None
    poster: PictureAnswer | None
    preview: PictureAnswer | None
    renditions: list[RenditionAnswer]
    related: list[RelatedAnswer]
    translations: dict[str, dict[str, Any]]
    versions: list[PublicVersion]
    available_until: datetime | None
    published_at: datetime
    updated_at: datetime


class EditorRendition(RenditionAnswer):
    """A file at the desk; its hash is known once the worker has read it."""

    sha256: str | None  # type: ignore[assignment]
    state: Literal["pending", "processing", "ready", "failed"]
    progress: int
    failure: str | None
    failure_detail: str | None


class EditorAsset(AssetAnswer):
    """An asset of any state, as the desk sees it."""

    published_at: datetime | None  # type: ignore[assignment]
    renditions: list[EditorRendition]  # type: ignore[assignment]
    ed_note: str | None
    publish_at: datetime | None
    created_at: datetime
    withdrawn_at: datetime | None
    withdrawal_reason: str | None


class RelatedList(Answer):
    items: list[AssetAnswer]


class VersionAnswer(Answer):
    version: int
    kind: str
    note: str | None
    # By field: what it was before and after.
    changes: dict[str, Any]
    account_id: UUID | None
    occurred_at: datetime


class VersionList(Answer):
    items: list[VersionAnswer]
    next_cursor: str | None


class Total(Answer):
    value: int
    relation: Literal["eq", "gte"]


class AssetList(Answer):
    items: list[AssetAnswer]
    next_cursor: str | None
    total: Total
