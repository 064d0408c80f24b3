"""What a request's head may look like: its size, its host, its address.

Servers hand all of it on unchecked. These are the numbers that reverse proxies use too.
"""

import re
from collections.abc import Collection
from functools import lru_cache
from itertools import chain
from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import (
    AppError,
    HeadersTooLarge,
    InvalidHost,
    UnsupportedMediaType,
    UriTooLong,
)
from app.http.headers import RawHeaders, request_fields

MAX_HEADER_BYTES = 16 * 1024
MAX_HEADER_FIELDS = 100
MAX_TARGET_BYTES = 8 * 1024  # path and query
MAX_HOST_BYTES = 270  # a DNS name, brackets and a port

# Load balancers probe by address, whatever name the service has.
ANY_HOST_PATHS = frozenset({"/livez", "/readyz", "/metrics"})

# A second field of these means that somebody on the way reads another request than we do.
_SINGLE_FIELDS = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"host",
        b"idempotency-key",
        b"transfer-encoding",
    }
)
_HOST = re.compile(rb"([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})|%00")


class DuplicateHeader(AppError):
    status, code, title = 400, "duplicate_header", "A header that may come once came twice"


class InvalidUrl(AppError):
    status, code, title = 400, "invalid_url", "The address is not valid percent-encoded UTF-8"


class RequestLimits:
    """`allowed_hosts` are names without ports; None accepts every well-formed one."""

    def __init__(self, *, allowed_hosts: Collection[str] | None = None) -> None:
        self._hosts = None if allowed_hosts is None else {host.lower() for host in allowed_hosts}

    def check(self, scope: Scope) -> None:
        """Raises `AppError` for a head that is too large, ambiguous or not meant for us."""
        _check_target(scope)
        _check_size(scope["headers"])
        fields = request_fields(scope)
        if len(fields) < len(scope["headers"]):
            _check_duplicates(scope["headers"])
        self._check_host(scope["path"], fields.get(b"host", b""))
        _check_encoding(fields.get(b"content-encoding", b"identity"))

    def _check_host(self, path: str, host: bytes) -> None:
        name = host_name(host) if len(host) <= MAX_HOST_BYTES else None
        if name is None:
            raise InvalidHost
        if self._hosts is not None and name not in self._hosts and path not in ANY_HOST_PATHS:
            raise InvalidHost


class RequestLimitsMiddleware:
    """Refuses the heads that break a limit, by raising `AppError`."""

    def __init__(self, app: ASGIApp, *, limits: RequestLimits) -> None:
        self.app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self._limits.check(scope)
        await self.app(scope, receive, send)


def _check_target(scope: Scope) -> None:
    """The address as sent: `scope["path"]` is decoded already and hides what was wrong."""
    raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    if len(raw_path) + 1 + len(query) > MAX_TARGET_BYTES:
        raise UriTooLong
    for part in (raw_path, query):
        if b"%" in part or not part.isascii():
            _check_escapes(part)


def _check_escapes(part: bytes) -> None:
    """%00 ends in a database error, and broken UTF-8 would be replaced without a word."""
    if _BAD_ESCAPE.search(part):
        raise InvalidUrl
    try:
        unquote_to_bytes(part).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidUrl from None


def _check_size(headers: RawHeaders) -> None:
    """Sizes count as on the wire, `name: value` and a line end."""
    if len(headers) > MAX_HEADER_FIELDS:
        raise HeadersTooLarge
    if 4 * len(headers) + sum(map(len, chain.from_iterable(headers))) > MAX_HEADER_BYTES:
        raise HeadersTooLarge


def _check_duplicates(headers: RawHeaders) -> None:
    seen: set[bytes] = set()
    for name, _ in headers:
        if name in seen and name in _SINGLE_FIELDS:
            raise InvalidHost if name == b"host" else DuplicateHeader
        seen.add(name)


@lru_cache(maxsize=1024)
def host_name(field: bytes) -> str | None:
    """The lower-case name of a well-formed Host field, without its port; else None."""
    match = _HOST.fullmatch(field)
    return match[1].decode("ascii").lower() if match else None


def _check_encoding(encoding: bytes) -> None:
    """Refuse compressed bodies (RFC 9110, section 12.5.3): a small one may unpack to gigabytes."""
    if encoding.strip().lower() != b"identity":
        raise UnsupportedMediaType(
            "Send the body without Content-Encoding", headers={"Accept-Encoding": "identity"}
        )
