"""Where a user may be sent back to after a log-in or a reset: never off to a stranger's site."""

import re
import unicodedata
from urllib.parse import urlsplit

from app.errors import FieldError, InvalidInput

MAX_LENGTH = 2048
# Browsers read a backslash as a slash, so "/\evil.example" would leave the site like "//" does.
_RELATIVE_PATH = re.compile(r"/(?![/\\])[^\\]*")
_ABSOLUTE_URL = re.compile(r"https?://[^/\\@?#]+(?:[/?#][^\\]*)?", re.IGNORECASE)


class ReturnToNotAllowed(InvalidInput):
    code, title = "return_to_not_allowed", "return_to must be a path, or a page of a known site"


def check_return_to(value: str | None, *, origins: frozenset[str]) -> str | None:
    """Give the value back if a browser can only take it to this site or to one of `origins`."""
    if value is None:
        return None
    if len(value) <= MAX_LENGTH and not _has_invisible(value):
        if _RELATIVE_PATH.fullmatch(value):
            return value
        if _ABSOLUTE_URL.fullmatch(value) and _origin(value) in origins:
            return value
    code, title = ReturnToNotAllowed.code, ReturnToNotAllowed.title
    raise ReturnToNotAllowed(errors=[FieldError(pointer="/return_to", code=code, message=title)])


def _has_invisible(value: str) -> bool:
    """Browsers drop tabs and line breaks before they read an address."""
    return any(unicodedata.category(char)[0] in "CZ" for char in value)


def _origin(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where the port is no number
    except ValueError:
        return None
    return f"{parts.scheme}://{parts.netloc}".lower()
