"""Conditional requests (RFC 9110, section 13): whose copy is still good, whose edit is too late."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from starlette.datastructures import Headers
from starlette.types import Scope

from app.errors import AppError, PreconditionFailed
from app.http.headers import request_fields

# An entity tag; servers in front that compress mark theirs as weak, or with a suffix.
_TAG = re.compile(r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*?)(?:-gzip|-br|-zstd)?"')


class PreconditionRequired(AppError):
    status, code, title = 428, "precondition_required", "Send If-Match with the tag you have read"


def etag(version: int | str) -> str:
    """The tag of a version. It names the content and not its bytes: compression keeps it."""
    return f'"v{version}"'


def not_modified(headers: Headers, tag: str, last_modified: datetime | None = None) -> bool:
    """Whether a GET or HEAD may be answered 304 to a client that has sent these headers.

    Weak comparison; If-Modified-Since counts only without If-None-Match, and only when valid.
    """
    known = headers.getlist("if-none-match")
    if known:
        return _matches(",".join(known), tag)
    since = _http_date(headers.get("if-modified-since"))
    if since is None or last_modified is None:
        return False
    return last_modified.replace(microsecond=0) <= since


def is_known(scope: Scope, tag: bytes | None) -> bool:
    """Whether the client of a GET or HEAD has named the tag of the answer as that of its copy."""
    named = request_fields(scope).get(b"if-none-match")
    if named is None or tag is None:
        return False
    return named == tag or not_modified(Headers(raw=scope["headers"]), tag.decode("latin-1"))


def check_if_match(field: str | None, version: int | str, *, required: bool = True) -> None:
    """Let an edit pass only if it was made of this version.

    Raises `PreconditionRequired` without the field, unless it is optional, and
    `PreconditionFailed` if it names other versions. A weak tag counts too, against the letter of
    RFC 9110: ours names a version, and proxies that compress weaken it on its way out. So does one
    with a figure behind its version, such as a count, which changes without an edit: "v3+12".
    """
    if field is None:
        if required:
            raise PreconditionRequired
        return
    versions = {tag.partition("+")[0] for tag in _opaque_tags(field)}
    if field.strip() != "*" and etag(version)[1:-1] not in versions:
        raise PreconditionFailed


def _matches(field: str, tag: str) -> bool:
    return field.strip() == "*" or tag[1:-1] in _opaque_tags(field)


def _opaque_tags(field: str) -> Iterator[str]:
    return (match[1] for match in _TAG.finditer(field))


def _http_date(field: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(field) if field else None
    except ValueError:
        return None
    return date.replace(tzinfo=UTC) if date and date.tzinfo is None else date
