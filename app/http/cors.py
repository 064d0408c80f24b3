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
    "Tus-Resumable",
    "Upload-Checksum",
    "Upload-Length",
    "Upload-Metadata",
    "Upload-Offset",
    "X-HTTP-Method-Override",
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
    "Tus-Checksum-Algorithm",
    "Tus-Extension",
    "Tus-Max-Size",
    "Tus-Resumable",
    "Tus-Version",
    "Upload-Expires",
    "Upload-Length",
    "Upload-Metadata",
    "Upload-Offset",
)
MAX_AGE_SECONDS = 600

_EXPOSE = (b"access-control-expose-headers", ", ".join(EXPOSED_HEADERS).encode())
_PREFLIGHT: RawHeaders = [
    (b"access-control-allow-methods", ", ".join(ALLOWED_METHODS).encode()),
    (b"access-control-allow-headers", ", ".join(ALLOWED_HEADERS).encode()),
    (b"access-control-max-age", str(MAX_AGE_SECONDS).encode()),
]
# The second is for pages that show an answer without reading it, in an <img> or a <video>.
_TO_ANYBODY: RawHeaders = [
    (b"access-control-allow-origin", b"*"),
    (b"cross-origin-resource-policy", b"cross-origin"),
]
_WITH_CREDENTIALS = (b"access-control-allow-credentials", b"true")


class CorsPolicy:
    """Exactly the listed origins may read answers, errors too, with credentials.

    Paths for which `is_public` holds may be read by any page, without credentials.
    """

    def __init__(
        self,
        *,
        allowed_origins: Collection[str] = (),
        is_public: Callable[[str], bool] = lambda _: False,
    ) -> None:
        if refused := {"*", "null"}.intersection(allowed_origins):
            # `null` is what any sandboxed page sends; `*` with credentials would mean everybody.
            msg = f"{refused.pop()!r} cannot be an allowed origin"
            raise ValueError(msg)
        self._allowed = frozenset(origin.encode("ascii") for origin in allowed_origins)
        self._is_public = is_public

    def granted(self, path: str, origin: bytes | None) -> RawHeaders:
        """What tells the browser that a page of this origin may read the answer."""
        if self._is_public(path):
            return [*_TO_ANYBODY, _EXPOSE]
        if origin is None or origin not in self._allowed:
            return []
        return [(b"access-control-allow-origin", origin), _WITH_CREDENTIALS, _EXPOSE]

    def add(self, headers: RawHeaders, path: str, origin: bytes | None) -> None:
        """Add to an answer what is granted."""
        headers += self.granted(path, origin)
        if not self._is_public(path):  # no cache may give one origin the answer for another
            add_vary(headers, b"Origin")


class CorsMiddleware:
    """Grants what the policy says, and answers preflights."""

    def __init__(self, app: ASGIApp, *, policy: CorsPolicy) -> None:
        self.app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        origin = request_fields(scope).get(b"origin")

        async def send_shared(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._policy.add(message["headers"], scope["path"], origin)
            await send(message)

        if origin is not None and _is_preflight(scope):
            granted = self._policy.granted(scope["path"], origin)
            headers = [*_PREFLIGHT] if granted else []
            await send_shared({"type": "http.response.start", "status": 204, "headers": headers})
            await send_shared({"type": "http.response.body"})
            return
        await self.app(scope, receive, send_shared)


def _is_preflight(scope: Scope) -> bool:
    asked = request_fields(scope).get(b"access-control-request-method")
    return scope["method"] == "OPTIONS" and asked is not None
