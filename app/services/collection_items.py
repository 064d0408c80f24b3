"""Which assets belong to which collections."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import NotFound
from app.models import Asset, Collection, CollectionItem
from app.services.asset_documents import parse_id
from app.services.asset_fields import invalid


async def set_memberships(
    session: AsyncSession, asset_id: UUID, references: Sequence[str]
) -> dict[str, Any] | None:
    """Put a locked asset into these collections (ids or slugs) and no others.

    Returns the change, if it is one. Raises `InvalidInput` for a collection that is not there.
    """
    wanted = await _find_ids(session, references)
    before = await memberships(session, asset_id)
    after = sorted(str(collection_id) for collection_id in wanted)
    if before == after:
        return None
    mine = CollectionItem.asset_id == asset_id
    left = delete(CollectionItem).where(mine, CollectionItem.collection_id.not_in(wanted))
    await session.execute(left)
    for collection_id in wanted:
        item = insert(CollectionItem).values(collection_id=collection_id, asset_id=asset_id)
        await session.execute(item.on_conflict_do_nothing())
    return {"before": before, "after": after}


async def find_id(session: AsyncSession, reference: str) -> UUID:
    """Of a collection by id or slug. Not its row, which may change before it is locked."""
    collection_id: UUID | None = await session.scalar(select(Collection.id).where(named(reference)))
    if collection_id is None:
        raise NotFound
    return collection_id


def named(reference: str) -> ColumnElement[bool]:
    """The condition on a collection's row that this is its id or slug."""
    collection_id = parse_id(reference)
    return Collection.id == collection_id if collection_id else Collection.slug == reference


async def memberships(session: AsyncSession, asset_id: UUID) -> list[str]:
    """The ids of an asset's collections, as versions of the asset record them."""
    mine = select(CollectionItem.collection_id).where(CollectionItem.asset_id == asset_id)
    return sorted(str(collection_id) for collection_id in await session.scalars(mine))


async def render_again(session: AsyncSession, collection_id: UUID) -> None:
    """Leave the documents that name this collection to the worker, which goes in batches."""
    members = (
        select(Asset.id)
        .join(CollectionItem, CollectionItem.asset_id == Asset.id)
        .where(CollectionItem.collection_id == collection_id, Asset.state == "published")
        .order_by(Asset.id)  # so that two changes meet at the first asset, not in a deadlock
        .with_for_update(of=Asset, key_share=True)
        .cte()
    )
    stale = update(Asset).where(Asset.id.in_(select(members.c.id))).values(document_format=0)
    await session.execute(stale.execution_options(synchronize_session=False))


async def _find_ids(session: AsyncSession, references: Sequence[str]) -> list[UUID]:
    """The collections' ids, each once."""
    ids = [collection_id for each in references if (collection_id := parse_id(each))]
    referred = or_(Collection.id.in_(ids), Collection.slug.in_(references))
    found = await session.execute(select(Collection.id, Collection.slug).where(referred))
    known = {key: collection_id for collection_id, slug in found for key in (collection_id, slug)}
    wanted: dict[UUID, None] = {}
    for index, reference in enumerate(references):
        collection_id = known.get(parse_id(reference) or reference)
        if collection_id is None:
            message = "There is no collection with this id or slug"
            raise invalid(f"/collections/{index}", "unknown_collection", message)
        wanted[collection_id] = None
    return list(wanted)
