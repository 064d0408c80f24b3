"""Who took which file: one's own history, and what editors are told in numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from app.errors import NotFound
from app.services.asset_documents import DERIVED_PURPOSES, parse_id

DAYS_SHOWN = timedelta(days=365)


class Reader(Protocol):
    async def fetch(self, query: str, *args: Any) -> Sequence[Any]: ...
    async def fetchrow(self, query: str, *args: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Counts:
    """Distinct by account or key, rendition and UTC day; a file that replaced another counts on."""

    asset_id: UUID
    renditions: Sequence[Mapping[str, Any]]
    days: Sequence[Mapping[str, Any]]

    @property
    def total(self) -> int:
        return sum(each["count"] for each in self.renditions)


# What was withdrawn is no longer told of, not even to those who have it.
_OWN = """
    SELECT download.id, download.occurred_at, asset.id AS asset_id, asset.slug, asset.type,
           asset.state AS status,
           CASE WHEN asset.state = 'published' THEN asset.fields ->> 'title' END AS title,
           rendition.name AS rendition, rendition.filename, rendition.size_bytes, rendition.sha256,
           download.key_id, api_key.name AS key_name
      FROM download
      LEFT JOIN api_key ON api_key.id = download.key_id
      JOIN rendition ON rendition.id = download.rendition_id
      JOIN asset ON asset.id = rendition.asset_id
     WHERE download.account_id = $1 AND ($2::uuid IS NULL OR download.id < $2)
     ORDER BY download.id DESC LIMIT $3
"""


async def list_own(
    reader: Reader, account_id: UUID, *, before: UUID | None, limit: int
) -> Sequence[Mapping[str, Any]]:
    """Each link that the account was given, newest first."""
    return [dict(row) for row in await reader.fetch(_OWN, account_id, before, limit)]


_ASSET = "SELECT id FROM asset WHERE id = $1 OR slug = $2"
_PER_RENDITION = """
    SELECT rendition.name, count(download.id)
      FROM rendition
      LEFT JOIN download ON download.rendition_id = rendition.id AND download.is_counted
     WHERE rendition.asset_id = $1 AND rendition.purpose <> ALL($2)
     GROUP BY rendition.name ORDER BY rendition.name
"""
_PER_DAY = """
    SELECT download.day, count(*)
      FROM rendition JOIN download ON download.rendition_id = rendition.id
     WHERE rendition.asset_id = $1 AND rendition.purpose <> ALL($2)
       AND download.is_counted AND download.day > $3
     GROUP BY download.day ORDER BY download.day DESC
"""


async def count(reader: Reader, reference: str, *, now: datetime) -> Counts:
    """The downloads of an asset of any state: all by rendition, those of the past year by day."""
    asset = await reader.fetchrow(_ASSET, parse_id(reference), reference)
    if asset is None:
        raise NotFound
    renditions = await reader.fetch(_PER_RENDITION, asset["id"], DERIVED_PURPOSES)
    days = await reader.fetch(_PER_DAY, asset["id"], DERIVED_PURPOSES, (now - DAYS_SHOWN).date())
    return Counts(asset["id"], [dict(row) for row in renditions], [dict(row) for row in days])
