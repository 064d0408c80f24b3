"""The assets of a large demo catalogue: made up, but the same each time, whoever makes them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, cast
from uuid import UUID

from app.jobs.demo_texts import texts
from app.jobs.demo_words import AssetWords
from app.models import Asset, AssetVersion, Caption, Collection, Rendition
from app.services import asset_documents, asset_fields
from app.services.asset_documents import Surroundings

# Assets are made in blocks, each from a seed of its own, so that any process may make any block.
BLOCK = 1_000
NEWEST = datetime(2026, 11, 1, tzinfo=UTC)
YEARS = timedelta(days=3652)
COLLECTIONS = 120
# So many of those in which somebody speaks have captions.
CAPTIONED = 0.3
# So many refer to another one; stories always do.
RELATED = 0.1
_TYPES = ("video",) * 12 + ("image",) * 5 + ("audio",) * 1 + ("story",) * 2
_SERIES = (
    ("series", "Letters from {city}", "Lettres de {city}"),
    ("series", "A year on board {ship}", "Un an à bord de {ship}"),
    ("event", "Summit in {city}", "Sommet de {city}"),
    ("event", "Exercise {ship} Guard", "Exercice {ship} Guard"),
    ("event", "Open day in {city}", "Portes ouvertes à {city}"),
    ("collection", "The best of {city}", "Le meilleur de {city}"),
)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that really is in the store; the renditions of the demo refer to a few of these."""

    kind: str
    name: str
    purpose: str
    extension: str
    media_type: str
    object_key: str
    size_bytes: int
    sha256: str
    technical: dict[str, Any]
    technical_json: str


# What follows has the attributes of the tables' rows, without the cost of those.


@dataclass(slots=True)
class AssetRecord:
    id: UUID
    slug: str
    type: str
    language: str
    fields: dict[str, Any]
    created_at: datetime
    published_at: datetime
    updated_at: datetime
    state: str = "published"
    version: int = 2
    available_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class RenditionRecord:
    id: UUID
    filename: str
    name: str
    purpose: str
    media_type: str
    size_bytes: int
    sha256: str
    technical: dict[str, Any]
    source: SourceFile
    state: str = "ready"


@dataclass(frozen=True, slots=True)
class CaptionRecord:
    language: str
    webvtt: str
    kind: str = "captions"
    label: str | None = None


@dataclass(frozen=True, slots=True)
class CollectionRecord:
    id: UUID
    slug: str
    kind: str
    title: str
    translations: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Published:
    """The version that the public sees."""

    occurred_at: datetime
    version: int = 2
    kind: str = "published"
    note: str | None = None


