from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from app.schemas.base import Answer, require_nothing
from app.schemas.technical import Technical

AssetType = Literal["video", "image", "audio", "story"]
AssetStatus = Literal["draft", "scheduled", "published", "withdrawn"]


class RenditionAnswer(Answer):
    name: str
    purpose: str
    filename: str
    media_type: str
    size_bytes: int
    sha256: str
    technical: Technical
    download: str


class LocationAnswer(Answer):
    name: str | None = None
    city: str | None = None
    country: str | None = None
    latitude: float | None = None
    longitude: float | None = None


class PersonAnswer(Answer):
    name: str
    role: str | None
    rank: str | None
    relation: Literal["shown", "heard", "mentioned"]
    uri: str | None


class OrganisationAnswer(Answer):
    name: str
    uri: str | None


class SubjectAnswer(Answer):
    """A term of a foreign vocabulary, such as IPTC Media Topics."""

    scheme: str
    code: str
    name: str


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


class CreditAnswer(Answer):
    role: str
    name: str


class RightsAnswer(Answer):
    usage_terms: str | None
    credit_line: str | None
    license: str | None
    copyright_notice: str | None
    copyright_holder: str | None
    copyright_year: int | None
    data_mining: str | None
    digital_source_type: str | None


class RestrictionAnswer(Answer):
    """Where, when and for what the asset may be used, or may not."""

    kind: Literal["geo", "time", "medium", "purpose"]
    rule: Literal["allow", "deny"]
    values: list[str]
    starts_on: Annotated[date | None, Field(alias="from")]
    ends_on: Annotated[date | None, Field(alias="to")]
    note: str | None


class ThirdPartyAnswer(Answer):
    """Somebody else's right in a part of the asset: a music cue, archive pictures."""

    kind: Literal["music", "archive", "other"]
    description: str
    owner: str | None
    start_ms: int | None
    end_ms: int | None


class AlternativeIdAnswer(Answer):
    """The asset's name in another system: a reference number, a VIRIN, a UMID."""

    role: str
    value: str


class TranslatedShot(Answer):
    number: int
    text: str


@with_config(ConfigDict(json_schema_extra=require_nothing))
class TranslationAnswer(TypedDict, total=False):
    """What there is in another language; the rest stands in the asset's own."""

    title: str
    headline: str
    summary: str
    body: str
    script: str
    shotlist: list[TranslatedShot]


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


class SmallPosterAnswer(Answer):
    """The poster as lists show it."""

    url: str
    width: int | None
    height: int | None
    size_bytes: int


class PosterAnswer(PictureAnswer):
    """Of what was processed before there were small ones, `small` is null."""

    small: SmallPosterAnswer | None


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
    organisations: list[OrganisationAnswer]
    keywords: list[str]
    subjects: list[SubjectAnswer]
    collections: list[CollectionReference]
    shotlist: list[ShotAnswer]
    captions: list[CaptionAnswer]
    credits: list[CreditAnswer]
    rights: RightsAnswer | None
    restrictions: list[RestrictionAnswer]
    third_party: list[ThirdPartyAnswer]
    alternative_ids: list[AlternativeIdAnswer]
    filmed_from: date | None
    filmed_to: date | None
    duration_ms: int | None
    poster: PosterAnswer | None
    preview: PictureAnswer | None
    renditions: list[RenditionAnswer]
    related: list[RelatedAnswer]
    translations: dict[str, TranslationAnswer]
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
