"""Who a request with an API key is, and whether its key may make one more.

What OAuth gave for a key (RFC 6749, section 4.4) is looked at in the same way: its key must live.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from math import ceil
from zlib import crc32

import structlog
from starlette.types import Scope

from app import crypto
from app.clock import utc_now
from app.crypto import AccessTokens, ClientClaims, InvalidToken
from app.db import Database
from app.errors import DATABASE_RETRY_AFTER, ServiceUnavailable, is_outage
from app.http.counters import Counters
from app.http.rate_limits import (
    ORDINARY,
    RateLimiter,
    RateLimitPolicy,
    Usage,
    check_usages,
    note_usage,
    use,
)
from app.services import key_usage, policy
from app.services.key_records import KeyCaller, KeyRecords
from app.services.key_usage import KeyUsage

log = structlog.get_logger(__name__)

_DAY = timedelta(days=1)
PER_MINUTE = RateLimitPolicy("key", quota=policy.KEY_CALLS_PER_MINUTE, window=60)
PER_DAY = RateLimitPolicy("daily", quota=policy.KEY_CALLS_PER_DAY, window=int(_DAY.total_seconds()))


class KeyGate:
    """What one process knows and counts of keys; closed until it has a database to ask.

    Without counters nothing is refused for its number, and everything is counted all the same.
    """

    def __init__(
        self, counters: Counters | None, *, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self.usage = KeyUsage()
        self._clock = clock
        self._counters = counters
        self._limiter = RateLimiter(counters, clock=clock)
        self._records: KeyRecords | None = None
        self._tokens: AccessTokens | None = None

    def open(self, database: Database, tokens: AccessTokens) -> None:
        self._records = KeyRecords(database.reader)
        self._tokens = tokens

    def hear(self, account_id: str) -> None:
        """Something about an account's keys has changed (services/key_events.py)."""
        if self._records is not None:
            self._records.drop(account_id)

    async def identify(self, token: str) -> KeyCaller:
        """The key of a request. Raises `InvalidToken`, alike for all that are not good."""
        if self._records is None or self._tokens is None:
            raise InvalidToken
        now = self._clock()
        if token.startswith(crypto.KEY_PREFIX):
            caller = await self.by_secret(token)
        else:
            claims = self._tokens.verify_client(token, now=now)
            caller = await self._by_claims(self._records, claims, now)
        if caller is None:
            raise InvalidToken
        return caller

    async def by_secret(self, secret: str) -> KeyCaller | None:
        """The live key with this secret; one with a wrong checksum is not even looked for."""
        if self._records is None:
            return None
        secret_hash = crypto.api_key_hash(secret)
        if not self._records.knows(secret_hash) and not crypto.is_api_key(secret):
            return None
        try:
            return await self._records.by_secret(secret_hash, now=self._clock())
        except Exception as error:
            raise _outage(error) from error

    async def _by_claims(
        self, records: KeyRecords, claims: ClientClaims, now: datetime
    ) -> KeyCaller | None:
        try:
            caller = await records.by_token(claims.key_id, claims.token_id, now=now)
        except Exception as error:
            raise _outage(error) from error
        if caller is None:
            return None
        return replace(caller, scopes=caller.scopes & claims.scopes)

    async def admit(self, scope: Scope, caller: KeyCaller) -> None:
        """Count a call of this key. Raises `RateLimited` past its rate or its day's quota."""
        now = self._clock()
        self.usage.add_call(caller.key_id, now)
        if self._counters is None:
            return
        who = str(caller.key_id)
        rate = await use(PER_MINUTE, who, crc32(who.encode()), counters=self._counters, now=now)
        if rate is not None:
            note_usage(scope, rate)
        note_usage(scope, self._of_today(caller, now))
        check_usages(scope)

    def count_bytes(self, caller: KeyCaller, size: int) -> None:
        """Count what has left for this key."""
        self.usage.add_bytes(caller.key_id, size, self._clock())

    async def count_refused(self, scope: Scope, under: RateLimitPolicy = ORDINARY) -> None:
        """Count a request whose key is no good against its network, as any other request."""
        await self._limiter.count_also(scope, under)

    async def keep_usage(self, database: Database, stopping: asyncio.Event) -> None:
        """Store what was counted every second, and once more at the end."""
        while not stopping.is_set():
            with suppress(TimeoutError):
                interval = policy.KEY_USAGE_FLUSH_INTERVAL.total_seconds()
                await asyncio.wait_for(stopping.wait(), interval)
            try:
                await self.store_usage(database)
            except Exception as error:  # noqa: BLE001  # drivers raise far more than they document
                log.warning("key_usage_not_stored", error=type(error).__name__)

    async def store_usage(self, database: Database) -> None:
        """Store what was counted; what can't be stored is kept for the next time."""
        taken = self.usage.take()
        if not taken:
            return
        try:
            async with database.transaction() as session:
                stored = await key_usage.store(session, taken)
        except BaseException:
            self.usage.give_back(taken)
            raise
        self.usage.settle(taken, stored)

    def _of_today(self, caller: KeyCaller, now: datetime) -> Usage:
        today = now.astimezone(UTC).date()
        stored = caller.calls if caller.day == today else 0
        calls = self.usage.calls_of(caller.key_id, today, stored=stored)
        midnight = datetime.combine(today + _DAY, time(), UTC)
        return Usage(PER_DAY, calls, ceil((midnight - now).total_seconds()))


def _outage(error: Exception) -> Exception:
    """What the client is told where the database is away, as everywhere."""
    if not is_outage(error):
        return error
    log.warning("database_unavailable", error=type(error).__name__)
    return ServiceUnavailable(retry_after=DATABASE_RETRY_AFTER)
