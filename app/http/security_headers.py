"""Headers that tell browsers and caches what this API's answers are not for."""

import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.headers import RawHeaders, add_vary, request_fields

_ALWAYS: RawHeaders = [
    (b"strict-transport-security", b"max-age=63072000; includeSubDomains"),  # ASVS 3.4.1
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]
_NO_FRAME = (b"x-frame-options", b"DENY")
# JSON is never a page: it may load nothing, be framed by nothing and submit nothing. HTML pages
# set a policy of their own.
_CSP = (
    b"content-security-policy",
    b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
)
# A page that names who may frame it; X-Frame-Options could name nobody.
_IN_FRAMES = re.compile(rb"\bframe-ancestors (?!'none')")
_RESOURCE_POLICY = (b"cross-origin-resource-policy", b"same-origin")
_OPENER_POLICY = (b"cross-origin-opener-policy", b"same-origin")
_NO_STORE = (b"cache-control", b"no-store")


class SecurityHeadersMiddleware:
    """Adds the headers to every answer, errors and preflights included."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                request = request_fields(scope)
                has_credentials = b"authorization" in request or b"cookie" in request
                add_security_headers(message["headers"], has_credentials=has_credentials)
            await send(message)

        await self.app(scope, receive, send_secured)


def add_security_headers(headers: RawHeaders, *, has_credentials: bool) -> None:
    """Add to an answer what its route has not set itself.

    No cache keeps the answer to a request with credentials, unless its route says otherwise.
    """
    present = dict(headers)
    headers += _ALWAYS
    if _CSP[0] not in present:
        headers.append(_CSP)
    if not _IN_FRAMES.search(present.get(_CSP[0], b"")):
        headers.append(_NO_FRAME)
    if _RESOURCE_POLICY[0] not in present:
        headers.append(_RESOURCE_POLICY)
    if has_credentials and _NO_STORE[0] not in present:
        headers.append(_NO_STORE)
    is_html = present.get(b"content-type", b"").startswith(b"text/html")
    if is_html and _OPENER_POLICY[0] not in present:  # ASVS 3.4.8
        headers.append(_OPENER_POLICY)
    add_vary(headers, b"Authorization")
