"""What one process knows of API keys: read when asked for, and good for half a second."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID

from app.services import policy
from app.services.auth import CALLER_COLUMNS, Caller, Reader

# What is known of so many takes a few megabytes; who shows more of them is read more often.
MAX_RECORDS = 5_000


@dataclass(frozen=True, slots=True)
class KeyCaller(Caller):
    """A live API key of an account that may act, as it was when it was read."""

    key_id: UUID
    # The end of the key, or of the secret that was shown.
    expires_at: datetime | None
    # Calls that were counted on the day of the reading, by all processes.
    calls: int
    day: date

    def is_live(self, now: datetime) -> bool:
        return self.expires_at is None or not policy.is_expired(self.expires_at, now)


# The hash of a secret, or the ids of a key and of an access token that it got.
_Name = bytes | tuple[UUID, UUID]


class KeyRecords:
    """Keys by their secrets, or by what they got access tokens for; unknown ones count too.

    Whatever happens, a request never goes by what was read more than half a second before it came.
    Requests for the same key wait for one reading.
    """

    def __init__(self, reader: Reader, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._reader = reader
        self._clock = clock
        self._max_age = policy.KEY_RECORD_MAX_AGE.total_seconds()
        # The oldest reading first.
        self._readings: dict[_Name, _Reading] = {}

    async def by_secret(self, secret_hash: bytes, *, now: datetime) -> KeyCaller | None:
        return await self._live(secret_hash, now)

    async def by_token(self, key_id: UUID, token_id: UUID, *, now: datetime) -> KeyCaller | None:
        """The key of an access token that was not given back."""
        return await self._live((key_id, token_id), now)

    def knows(self, secret_hash: bytes) -> bool:
        """Whether a look-up would be answered without the database."""
        reading = self._readings.get(secret_hash)
        return reading is not None and self._is_fresh(reading)

    def drop(self, account_id: str) -> None:
        """Forget what is known of an account's keys, and what is just being read of any."""
        for name, reading in list(self._readings.items()):
            if reading.may_be_of(account_id):
                del self._readings[name]

    async def _live(self, name: _Name, now: datetime) -> KeyCaller | None:
        reading = self._readings.get(name)
        if reading is None or not self._is_fresh(reading):
            reading = self._begin(name, now)
        task = reading.task
        # Shielded, since others wait for it too.
        caller = task.result() if task.done() else await asyncio.shield(task)
        return caller if caller is not None and caller.is_live(now) else None

    def _is_fresh(self, reading: "_Reading") -> bool:
        return self._clock() < reading.begun_at + self._max_age

    def _begin(self, name: _Name, now: datetime) -> "_Reading":
        self._readings.pop(name, None)  # to be the newest in the order
        if len(self._readings) >= MAX_RECORDS:
            del self._readings[next(iter(self._readings))]
        task = asyncio.create_task(self._read(name, now))
        reading = self._readings[name] = _Reading(self._clock(), task)
        task.add_done_callback(lambda _: self._forget_failed(name, reading))
        return reading

    async def _read(self, name: _Name, now: datetime) -> KeyCaller | None:
        day = now.astimezone(UTC).date()
        if isinstance(name, bytes):
            row = await self._reader.fetchrow(_BY_SECRET, day, name)
        else:
            row = await self._reader.fetchrow(_BY_TOKEN, day, *name)
        if row is None:
            return None
        return KeyCaller(
            account=row,
            session_id=None,
            key_id=row["key_id"],
            scopes=frozenset(row["scopes"]),
            expires_at=row["ends_at"],
            calls=row["calls"],
            day=day,
        )

    def _forget_failed(self, name: _Name, reading: "_Reading") -> None:
        has_failed = reading.task.cancelled() or reading.task.exception() is not None
        if has_failed and self._readings.get(name) is reading:
            del self._readings[name]


@dataclass(slots=True)
class _Reading:
    begun_at: float
    task: "asyncio.Task[KeyCaller | None]"

    def may_be_of(self, account_id: str) -> bool:
        if not self.task.done():
            return True
        caller = None if self.task.cancelled() or self.task.exception() else self.task.result()
        return caller is not None and str(caller.account_id) == account_id


# One round trip: the key must not be revoked and its account not suspended.
_RECORD = """
    SELECT {columns}, api_key.id AS key_id, api_key.scopes, {ends_at} AS ends_at,
           coalesce((SELECT calls FROM api_key_usage
                      WHERE key_id = api_key.id AND day = $1), 0) AS calls
      FROM {source} JOIN account ON account.id = api_key.account_id
     WHERE {condition} AND api_key.revoked_at IS NULL AND account.suspended_at IS NULL
"""
# LEAST passes over what is null.
_BY_SECRET = _RECORD.format(
    columns=CALLER_COLUMNS,
    ends_at="least(api_key.expires_at, api_key_secret.expires_at)",
    source="api_key_secret JOIN api_key ON api_key.id = api_key_secret.key_id",
    condition="api_key_secret.hash = $2",
)
# Only this token is looked for: a key may have given back thousands in an hour.
_BY_TOKEN = _RECORD.format(
    columns=CALLER_COLUMNS,
    ends_at="api_key.expires_at",
    source="api_key",
    condition="api_key.id = $2 AND NOT EXISTS (SELECT FROM revoked_token WHERE jti = $3)",
)
