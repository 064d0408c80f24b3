"""Which pages of other origins may read our answers (Fetch standard, CORS protocol)."""

from collections.abc import Callable, Collection

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.headers import RawHeaders, add_vary, request_fields

ALLOWED_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
ALLOWED_HEADERS = (
    "Accept",
    "Accept-Language",
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "Last-Event-ID",
    "Range",
    "X-Request-Id",
)
EXPOSED_HEADERS = (
    "Retry-After",
    "ETag",
    "Location",
    "Link",
    "RateLimit",
    "RateLimit-Policy",
    "X-Request-Id",
    "Content-Disposition",
    "Idempotent-Replayed",
)
MAX_AGE_SECONDS = 600

_EXPOSE = (b"access-control-expose-headers", ", ".join(EXPOSED_HEADERS).encode())
_PREFLIGHT: RawHeaders = [
    (b"access-control-allow-methods", ", ".join(ALLOWED_METHODS).encode()),
    (b"access-control-allow-headers", ", ".join(ALLOWED_HEADERS).encode()),
    (b"access-control-max-age", str(MAX_AGE_SECONDS).encode()),
]
_ANYBODY = (b"access-control-allow-origin", b"*")
_WITH_CREDENTIALS = (b"access-control-allow-credentials", b"true")


class CorsMiddleware:
    """Lets exactly the listed origins read answers, errors too, with credentials.

    Paths for which `is_public` holds may be read by any page, without credentials.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        allowed_origins: Collection[str] = (),
        is_public: Callable[[str], bool] = lambda _: False,
    ) -> None:
        if refused := {"*", "null"}.intersection(allowed_origins):
            # `null` is what any sandboxed page sends; `*` with credentials would mean everybody.
            msg = f"{refused.pop()!r} cannot be an allowed origin"
            raise ValueError(msg)
        self.app = app
        self._allowed = frozenset(origin.encode("ascii") for origin in allowed_origins)
        self._is_public = is_public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        public = self._is_public(scope["path"])
        origin = request_fields(scope).get(b"origin")
        granted = self._granted(origin, public=public)

        async def send_shared(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                headers += granted
                if not public:  # no cache may give one origin the answer made for another
                    add_vary(headers, b"Origin")
            await send(message)

        if origin is not None and _is_preflight(scope):
            headers = [*_PREFLIGHT] if granted else []
            await send_shared({"type": "http.response.start", "status": 204, "headers": headers})
            await send_shared({"type": "http.response.body"})
            return
        await self.app(scope, receive, send_shared)

    def _granted(self, origin: bytes | None, *, public: bool) -> RawHeaders:
        if public:
            return [_ANYBODY, _EXPOSE]
        if origin is None or origin not in self._allowed:
            return []
        return [(b"access-control-allow-origin", origin), _WITH_CREDENTIALS, _EXPOSE]


def _is_preflight(scope: Scope) -> bool:
    asked = request_fields(scope).get(b"access-control-request-method")
    return scope["method"] == "OPTIONS" and asked is not None
