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
from typing import NamedTuple
from zlib import crc32

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import RateLimited
from app.http.client_address import client_network
from app.http.counters import Counters
from app.http.headers import RawHeaders

# Probes and preflights cost nothing, and refusing them breaks more than it protects.
UNLIMITED_PATHS = frozenset({"/livez", "/readyz", "/metrics"})
_AUTH_PREFIXES = ("/v1/auth/", "/v1/verification-codes")


def _always(_: Scope) -> bool:
    return True


def _is_auth(scope: Scope) -> bool:
    path: str = scope["path"]
    return scope["method"] == "POST" and path.startswith(_AUTH_PREFIXES)


@dataclass(frozen=True, slots=True)
class RateLimitPolicy:
    """At most `quota` of the requests it applies to, per client network and `window` seconds."""

    name: str
    quota: int
    window: int
    applies: Callable[[Scope], bool] = _always


DEFAULT_POLICIES = (
    RateLimitPolicy("default", quota=600, window=60),
    RateLimitPolicy("auth", quota=60, window=60, applies=_is_auth),
)


class _Usage(NamedTuple):
    policy: RateLimitPolicy
    used: int
    seconds_left: int


class RateLimitMiddleware:
    """Counts each request under every policy that applies, and raises `RateLimited` past a quota.

    The fields are those of draft-ietf-httpapi-ratelimit-headers-09.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        counters: Counters,
        policies: Sequence[RateLimitPolicy] = DEFAULT_POLICIES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.app = app
        self._counters = counters
        self._policies = tuple(policies)
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_unlimited(scope):
            await self.app(scope, receive, send)
            return
        usages = await self._count(scope)
        fields = _fields(usages)
        exceeded = [each.seconds_left for each in usages if each.used > each.policy.quota]
        if exceeded:
            headers = {name.decode(): value.decode() for name, value in fields}
            raise RateLimited(retry_after=timedelta(seconds=max(exceeded)), headers=headers)

        async def send_with_fields(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *fields]}
            await send(message)

        await self.app(scope, receive, send_with_fields)

    async def _count(self, scope: Scope) -> list[_Usage]:
        client = scope.get("client")
        network, offset = _network_and_offset(client[0] if client else "")
        now = self._clock()
        usages = []
        for policy in self._policies:
            if policy.applies(scope):
                window, passed = divmod(now + offset % policy.window, policy.window)
                key = f"{policy.name}/{network}/{int(window)}"
                count = await self._counters.increment(key, policy.window)
                if count is not None:
                    usages.append(_Usage(policy, count, ceil(policy.window - passed)))
        return usages


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
    policies = [f'"{policy.name}";q={policy.quota};w={policy.window}' for policy, _, _ in usages]
    return [
        (b"ratelimit", ", ".join(remaining).encode()),
        (b"ratelimit-policy", ", ".join(policies).encode()),
    ]
