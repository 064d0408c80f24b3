"""What an account's API keys were used for, by key and UTC day."""

import csv
import io
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Protocol
from uuid import UUID

from app.errors import FieldError, InvalidInput, NotFound
from app.services import policy
from app.services.auth import Caller

COLUMNS = (
    "day",
    "key_id",
    "key_name",
    "calls",
    "response_bytes",
    "downloads",
    "download_bytes",
)
# Where spreadsheets see a formula.
_FORMULA_STARTS = tuple("=+-@\t\r＝＋－＠")  # noqa: RUF001  # full-width forms count as well
# The day and the key of the last row that was read.
Place = tuple[date, UUID]


class Reader(Protocol):
    async def fetch(self, query: str, *args: Any) -> Sequence[Any]: ...
    async def fetchrow(self, query: str, *args: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Period:
    """Whose usage, of which keys, and the first and last of the days."""

    account_id: UUID
    key_id: UUID | None
    first: date
    last: date


async def period_of(
    reader: Reader,
    caller: Caller,
    *,
    first: date | None,
    last: date | None,
    key_id: UUID | None,
    now: datetime,
) -> Period:
    """What a caller may see: a key itself alone. Raises `NotFound` for keys of others."""
    last = last or now.astimezone(UTC).date()
    first = first or max(date.min + policy.USAGE_SHOWN, last) - policy.USAGE_SHOWN
    if first > last:
        error: FieldError = {
            "pointer": "/from",
            "code": "after_to",
            "message": "Must not be later than `to`",
        }
        raise InvalidInput(errors=[error])
    if caller.key_id is not None and key_id not in {None, caller.key_id}:
        raise NotFound
    if key_id is not None and not await reader.fetchrow(_OWN_KEY, key_id, caller.account_id):
        raise NotFound
    return Period(caller.account_id, caller.key_id or key_id, first, last)


async def find(
    reader: Reader, period: Period, *, after: Place | None, limit: int
) -> Sequence[Mapping[str, Any]]:
    """The latest day first, and of a day the newest key."""
    day, key_id = after or (None, None)
    return await reader.fetch(
        _USAGE, period.account_id, period.key_id, period.first, period.last, day, key_id, limit
    )


async def as_csv(reader: Reader, period: Period) -> AsyncIterator[str]:
    """All of it (RFC 4180), a chunk at a time."""
    yield _lines([COLUMNS])
    after: Place | None = None
    while rows := await find(reader, period, after=after, limit=policy.EXPORT_CHUNK):
        yield _lines([[_cell(row[column]) for column in COLUMNS] for row in rows])
        after = (rows[-1]["day"], rows[-1]["key_id"])


def _lines(rows: Iterable[Iterable[str]]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerows(rows)
    return written.getvalue()


def _cell(value: object) -> str:
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


_OWN_KEY = "SELECT 1 FROM api_key WHERE id = $1 AND account_id = $2"
_USAGE = """
    SELECT usage.day, usage.key_id, api_key.name AS key_name, usage.calls, usage.response_bytes,
           usage.downloads, usage.download_bytes
      FROM api_key_usage AS usage JOIN api_key ON api_key.id = usage.key_id
     WHERE api_key.account_id = $1 AND ($2::uuid IS NULL OR api_key.id = $2)
       AND usage.day BETWEEN $3 AND $4
       AND ($5::date IS NULL OR (usage.day, usage.key_id) < ($5, $6::uuid))
     ORDER BY usage.day DESC, usage.key_id DESC LIMIT $7
"""
