"""Where in an asset a search has found something: passages of its texts, with the words marked.

Passages are cut from the texts as they were written. Which of their words the database means is
asked of the database, but only for words that begin like one of the query's.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from app.services import policy, search_queries
from app.services.folding import fold
from app.services.search_queries import SearchQuery, Stems
from app.services.search_words import LETTER, WORD
from app.services.webvtt import cues

# A member of `matches`: field, snippet, and where it is known the language and the time.
Match = dict[str, Any]


class Reader(Protocol):
    async def fetch(self, query: str, *args: Any) -> Sequence[Any]: ...


async def find(reader: Reader, query: SearchQuery, documents: Sequence[str]) -> list[list[Match]]:
    """For each document (JSON text) that a search has found, its best passages.

    A snippet is HTML in which `<mark>` is the only element. Stems that differ from the word's first
    two letters are found all the same, but not shown.
    """
    parsed = [json.loads(document) for document in documents]
    captions = await _captions(reader, parsed)
    pattern = _pattern(query)
    passages = [
        [
            passage
            for each in (*_passages(document), *captions[document["id"]])
            if (passage := _with_candidates(each, pattern)).candidates
        ]
        for document in parsed
    ]
    asked = {word for each in passages for passage in each for _, _, word in passage.candidates}
    stems = await search_queries.stem(reader, asked) if asked else {}
    meant = {word for word in asked if _is_meant(word, query, stems)}
    return [_best(each, meant) for each in passages]


class _Span(NamedTuple):
    start: int
    end: int
    word: str  # folded


@dataclass(slots=True)
class _Passage:
    name: str  # of the field
    text: str
    more: Mapping[str, Any] = field(default_factory=dict)
    candidates: list[_Span] = field(default_factory=list)


def _pattern(query: SearchQuery) -> re.Pattern[str]:
    """Words that may be meant: endings differ between a word and its stem, beginnings hardly."""
    beginnings = sorted({re.escape(each[:2]) for each in query.stems | query.beginnings})
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(beginnings)}){LETTER}*")


def _passages(document: Mapping[str, Any]) -> Iterator[_Passage]:
    """The texts of a document, by their names in it."""
    yield from _fields(document, document["shotlist"])
    for name, member in _NAMES:
        for each in document[name]:
            yield _Passage(name, each[member] if member else each)
    location = document["location"] or {}
    for member in ("name", "city"):
        yield _Passage("location", location.get(member) or "")
    for language, fields in document["translations"].items():
        for passage in _fields(fields, document["shotlist"]):
            passage.name = f"translations.{language}.{passage.name}"
            yield passage


_NAMES = (
    ("keywords", None),
    ("people", "name"),
    ("organisations", "name"),
    ("collections", "title"),
    ("alternative_ids", "value"),
)


def _fields(fields: Mapping[str, Any], shotlist: Sequence[Mapping[str, Any]]) -> Iterator[_Passage]:
    """Texts that translations have too; the times of shots are those of the original."""
    for name in ("title", "headline", "slugline", "summary", "body", "script", "transcript"):
        yield _Passage(name, fields.get(name) or "")
    shots = {shot["number"]: shot for shot in shotlist}
    for shot in fields.get("shotlist") or []:
        timed = shots.get(shot["number"], {})
        time = {"timecode": timed.get("timecode_in"), "start_ms": timed.get("start_ms")}
        for text in (shot.get("text"), shot.get("speaker"), shot.get("location")):
            yield _Passage("shotlist", text or "", time)


async def _captions(
    reader: Reader, documents: Sequence[Mapping[str, Any]]
) -> Mapping[str, Sequence[_Passage]]:
    """By id, what captions say: documents refer to them without their texts."""
    captioned = [UUID(document["id"]) for document in documents if document["captions"]]
    passages = defaultdict(list)
    for row in await reader.fetch(_CAPTIONS, captioned) if captioned else ():
        for start_ms, _, text in cues(row["webvtt"]):
            more = {"language": row["language"], "start_ms": start_ms}
            passages[str(row["asset_id"])].append(
                _Passage("captions", " ".join(text.split()), more)
            )
    return passages


_CAPTIONS = "SELECT asset_id, language, webvtt FROM caption WHERE asset_id = ANY ($1)"


def _with_candidates(passage: _Passage, pattern: re.Pattern[str]) -> _Passage:
    text = passage.text
    if text.isascii():  # folding leaves every letter in its place
        found = (_Span(*each.span(), each[0]) for each in pattern.finditer(text.lower()))
    else:
        spans = (_Span(*each.span(), fold(each[0])) for each in WORD.finditer(text))
        found = (span for span in spans if pattern.fullmatch(span.word))
    passage.candidates = list(found)
    return passage


def _is_meant(word: str, query: SearchQuery, stems: Stems) -> bool:
    return any(known.get(word) in query.stems for known in stems.values()) or any(
        map(word.startswith, query.beginnings)
    )


def _best(passages: Sequence[_Passage], meant: set[str]) -> list[Match]:
    """The passages with most of the words, in the document's order where they are equal."""
    for passage in passages:
        passage.candidates = [span for span in passage.candidates if span.word in meant]
    hits = sorted(
        (passage for passage in passages if passage.candidates),
        key=lambda passage: -len({span.word for span in passage.candidates}),
    )
    return [
        {"field": hit.name, "snippet": _snippet(hit.text, hit.candidates), **hit.more}
        for hit in hits[: policy.MATCHES_PER_ASSET]
    ]


def _snippet(text: str, marked: Sequence[_Span]) -> str:
    """The part of the text with most of the marked words, cut between words."""
    first = max(marked, key=lambda span: len(_words_from(span.start, marked)))
    start, end = 0, len(text)
    if end > policy.SNIPPET_CHARACTERS:
        last = first.start + policy.SNIPPET_CHARACTERS
        start = max(
            0, min(first.start - policy.SNIPPET_CHARACTERS // 4, end - (last - first.start))
        )
        start = text.find(" ", start, first.start) + 1 if start else 0
        end = max(first.end, text.rfind(" ", first.start, start + policy.SNIPPET_CHARACTERS))
    return _marked_up(text, [span for span in marked if start <= span.start < end], start, end)


def _words_from(start: int, marked: Sequence[_Span]) -> set[str]:
    end = start + policy.SNIPPET_CHARACTERS
    return {span.word for span in marked if start <= span.start < end}


def _marked_up(text: str, marked: Sequence[_Span], start: int, end: int) -> str:
    pieces = ["…"] if start else []
    for span in marked:
        pieces += [escape(text[start : span.start]), "<mark>"]
        pieces += [escape(text[span.start : span.end]), "</mark>"]
        start = span.end
    return "".join([*pieces, escape(text[start:end]), "…" if end < len(text) else ""])
