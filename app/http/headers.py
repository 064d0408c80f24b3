"""Raw ASGI headers: pairs of bytes with lower-case names.

The layers around the application change the list of an answer in place. They may, because the
error boundary, the innermost of those layers, hands each answer on with a list of its own.
"""

from functools import lru_cache

from starlette.types import Scope

RawHeaders = list[tuple[bytes, bytes]]

_FIELDS = "app.http.fields"


def request_fields(scope: Scope) -> dict[bytes, bytes]:
    """The request's headers by name, the last one where a name comes twice.

    Made once per request: a dozen layers look for their fields in it.
    """
    fields: dict[bytes, bytes] | None = scope.get(_FIELDS)
    if fields is None:
        fields = scope[_FIELDS] = dict(scope["headers"])
    return fields


def with_headers(scope: Scope, headers: RawHeaders) -> Scope:
    """The same request with other headers."""
    changed = {**scope, "headers": headers}
    changed.pop(_FIELDS, None)
    return changed


def has_body(fields: dict[bytes, bytes]) -> bool:
    """Whether the request announces a body (RFC 9112, section 6)."""
    return fields.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in fields


def add_vary(headers: RawHeaders, field: bytes) -> None:
    """Name `field` in the Vary line, in the one there is: some caches read only one."""
    for index, (name, value) in enumerate(headers):
        if name == b"vary":
            headers[index] = (name, _joined(value, field))
            return
    headers.append((b"vary", field))


@lru_cache(maxsize=256)
def _joined(value: bytes, field: bytes) -> bytes:
    members = [member.strip().lower() for member in value.split(b",")]
    return value if b"*" in members or field.lower() in members else value + b", " + field
