"""The lists of the desk: assets of one state, whatever they lack."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Select, func, select, tuple_
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
from app.services import asset_documents, policy
from app.services.asset_documents import PUBLIC_VERSION_KINDS, Surroundings

Item = TypeVar("Item")


async def list_assets(
    session: AsyncSession,
    *,
    state: str,
    types: Sequence[str],
    languages: Sequence[str],
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> tuple[list[dict[str, Any]], int]:
    """Documents for editors, the latest change first, and how many there are (at most 10,000)."""
    query = select(Asset).where(Asset.state == state)
    if types:
        query = query.where(Asset.type.in_(types))
    if languages:
        query = query.where(Asset.language.in_(languages))
    counted = query.with_only_columns(Asset.id).limit(policy.COUNTED_HITS).subquery()
    total = (await session.scalars(select(func.count()).select_from(counted))).one()
    if after is not None:
        query = query.where(tuple_(Asset.updated_at, Asset.id) < after)
    latest = query.order_by(Asset.updated_at.desc(), Asset.id.desc()).limit(limit)
    assets = (await session.scalars(latest)).all()
    surroundings = await _surroundings(session, [asset.id for asset in assets])
    render = asset_documents.render_for_editors
    return [render(asset, surroundings[asset.id]) for asset in assets], total


async def _surroundings(session: AsyncSession, ids: Sequence[UUID]) -> dict[UUID, Surroundings]:
    """What all of a page's documents say beside their own fields, in five queries."""
    renditions = (
        select(Rendition.asset_id, Rendition)
        .where(Rendition.asset_id.in_(ids), Rendition.state != "replaced")
        .order_by(Rendition.id)
    )
    captions = (
        select(Caption.asset_id, Caption)
        .where(Caption.asset_id.in_(ids))
        .order_by(Caption.language)
    )
    collections = (
        select(CollectionItem.asset_id, Collection)
        .join(Collection, Collection.id == CollectionItem.collection_id)
        .where(CollectionItem.asset_id.in_(ids))
        .order_by(Collection.slug)
    )
    versions = (
        select(AssetVersion.asset_id, AssetVersion)
        .where(AssetVersion.asset_id.in_(ids), AssetVersion.kind.in_(PUBLIC_VERSION_KINDS))
        .order_by(AssetVersion.version)
    )
    of_renditions = await _by_asset(session, renditions, ids)
    of_captions = await _by_asset(session, captions, ids)
    of_collections = await _by_asset(session, collections, ids)
    of_versions = await _by_asset(session, versions, ids)
    of_related = await _related(session, ids)
    return {
        each: Surroundings(
            renditions=of_renditions[each],
            captions=of_captions[each],
            collections=of_collections[each],
            related=of_related[each],
            versions=of_versions[each],
        )
        for each in ids
    }


async def _by_asset(
    session: AsyncSession, query: Select[UUID, Item], ids: Sequence[UUID]
) -> dict[UUID, list[Item]]:
    return _grouped(await session.execute(query), ids)


async def _related(
    session: AsyncSession, ids: Sequence[UUID]
) -> dict[UUID, list[tuple[str, Asset]]]:
    query = (
        select(AssetRelation.asset_id, AssetRelation.rel, Asset)
        .join(Asset, Asset.id == AssetRelation.related_id)
        .where(AssetRelation.asset_id.in_(ids))
        .order_by(AssetRelation.position)
    )
    rows = await session.execute(query)
    return _grouped(((asset_id, (rel, other)) for asset_id, rel, other in rows), ids)


def _grouped(rows: Iterable[tuple[UUID, Item]], ids: Sequence[UUID]) -> dict[UUID, list[Item]]:
    found: dict[UUID, list[Item]] = {each: [] for each in ids}
    for asset_id, item in rows:
        found[asset_id].append(item)
    return found
