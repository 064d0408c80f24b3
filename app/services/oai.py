"""The catalogue as OAI-PMH harvests it: the latest change of each asset, in the order of commits.

A datestamp is the moment of the commit. While a harvest runs, an asset that changes moves to its
end, where it is seen again. So a harvest misses nothing that was committed before its first
answer, and the next one, from that answer's date on, nothing that came after.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from app.errors import ServiceUnavailable
from app.services import policy
from app.services.asset_hits import Statement
from app.services.oai_arguments import SETS, Selection, unknown_identifier

RETRY_AFTER = timedelta(seconds=2)
_PAUSE = timedelta(milliseconds=10)


class Reader(Protocol):
    async def fetch(self, query: str, *args: Any) -> Sequence[Any]: ...
    async def fetchrow(self, query: str, *args: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Item:
    asset_id: UUID
    committed_at: datetime
    asset_type: str | None
    is_deleted: bool
    # JSON; None when it was not asked for, and of what was withdrawn.
    document: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    items: Sequence[Item]
    has_more: bool


# Of a list, the place of the item that the last page ended with.
Place = tuple[datetime, UUID]


# Whoever commits a change locks `change_feed` before its time is read, and until everybody sees the
# change (migration 1500). The time of this statement is earlier than its look at the locks.
_COMMITTING = """
    SELECT statement_timestamp() AS moment, array_agg(virtualtransaction) AS committing
      FROM pg_locks
     WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted
       AND relation = 'change_feed'::regclass
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND pid <> pg_backend_pid() AND ($1::text[] IS NULL OR virtualtransaction = ANY($1))
"""


async def settle(reader: Reader) -> datetime:
    """A moment by the server's clock, once all that was committed before it can be seen.

    Without this, a change of the second before might appear after an answer that says it was given
    in the second after, and the next harvest would begin behind it. Raises `ServiceUnavailable`
    when a commit takes too long.
    """
    row = await reader.fetchrow(_COMMITTING, None)
    moment: datetime = row["moment"]
    for _ in range(policy.HARVEST_COMMIT_PATIENCE // _PAUSE):
        if not row["committing"]:
            return moment
        await asyncio.sleep(_PAUSE.total_seconds())
        row = await reader.fetchrow(_COMMITTING, row["committing"])
    if row["committing"]:
        raise ServiceUnavailable(retry_after=RETRY_AFTER)
    return moment


async def list_page(
    reader: Reader, selection: Selection, *, after: Place | None, with_documents: bool
) -> Page:
    """The next records; fewer than a hundred where their documents are very large."""
    statement = Statement()
    conditions = " AND ".join(_conditions(selection, after, statement))
    size = "octet_length(asset.document)" if with_documents else "0"
    rows = await reader.fetch(
        f"""
        SELECT asset_id, committed_at, type, is_deleted, found,
               {"document" if with_documents else "NULL AS document"}
          FROM (
            SELECT change.asset_id, change.committed_at, asset.type, asset.document,
                   {_IS_DELETED} AS is_deleted,
                   coalesce(sum({size}) OVER (
                       ORDER BY change.committed_at, change.asset_id
                       ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                   ), 0) AS bytes_before,
                   count(*) OVER () AS found
              FROM (
                SELECT change.* FROM change {_OF_TYPE if selection.asset_type else ""}
                 WHERE {conditions}
                 ORDER BY change.committed_at, change.asset_id
                 LIMIT {policy.HARVEST_PAGE_SIZE + 1}
              ) AS change
              LEFT JOIN asset ON asset.id = change.asset_id
          ) AS page
         WHERE bytes_before < {policy.HARVEST_PAGE_BYTES}
         ORDER BY committed_at, asset_id
         LIMIT {policy.HARVEST_PAGE_SIZE}
        """,  # noqa: S608  # of constants and numbered parameters
        *statement.args,
    )
    return Page([_item(row) for row in rows], has_more=bool(rows) and rows[0]["found"] > len(rows))


_IS_DELETED = "(change.kind = 'withdrawn' OR asset.document IS NULL)"
_OF_TYPE = "JOIN asset ON asset.id = change.asset_id"
# Spelled out, so that the planner knows how many assets are of the type: of many, the next ones are
# soon found in the order of the list, and of few or none by their type.
_IS_OF_TYPE = {asset_type: f"asset.type = '{asset_type}'" for asset_type in SETS}


def _conditions(selection: Selection, after: Place | None, statement: Statement) -> list[str]:
    conditions = ["change.is_latest"]
    bounds = (("committed_at >=", selection.since), ("committed_at <", selection.until))
    conditions += [
        f"change.{comparison} {statement.parameter(moment, 'timestamptz')}"
        for comparison, moment in bounds
        if moment is not None
    ]
    if after is not None:
        committed_at = statement.parameter(after[0], "timestamptz")
        asset_id = statement.parameter(after[1], "uuid")
        conditions.append(f"(change.committed_at, change.asset_id) > ({committed_at}, {asset_id})")
    if selection.asset_type is not None:
        conditions.append(_IS_OF_TYPE[selection.asset_type])
    return conditions


async def get_item(reader: Reader, asset_id: UUID) -> Item:
    """One record; raises `Refused` for what is not public and never was."""
    row = await reader.fetchrow(_ITEM, asset_id)
    if row is None:
        raise unknown_identifier()
    return _item(row)


_ITEM = f"""
    SELECT change.asset_id, change.committed_at, asset.type, asset.document,
           {_IS_DELETED} AS is_deleted
      FROM change LEFT JOIN asset ON asset.id = change.asset_id
     WHERE change.is_latest AND change.asset_id = $1
"""  # noqa: S608  # of constants alone


async def earliest(reader: Reader) -> datetime:
    """No record has an earlier datestamp; that of the first change, which stays for ever."""
    row = await reader.fetchrow("SELECT committed_at FROM change ORDER BY sequence LIMIT 1")
    return row["committed_at"] if row and row["committed_at"] else datetime(1970, 1, 1, tzinfo=UTC)


def _item(row: Any) -> Item:
    is_deleted = row["is_deleted"]
    document = None if is_deleted else row["document"]
    return Item(row["asset_id"], row["committed_at"], row["type"], is_deleted, document)
