"""Content negotiation by media type (RFC 9110, section 12.5.1)."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from app.errors import AppError

# A media range with its parameters, in which a quoted comma separates nothing.
_RANGE = re.compile(r"""\s*([^\s;,/]+/[^\s;,]+)((?:\s*;\s*(?:[^\s;,"]+(?:"[^"]*")?)?)*)""")
_WEIGHT = re.compile(r";\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*(?:;|\Z)", re.IGNORECASE)
_MAX_LENGTH = 2_000


class NotAcceptable(AppError):
    status, code, title = 406, "not_acceptable", "This is not to be had in any such format"


def best_type(accept: str | None, offered: Iterable[str]) -> str:
    """Which of the offered media types a client likes best; among equals the first.

    Raises `NotAcceptable` where it takes none of them. Parameters other than the weight are not
    looked at: who asks for a profile of a type is served the type.
    """
    if accept is None or not accept.strip():
        return next(iter(offered))
    weights = _weights(accept[:_MAX_LENGTH])
    best = max(offered, key=lambda media_type: _weight(media_type, weights))
    if _weight(best, weights) == 0:
        raise NotAcceptable(f"It is to be had as {', '.join(offered)}")
    return best


@lru_cache(maxsize=256)
def _weights(accept: str) -> Mapping[str, float]:
    """The weight of each media range."""
    return dict(_parsed(accept))


def _parsed(accept: str) -> Iterator[tuple[str, float]]:
    for media_range, parameters in _RANGE.findall(accept.lower()):
        weight = _WEIGHT.search(parameters)
        yield media_range, min(1.0, float(weight[1])) if weight else 1.0


def _weight(media_type: str, weights: Mapping[str, float]) -> float:
    """That of the range which names the type most closely."""
    family = media_type.partition("/")[0]
    ranges = (media_type, f"{family}/*", "*/*")
    return next((weights[each] for each in ranges if each in weights), 0.0)
