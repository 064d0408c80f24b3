"""What of a public document goes into its search row: terms, sort keys, and texts by weight."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any
from uuid import UUID

from app.services import policy
from app.services.folding import fold
from app.services.search_words import SIMPLE, configuration, words
from app.services.webvtt import cues

# The language and the WebVTT of each caption of an asset.
Captions = Sequence[tuple[str, str]]

# Stands behind each text, so that no phrase goes from one to the next. No query has a sign in it.
BREAK = "-1"
# The term of every asset.
EVERY = "all"


@dataclass(frozen=True, slots=True)
class SearchRow:
    """An `asset_search` row but for its vectors, which the database makes of the texts.

    `labels` has the value of each term as it was written. Texts are `configuration:weight:words`:
    `head` has those that decide the rank, `rest` what else can be found.
    """

    asset_id: UUID
    published_at: datetime
    updated_at: datetime
    title: str
    duration_ms: int | None
    height: int | None
    terms: list[str]
    labels: list[str]
    head: list[str]
    rest: list[str]


def search_row(document: Mapping[str, Any], captions: Captions) -> SearchRow:
    """Computed of the public document and its captions, so that nothing else can be found."""
    texts = _texts(document, captions)
    terms = _terms(document) | {f"text:{used}": used for used, _ in texts}
    return SearchRow(
        asset_id=UUID(document["id"]),
        published_at=datetime.fromisoformat(document["published_at"]),
        updated_at=datetime.fromisoformat(document["updated_at"]),
        title=fold(document["title"])[: policy.SORTED_TITLE_LENGTH],
        duration_ms=document["duration_ms"],
        height=max(_heights(document), default=None),
        terms=list(terms),
        labels=list(terms.values()),
        head=list(_head(texts)),
        rest=list(_rest(texts)),
    )


def _terms(document: Mapping[str, Any]) -> dict[str, str]:
    """By term, the value as it was written."""
    location = document["location"] or {}
    collections = document["collections"]
    values: dict[str, list[str | None]] = {
        "type": [document["type"]],
        "language": [document["language"], document["language"].partition("-")[0]],
        "country": [location.get("country")],
        "location": [location.get("name"), location.get("city")],
        "person": [person["name"] for person in document["people"]],
        "keyword": document["keywords"],
        "collection": [collection["slug"] for collection in collections],
        "collection_id": [collection["id"] for collection in collections],
        "content_class": [document["content_class"]],
        "has_captions": ["true" if document["captions"] else "false"],
        "month": [_month(document["published_at"])],
    }
    pairs = ((name, value) for name, each in values.items() for value in each if value)
    return {EVERY: EVERY} | {term(name, value): value for name, value in pairs}


def term(name: str, value: str) -> str:
    """How a filter's or facet's value is found: without regard to case and accents."""
    return f"{name}:{fold(value)}"


def _month(published_at: str) -> str:
    return datetime.fromisoformat(published_at).astimezone(UTC).strftime("%Y-%m")


def _heights(document: Mapping[str, Any]) -> Iterator[int]:
    """Of its pictures, in pixels."""
    for rendition in document["renditions"]:
        for kind in ("video", "image"):
            track = rendition["technical"].get(kind)
            if track:
                yield track["height"]


# A configuration and a weight.
_Texts = dict[tuple[str, str], list[str]]


def _texts(document: Mapping[str, Any], captions: Captions) -> _Texts:
    """The words to index, the most important first, for there is a limit to all of them."""
    texts: _Texts = {}
    room = policy.INDEXED_CHARACTERS
    by_weight = sorted(_parts(document, captions), key=lambda part: (part[1], part[0]))
    for language, weight, text in by_weight:
        found = texts.setdefault((configuration(language), weight), [])
        found += [*words(text[:room]), BREAK]
        room = max(0, room - len(text))
    return texts


def _head(texts: _Texts) -> Iterator[str]:
    """The title, names and headlines; and without their places the words that news begins with."""
    for (used, weight), text in texts.items():
        if weight != "D":
            ranked = text[: policy.RANKED_WORDS] if weight == "C" else text
            yield f"{used}:{weight}:{' '.join(ranked)}"


def _rest(texts: _Texts) -> Iterator[str]:
    """All longer texts, and the head's words as they are written.

    A name is found by these while it is being typed, when its beginning is longer than its stem.
    """
    for (used, weight), text in texts.items():
        if weight in "CD":
            yield f"{used}:D:{' '.join(text)}"
        elif used != SIMPLE:
            yield f"{SIMPLE}:D:{' '.join(text)}"


def _parts(document: Mapping[str, Any], captions: Captions) -> Iterator[tuple[str, str, str]]:
    """Language, weight and text of all that can be found."""
    language = document["language"]
    yield from _versioned(language, document)
    for translated, fields in document["translations"].items():
        yield from _versioned(translated, fields)
    for name in _names(document):
        yield language, "B", name
    for caption_language, webvtt in captions:
        said = " ".join(text for _, _, text in cues(webvtt))
        yield caption_language, "D", said


def _versioned(language: str, fields: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """The fields that translations have too."""
    for weight, names in _FIELDS.items():
        for name in names:
            if fields.get(name):
                yield language, weight, fields[name]
    for shot in fields.get("shotlist") or []:
        for text in (shot.get("text"), shot.get("speaker"), shot.get("location")):
            if text:
                yield shot.get("language") or language, "D", text


_FIELDS = {
    "A": ("title",),
    "B": ("headline", "slugline"),
    "C": ("summary", "body"),
    "D": ("script", "transcript"),
}


def _names(document: Mapping[str, Any]) -> Iterator[str]:
    """What the asset is about, and the numbers that other systems know it by."""
    location = document["location"] or {}
    yield from document["keywords"]
    for person in document["people"]:
        yield " ".join(filter(None, (person.get("rank"), person["name"])))
        yield person.get("role") or ""
    for named in chain(document["organisations"], document["subjects"]):
        yield named.get("name") or ""
    for collection in document["collections"]:
        yield collection["title"]
    for name in ("name", "city"):
        yield location.get(name) or ""
    for identifier in document["alternative_ids"]:
        yield identifier["value"]
