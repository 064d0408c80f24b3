"""Reading what is typed into a search field, with what the index knows of its words."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from app.errors import InvalidInput
from app.services import policy
from app.services.asset_hits import Statement, hits_of_words
from app.services.search_queries import (
    SearchQuery,
    Stems,
    any_of,
    compose,
    lexemes_of,
    parse,
    quoted,
    stem,
)


class Reader(Protocol):
    async def fetch(self, query: str, *args: Any) -> Sequence[Any]: ...


class QueryTooLong(InvalidInput):
    code, title = "query_too_long", "Search for 200 characters at most"

    def __init__(self) -> None:
        super().__init__(errors=[{"pointer": "/q", "code": self.code, "message": f"{self.title}"}])


async def read(reader: Reader, q: str) -> SearchQuery:
    """Raises `QueryTooLong`; whatever else is typed is a query, if one that finds nothing."""
    if len(q.strip()) > policy.QUERY_MAX_LENGTH:
        raise QueryTooLong
    parsed = parse(q)
    stems = await stem(reader, {word for terms in parsed for term in terms for word in term.words})
    last = parsed[-1][-1] if parsed else None
    if last is not None and last.unfinished and await _is_common(reader, last.words[-1], stems):
        parsed[-1][-1] = replace(last, unfinished=False)
    return compose(parsed, stems)


async def _is_common(reader: Reader, word: str, stems: Stems) -> bool:
    """Whether a word that may be a beginning stands for itself, as so many assets have it.

    What it begins would hardly be noticed among those, and takes longest to look for.
    """
    whole = [quoted(lexeme) for lexeme in lexemes_of(word, stems)]
    if not whole:
        return False
    statement = Statement()
    hits = hits_of_words(any_of(whole), statement)
    limit = statement.parameter(policy.COMMON_WORD_ASSETS, "int")
    counted = f"SELECT count(*) FROM ({hits} LIMIT {limit}) AS hit"  # noqa: S608
    [row] = await reader.fetch(counted, *statement.args)
    return bool(row["count"] == policy.COMMON_WORD_ASSETS)
