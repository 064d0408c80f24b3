"""The assets that a list is of, as SQL: conditions, and the newest hits without reading them all.

Hits are looked for in periods, the newest first and each about as long as all before it, until
there are enough. A period is a few `month:` terms, so the index meets it with the other conditions
before any row is read; a common word costs what its newest hits cost, and a rare one some look-ups.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from app.services import policy
from app.services.asset_documents import parse_id
from app.services.search_queries import SearchQuery
from app.services.search_texts import EVERY, term

TERM_FILTERS = ("type", "language", "location", "country", "person", "keyword", "collection")


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list is of. Values of one filter are alternatives; all filters must hold."""

    q: str | None = None
    type: tuple[str, ...] = ()
    language: tuple[str, ...] = ()
    location: tuple[str, ...] = ()
    country: tuple[str, ...] = ()
    person: tuple[str, ...] = ()
    keyword: tuple[str, ...] = ()
    collection: tuple[str, ...] = ()
    published_from: datetime | None = None
    published_to: datetime | None = None
    min_duration: int | None = None  # seconds
    min_height: int | None = None  # pixels
    has_captions: bool | None = None


@dataclass(slots=True)
class Statement:
    """A statement in the making: its parameters are numbered as they are added."""

    args: list[Any] = field(default_factory=list)

    def parameter(self, value: Any, kind: str) -> str:
        self.args.append(value)
        return f"${len(self.args)}::{kind}"


def term_groups(filters: Filters) -> list[list[str]]:
    """For each filter that terms decide, the terms of which an asset must have one."""
    groups = [
        [_term(name, value) for value in values]
        for name in TERM_FILTERS
        if (values := getattr(filters, name))
    ]
    if filters.has_captions is not None:
        groups.append([term("has_captions", str(filters.has_captions))])
    return groups


def counted_term(filters: Filters, query: SearchQuery | None) -> str | None:
    """The one term whose count is the number of hits, if there is such a one."""
    groups = term_groups(filters)
    if query is not None or _row_conditions(filters, Statement()) or len(groups) > 1:
        return None
    if not groups:
        return EVERY
    return groups[0][0] if len(groups[0]) == 1 else None


def conditions(filters: Filters, query: SearchQuery | None, statement: Statement) -> list[str]:
    """What must be true of a row `s` of asset_search; the terms and words by their index.

    In a SELECT of its own a parameter is unknown to the planner. What it knows of it would be a
    guess, and with the worst ones it reads the whole table instead of the index.
    """
    found = [f"s.terms && {statement.parameter(group, 'text[]')}" for group in term_groups(filters)]
    if query is not None:
        found.append(f"s.vector @@ (SELECT {statement.parameter(query.condition, 'tsquery')})")
    return found + _row_conditions(filters, statement)


def newest_hits(
    filters: Filters,
    query: SearchQuery | None,
    statement: Statement,
    *,
    columns: Mapping[str, str],
    limit: int,
    after: Sequence[Any] | None = None,
    oldest_first: bool = False,
) -> str:
    """SQL that gives columns, by their names, of the newest hits `s` in order of publication."""
    hits = _hits_by_period(filters, query, statement, columns, after, oldest_first=oldest_first)
    names = ", ".join(f"hit.{name}" for name in columns)
    if query is None or query.exact is None:
        return f"SELECT {names} FROM ({hits} LIMIT {limit}) AS hit"  # noqa: S608
    exact = statement.parameter(query.exact, "tsquery")
    # Ordered already, as a join with periods is; and most have the words, but in other places.
    return f"""
        SELECT {names} FROM ({hits} LIMIT {policy.PHRASE_CANDIDATES}) AS hit
         WHERE hit.vector @@ {exact} LIMIT {limit}
    """  # noqa: S608  # of constants and numbered parameters


