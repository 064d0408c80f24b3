"""Everything that there is to download of an asset or of a collection, in one list."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import NotFound
from app.models import Asset, CollectionItem, Rendition
from app.services import collections
from app.services.asset_documents import DERIVED_PURPOSES, parse_id
from app.services.assets import AssetWithdrawn

# The asset and the rendition that the page before ended with.
Place = tuple[UUID, UUID]


@dataclass(frozen=True, slots=True)
class OfferedFile:
    asset_id: UUID
    slug: str
    rendition_id: UUID
    name: str
    purpose: str
    filename: str
    media_type: str
    size_bytes: int
    sha256: str


async def of_asset(
    session: AsyncSession, reference: str, *, after: Place | None, limit: int
) -> Sequence[OfferedFile]:
    """The files of a published asset, oldest first."""
    asset_id = parse_id(reference)
    query = select(Asset.id, Asset.state, Asset.withdrawal_reason)
    query = query.where(Asset.id == asset_id if asset_id else Asset.slug == reference)
    asset = (await session.execute(query)).one_or_none()
    if asset is not None and asset.state == "withdrawn":
        raise AssetWithdrawn(asset.withdrawal_reason)
    if asset is None or asset.state != "published":
        raise NotFound
    return await _files(session, Asset.id == asset.id, after=after, limit=limit)


async def of_collection(
    session: AsyncSession, reference: str, *, after: Place | None, limit: int
) -> Sequence[OfferedFile]:
    """The files of a collection's published assets, oldest asset first."""
    collection, _ = await collections.get(session, reference)
    members = select(CollectionItem.asset_id).where(CollectionItem.collection_id == collection.id)
    return await _files(session, Asset.id.in_(members), after=after, limit=limit)


async def _files(
    session: AsyncSession, which: ColumnElement[bool], *, after: Place | None, limit: int
) -> Sequence[OfferedFile]:
    query = (
        select(
            Asset.id.label("asset_id"),
            Asset.slug,
            Rendition.id.label("rendition_id"),
            Rendition.name,
            Rendition.purpose,
            Rendition.filename,
            Rendition.media_type,
            Rendition.size_bytes,
            Rendition.sha256,
        )
        .join(Rendition, Rendition.asset_id == Asset.id)
        .where(which, Asset.state == "published", Rendition.state == "ready")
        .where(Rendition.purpose.not_in(DERIVED_PURPOSES))
        .order_by(Asset.id, Rendition.id)
        .limit(limit)
    )
    if after is not None:
        query = query.where(tuple_(Asset.id, Rendition.id) > tuple_(*after))
    return [OfferedFile(**row) for row in (await session.execute(query)).mappings()]
