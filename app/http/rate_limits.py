"""How many requests a client network may make.

Windows are fixed. A moving window would have to keep the time of every request, 600 per client;
and since the window is part of the counter's key, one increment tells everything, where asking for
the time left would cost a second round trip. The price, up to two quotas around the end of a
window, is nothing to a guard against abuse. Each client has its own windows, so that those who
were refused together do not all come back in the same second.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from math import ceil
from zlib import crc32

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import RateLimited
from app.http.client_address import client_network
from app.http.counters import Counters
from app.http.headers import RawHeaders
from app.http.tus import is_upload

# Probes and preflights cost nothing, and refusing them breaks more than it protects.
UNLIMITED_PATHS = frozenset({"/livez", "/readyz", "/metrics"})
_AUTH_PREFIXES = ("/v1/auth/", "/v1/verification-codes", "/v1/newsletter/subscriptions")


def _always(_: Scope) -> bool:
    return True


def _is_ordinary(scope: Scope) -> bool:
    return not _is_upload(scope) and not _is_one_click(scope)


def _is_upload(scope: Scope) -> bool:
    """One of the many pieces in which a large file comes, or the question where it stands."""
    return scope["method"] in {"HEAD", "PATCH"} and is_upload(scope["path"])


def _is_one_click(scope: Scope) -> bool:
    """A reader who leaves the newsletter: for all of its users a mailbox provider calls itself."""
    path: str = scope["path"]
    return scope["method"] == "POST" and path.startswith("/v1/newsletter/unsubscribe/")


def _is_auth(scope: Scope) -> bool:
    path: str = scope["path"]
    return scope["method"] == "POST" and path.startswith(_AUTH_PREFIXES)


# Equal only to itself: it is looked up for each request, and a hash of all fields takes longer.
@dataclass(frozen=True, slots=True, eq=False)
class RateLimitPolicy:
    """At most `quota` of the requests it applies to, per client network and `window` seconds."""

    name: str
    quota: int
    window: int
    applies: Callable[[Scope], bool] = _always


DEFAULT_POLICIES = (
    RateLimitPolicy("default", quota=600, window=60, applies=_is_ordinary),
    RateLimitPolicy("uploads", quota=6000, window=60, applies=_is_upload),
    RateLimitPolicy("unsubscribe", quota=6000, window=60, applies=_is_one_click),
    RateLimitPolicy("auth", quota=60, window=60, applies=_is_auth),
)


# A policy, how often it was used, and how many seconds are left of its window.
_Usage = tuple[RateLimitPolicy, int, int]


class RateLimiter:
    """Counts requests under every policy that applies; without counters none does."""

    def __init__(
        self,
        counters: Counters | None,
        *,
        policies: Sequence[RateLimitPolicy] = DEFAULT_POLICIES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._counters = counters
        self._policies = tuple(policies)
        self._clock = clock

    async def count(self, scope: Scope) -> RawHeaders:
        """The fields that tell what is left. Raises `RateLimited` past a quota.

        The fields are those of draft-ietf-httpapi-ratelimit-headers-09.
        """
        if self._counters is None or _is_unlimited(scope):
            return []
        usages = await self._usages(scope, self._counters)
        fields = _fields(usages)
        if exceeded := [left for policy, used, left in usages if used > policy.quota]:
            headers = {name.decode(): value.decode() for name, value in fields}
            raise RateLimited(retry_after=timedelta(seconds=max(exceeded)), headers=headers)
        return fields

    async def _usages(self, scope: Scope, counters: Counters) -> list[_Usage]:
        client = scope.get("client")
        network, offset = _network_and_offset(client[0] if client else "")
        now = self._clock()
        usages = []
        for policy in self._policies:
            if policy.applies(scope):
                window, passed = divmod(now + offset % policy.window, policy.window)
                key = f"{policy.name}/{network}/{int(window)}"
                count = await counters.increment(key, policy.window)
                if count is not None:
                    usages.append((policy, count, ceil(policy.window - passed)))
        return usages


class RateLimitMiddleware:
    """Counts each request, and lets its answer tell what is left."""

    def __init__(self, app: ASGIApp, *, limiter: RateLimiter) -> None:
        self.app = app
        self._limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fields = await self._limiter.count(scope) if scope["type"] == "http" else []
        if not fields:
            await self.app(scope, receive, send)
            return

        async def send_with_fields(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *fields]}
            await send(message)

        await self.app(scope, receive, send_with_fields)


def _is_unlimited(scope: Scope) -> bool:
    return scope["method"] == "OPTIONS" or scope["path"] in UNLIMITED_PATHS


@lru_cache(maxsize=8192)
def _network_and_offset(address: str) -> tuple[str, int]:
    """Who is counted, and by how much their windows are shifted against those of others."""
    network = client_network(address)
    return network, crc32(network.encode())


def _fields(usages: Sequence[_Usage]) -> RawHeaders:
    """RateLimit (what remains, seconds left) and RateLimit-Policy (quota, window), as RFC 9651."""
    if not usages:
        return []
    remaining = [
        f'"{policy.name}";r={max(0, policy.quota - used)};t={seconds}'
        for policy, used, seconds in usages
    ]
    quotas = _quotas(*[policy for policy, _, _ in usages])
    return [(b"ratelimit", ", ".join(remaining).encode()), (b"ratelimit-policy", quotas)]


@lru_cache(maxsize=64)
def _quotas(*policies: RateLimitPolicy) -> bytes:
    return ", ".join(f'"{each.name}";q={each.quota};w={each.window}' for each in policies).encode()
