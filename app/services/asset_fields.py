"""The descriptive fields of an asset: merging patches, and what no single field can check."""

import re
from collections.abc import Mapping
from typing import Any

from app.errors import FieldError, InvalidInput
from app.services.folding import fold

SLUG_MAX_LENGTH = 100
# Objects in which a patch changes single members; all else is replaced whole.
MERGED_FIELDS = frozenset({"location", "rights", "translations"})
REQUIRED = ("title", "slug", "language")


def check_required(patch: Mapping[str, Any]) -> None:
    """Refuse to take away what an asset can't be without."""
    errors = [
        FieldError(pointer=f"/{name}", code="required", message="This can't be taken away")
        for name in REQUIRED
        if name in patch and patch[name] is None
    ]
    if errors:
        raise InvalidInput(errors=errors)


def merge(fields: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Fields with a patch applied (RFC 7396): null takes away."""
    merged = dict(fields)
    for name, value in patch.items():
        if name in MERGED_FIELDS and isinstance(value, Mapping):
            merged[name] = _merge_objects(merged.get(name) or {}, value)
        else:
            merged[name] = value
    return {name: value for name, value in merged.items() if value not in (None, [], {})}


def check_merged(fields: Mapping[str, Any]) -> None:
    """What several members together must keep; raises `InvalidInput` with their pointers."""
    location = fields.get("location", {})
    if (location.get("latitude") is None) != (location.get("longitude") is None):
        message = "Latitude and longitude belong together"
        raise invalid("/location", "coordinates_incomplete", message)
    since, until = fields.get("filmed_from"), fields.get("filmed_to")
    if since and until and until < since:
        raise invalid("/filmed_to", "ends_before_it_starts", "This is before filmed_from")


def slug_of(title: str) -> str:
    """An address for people; empty where a title has neither Latin letters nor digits."""
    words = re.sub(r"[^a-z0-9]+", "-", fold(title)).strip("-")
    return words[:SLUG_MAX_LENGTH].rstrip("-")


def invalid(pointer: str, code: str, message: str) -> InvalidInput:
    return InvalidInput(errors=[{"pointer": pointer, "code": code, "message": message}])


def _merge_objects(value: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(value)
    for name, member in patch.items():
        if isinstance(member, Mapping):
            merged[name] = _merge_objects(merged.get(name) or {}, member)
        else:
            merged[name] = member
    return {name: member for name, member in merged.items() if member not in (None, {})}
