"""What editors send of an asset. The fields follow EBUCore 1.10, ninjs 3.1 and MRSS 1.5."""

from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from typing_extensions import override

from app.schemas.assets import AssetType
from app.schemas.base import Body, Country, LanguageTag, Line, Time, is_one_line
from app.services import timecodes
from app.services.asset_documents import parse_id

ContentClass = Literal["edited", "broll", "raw", "soundbite", "press_conference", "live"]


def _is_text(text: str) -> str:
    """Running text: lines and tabs, but nothing else that controls a terminal or a document."""
    if any(char < " " and char not in "\n\t" for char in text.replace("\r\n", "\n")):
        raise ValueError("must hold no control characters but line ends and tabs")
    return text.replace("\r\n", "\n")


def _is_no_id(slug: str) -> str:
    if parse_id(slug) is not None:
        raise ValueError("must not look like an id")
    return slug


Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=300),
    AfterValidator(is_one_line),
]
LongLine = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=1_000),
    AfterValidator(is_one_line),
]
Paragraphs = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=5_000),
    AfterValidator(_is_text),
]
LongText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200_000),
    AfterValidator(_is_text),
]
Slug = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=120),
    AfterValidator(_is_no_id),
]
Uri = Annotated[str, StringConstraints(pattern=r"^(https?|urn):[!-~]+$", max_length=500)]
Timecode = Annotated[str, StringConstraints(pattern=timecodes.PATTERN)]
Milliseconds = Annotated[int, Field(ge=0, le=7 * 24 * 3600 * 1000)]
Code = Annotated[str, StringConstraints(pattern=r"^[\w.:/+-]{1,100}$")]
Relation = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{0,39}$")]
KeywordName = Annotated[Line, StringConstraints(max_length=100)]
Reference = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Location(Body):
    name: Line | None = None
    city: Line | None = None
    country: Country | None = None
    latitude: Annotated[float, Field(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Field(ge=-180, le=180)] | None = None


class Person(Body):
    name: Line
    role: Line | None = None
    rank: Line | None = None
    relation: Literal["shown", "heard", "mentioned"] = "shown"
    uri: Uri | None = None


class Organisation(Body):
    name: Line
    uri: Uri | None = None


class Subject(Body):
    """A term of a foreign vocabulary, such as IPTC Media Topics."""

    scheme: Code
    code: Code
    name: Line


class Shot(Body):
    """One line of the shotlist. Time is given as timecode, in milliseconds, or both."""

    number: Annotated[int, Field(ge=1, le=100_000)] | None = None
    timecode_in: Timecode | None = None
    timecode_out: Timecode | None = None
    start_ms: Milliseconds | None = None
    end_ms: Milliseconds | None = None
    kind: Literal["shot", "soundbite", "graphic", "black"] = "shot"
    text: Paragraphs
    speaker: Line | None = None
    language: LanguageTag | None = None
    location: Line | None = None
    filmed_on: date | None = None

    @model_validator(mode="after")
    def _has_a_start(self) -> Self:
        if self.timecode_in is None and self.start_ms is None:
            raise ValueError("needs timecode_in or start_ms")
        if self.start_ms is not None and self.end_ms is not None and self.end_ms < self.start_ms:
            raise ValueError("ends before it starts")
        return self


class Credit(Body):
    role: Line
    name: Line


class Rights(Body):
    usage_terms: Paragraphs | None = None
    credit_line: LongLine | None = None
    license: Uri | None = None
    copyright_notice: LongLine | None = None
    copyright_holder: Line | None = None
    copyright_year: Annotated[int, Field(ge=1800, le=3000)] | None = None
    # PLUS data mining and IPTC digital source type codes.
    data_mining: Code | None = None
    digital_source_type: Code | None = None


class Restriction(Body):
    kind: Literal["geo", "time", "medium", "purpose"]
    rule: Literal["allow", "deny"]
    values: Annotated[list[Line], Field(default_factory=list, max_length=300)]
    starts_on: Annotated[date | None, Field(alias="from")] = None
    ends_on: Annotated[date | None, Field(alias="to")] = None
    note: LongLine | None = None


class ThirdParty(Body):
    """Somebody else's right in a part of the asset: a music cue, archive pictures."""

    kind: Literal["music", "archive", "other"]
    description: LongLine
    owner: Line | None = None
    start_ms: Milliseconds | None = None
    end_ms: Milliseconds | None = None


class AlternativeId(Body):
    """The asset's name in another system: a reference number, a VIRIN, a UMID."""

    role: Code
    value: Line


class ShotTranslation(Body):
    number: Annotated[int, Field(ge=1, le=100_000)]
    text: Paragraphs


class Translation(Body):
    title: Title | None = None
    headline: LongLine | None = None
    summary: Paragraphs | None = None
    body: LongText | None = None
    script: LongText | None = None
    shotlist: Annotated[list[ShotTranslation], Field(max_length=2_000)] | None = None


class RelatedReference(Body):
    rel: Relation = "related"
    id: Reference


class AssetPatch(Body):
    """A JSON merge patch (RFC 7396): null takes a field away, objects are merged."""

    slug: Slug | None = None
    language: LanguageTag | None = None
    spoken_languages: Annotated[list[LanguageTag], Field(max_length=20)] | None = None
    content_class: ContentClass | None = None
    title: Title | None = None
    headline: LongLine | None = None
    slugline: Line | None = None
    summary: Paragraphs | None = None
    body: LongText | None = None
    script: LongText | None = None
    transcript: LongText | None = None
    urgency: Annotated[int, Field(ge=1, le=9)] | None = None
    ed_note: Paragraphs | None = None
    location: Location | None = None
    people: Annotated[list[Person], Field(max_length=200)] | None = None
    organisations: Annotated[list[Organisation], Field(max_length=200)] | None = None
    keywords: Annotated[list[KeywordName], Field(max_length=100)] | None = None
    subjects: Annotated[list[Subject], Field(max_length=100)] | None = None
    collections: Annotated[list[Reference], Field(max_length=50)] | None = None
    shotlist: Annotated[list[Shot], Field(max_length=2_000)] | None = None
    credits: Annotated[list[Credit], Field(max_length=200)] | None = None
    rights: Rights | None = None
    restrictions: Annotated[list[Restriction], Field(max_length=50)] | None = None
    third_party: Annotated[list[ThirdParty], Field(max_length=200)] | None = None
    alternative_ids: Annotated[list[AlternativeId], Field(max_length=50)] | None = None
    filmed_from: date | None = None
    filmed_to: date | None = None
    translations: dict[LanguageTag, Translation | None] | None = None
    related: Annotated[list[RelatedReference], Field(max_length=50)] | None = None
    publish_at: Time | None = None
    available_until: Time | None = None
    # Of a correction: what was wrong.
    note: LongLine | None = None

    def sent(self) -> dict[str, Any]:
        """What was sent, ready for JSON. Members of lists are whole, objects to merge are not."""
        return {name: _jsonable(getattr(self, name)) for name in self.model_fields_set - {"note"}}


class AssetBody(AssetPatch):
    """A new asset. Without a slug it gets one from its title."""

    type: AssetType
    title: Title

    @override
    def sent(self) -> dict[str, Any]:
        return {name: value for name, value in super().sent().items() if name != "type"}


class PublishBody(Body):
    """At once, or under embargo until `publish_at`."""

    publish_at: Time | None = None
    note: LongLine | None = None


class WithdrawBody(Body):
    """The reason is what everybody reads at the asset's address from then on."""

    reason: LongLine


def _jsonable(value: Any) -> Any:
    if isinstance(value, list):
        return [
            each.model_dump(mode="json", by_alias=True) if isinstance(each, Body) else each
            for each in value
        ]
    if isinstance(value, dict):
        return {key: _jsonable(member) for key, member in value.items()}
    if isinstance(value, Translation):
        return {name: _jsonable(getattr(value, name)) for name in value.model_fields_set}
    if isinstance(value, Body):
        return value.model_dump(mode="json", exclude_unset=True)
    return value.isoformat() if type(value) is date else value
