"""Keyset paging: opaque cursors that only we can make, and the Link header to the next page."""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode

from app.errors import AppError

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
MAX_CURSOR_LENGTH = 1024
_MAC_BYTES = 16

Key = str | int | None


class InvalidCursor(AppError):
    status, code, title = 400, "invalid_cursor", "The cursor is not one that this list gave out"


@dataclass(frozen=True, slots=True)
class Page:
    """What a caller asks of a list: how many items, and after which cursor."""

    limit: int = DEFAULT_LIMIT
    cursor: str | None = None


def encode_cursor(key: bytes, scope: str, values: Sequence[Key]) -> str:
    """A cursor for the sort keys of a page's last item.

    `scope` names the route and its filters: with any other the cursor is refused. The values can
    be read by whoever has the cursor, but not changed.
    """
    payload = json.dumps(list(values), ensure_ascii=False, separators=(",", ":")).encode()
    sealed = _mac(key, scope, payload) + payload
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")


def decode_cursor(key: bytes, scope: str, text: str) -> list[Key]:
    """The values of a cursor that `encode_cursor` made for this scope; else `InvalidCursor`."""
    if not text.isascii() or len(text) > MAX_CURSOR_LENGTH:
        raise InvalidCursor
    try:
        sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise InvalidCursor from None
    mac, payload = sealed[:_MAC_BYTES], sealed[_MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(key, scope, payload)):
        raise InvalidCursor
    values: list[Key] = json.loads(payload)
    return values


def _mac(key: bytes, scope: str, payload: bytes) -> bytes:
    """Both parts have their length in front, so that no two pairs read the same."""
    message = b"cursor %d %b%b" % (len(scope.encode()), scope.encode(), payload)
    return hmac.new(key, message, hashlib.sha256).digest()[:_MAC_BYTES]


def link_next(target: str, cursor: str) -> str:
    """The Link header (RFC 8288) from `target`, a request's path and query, to its next page."""
    return f'<{target_of_page(target, cursor)}>; rel="next"'


def target_of_page(target: str, cursor: str | None) -> str:
    """The path and query of another page of the same list; of the first one without a cursor."""
    path, _, query = target.partition("?")
    pairs = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] != "cursor"]
    if cursor is not None:
        pairs.append(("cursor", cursor))
    quoted = quote(path, safe="/%:@!$&()*+,;=~")
    return f"{quoted}?{urlencode(pairs)}" if pairs else quoted
