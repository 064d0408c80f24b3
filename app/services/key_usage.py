"""What API keys are used for: counted in memory, and stored by the day, all processes together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, Date, DateTime, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import ApiKeyUsage

Place = tuple[UUID, date]


class Counted(NamedTuple):
    """What one key did on one UTC day and is not stored yet."""

    key_id: UUID
    day: date
    calls: int
    response_bytes: int
    used_at: datetime


@dataclass(slots=True)
class _Count:
    used_at: datetime
    calls: int = 0
    response_bytes: int = 0
    # Calls that are just being stored.
    under_way: int = 0
    # Calls of all processes that are stored, as far as is known here.
    stored: int = 0


class KeyUsage:
    """The counts of one process. What is taken must be given back or settled."""

    def __init__(self) -> None:
        self._counts: dict[Place, _Count] = {}

    def add_call(self, key_id: UUID, now: datetime) -> None:
        count = self._count(key_id, now)
        count.calls += 1
        count.used_at = now

    def add_bytes(self, key_id: UUID, size: int, now: datetime) -> None:
        """Bytes of a body as they leave: of a stream, on the day on which they do."""
        self._count(key_id, now).response_bytes += size

    def calls_of(self, key_id: UUID, day: date, *, stored: int) -> int:
        """The calls of a day: all that are stored, somebody has read `stored`, and our own."""
        count = self._counts.get((key_id, day))
        if count is None:
            return stored
        # While ours are being stored, nobody knows whether a reading has them already.
        if not count.under_way:
            count.stored = max(count.stored, stored)
        return count.stored + count.under_way + count.calls

    def take(self) -> list[Counted]:
        """All that is to be stored; what was idle since the last time is forgotten."""
        taken = []
        for (key_id, day), count in list(self._counts.items()):
            if count.calls or count.response_bytes:
                used = (count.calls, count.response_bytes, count.used_at)
                taken.append(Counted(key_id, day, *used))
                count.under_way, count.calls, count.response_bytes = count.calls, 0, 0
            elif not count.under_way:
                del self._counts[key_id, day]
        return taken

    def give_back(self, taken: Sequence[Counted]) -> None:
        for each in taken:
            count = self._counts[each.key_id, each.day]
            count.calls += each.calls
            count.response_bytes += each.response_bytes
            count.under_way = 0

    def settle(self, taken: Sequence[Counted], stored: Mapping[Place, int]) -> None:
        """`stored` are the calls of all processes; a key that is gone is not among them."""
        for each in taken:
            count = self._counts[each.key_id, each.day]
            count.under_way = 0
            count.stored = max(count.stored, stored.get((each.key_id, each.day), 0))

    def _count(self, key_id: UUID, now: datetime) -> _Count:
        place = (key_id, now.astimezone(UTC).date())
        count = self._counts.get(place)
        if count is None:
            count = self._counts[place] = _Count(now)
        return count


async def store(session: AsyncSession, counted: Sequence[Counted]) -> Mapping[Place, int]:
    """Add to what is stored; returns the calls of all processes on these days."""
    columns = zip(*sorted(counted), strict=True)
    values = dict(zip(Counted._fields, map(list, columns), strict=True))
    rows = await session.execute(_STORE, values)
    return {(row.key_id, row.day): row.calls for row in rows}


async def add_download(session: AsyncSession, key_id: UUID, *, size: int, now: datetime) -> None:
    """Count a download with the request that was given it, in the same transaction."""
    fresh = {"key_id": key_id, "day": now.astimezone(UTC).date()}
    statement = insert(ApiKeyUsage).values(**fresh, downloads=1, download_bytes=size)
    more = {
        "downloads": ApiKeyUsage.downloads + 1,
        "download_bytes": ApiKeyUsage.download_bytes + size,
    }
    key = "pk_api_key_usage"
    await session.execute(statement.on_conflict_do_update(constraint=key, set_=more))


# Keys are locked in one order, so that processes which store the same ones don't wait for each
# other in a ring; a lock also keeps a key from being erased under its counts.
_STORE = text("""
    WITH counted AS (
        SELECT * FROM unnest(:key_id, :day, :calls, :response_bytes, :used_at)
                   AS counted (key_id, day, calls, response_bytes, used_at)
    ), live AS MATERIALIZED (
        SELECT id FROM api_key WHERE id IN (SELECT key_id FROM counted)
         ORDER BY id FOR NO KEY UPDATE
    ), used AS (
        UPDATE api_key SET last_used_at = greatest(last_used_at, latest.used_at)
          FROM (SELECT key_id, max(used_at) AS used_at FROM counted GROUP BY key_id) AS latest
         WHERE api_key.id = latest.key_id AND api_key.id IN (SELECT id FROM live)
    )
    INSERT INTO api_key_usage AS usage (key_id, day, calls, response_bytes)
    SELECT key_id, day, calls, response_bytes FROM counted JOIN live ON live.id = counted.key_id
     ORDER BY key_id, day
        ON CONFLICT ON CONSTRAINT pk_api_key_usage DO UPDATE
       SET calls = usage.calls + excluded.calls,
           response_bytes = usage.response_bytes + excluded.response_bytes
    RETURNING key_id, day, calls
""").bindparams(
    bindparam("key_id", type_=ARRAY(Uuid)),
    bindparam("day", type_=ARRAY(Date)),
    bindparam("calls", type_=ARRAY(BigInteger)),
    bindparam("response_bytes", type_=ARRAY(BigInteger)),
    bindparam("used_at", type_=ARRAY(DateTime(timezone=True))),
)
