"""Whole answers to lists of the catalogue: the page, what was found where, and the facets."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from app.services import asset_facets, asset_lists, search_snippets
from app.services.asset_documents import to_json
from app.services.asset_facets import Facet, Facets
from app.services.asset_hits import Filters
from app.services.asset_lists import Page, Position
from app.services.asset_rows import Sort


class Reader(Protocol):
    async def fetch(self, query: str, *args: Any) -> Sequence[Any]: ...
    async def fetchrow(self, query: str, *args: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Answer:
    # The page's documents as JSON texts, cut to the fields that were asked for, with matches.
    items: Sequence[str]
    page: Page
    facets: Facets | None


async def find(
    reader: Reader,
    filters: Filters,
    *,
    sort: Sort | None,
    after: Position | None,
    limit: int,
    fields: Sequence[str],
    facets: Sequence[Facet],
) -> Answer:
    """A page with all that was asked for beside it. Raises `QueryTooLong`."""
    page = await asset_lists.list_page(reader, filters, sort=sort, after=after, limit=limit)
    items = page.documents
    if fields:
        items = [_cut(document, fields) for document in items]
    if page.query is not None:
        found = await search_snippets.find(reader, page.query, page.documents)
        items = [_with_matches(*each) for each in zip(items, found, strict=True)]
    counted = None
    if facets:
        counted = await asset_facets.count(reader, filters, page.query, facets)
    return Answer(items, page, counted)


def _cut(document: str, fields: Sequence[str]) -> str:
    members = json.loads(document)
    return to_json({name: members[name] for name in ("id", *fields)})


def _with_matches(document: str, matches: Sequence[search_snippets.Match]) -> str:
    """Put in at the end, so that the document need not be written again."""
    return f'{document[:-1]},"matches":{json.dumps(matches, ensure_ascii=False)}}}'
