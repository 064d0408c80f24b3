"""Facets: how many of a list's assets have each keyword, each country and so on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

from app.services import policy
from app.services.asset_hits import Filters, Statement, newest_hits
from app.services.search_queries import SearchQuery
from app.services.search_texts import EVERY

Facet = Literal[
    "type", "language", "country", "location", "person", "keyword", "collection", "content_class"
]
FACETS: tuple[Facet, ...] = get_args(Facet)


class Reader(Protocol):
    async def fetch(self, query: str, *args: Any) -> Sequence[Any]: ...


@dataclass(frozen=True, slots=True)
class Facets:
    """For each facet its most frequent values with their counts, and what they were counted of."""

    values: dict[Facet, list[tuple[str, int]]]
    counted: int
    # False where there are more hits than were looked at.
    all_counted: bool


async def count(
    reader: Reader, filters: Filters, query: SearchQuery | None, facets: Sequence[Facet]
) -> Facets:
    """Counted when assets were published; with filters, counted now of the newest 10,000 hits."""
    values: dict[Facet, list[tuple[str, int]]] = {facet: [] for facet in facets}
    if query is not None and not query.condition:
        return Facets(values, counted=0, all_counted=True)
    rows = await reader.fetch(*_most(filters, query, [*facets, EVERY]))
    for facet, label, number in rows:
        if facet != EVERY:
            values[facet].append((label, number))
    counted = next((number for facet, _, number in rows if facet == EVERY), 0)
    is_all = filters == Filters() or counted < policy.COUNTED_HITS
    return Facets(values, counted=counted, all_counted=is_all)


def _most(filters: Filters, query: SearchQuery | None, names: Sequence[str]) -> list[Any]:
    """The statement and its parameters: the most frequent values of each facet."""
    statement = Statement()
    wanted = statement.parameter(names, "text[]")
    if filters == Filters():
        return [_MOST_OF_ALL.format(names=wanted, limit=policy.FACET_VALUES), *statement.args]
    columns = {"terms": "s.terms"}
    hits = newest_hits(filters, query, statement, columns=columns, limit=policy.COUNTED_HITS)
    most = _MOST_OF_HITS.format(names=wanted, limit=policy.FACET_VALUES, hits=hits)
    return [most, *statement.args]


_MOST_OF_ALL = """
    SELECT name.facet, value.label, value.count
      FROM unnest({names}) AS name (facet)
     CROSS JOIN LATERAL (
            SELECT label, count FROM facet_count
             WHERE facet = name.facet AND count > 0
             ORDER BY count DESC, label LIMIT {limit}
         ) AS value
"""
_MOST_OF_HITS = """
    SELECT facet, label, counted FROM (
        SELECT facet, label, counted,
               row_number() OVER (PARTITION BY facet ORDER BY counted DESC, label) AS place
          FROM facet_count
          JOIN (
                SELECT term, count(*) AS counted FROM ({hits}) AS hit, unnest(hit.terms) AS term
                 WHERE split_part(term, ':', 1) = ANY ({names}) GROUP BY term
               ) AS found USING (term)
    ) AS placed
     WHERE place <= {limit} ORDER BY facet, place
"""