@dataclass(frozen=True, slots=True)
class DemoAsset:
    """An asset with all that belongs to it, and its public document."""

    asset: AssetRecord
    renditions: Sequence[RenditionRecord]
    captions: Sequence[CaptionRecord]
    collections: Sequence[CollectionRecord]
    # With the kind of the relation.
    related: Sequence[tuple[str, AssetRecord]]
    document: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class DemoCatalogue:
    """`size` assets over ten years; the files are in the store already."""

    size: int
    # By type of asset.
    files: Mapping[str, Sequence[SourceFile]]
    collections: Sequence[CollectionRecord]

    @property
    def blocks(self) -> range:
        """Their numbers."""
        return range(-(-self.size // BLOCK))

    def block(self, number: int) -> Sequence[DemoAsset]:
        """The assets of one block, oldest first, since they refer to older ones."""
        random = Random(f"block {number}")  # noqa: S311  # guards nothing
        made: list[DemoAsset] = []
        for index in reversed(range(number * BLOCK, min((number + 1) * BLOCK, self.size))):
            made.append(self._asset(index, random, made))
        return made

    def _asset(self, index: int, random: Random, older: Sequence[DemoAsset]) -> DemoAsset:
        words = AssetWords(random)
        at = NEWEST - YEARS * (index / self.size)
        kind = random.choice(_TYPES)
        asset = AssetRecord(
            id=sortable_id(at, index),
            slug=f"{asset_fields.slug_of(words.title)}-{index}",
            type=kind,
            language=words.language,
            fields=words.fields(kind, at),
            created_at=at - timedelta(hours=3),
            published_at=at,
            updated_at=at,
        )
        collections = random.sample(self.collections, random.choice((0, 1, 1, 2)))
        return _complete(
            asset,
            renditions=list(_renditions(asset, index, self.files[kind])),
            captions=list(_captions(asset)) if random.random() < CAPTIONED else [],
            collections=sorted(collections, key=lambda each: each.slug),
            related=_related(random, kind, older),
        )


def sortable_id(at: datetime, index: int, position: int = 0) -> UUID:
    """A UUIDv7 (RFC 9562) whose random bits are a counter: the same for the same asset."""
    milliseconds = int(at.timestamp() * 1000)
    counter = index << 8 | position
    high = milliseconds << 16 | 0x7000 | position
    return UUID(int=high << 64 | 0x8 << 60 | counter)


def demo_collections() -> list[CollectionRecord]:
    """Series and events, each with a title in both languages."""
    random = Random("collections")  # noqa: S311  # guards nothing
    return [_collection(number, random) for number in range(COLLECTIONS)]


def _complete(
    asset: AssetRecord,
    *,
    renditions: Sequence[RenditionRecord],
    captions: Sequence[CaptionRecord],
    collections: Sequence[CollectionRecord],
    related: Sequence[tuple[str, AssetRecord]],
) -> DemoAsset:
    """With its document, rendered as that of any other."""
    found = Surroundings(
        renditions=cast("Sequence[Rendition]", renditions),
        captions=cast("Sequence[Caption]", captions),
        collections=cast("Sequence[Collection]", collections),
        related=cast("Sequence[tuple[str, Asset]]", related),
        versions=[cast("AssetVersion", _Published(asset.published_at))],
    )
    document = asset_documents.render(cast("Asset", asset), found)
    return DemoAsset(asset, renditions, captions, collections, related, document)


def _renditions(
    asset: AssetRecord, index: int, files: Sequence[SourceFile]
) -> Iterator[RenditionRecord]:
    for position, source in enumerate(files, start=1):
        yield RenditionRecord(
            id=sortable_id(asset.published_at, index, position),
            filename=f"{asset.slug}-{source.name}.{source.extension}",
            name=source.name,
            purpose=source.purpose,
            media_type=source.media_type,
            size_bytes=source.size_bytes,
            sha256=source.sha256,
            technical=source.technical,
            source=source,
        )


def _captions(asset: AssetRecord) -> Iterator[CaptionRecord]:
    """What is said in the shots, with the times of the shotlist."""
    said = [shot for shot in asset.fields.get("shotlist", ()) if shot["speaker"]]
    cues = (
        f"{_cue_time(shot['start_ms'])} --> {_cue_time(shot['end_ms'])}\n{shot['text']}\n"
        for shot in said
    )
    if said:
        yield CaptionRecord(asset.language, "WEBVTT\n\n" + "\n".join(cues))


def _cue_time(milliseconds: int) -> str:
    seconds, thousandths = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{thousandths:03}"


def _related(
    random: Random, kind: str, older: Sequence[DemoAsset]
) -> list[tuple[str, AssetRecord]]:
    """A story has up to three illustrations, from shortly before."""
    if kind == "story":
        rel, count = "illustration", random.randint(1, 3)
    else:
        rel, count = "related", int(random.random() < RELATED)
    near = older[-50:]
    return [(rel, each.asset) for each in random.sample(near, min(count, len(near)))]


def _collection(number: int, random: Random) -> CollectionRecord:
    words = texts()
    place, ship = random.choice(words.places), random.choice(words.ships)
    kind, en, fr = random.choice(_SERIES)
    title = en.format(city=place.city["en"], ship=ship)
    return CollectionRecord(
        id=sortable_id(NEWEST - YEARS, number),
        slug=f"{asset_fields.slug_of(title)}-{number}",
        kind=kind,
        title=title,
        translations={"fr": {"title": fr.format(city=place.city["fr"], ship=ship)}},
    )
