"""The lists of the desk: assets of one state, whatever they lack."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
from app.services.folding import fold
from app.services.search_reading import QueryTooLong

Item = TypeVar("Item")

# The time of an asset's last change, and its id: by these the lists are ordered.
Place = tuple[datetime, UUID]


@dataclass(frozen=True, slots=True)
class DeskPage:
    """Documents for editors, and how many there are; of more than 10,000 assets, at least."""

    documents: list[dict[str, Any]]
    # Where the page ends, if there are more.
    end: Place | None
    total: int
    total_is_exact: bool


async def list_assets(
    session: AsyncSession,
    *,
    state: str,
    types: Sequence[str],
    languages: Sequence[str],
    q: str | None,
    after: Place | None,
    limit: int,
) -> DeskPage:
    """The latest change first. Of words, all must occur. Raises `QueryTooLong`."""
    query = select(Asset).where(Asset.state == state)
    if types:
        query = query.where(Asset.type.in_(types))
    if languages:
        query = query.where(Asset.language.in_(languages))
    latest = query.order_by(Asset.updated_at.desc(), Asset.id.desc())
    typed = (q or "").strip()
    if len(typed) > policy.QUERY_MAX_LENGTH:
        raise QueryTooLong
    if words := fold(typed).split():
        found, looked_through = await _find(session, latest, words)
        total = len(found)
        places = [place for place in found if after is None or place < after]
        # Some of them may be changed by now: where the page ends is known without them.
        latest = latest.where(Asset.id.in_([asset_id for _, asset_id in places[:limit]]))
        assets = (await session.scalars(latest)).all()
    else:
        total = looked_through = await _count(session, query)
        if after is not None:
            latest = latest.where(tuple_(Asset.updated_at, Asset.id) < after)
        assets = (await session.scalars(latest.limit(limit + 1))).all()
        places = [(asset.updated_at, asset.id) for asset in assets]
    surroundings = await _surroundings(session, [asset.id for asset in assets[:limit]])
    render = asset_documents.render_for_editors
    documents = [render(asset, surroundings[asset.id]) for asset in assets[:limit]]
    end = places[limit - 1] if len(places) > limit else None
    return DeskPage(documents, end, total, looked_through < policy.COUNTED_HITS)


async def _count(session: AsyncSession, query: Select[Asset]) -> int:
    counted = query.with_only_columns(Asset.id).limit(policy.COUNTED_HITS).subquery()
    return (await session.scalars(select(func.count()).select_from(counted))).one()


async def _find(
    session: AsyncSession, latest: Select[Asset], words: Sequence[str]
) -> tuple[list[Place], int]:
    """Those of the latest 10,000 that have all words, and how many were looked through.

    The index of words knows only what is public. Here titles and the like are read and folded.
    """
    texts = [Asset.slug, *(Asset.fields[name].astext for name in _SEARCHED)]
    keywords = Asset.fields["keywords"]
    columns = latest.with_only_columns(Asset.updated_at, Asset.id, keywords, *texts)
    rows = await session.stream(columns.limit(policy.COUNTED_HITS))
    found: list[Place] = []
    looked_through = 0
    async for some in rows.partitions(_READ_AT_ONCE):
        looked_through += len(some)
        for updated_at, asset_id, its_keywords, *its in some:
            text = fold(" ".join(filter(None, [*its, *(its_keywords or ())])))
            if all(word in text for word in words):
                found.append((updated_at, asset_id))
    return found, looked_through


# Of an asset's fields, beside its keywords.
_SEARCHED = ("title", "headline", "slugline")
# Folding these takes up to 5 ms, in which nobody else is answered; all 10,000 take 0.3 s.
_READ_AT_ONCE = 200


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
