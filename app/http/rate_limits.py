"""How many requests a client network may make, and an API key.

Windows are fixed. A moving window would have to keep the time of every request, 600 per client;
and since the window is part of the counter's key, one increment tells everything, where asking for
the time left would cost a second round trip. The price, up to two quotas around the end of a
window, is nothing to a guard against abuse. Each client has its own windows, so that those who
were refused together do not all come back in the same second.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from math import ceil
from zlib import crc32

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.clock import utc_now
from app.errors import RateLimited, problem
from app.http.client_address import client_network
from app.http.counters import Counters
from app.http.headers import RawHeaders
from app.http.path_rules import ONE_CLICK_PREFIXES
from app.http.shown_keys import is_of_key
from app.http.tus import is_upload

# Probes and preflights cost nothing, and refusing them breaks more than it protects.
UNLIMITED_PATHS = frozenset({"/livez", "/readyz", "/metrics"})
_AUTH_PREFIXES = ("/v1/auth/", "/v1/verification-codes", "/v1/newsletter/subscriptions")


def _always(_: Scope) -> bool:
    return True


def _is_ordinary(scope: Scope) -> bool:
    others = (_is_upload, _is_one_click, _is_harvest, _is_page_file, is_of_key)
    return not any(applies(scope) for applies in others)


def _is_upload(scope: Scope) -> bool:
    """One of the many pieces in which a large file comes, or the question where it stands."""
    return scope["method"] in {"HEAD", "PATCH"} and is_upload(scope["path"])


def _is_one_click(scope: Scope) -> bool:
    """A reader who wants no more mails: for all of its users a mailbox provider calls itself."""
    path: str = scope["path"]
    return scope["method"] == "POST" and path.startswith(ONE_CLICK_PREFIXES)


def _is_harvest(scope: Scope) -> bool:
    """A page of a harvest, one after the other; harvesters know 503, but not 429."""
    path: str = scope["path"]
    return path == "/oai"


def _is_page_file(scope: Scope) -> bool:
    """One of the many small files of the browser app."""
    path: str = scope["path"]
    return path.startswith("/ui/")


def _is_auth(scope: Scope) -> bool:
    path: str = scope["path"]
    return scope["method"] == "POST" and path.startswith(_AUTH_PREFIXES)


# Equal only to itself: it is looked up for each request, and a hash of all fields takes longer.
@dataclass(frozen=True, slots=True, eq=False)
class RateLimitPolicy:
    """At most `quota` of the requests it applies to, in `window` seconds.

    Per client network, but for those that count API keys (http/key_gate.py).
    """

    name: str
    quota: int
    window: int
    applies: Callable[[Scope], bool] = _always


ORDINARY = RateLimitPolicy("default", quota=600, window=60, applies=_is_ordinary)
AUTH = RateLimitPolicy("auth", quota=60, window=60, applies=_is_auth)
DEFAULT_POLICIES = (
    ORDINARY,
    RateLimitPolicy("uploads", quota=6000, window=60, applies=_is_upload),
    RateLimitPolicy("unsubscribe", quota=6000, window=60, applies=_is_one_click),
    # All the programs of a broadcaster may share an address; what they show is checked only after
    # this, and what turns out to be no good counts as `ORDINARY` too.
    RateLimitPolicy("keys", quota=6000, window=60, applies=is_of_key),
    RateLimitPolicy("harvests", quota=3000, window=60, applies=_is_harvest),
    RateLimitPolicy("page-files", quota=6000, window=60, applies=_is_page_file),
    AUTH,
)


@dataclass(frozen=True, slots=True)
class Usage:
    """How often a policy was used, and how many seconds are left of its window."""

    policy: RateLimitPolicy
    used: int
    seconds_left: int


_USAGES = "app.http.rate_limits"


class RateLimiter:
    """Counts requests under every policy that applies; without counters none does."""

    def __init__(
        self,
        counters: Counters | None,
        policies: Sequence[RateLimitPolicy] = DEFAULT_POLICIES,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._counters = counters
        self._policies = tuple(policies)
        self._clock = clock

    @property
    def is_off(self) -> bool:
        return self._counters is None

    async def count(self, scope: Scope) -> RawHeaders:
        """The fields that tell what is left. Raises `RateLimited` past a quota.

        The fields are those of draft-ietf-httpapi-ratelimit-headers-09.
        """
        if self._counters is None or is_unlimited(scope):
            return []
        scope[_USAGES] = []  # a shortcut may have counted already, and given up
        policies = [policy for policy in self._policies if policy.applies(scope)]
        await self._use(scope, self._counters, policies)
        return fields_of(scope)

    async def count_also(self, scope: Scope, policy: RateLimitPolicy) -> None:
        """Count a request under one more policy, once it is known that this must be."""
        if self._counters is not None:
            await self._use(scope, self._counters, [policy])

    async def _use(
        self, scope: Scope, counters: Counters, policies: Sequence[RateLimitPolicy]
    ) -> None:
        client = scope.get("client")
        network, offset = _network_and_offset(client[0] if client else "")
        now = self._clock()
        for policy in policies:
            usage = await use(policy, network, offset, counters=counters, now=now)
            if usage is not None:
                note_usage(scope, usage)
        check_usages(scope)


class RateLimitMiddleware:
    """Counts each request; its answer tells what is left, also of what inner layers note."""

    def __init__(self, app: ASGIApp, *, limiter: RateLimiter) -> None:
        self.app = app
        self._limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._limiter.is_off or is_unlimited(scope):
            await self.app(scope, receive, send)
            return

        async def send_with_fields(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), *fields_of(scope)]
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self._limiter.count(scope)
        except RateLimited as refusal:
            await problem(scope, refusal)(scope, receive, send_with_fields)
            return
        await self.app(scope, receive, send_with_fields)


async def use(
    policy: RateLimitPolicy, who: str, offset: int, *, counters: Counters, now: datetime
) -> Usage | None:
    """Count one request of somebody whose windows are shifted by `offset`; None: nobody knows."""
    window, passed = divmod(now.timestamp() + offset % policy.window, policy.window)
    count = await counters.increment(f"{policy.name}/{who}/{int(window)}", policy.window)
    return None if count is None else Usage(policy, count, ceil(policy.window - passed))


def note_usage(scope: Scope, usage: Usage) -> None:
    """Let the answer tell of it."""
    scope.setdefault(_USAGES, []).append(usage)


def check_usages(scope: Scope) -> None:
    """Raise `RateLimited` if any quota is exceeded."""
    exceeded = [each for each in scope.get(_USAGES, ()) if each.used > each.policy.quota]
    if exceeded:
        seconds = max(each.seconds_left for each in exceeded)
        raise RateLimited(retry_after=timedelta(seconds=seconds))


def is_unlimited(scope: Scope) -> bool:
    return scope["method"] == "OPTIONS" or scope["path"] in UNLIMITED_PATHS


@lru_cache(maxsize=8192)
def _network_and_offset(address: str) -> tuple[str, int]:
    """Who is counted, and by how much their windows are shifted against those of others."""
    network = client_network(address)
    return network, crc32(network.encode())


def fields_of(scope: Scope) -> RawHeaders:
    """RateLimit (what remains, seconds left) and RateLimit-Policy (quota, window), as RFC 9651."""
    usages: Sequence[Usage] = scope.get(_USAGES, ())
    if not usages:
        return []
    remaining = [
        f'"{each.policy.name}";r={max(0, each.policy.quota - each.used)};t={each.seconds_left}'
        for each in usages
    ]
    quotas = _quotas(*[each.policy for each in usages])
    return [(b"ratelimit", ", ".join(remaining).encode()), (b"ratelimit-policy", quotas)]


@lru_cache(maxsize=64)
def _quotas(*policies: RateLimitPolicy) -> bytes:
    return ", ".join(f'"{each.name}";q={each.quota};w={each.window}' for each in policies).encode()
