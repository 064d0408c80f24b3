"""Renders documents from the tables, and puts them where the public reads them."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import (
    Asset,
    AssetRelation,
    AssetVersion,
    Caption,
    Collection,
    CollectionItem,
    Rendition,
)
from app.services import asset_search, catalogue_events
from app.services.asset_documents import (
    FORMAT,
    PUBLIC_VERSION_KINDS,
    Surroundings,
    render,
    render_for_editors,
    to_json,
)


async def refresh(session: AsyncSession, asset: Asset) -> None:
    """Render a published asset again, in the transaction that changed what it says."""
    found = await surroundings(session, asset, public=True)
    document = render(asset, found)
    asset.document = to_json(document)
    asset.document_format = FORMAT
    await session.flush()
    captions = [(caption.language, caption.webvtt) for caption in found.captions]
    await asset_search.index(session, asset=asset, document=document, captions=captions)
    await catalogue_events.announce(session, asset_id=asset.id, slug=asset.slug)


async def remove(session: AsyncSession, asset: Asset) -> None:
    """Take an asset that is no longer published out of all that the public reads."""
    asset.document = None
    await session.flush()
    await asset_search.unindex(session, asset.id)
    await catalogue_events.announce(session, asset_id=asset.id, slug=asset.slug)


async def for_editors(session: AsyncSession, asset: Asset) -> dict[str, Any]:
    """An asset of any state as the desk sees it."""
    return render_for_editors(asset, await surroundings(session, asset, public=False))


async def surroundings(session: AsyncSession, asset: Asset, *, public: bool) -> Surroundings:
    """`public`: ready renditions and published relations alone; editors see all."""
    of_asset = Rendition.asset_id == asset.id
    renditions = select(Rendition).where(of_asset, Rendition.state != "replaced")
    related = (
        select(AssetRelation.rel, Asset)
        .join(Asset, Asset.id == AssetRelation.related_id)
        .where(AssetRelation.asset_id == asset.id)
        .order_by(AssetRelation.position)
    )
    if public:
        renditions = renditions.where(Rendition.state == "ready")
        related = related.where(Asset.state == "published")
    captions = select(Caption).where(Caption.asset_id == asset.id).order_by(Caption.language)
    collections = (
        select(Collection)
        .join(CollectionItem, CollectionItem.collection_id == Collection.id)
        .where(CollectionItem.asset_id == asset.id)
        .order_by(Collection.slug)
    )
    versions = (
        select(AssetVersion)
        .where(AssetVersion.asset_id == asset.id, AssetVersion.kind.in_(PUBLIC_VERSION_KINDS))
        .order_by(AssetVersion.version)
    )
    return Surroundings(
        renditions=(await session.scalars(renditions.order_by(Rendition.id))).all(),
        captions=(await session.scalars(captions)).all(),
        collections=(await session.scalars(collections)).all(),
        related=[(rel, other) for rel, other in await session.execute(related)],
        versions=(await session.scalars(versions)).all(),
    )
