"""Public answers kept in memory, and given again without routing, dependencies or a query.

What may be kept goes out in the same way whether it was kept or just made. The application is shown
nothing of the request but what is in the key, so nothing else of it can get into an answer that
others are given too.
"""

import asyncio
from functools import lru_cache

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.access_log import route_template
from app.http.compression import chosen_coding
from app.http.conditional import is_known
from app.http.headers import RawHeaders, has_body, request_fields, with_headers
from app.http.metrics import page_cache_bypasses, page_cache_hits, page_cache_misses
from app.http.page_store import Key, Page, PageStore

# In the scope's `state`: the answer may be kept, so it must be read where it is newest.
FILLING = "fills_page_cache"

_PLACES = ("/v1/assets", "/v1/feeds/", "/v1/collections", "/v1/keywords", "/oembed", "/sitemap")
# Files have a way of their own to the client, with ranges.
_FILES = (".jpg", ".mp4", "/download")


class PageCacheMiddleware:
    """Answers anonymous GETs and HEADs of the catalogue from the store, and fills it."""

    def __init__(self, app: ASGIApp, *, pages: PageStore) -> None:
        self.app = app
        self._pages = pages
        self._fills: dict[Key, _Fill] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_covered(scope):
            await self.app(scope, receive, send)
        elif not self._pages.is_trusted():
            page_cache_bypasses.inc()
            await self.app(scope, receive, send)
        elif page := self._pages.get(key := page_key(scope)):
            page_cache_hits.inc()
            await _send_page(page, scope, send)
        else:
            page_cache_misses.inc()
            await self._make(key, scope, receive, send)

    async def _make(self, key: Key, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":  # its answer is without the body that others need
            await self.app(scope, receive, send)
            return
        page = await self._page_under_way(key) or await self._fill(key, scope, receive, send)
        if page is not None:
            await _send_page(page, scope, send)

    async def _page_under_way(self, key: Key) -> Page | None:
        """What another request is just reading, if it began after the last change."""
        fill = self._fills.get(key)
        if fill is None or fill.generation != self._pages.generation:
            return None
        return await asyncio.shield(fill.page)

    async def _fill(self, key: Key, scope: Scope, receive: Receive, send: Send) -> Page | None:
        """The page, which is kept; None when the answer was another, which has been sent."""
        request = with_headers(scope, _shown_headers(key))
        request["state"] = {**scope["state"], FILLING: True}
        fill = self._fills[key] = _Fill(self._pages.generation, scope, send)
        try:
            await self.app(request, receive, fill.send)
            scope["state"]["route"] = route_template(request)
            page = fill.finish(route_template(request))
        finally:
            fill.give_up()
            if self._fills.get(key) is fill:
                del self._fills[key]
        if page is not None:
            self._pages.keep(key, page, generation=fill.generation)
        return page


class _Fill:
    """One answer on its way: collected if it may be kept, else handed on as it comes.

    Requests for the same page wait for `page`; None tells them to ask for themselves.
    """

    def __init__(self, generation: int, scope: Scope, send: Send) -> None:
        self.generation = generation
        self.page: asyncio.Future[Page | None] = asyncio.get_running_loop().create_future()
        self._scope = scope
        self._send = send
        self._headers: RawHeaders | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif self._headers is not None:
            self._body += message.get("body", b"")
        else:
            await self._send(message)

    async def _begin(self, start: Message) -> None:
        headers: RawHeaders = list(start.get("headers", ()))
        if start["status"] == 200 and _is_for_everybody(headers):  # noqa: PLR2004  # whole and good
            self._headers = headers
            return
        self.give_up()
        await self._send(start)

    def finish(self, route: str | None) -> Page | None:
        """The page, which is also given to those who wait."""
        if self._headers is None:
            return None
        page = Page(self._headers, self._body, route)
        self.page.set_result(page)
        return page

    def give_up(self) -> None:
        if not self.page.done():
            self.page.set_result(None)


def is_covered(scope: Scope) -> bool:
    """Whether the answer can be the same for everybody who asks for it in the same way."""
    path: str = scope["path"]
    if scope["method"] not in {"GET", "HEAD"} or not path.startswith(_PLACES):
        return False
    fields = request_fields(scope)
    return not (
        b"authorization" in fields
        or b"range" in fields
        # Without a tag, only the route knows whether a date is enough to tell.
        or (b"if-modified-since" in fields and b"if-none-match" not in fields)
        or path.endswith(_FILES)
        or has_body(fields)
    )


def page_key(scope: Scope) -> Key:
    fields = request_fields(scope)
    accept = fields.get(b"accept", b"*/*")
    # What has no body is not compressed either.
    is_head = scope["method"] == "HEAD"
    coding = b"" if is_head else chosen_coding(fields.get(b"accept-encoding", b""))
    return Key(scope["path"], scope["query_string"], _normalised(accept), coding)


@lru_cache(maxsize=1024)
def _normalised(accept: bytes) -> bytes:
    """Browsers and libraries write the same list with and without blanks."""
    return accept.replace(b" ", b"").lower()


def _shown_headers(key: Key) -> RawHeaders:
    headers = [(b"accept", key.accept)]
    return [*headers, (b"accept-encoding", key.coding)] if key.coding else headers


def _is_for_everybody(headers: RawHeaders) -> bool:
    """Whether an answer with these headers is public, and no stream that may never end."""
    fields = dict(headers)
    is_public = fields.get(b"cache-control", b"").startswith(b"public")
    return is_public and b"content-length" in fields and b"set-cookie" not in fields


async def _send_page(page: Page, scope: Scope, send: Send) -> None:
    scope["state"]["route"] = page.route
    status, body = page_answer(page, scope)
    headers = page.headers_of(status)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def page_answer(page: Page, scope: Scope) -> tuple[int, bytes]:
    """Status and body for this request: all of the page, its head, or that the client has it."""
    if is_known(scope, page.tag):
        return 304, b""
    return 200, b"" if scope["method"] == "HEAD" else page.body
