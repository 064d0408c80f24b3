"""JSON as bytes, and what all JSON formats leave out."""

import json
from collections.abc import Mapping
from typing import Any

_SAYS_NOTHING: tuple[object, ...] = (None, "", [], {})


def to_bytes(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def filled(members: Mapping[str, Any]) -> dict[str, Any]:
    """Without members that are null or empty: these formats leave out what is not known."""
    return {name: value for name, value in members.items() if value not in _SAYS_NOTHING}
