"""What people type into a search field, as a query of PostgreSQL's text search.

Words, "phrases", -not, and `or`, which binds least. Texts are in several languages, and each has
its own stems and its own words that are not worth an index entry. So each word stands for all of
its stems, joined before a `not` is applied to them; asking for one language after the other would
find with `-ships` what has "ship" in another one.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from app.services import policy
from app.services.search_words import words


class Reader(Protocol):
    async def fetch(self, query: str, *args: Any) -> Sequence[Any]: ...


@dataclass(frozen=True, slots=True)
class Term:
    """A word, or several that must follow each other."""

    words: tuple[str, ...]
    negated: bool = False
    # The last word may go on: it is still being typed.
    unfinished: bool = False


# Terms that must all hold, in alternatives of which one is enough.
Parsed = list[list[Term]]

# By configuration and word: the stem, or None for a word that this language does not index.
Stems = Mapping[str, Mapping[str, str | None]]


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What finds and what ranks, as text for `tsquery`; an empty condition finds nothing.

    An index knows which words a text has, but not where. So `condition` asks for the words of
    phrases alone, and with phrases there is `exact` to check on what that finds.
    """

    condition: str
    exact: str | None
    ranked: str
    # What to mark in texts: these stems, and words that begin like these.
    stems: frozenset[str]
    beginnings: frozenset[str]


async def stem(reader: Reader, asked: Collection[str]) -> dict[str, dict[str, str | None]]:
    """The stems of words in each configuration that public texts are indexed by."""
    stems: dict[str, dict[str, str | None]] = {}
    for configuration, word, lexeme in await reader.fetch(_STEMS, list(asked)):
        stems.setdefault(configuration, {})[word] = lexeme
    return stems


_STEMS = """
    SELECT label AS configuration, word,
           (tsvector_to_array(to_tsvector(label::regconfig, word)))[1] AS lexeme
      FROM facet_count, unnest($1::text[]) AS word
     WHERE facet = 'text' AND count > 0
"""


def parse(q: str) -> Parsed:
    alternatives: Parsed = [[]]
    for negation, phrase, word in _TERM.findall(q):
        if word.lower() == "or" and not negation:
            alternatives.append([])
        elif found := words(phrase or word):
            alternatives[-1].append(Term(tuple(found), negated=bool(negation)))
    last = alternatives[-1][-1] if alternatives[-1] else None
    if last is not None and _is_unfinished(q, last):
        alternatives[-1][-1] = Term(last.words, unfinished=True)
    return [terms for terms in alternatives if terms]


# A quotation that is not closed goes on to the end.
_TERM = re.compile(r'(-?)(?:"([^"]*)(?:"|\Z)|([^\s"]+))')


def _is_unfinished(q: str, last: Term) -> bool:
    return (
        q[-1].isalnum()
        and q.count('"') % 2 == 0
        and not last.negated
        and len(last.words[-1]) >= policy.COMPLETED_WORD_MIN_LENGTH
    )


def compose(parsed: Parsed, stems: Stems) -> SearchQuery:
    """The query of a parsed one. Terms that no language indexes, such as "the", ask for nothing."""
    condition = " | ".join(filter(None, (_all(terms, stems, loosely=True) for terms in parsed)))
    exact = " | ".join(filter(None, (_all(terms, stems, loosely=False) for terms in parsed)))
    shown = [term for terms in parsed for term in terms if not term.negated]
    found = {lexeme for term in shown for word in term.words for lexeme in lexemes_of(word, stems)}
    beginnings = {term.words[-1] for term in shown if term.unfinished}
    ranked = [*map(quoted, sorted(found)), *(f"{quoted(each)}:*" for each in sorted(beginnings))]
    return SearchQuery(
        condition=condition,
        exact=exact if exact != condition else None,
        ranked=" | ".join(ranked),
        stems=frozenset(found),
        beginnings=frozenset(beginnings),
    )


