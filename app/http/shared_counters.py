"""Counters in Redis or Valkey, for all processes together."""

import asyncio
import time
from datetime import timedelta

import structlog
from limits.aio.storage import RedisStorage
from limits.aio.storage.redis.redispy import RedispyBridge
from limits.errors import ConfigurationError
from limits.storage import storage_from_string
from typing_extensions import override

from app.http.counters import Counters

log = structlog.get_logger(__name__)

STORE_TIMEOUT = timedelta(milliseconds=200)
# After a failure the store is left alone that long: not every request may wait for it.
STORE_PAUSE = timedelta(seconds=1)
WARN_EVERY = timedelta(minutes=1)
# A burst waits for its turn: opening hundreds of connections at once would time out.
MAX_CONNECTIONS = 20
_REDIS_SCHEMES = {"valkey": "redis", "valkeys": "rediss", "unix": "redis+unix"}


class SharedCounters(Counters):
    """Counters in Redis or Valkey, which may fail: then nobody is refused, and the log says so."""

    def __init__(self, url: str, *, timeout: timedelta = STORE_TIMEOUT) -> None:
        scheme, _, rest = url.partition("://")
        seconds = timeout.total_seconds()
        self._store = _redis(f"{_REDIS_SCHEMES.get(scheme, scheme)}://{_with_port(rest)}", seconds)
        self._timeout = seconds
        self._turns = asyncio.Semaphore(MAX_CONNECTIONS)
        self._paused_until = 0.0
        self._silent_until = 0.0

    @override
    async def increment(self, key: str, lifetime: int) -> int | None:
        if time.monotonic() < self._paused_until:
            return None
        try:
            async with asyncio.timeout(self._timeout), self._turns:
                return int(await self._store.incr(key, lifetime))
        except Exception as error:  # noqa: BLE001  # whatever the client raises, requests go on
            self._report(error)
            return None

    def _report(self, error: Exception) -> None:
        now = time.monotonic()
        self._paused_until = now + STORE_PAUSE.total_seconds()
        if now >= self._silent_until:
            self._silent_until = now + WARN_EVERY.total_seconds()
            log.warning("rate_limit_store_unavailable", error=type(error).__name__)

    @override
    async def aclose(self) -> None:
        bridge = self._store.bridge
        if isinstance(bridge, RedispyBridge):
            await bridge.storage.aclose()


def _with_port(rest: str) -> str:
    """What follows the scheme, with Redis's port where a host is given without one."""
    authority, slash, path = rest.partition("/")
    host = authority.rpartition("@")[2].rpartition("]")[2]
    return f"{authority}:6379{slash}{path}" if authority and ":" not in host else rest


def _redis(url: str, seconds: float) -> RedisStorage:
    """Raises `ValueError` for other URLs, without repeating the password in them."""
    try:
        store = storage_from_string(
            f"async+{url}",
            implementation="redispy",
            socket_timeout=seconds,
            socket_connect_timeout=seconds,
        )
    except ConfigurationError:
        store = None
    if not isinstance(store, RedisStorage):
        raise ValueError("Not the URL of a Redis or Valkey server")  # noqa: TRY004  # the value is wrong, and not what it is called with
    return store
