"""Which of a few assets each of many searches finds, by the conditions that lists are made of."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import AssetSearch
from app.services.asset_hits import Filters, Statement, conditions
from app.services.search_queries import Parsed, SearchQuery, compose, parse, stem


class Match(NamedTuple):
    # Of the search, counted from 0.
    number: int
    asset_id: UUID
    published_at: datetime


class _SessionReader:
    """Lets a transaction run what is written for the read path."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def fetch(self, query: str, *args: Any) -> Sequence[Any]:
        connection = await self._session.connection()
        return (await connection.exec_driver_sql(query, args)).all()


async def find(
    session: AsyncSession, asset_ids: Collection[UUID], searches: Sequence[Filters]
) -> Sequence[Match]:
    """In one statement, which takes longer to plan than to run: not for more than a hundred."""
    reader = _SessionReader(session)
    queries = await _read(reader, searches)
    statement = Statement()
    assets = statement.parameter(list(asset_ids), "uuid[]")
    branches = list(_branches(searches, queries, statement))
    if not branches:
        return []
    rows = await reader.fetch(
        f"WITH few AS MATERIALIZED ({_FEW.format(assets=assets)}) {' UNION ALL '.join(branches)}",
        *statement.args,
    )
    return [Match(*row) for row in rows]


# What is added to the vector makes a copy of it, and so spares each search from reading it out of
# where long values are kept.
_FEW = """
    SELECT asset_id, published_at, duration_ms, height, terms, vector || ''::tsvector AS vector
      FROM asset_search WHERE asset_id = ANY({assets})
"""


def _branches(
    searches: Sequence[Filters], queries: Sequence[SearchQuery | None], statement: Statement
) -> Iterator[str]:
    for number, (filters, query) in enumerate(zip(searches, queries, strict=True)):
        if query is not None and not query.condition:
            continue  # of words that no language indexes: it finds nothing
        wanted = conditions(filters, query, statement)
        if query is not None and query.exact is not None:
            wanted.append(f"s.vector @@ {statement.parameter(query.exact, 'tsquery')}")
        yield f"""
            SELECT {number}, s.asset_id, s.published_at FROM few AS s
             WHERE {" AND ".join(wanted) or "TRUE"}
        """  # noqa: S608  # of constants and numbered parameters


async def _read(
    reader: _SessionReader, searches: Sequence[Filters]
) -> Sequence[SearchQuery | None]:
    """What each `q` is read as, with the stems of all their words at once."""
    parsed: list[Parsed | None] = [parse(each.q) if each.q else None for each in searches]
    words = {
        word
        for query in parsed
        if query is not None
        for terms in query
        for term in terms
        for word in term.words
    }
    stems = await stem(reader, words) if words else {}
    return [None if query is None else compose(query, stems) for query in parsed]


async def newest_public(session: AsyncSession, asset_ids: Collection[UUID]) -> Sequence[UUID]:
    """Those that are public now, the newest first."""
    row = AssetSearch
    query = select(row.asset_id).where(row.asset_id.in_(asset_ids))
    newest_first = query.order_by(row.published_at.desc(), row.asset_id.desc())
    return (await session.scalars(newest_first)).all()