def _all(terms: Sequence[Term], stems: Stems, *, loosely: bool) -> str:
    """The terms of one alternative, which must all hold; loosely, words need not be in places."""
    shown = [found for term in terms if not term.negated and (found := _term(term, stems))]
    excluded = {term: found for term in terms if term.negated and (found := _negation(term, stems))}
    if excluded and not shown:
        # What every text has: for exclusions alone, the whole index would be read.
        shown = [any_of(map(_mark, stems))]
    left_out = [found for term, found in excluded.items() if not loosely or len(term.words) == 1]
    asked = " & ".join(filter(None, [*shown, _evidence(terms, stems), *left_out]))
    return _DISTANCE.sub("&", asked) if loosely else asked


_DISTANCE = re.compile(r"<\d+>")


def _term(term: Term, stems: Stems) -> str:
    if len(term.words) > 1:
        return _phrase(term, stems)
    found = _alternatives(term, stems)
    return any_of([*found, *_silent(term, stems)]) if found else ""


def _silent(term: Term, stems: Stems) -> list[str]:
    """Marks of texts that do not say whether a word is in them: in their language none is kept."""
    return [_mark(name) for name, known in stems.items() if known.get(term.words[0]) is None]


def _evidence(terms: Iterable[Term], stems: Stems) -> str:
    """Where each word alone could be one that its language does not keep, one must be there."""
    shown = [term for term in terms if not term.negated]
    if not shown or any(len(term.words) > 1 or not _silent(term, stems) for term in shown):
        return ""
    return any_of([each for term in shown for each in _alternatives(term, stems)])


def _negation(term: Term, stems: Stems) -> str:
    """The term in no language: what a language does not index is in none of its texts."""
    excluded = _phrase(term, stems) if len(term.words) > 1 else any_of(_alternatives(term, stems))
    return f"!{excluded}" if excluded else ""


def _phrase(term: Term, stems: Stems) -> str:
    """The phrase in one of the languages, which may leave out words but keeps their places."""
    by_phrase: dict[str, list[str]] = {}
    for name, known in stems.items():
        phrase = _phrase_in(term, known)
        if phrase:
            by_phrase.setdefault(phrase, []).append(_mark(name))
    if len(by_phrase) == 1 and len(*by_phrase.values()) == len(stems):
        return next(iter(by_phrase))
    return any_of([f"({any_of(marks)} & {phrase})" for phrase, marks in by_phrase.items()])


def _phrase_in(term: Term, known: Mapping[str, str | None]) -> str:
    phrase, distance = "", 0
    for position, word in enumerate(term.words):
        lexeme = known.get(word)
        distance += 1
        if lexeme is None:
            continue
        alternatives = [quoted(lexeme)]
        if term.unfinished and position == len(term.words) - 1:
            alternatives.append(f"{quoted(word)}:*")
        operator = f" <{distance}> " if phrase else ""
        phrase, distance = f"{phrase}{operator}{any_of(alternatives)}", 0
    return f"({phrase})" if phrase else ""


def _alternatives(term: Term, stems: Stems) -> list[str]:
    """All that stands for a word in some language."""
    [word] = term.words
    beginning = [f"{quoted(word)}:*"] if term.unfinished else []
    return [*map(quoted, lexemes_of(word, stems)), *beginning]


def lexemes_of(word: str, stems: Stems) -> list[str]:
    return sorted({lexeme for known in stems.values() if (lexeme := known.get(word)) is not None})


def _mark(name: str) -> str:
    """What the vectors of assets with a text of this configuration have (`asset_search`)."""
    return quoted(f"={name}")


def any_of(alternatives: Iterable[str]) -> str:
    each = list(alternatives)
    return f"({' | '.join(each)})" if len(each) > 1 else "".join(each)


def quoted(lexeme: str) -> str:
    doubled = lexeme.replace("\\", "\\\\").replace("'", "''")
    return f"'{doubled}'"
