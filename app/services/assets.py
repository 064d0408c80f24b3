"""The catalogue as everybody reads it: documents as they were rendered, nothing built."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import AppError, NotFound
from app.models import Asset
from app.services import asset_relations, asset_rendering, asset_versions
from app.services.asset_documents import parse_id

# The reason where no editor gives one: the worker withdraws what may no longer be offered.
RIGHTS_ENDED = "The right to offer this has ended"


class AssetWithdrawn(AppError):
    status, code, title = 410, "asset_withdrawn", "This was withdrawn"


class Reader(Protocol):
    async def fetch(self, query: str, *args: Any) -> Sequence[Any]: ...
    async def fetchrow(self, query: str, *args: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Document:
    id: UUID
    body: str
    version: int
    updated_at: datetime


_ONE = "SELECT id, document, state, version, updated_at, withdrawal_reason FROM asset WHERE "


async def get_document(reader: Reader, reference: str) -> Document:
    """One published asset by id or slug; 404 for what is not public, 410 for a withdrawn one."""
    asset_id = parse_id(reference)
    query = _ONE + ("id = $1" if asset_id else "slug = $1")
    row = await reader.fetchrow(query, asset_id or reference)
    if row is None or row["state"] not in {"published", "withdrawn"}:
        raise NotFound
    if row["state"] == "withdrawn":
        raise AssetWithdrawn(row["withdrawal_reason"])
    return Document(row["id"], row["document"], row["version"], row["updated_at"])


async def get_for_editors(session: AsyncSession, reference: str) -> dict[str, Any]:
    """An asset of any state, as the desk sees it."""
    asset = await asset_versions.get(session, reference)
    if asset is None:
        raise NotFound
    return await asset_rendering.for_editors(session, asset)


async def list_related(reader: Reader, reference: str) -> Sequence[str]:
    """The documents of published assets that belong to a published one."""
    document = await get_document(reader, reference)
    return await asset_relations.related_documents(reader, document.id)


async def has_any(session: AsyncSession) -> bool:
    """Whether there are assets at all, drafts included."""
    return bool(await session.scalar(select(exists(select(Asset.id)))))