def hits_of_words(condition: str, statement: Statement) -> str:
    """SQL that gives an empty row for each hit of a text search, the newer periods' first."""
    wanted = statement.parameter(condition, "tsquery")
    return f"""
        SELECT FROM ({_periods(statement, None, None, "DESC")}) AS period
         CROSS JOIN LATERAL (
            SELECT FROM asset_search AS s
             WHERE s.terms && period.months AND s.vector @@ (SELECT {wanted}) OFFSET 0
         ) AS hit
    """  # noqa: S608  # of constants and numbered parameters


def _hits_by_period(
    filters: Filters,
    query: SearchQuery | None,
    statement: Statement,
    columns: Mapping[str, str],
    after: Sequence[Any] | None,
    *,
    oldest_first: bool,
) -> str:
    direction = "ASC" if oldest_first else "DESC"
    wanted = conditions(filters, query, statement)
    since, until = filters.published_from, filters.published_to
    if after is not None:
        wanted.append(
            beyond(("published_at", "asset_id"), after, statement, ascending=oldest_first)
        )
        since, until = (after[0], until) if oldest_first else (since, after[0])
    taken = ", ".join(f"{expression} AS {name}" for name, expression in columns.items())
    return f"""
        SELECT hit.*
          FROM ({_periods(statement, since, until, direction)}) AS period
         CROSS JOIN LATERAL (
            SELECT {taken}, s.vector FROM asset_search AS s
             WHERE {" AND ".join(["s.terms && period.months", *wanted])}
             ORDER BY s.published_at {direction}, s.asset_id {direction}
         ) AS hit
    """  # noqa: S608  # of constants and numbered parameters


def _periods(
    statement: Statement, since: datetime | None, until: datetime | None, direction: str
) -> str:
    """The terms of the months in each period, beginning with that of the first hits."""
    bounds = [
        f"term {operator} {statement.parameter(month_term(moment), 'text')}"
        for operator, moment in ((">=", since), ("<=", until))
        if moment is not None
    ]
    return f"""
        SELECT array_agg(term) AS months FROM (
            SELECT term,
                   width_bucket(
                       sum(count) OVER (ORDER BY term {direction}) - count, ARRAY[{_SIZES}]
                   ) AS number
              FROM facet_count
             WHERE {" AND ".join(["facet = 'month'", "count > 0", *bounds])}
        ) AS month
        GROUP BY number ORDER BY number
    """  # noqa: S608  # of constants and numbered parameters


# How many assets are newer than the second period, the third and so on.
_SIZES = ", ".join(str(10_000 * (2**number - 1)) for number in range(1, 16))


def beyond(
    keys: Sequence[str], after: Sequence[Any], statement: Statement, *, ascending: bool
) -> str:
    """That a row comes after the one with these sort keys, `asset_id` being the last of them."""
    columns = ", ".join(f"s.{key}" for key in keys)
    values = ", ".join(
        statement.parameter(value, KEY_TYPES[key]) for key, value in zip(keys, after, strict=True)
    )
    return f"({columns}) {'>' if ascending else '<'} ({values})"


KEY_TYPES = {
    "published_at": "timestamptz",
    "updated_at": "timestamptz",
    "title": "text",
    "rank": "int",
    "asset_id": "uuid",
}


def month_term(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("month:%Y-%m")


def _term(name: str, value: str) -> str:
    if name == "collection" and parse_id(value):
        return term("collection_id", value)
    return term(name, value)


def _row_conditions(filters: Filters, statement: Statement) -> list[str]:
    """Those that no index helps with: they are checked on the rows that the others leave."""
    bounds = (
        ("published_at >=", filters.published_from, "timestamptz"),
        ("published_at <=", filters.published_to, "timestamptz"),
        ("duration_ms >=", _milliseconds(filters.min_duration), "int"),
        ("height >=", filters.min_height, "int"),
    )
    return [
        f"s.{comparison} {statement.parameter(value, kind)}"
        for comparison, value, kind in bounds
        if value is not None
    ]


def _milliseconds(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * 1000
