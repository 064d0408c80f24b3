"""The way of a kept page past the layers: their checks, counts, headers and log line at one go.

A page costs less than the dozen calls and wrapped answers around it. What is here is for speed
alone: without it the same answers come out of the layers themselves, as the tests compare.
"""

from dataclasses import dataclass
from time import perf_counter

from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import AppError
from app.http.access_log import record
from app.http.client_address import TrustedProxies
from app.http.cors import CorsPolicy
from app.http.headers import RawHeaders, request_fields
from app.http.limits import RequestLimits
from app.http.metrics import page_cache_hits
from app.http.page_cache import is_covered, page_answer, page_key
from app.http.page_store import Page, PageStore
from app.http.rate_limits import RateLimiter
from app.http.request_id import request_id_for
from app.http.security_headers import add_security_headers
from app.http.whole_answer import Head, send_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the layers and the shortcut both go by."""

    proxies: TrustedProxies
    cors: CorsPolicy
    limits: RequestLimits
    limiter: RateLimiter


class ShortcutMiddleware:
    """Answers with kept pages; whatever is not quite ordinary goes the whole way."""

    def __init__(self, app: ASGIApp, *, pages: PageStore, rules: Rules) -> None:
        self.app = app
        self._pages = pages
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        page = self._kept_page(scope)
        limits = None if page is None else await self._passed(scope)
        if page is None or limits is None:
            await self.app(scope, receive, send)
            return
        status, body = page_answer(page, scope)
        head = self._head(page, scope, status)
        request_id = request_id_for(scope)
        own = [*limits, (b"x-request-id", request_id.encode())]
        scope["state"] = {"request_id": request_id, "route": page.route}
        try:
            await send_whole(head, own, body, scope, send)
        finally:
            page_cache_hits.inc()
            record(scope, status, len(body), perf_counter() - started)

    def _kept_page(self, scope: Scope) -> Page | None:
        if scope["type"] != "http" or not is_covered(scope) or not self._pages.is_trusted():
            return None
        return self._pages.get(page_key(scope))

    async def _passed(self, scope: Scope) -> RawHeaders | None:
        """The fields of the rate limits; None where a layer must tell the client of a refusal."""
        try:
            self._rules.proxies.correct(scope)
            self._rules.limits.check(scope)
            return await self._rules.limiter.count(scope)
        except AppError:
            return None

    def _head(self, page: Page, scope: Scope, status: int) -> Head:
        """What the page and the layers have to say, put together once for each kind of answer."""
        origin = request_fields(scope).get(b"origin")
        kind = (status, *self._rules.cors.granted(scope["path"], origin))
        head = page.heads.get(kind)
        if head is None:
            headers = page.headers_of(status)
            self._rules.cors.add(headers, scope["path"], origin)
            add_security_headers(headers, has_credentials=False)
            head = page.heads[kind] = Head(status, headers)
        return head
