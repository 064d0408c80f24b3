"""Lists of the public catalogue: pages, their order and their totals. Documents stay unparsed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from app.services import policy, search_reading
from app.services.asset_hits import Filters, counted_term
from app.services.asset_rows import Sort, Wanted, are_all_found, count_hits, fetch_rows
from app.services.search_queries import SearchQuery

# The sort keys and the total that a page ends with, as a cursor keeps them.
Position = Sequence[str | int | None]


class Reader(Protocol):
    async def fetch(self, query: str, *args: Any) -> Sequence[Any]: ...
    async def fetchrow(self, query: str, *args: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Page:
    """Documents as they are stored (JSON text), and what else the answer says of them."""

    documents: Sequence[str]
    total: int
    total_is_exact: bool
    # Behind the last document; None on the last page.
    last: Position | None
    updated_at: datetime | None
    # What `q` was read as.
    query: SearchQuery | None


async def list_page(
    reader: Reader,
    filters: Filters,
    *,
    sort: Sort | None = None,
    after: Position | None = None,
    limit: int,
) -> Page:
    """A page of published assets, by default the newest first, or with `q` the best.

    Relevance ranks the newest 10,000 hits; without `q` it is the order of publication. Raises
    `QueryTooLong`.
    """
    query = await search_reading.read(reader, filters.q) if filters.q else None
    if query is not None and not query.condition:
        return Page((), 0, total_is_exact=True, last=None, updated_at=None, query=query)
    if query is None and sort == "relevance":
        sort = None
    wanted = Wanted(filters, query, sort or ("relevance" if query else "-published_at"), limit)
    if after is not None:
        wanted.after, wanted.total = _read_position(wanted.keys, after)
    return await _page(reader, wanted)


async def _page(reader: Reader, wanted: Wanted) -> Page:
    rows = await fetch_rows(reader, wanted)
    shown = rows[: wanted.limit]
    total = await _total(reader, wanted, rows)
    return Page(
        documents=[row["document"] for row in shown],
        total=total,
        total_is_exact=await _is_exact(reader, wanted, total),
        last=_position(wanted.keys, shown[-1], total) if len(rows) > len(shown) else None,
        updated_at=max((row["changed_at"] for row in shown), default=None),
        query=wanted.query,
    )


async def _total(reader: Reader, wanted: Wanted, rows: Sequence[Any]) -> int:
    """How many there are: as counted beside the rows, said by the cursor, or counted now."""
    if rows and rows[0]["total"] is not None:
        return int(rows[0]["total"])
    if wanted.total is not None:
        return wanted.total
    if len(rows) <= wanted.limit:
        return len(rows)
    return await count_hits(reader, wanted)


async def _is_exact(reader: Reader, wanted: Wanted, total: int) -> bool:
    if counted_term(wanted.filters, wanted.query) is not None:
        return True
    return total < policy.COUNTED_HITS and await are_all_found(reader, wanted)


def _position(keys: Sequence[str], row: Mapping[str, Any], total: int) -> Position:
    return [*(_plain(row[key]) for key in keys), total]


def _plain(value: Any) -> str | int:
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, int) else str(value)


def _read_position(keys: Sequence[str], position: Position) -> tuple[list[Any], int]:
    """Sort keys and total of a cursor that is genuine: nobody else can make one."""
    *values, total = position
    assert isinstance(total, int)  # noqa: S101  # `_position` has put it there
    return [
        _READ.get(key, lambda v: v)(value) for key, value in zip(keys, values, strict=True)
    ], total


_READ: Mapping[str, Callable[[Any], Any]] = {
    "published_at": datetime.fromisoformat,
    "updated_at": datetime.fromisoformat,
    "asset_id": UUID,
}
