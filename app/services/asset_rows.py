"""The rows of a page of a list: one statement for the page and, where it is kept, the total."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from app.services import policy
from app.services.asset_hits import (
    Filters,
    Statement,
    beyond,
    conditions,
    counted_term,
    newest_hits,
)
from app.services.search_queries import SearchQuery

Sort = Literal["-published_at", "published_at", "relevance", "-updated_at", "title"]

# Where filters leave out little, a page is among so many rows of an index in the page's order.
WALKED_ROWS = 1000
# Ranks that differ by less are equal, whatever the processor's rounding.
RANK_STEPS = 100_000


class Reader(Protocol):
    async def fetch(self, query: str, *args: Any) -> Sequence[Any]: ...
    async def fetchrow(self, query: str, *args: Any) -> Any: ...


@dataclass(slots=True)
class Wanted:
    """What a page is of, in which order, and where it begins."""

    filters: Filters
    query: SearchQuery | None
    sort: Sort
    limit: int
    # Sort keys of the page before, and the total that it gave.
    after: Sequence[Any] | None = None
    total: int | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        return _KEYS[self.sort]

    @property
    def is_ascending(self) -> bool:
        return self.sort in {"published_at", "title"}

    @property
    def order(self) -> str:
        direction = "ASC" if self.is_ascending else "DESC"
        return ", ".join(f"{key} {direction}" for key in self.keys)


_KEYS: Mapping[Sort, tuple[str, ...]] = {
    "-published_at": ("published_at", "asset_id"),
    "published_at": ("published_at", "asset_id"),
    "-updated_at": ("updated_at", "asset_id"),
    "title": ("title", "asset_id"),
    "relevance": ("rank", "published_at", "asset_id"),
}


async def fetch_rows(reader: Reader, wanted: Wanted) -> Sequence[Any]:
    """The page's documents with their sort keys, and one row more if there is a next page.

    `total` is null where it must be counted.
    """
    if wanted.sort == "relevance":
        return await _fetch(reader, _best, wanted)
    if wanted.query is None:
        rows = await _fetch(reader, _walk, wanted)
        if len(rows) > wanted.limit or wanted.filters == Filters():
            return rows
    return await _fetch(reader, _search, wanted)


async def count_hits(reader: Reader, wanted: Wanted) -> int:
    """How many there are, at most 10,000."""
    statement = Statement()
    hits = _newest(wanted, statement, {"asset_id": "s.asset_id"})
    row = await reader.fetchrow(f"SELECT count(*) FROM ({hits}) AS hit", *statement.args)  # noqa: S608
    return int(row["count"])


async def are_all_found(reader: Reader, wanted: Wanted) -> bool:
    """Whether a search for phrases has looked at all assets that have their words."""
    if wanted.query is None or wanted.query.exact is None:
        return True
    by_words = replace(wanted, query=replace(wanted.query, exact=None))
    return await count_hits(reader, by_words) < policy.PHRASE_CANDIDATES


async def _fetch(
    reader: Reader, write: Callable[[Wanted, Statement], str], wanted: Wanted
) -> Sequence[Any]:
    """Run a statement that finds the page's rows, and put the documents beside them."""
    statement = Statement()
    rows = write(wanted, statement)
    limit = statement.parameter(wanted.limit + 1, "int")
    return await reader.fetch(
        f"""
        SELECT asset.document, asset.updated_at AS changed_at, found.*
          FROM (SELECT row.* FROM ({rows}) AS row ORDER BY {wanted.order} LIMIT {limit}) AS found
          JOIN asset ON asset.id = found.asset_id
         ORDER BY {wanted.order}
        """,  # noqa: S608  # of constants and numbered parameters
        *statement.args,
    )


def _walk(wanted: Wanted, statement: Statement) -> str:
    """The hits among the next rows of an index in the page's order, with the total if counted."""
    rows = f"SELECT s.* FROM asset_search AS s {_beyond(wanted, statement)}"  # noqa: S608
    hits = conditions(wanted.filters, None, statement)
    if hits:
        walked = f"{rows} ORDER BY {wanted.order} LIMIT {WALKED_ROWS}"
        rows = f"SELECT s.* FROM ({walked}) AS s WHERE {' AND '.join(hits)}"  # noqa: S608
    columns = ", ".join(_columns(wanted).values())
    return f"SELECT {columns}, {_counted(wanted, statement)} FROM ({rows}) AS s"  # noqa: S608


def _search(wanted: Wanted, statement: Statement) -> str:
    """The hits by the index on terms and words, whatever their share of all assets.

    Those of a search in another order than that of publication are the newest 10,000.
    """
    total = _counted(wanted, statement)
    if wanted.keys[0] == "published_at":
        hits = newest_hits(
            wanted.filters,
            wanted.query,
            statement,
            columns=_columns(wanted),
            limit=wanted.limit + 1,
            after=wanted.after,
            oldest_first=wanted.is_ascending,
        )
        return f"SELECT s.*, {total} FROM ({hits}) AS s"  # noqa: S608
    if wanted.query is not None:
        hits = _newest(wanted, statement, _columns(wanted))
    else:
        hits = f"""
            SELECT {", ".join(_columns(wanted).values())} FROM asset_search AS s
             WHERE {" AND ".join(conditions(wanted.filters, None, statement))} OFFSET 0
        """  # noqa: S608
    # The offset keeps the planner from walking an index in the page's order through all assets.
    return f"SELECT s.*, {total} FROM ({hits}) AS s {_beyond(wanted, statement)}"  # noqa: S608


def _best(wanted: Wanted, statement: Statement) -> str:
    """The newest hits with their ranks, and how many they are."""
    assert wanted.query is not None  # noqa: S101  # relevance is the order of searches alone
    ranked = statement.parameter(wanted.query.ranked, "tsquery")
    rank = f"floor(ts_rank(s.head, {ranked}) * {RANK_STEPS})::int"
    columns = {"rank": rank, "published_at": "s.published_at", "asset_id": "s.asset_id"}
    hits = _newest(wanted, statement, columns)
    return f"""
        WITH hit AS MATERIALIZED ({hits})
        SELECT s.*, (SELECT count(*) FROM hit) AS total FROM hit AS s {_beyond(wanted, statement)}
    """  # noqa: S608  # of constants and numbered parameters


def _newest(wanted: Wanted, statement: Statement, columns: Mapping[str, str]) -> str:
    """As many hits as are counted, the newest of all."""
    return newest_hits(
        wanted.filters, wanted.query, statement, columns=columns, limit=policy.COUNTED_HITS
    )


def _columns(wanted: Wanted) -> Mapping[str, str]:
    return {key: f"s.{key}" for key in wanted.keys}


def _beyond(wanted: Wanted, statement: Statement) -> str:
    if wanted.after is None:
        return ""
    return f"WHERE {beyond(wanted.keys, wanted.after, statement, ascending=wanted.is_ascending)}"


def _counted(wanted: Wanted, statement: Statement) -> str:
    """The total, where counting is done whenever an asset is published; else null."""
    term = counted_term(wanted.filters, wanted.query)
    if term is None:
        return "NULL::int AS total"
    equal = f"term = {statement.parameter(term, 'text')}"
    return f"coalesce((SELECT count FROM facet_count WHERE {equal}), 0) AS total"  # noqa: S608
