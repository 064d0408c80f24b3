"""The layers around the application, in the one right order."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from starlette.middleware import Middleware

from app.clock import utc_now
from app.http.access_log import AccessLogMiddleware
from app.http.body_limits import BodyLimit, BodyLimitsMiddleware
from app.http.client_address import ClientAddressMiddleware, Network, TrustedProxies
from app.http.compression import CompressionMiddleware
from app.http.cors import CorsMiddleware, CorsPolicy
from app.http.counters import Counters
from app.http.deadline import REQUEST_DEADLINE, DeadlineMiddleware
from app.http.error_boundary import ErrorBoundaryMiddleware
from app.http.key_gate import KeyGate
from app.http.keyed_requests import KeyedRequestsMiddleware
from app.http.limits import RequestLimits, RequestLimitsMiddleware
from app.http.page_cache import PageCacheMiddleware
from app.http.page_store import PageStore
from app.http.rate_limits import (
    DEFAULT_POLICIES,
    RateLimiter,
    RateLimitMiddleware,
    RateLimitPolicy,
)
from app.http.request_id import RequestIdMiddleware
from app.http.security_headers import SecurityHeadersMiddleware
from app.http.shortcut import Rules, ShortcutMiddleware
from app.http.tus import TusMiddleware


def _no_path(_: str) -> bool:
    return False


def _default_limit(_: str) -> BodyLimit | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOptions:
    """All that the layers must be told. Functions take a path; `counters` None: no rate limits."""

    trusted_proxies: Sequence[Network] = ()
    allowed_hosts: Collection[str] | None = None
    cors_origins: Collection[str] = ()
    is_public: Callable[[str], bool] = _no_path
    body_limit: BodyLimit = field(default_factory=BodyLimit)
    body_limit_for: Callable[[str], BodyLimit | None] = _default_limit
    request_deadline: timedelta = REQUEST_DEADLINE
    has_no_deadline: Callable[[str], bool] = _no_path
    counters: Counters | None = None
    clock: Callable[[], datetime] = utc_now
    rate_limit_policies: Sequence[RateLimitPolicy] = DEFAULT_POLICIES
    # Closed until it is given a database.
    keys: KeyGate = field(default_factory=lambda: KeyGate(None))
    # Nothing is kept in it until somebody vouches for it.
    pages: PageStore = field(default_factory=PageStore)


def middleware_stack(options: StackOptions) -> list[Middleware]:
    """The layers, outermost first, for `FastAPI(middleware=...)`.

    The outer six only add to what passes, so every answer has what they add. Inside them the
    boundary turns into answers what the inner layers and the application raise. Limits that cost
    nothing come before those that count or wait, and all that any answer must pass before the
    cache, which spares its pages the rest. The shortcut is for speed alone: it gives kept pages as
    those layers together would.
    """
    proxies = TrustedProxies(options.trusted_proxies)
    cors = CorsPolicy(allowed_origins=options.cors_origins, is_public=options.is_public)
    limits = RequestLimits(allowed_hosts=options.allowed_hosts)
    limiter = RateLimiter(options.counters, options.rate_limit_policies, options.clock)
    return [
        Middleware(
            ShortcutMiddleware,
            pages=options.pages,
            rules=Rules(proxies=proxies, cors=cors, limits=limits, limiter=limiter),
        ),
        Middleware(RequestIdMiddleware),
        Middleware(TusMiddleware),
        Middleware(AccessLogMiddleware),
        Middleware(SecurityHeadersMiddleware),
        Middleware(CorsMiddleware, policy=cors),
        Middleware(ClientAddressMiddleware, proxies=proxies),
        Middleware(ErrorBoundaryMiddleware),
        Middleware(RequestLimitsMiddleware, limits=limits),
        Middleware(RateLimitMiddleware, limiter=limiter),
        Middleware(KeyedRequestsMiddleware, gate=options.keys),
        Middleware(PageCacheMiddleware, pages=options.pages),
        Middleware(CompressionMiddleware),
        Middleware(
            BodyLimitsMiddleware, limit=options.body_limit, exception_for=options.body_limit_for
        ),
        Middleware(
            DeadlineMiddleware,
            deadline=options.request_deadline,
            is_exempt=options.has_no_deadline,
        ),
    ]
