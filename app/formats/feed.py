"""What the feeds have in common: MRSS, Atom and JSON Feed say the same in their own words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TITLE = "Media assets"
DESCRIPTION = "Videos, pictures, sound and stories, the newest first"
# When a feed was updated that has nothing in it.
NEVER = "1970-01-01T00:00:00Z"

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Feed:
    """One page of a feed."""

    documents: Sequence[Document]
    # Of this page, of the first one, and of the next one if there is one.
    url: str
    first_url: str
    next_url: str | None

    @property
    def updated_at(self) -> str:
        # Times of one zone, but with and without a fraction: the text alone would not sort.
        moments = (document["updated_at"] for document in self.documents)
        return max(moments, key=_with_fraction, default=NEVER)


def _with_fraction(moment: str) -> str:
    return moment.removesuffix("Z").ljust(len("2026-11-23T09:00:00.000000"), ".")


def description(document: Document) -> str:
    """The best short text that there is."""
    return str(document["summary"] or document["headline"] or document["title"])


def creators(document: Document) -> list[str]:
    """The names of those who made it, each once, or whom to credit for it."""
    names = dict.fromkeys(credit["name"] for credit in document["credits"])
    credit_line = (document["rights"] or {}).get("credit_line")
    return list(names) or ([credit_line] if credit_line else [])


def point(document: Document) -> str | None:
    """Latitude and longitude, as GeoRSS Simple writes a point."""
    location = document["location"] or {}
    latitude, longitude = location.get("latitude"), location.get("longitude")
    return None if latitude is None or longitude is None else f"{latitude} {longitude}"
