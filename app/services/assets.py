"""The catalogue: publishing documents, and reading them without building anything."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import AppError, NotFound
from app.models import Asset, Rendition

# Counting stops here: an exact total of a large catalogue would cost more than the page.
TOTAL_COUNTED = 10_000


class AssetWithdrawn(AppError):
    status, code, title = 410, "asset_withdrawn", "This was withdrawn"


class Reader(Protocol):
    async def fetch(self, query: str, *args: Any) -> Sequence[Any]: ...
    async def fetchrow(self, query: str, *args: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """Documents as they are stored, with the sort keys to go on from."""

    documents: Sequence[str]
    total: int
    total_is_exact: bool
    last: tuple[datetime, UUID] | None
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class Document:
    body: str
    version: int
    updated_at: datetime


# Newest first, by a keyset: page 4,000 costs what page 1 costs.
_PAGE = """
    SELECT document, published_at, id, updated_at FROM asset
     WHERE state = 'published' AND ($1::text IS NULL OR type = $1)
       AND ($2::timestamptz IS NULL OR (published_at, id) < ($2, $3::uuid))
     ORDER BY published_at DESC, id DESC LIMIT $4
"""
_TOTAL = """
    SELECT count(*) FROM (
        SELECT FROM asset WHERE state = 'published' AND ($1::text IS NULL OR type = $1) LIMIT $2
    ) AS counted
"""
_ONE = "SELECT document, state, version, updated_at, withdrawal_reason FROM asset WHERE "


async def list_documents(
    reader: Reader, *, asset_type: str | None, after: tuple[datetime, UUID] | None, limit: int
) -> DocumentPage:
    """A page of published assets, newest first, and how many there are (at most 10,000)."""
    published_at, asset_id = after or (None, None)
    rows = await reader.fetch(_PAGE, asset_type, published_at, asset_id, limit + 1)
    counted = (await reader.fetchrow(_TOTAL, asset_type, TOTAL_COUNTED + 1))["count"]
    shown = rows[:limit]
    has_more = len(rows) > limit
    return DocumentPage(
        documents=[row["document"] for row in shown],
        total=min(counted, TOTAL_COUNTED),
        total_is_exact=counted <= TOTAL_COUNTED,
        last=(shown[-1]["published_at"], shown[-1]["id"]) if has_more else None,
        updated_at=max((row["updated_at"] for row in shown), default=None),
    )


async def get_document(reader: Reader, reference: str) -> Document:
    """One published asset by id or slug; 404 for what is not public, 410 for a withdrawn one."""
    asset_id = parse_id(reference)
    query = _ONE + ("id = $1" if asset_id else "slug = $1")
    row = await reader.fetchrow(query, asset_id or reference)
    if row is None or row["state"] not in {"published", "withdrawn"}:
        raise NotFound
    if row["state"] == "withdrawn":
        raise AssetWithdrawn(row["withdrawal_reason"])
    return Document(row["document"], row["version"], row["updated_at"])


async def has_any(session: AsyncSession) -> bool:
    """Whether there are assets at all, drafts included."""
    return bool(await session.scalar(select(exists(select(Asset.id)))))


def parse_id(reference: str) -> UUID | None:
    """The UUID that a reference is; None for a slug, which never looks like one."""
    try:
        return UUID(reference) if len(reference) == 36 else None  # noqa: PLR2004  # its text form
    except ValueError:
        return None


async def publish(
    session: AsyncSession, asset: Asset, renditions: Sequence[Rendition], *, now: datetime
) -> None:
    """Make an asset public: its document is rendered here, in the same transaction."""
    asset.state = "published"
    asset.published_at = asset.published_at or now
    asset.updated_at = now
    session.add(asset)
    await session.flush()
    for rendition in renditions:
        rendition.asset_id = asset.id
    session.add_all(renditions)
    asset.document = json.dumps(
        render_document(asset, renditions), ensure_ascii=False, separators=(",", ":")
    )
    await session.flush()


def render_document(asset: Asset, renditions: Sequence[Rendition]) -> dict[str, Any]:
    """The public JSON of an asset; what an editor has not filled in is null or empty."""
    durations = [each.technical["duration_ms"] for each in renditions if each.technical]
    return {
        "id": str(asset.id),
        "slug": asset.slug,
        "type": asset.type,
        "version": asset.version,
        "language": asset.language,
        **{name: asset.fields.get(name, empty) for name, empty in _EMPTY_FIELDS.items()},
        "duration_ms": max(durations, default=None),
        "renditions": [_render_rendition(asset, each) for each in renditions],
        "published_at": _time(asset.published_at),
        "updated_at": _time(asset.updated_at),
    }


_EMPTY_FIELDS: dict[str, Any] = {
    "title": "",
    "headline": None,
    "summary": None,
    "body": None,
    "location": None,
    "people": [],
    "keywords": [],
    "shotlist": [],
    "credits": [],
    "rights": None,
    "related": [],
}


def _render_rendition(asset: Asset, rendition: Rendition) -> dict[str, Any]:
    return {
        "name": rendition.name,
        "purpose": rendition.purpose,
        "filename": rendition.filename,
        "media_type": rendition.media_type,
        "size_bytes": rendition.size_bytes,
        "sha256": rendition.sha256,
        "technical": rendition.technical,
        "download": f"/v1/assets/{asset.id}/renditions/{rendition.name}/download",
    }


def _time(value: datetime | None) -> str | None:
    """RFC 3339 in UTC, as everywhere in the contract."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if value else None
