"""Where requests are counted: in this process, or in Redis or Valkey for all processes."""

import time
from collections.abc import Callable
from typing import Protocol

from typing_extensions import override

MAX_KEYS = 50_000


class Counters(Protocol):
    async def increment(self, key: str, lifetime: int) -> int | None:
        """Add one to a counter that is forgotten `lifetime` seconds after its first use.

        None means that nobody knows, because the store does not answer.
        """
        ...

    async def aclose(self) -> None: ...


def open_counters(redis_url: str | None) -> Counters:
    """The counters of REDIS_URL, or this process's own."""
    if not redis_url:
        return InProcessCounters()
    # Only where it is used: a Redis client would cost every API process 9 MB.
    from app.http.shared_counters import SharedCounters

    return SharedCounters(redis_url)


class InProcessCounters(Counters):
    """Two generations of counters; the older one is dropped whole, which costs nothing.

    The in-process store of `limits` looks through all its keys at every hit. Here the memory is
    bounded too: with more clients than that, the counts of the quietest ones are forgotten.
    """

    def __init__(
        self, *, max_keys: int = MAX_KEYS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_keys = max_keys
        self._clock = clock
        self._recent: dict[str, int] = {}
        self._older: dict[str, int] = {}
        self._longest = 0
        self._turns_at = 0.0

    @override
    async def increment(self, key: str, lifetime: int) -> int:
        now = self._clock()
        self._longest = max(self._longest, lifetime)
        if now >= self._turns_at or len(self._recent) >= self._max_keys:
            self._older, self._recent = self._recent, {}
            self._turns_at = now + self._longest
        count = (self._recent.get(key) or self._older.get(key, 0)) + 1
        self._recent[key] = count
        return count

    @override
    async def aclose(self) -> None:
        """Nothing is held open."""
