"""Which requests show an API key or an access token of one, be it good or not."""

from functools import lru_cache

from starlette.types import Scope

from app.crypto import KEY_PREFIX, names_client
from app.http.headers import request_fields

OAUTH_PREFIX = "/oauth/"
_SCHEME = b"bearer "
# Longer ones are no tokens of ours, and not worth the memory.
_LONGEST = 8 * 1024


def shown_token(scope: Scope) -> str | None:
    """The key or token of the Authorization header; None for a session's, and for none."""
    field = request_fields(scope).get(b"authorization")
    if field is None or field[: len(_SCHEME)].lower() != _SCHEME or len(field) > _LONGEST:
        return None
    return _token_of_key(field)


def is_of_key(scope: Scope) -> bool:
    """Whether a program with a key sent it, as far as the request itself says."""
    path: str = scope["path"]
    return path.startswith(OAUTH_PREFIX) or shown_token(scope) is not None


@lru_cache(maxsize=1024)
def _token_of_key(field: bytes) -> str | None:
    token = field[len(_SCHEME) :].decode("latin-1")
    return token if token.startswith(KEY_PREFIX) or names_client(token) else None
