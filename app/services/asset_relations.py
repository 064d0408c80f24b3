"""Assets that belong to each other: what an editor tied together, and what shares a collection."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Asset, AssetRelation
from app.services import job_queue
from app.services.asset_documents import parse_id
from app.services.asset_fields import invalid

# Job: render what refers to an asset again, for it has appeared, vanished or changed its title.
REFERRERS_ENTRYPOINT = "asset.referrers"
MAX_RELATED = 20


class Reader(Protocol):
    async def fetch(self, query: str, *args: Any) -> Sequence[Any]: ...


async def set_related(
    session: AsyncSession, asset: Asset, references: Sequence[Mapping[str, str]]
) -> dict[str, Any] | None:
    """Refer to these assets in this order, each once; returns the change, if it is one."""
    wanted: dict[UUID, str] = {}
    for position, reference in enumerate(references):
        other = await _find_id(session, reference["id"])
        if other is None or other == asset.id:
            message = "There is no other asset with this id or slug"
            raise invalid(f"/related/{position}/id", "unknown_asset", message)
        wanted.setdefault(other, reference["rel"])
    mine = AssetRelation.asset_id == asset.id
    query = select(AssetRelation.related_id, AssetRelation.rel).where(mine)
    before = [
        (other, rel) for other, rel in await session.execute(query.order_by(AssetRelation.position))
    ]
    after = list(wanted.items())
    if before == after:
        return None
    await session.execute(delete(AssetRelation).where(mine))
    session.add_all(
        AssetRelation(asset_id=asset.id, related_id=other, rel=rel, position=position)
        for position, (other, rel) in enumerate(after)
    )
    return {"before": _plain(before), "after": _plain(after)}


async def enqueue_referrers(session: AsyncSession, asset_id: UUID) -> None:
    """Have the documents that name this asset rendered again, once this transaction commits."""
    payload = str(asset_id)
    key = f"{REFERRERS_ENTRYPOINT}:{asset_id}"
    await job_queue.enqueue(session, REFERRERS_ENTRYPOINT, {key: payload.encode()})


async def referrers(session: AsyncSession, asset_id: UUID) -> Sequence[UUID]:
    """The published assets that refer to an asset."""
    query = (
        select(AssetRelation.asset_id)
        .join(Asset, Asset.id == AssetRelation.asset_id)
        .where(AssetRelation.related_id == asset_id, Asset.state == "published")
    )
    return (await session.scalars(query)).all()


# An editor's choice first, in both directions; then what shares a series or an event.
_RELATED = """
    SELECT document FROM (
        SELECT other.document, other.published_at, other.id, min(found.rank) AS rank,
               min(found.position) AS position
          FROM (
            SELECT related_id AS id, 1 AS rank, position FROM asset_relation WHERE asset_id = $1
            UNION ALL
            SELECT asset_id, 2, 0 FROM asset_relation WHERE related_id = $1
            UNION ALL
            (SELECT theirs.asset_id, 3, 0
               FROM collection_item AS mine
               JOIN collection_item AS theirs USING (collection_id)
               JOIN asset_search ON asset_search.asset_id = theirs.asset_id
              WHERE mine.asset_id = $1 AND theirs.asset_id <> $1
              ORDER BY asset_search.published_at DESC LIMIT $2)
          ) AS found
          JOIN asset AS other ON other.id = found.id AND other.state = 'published'
         GROUP BY other.document, other.published_at, other.id
    ) AS related
    ORDER BY rank, position, published_at DESC, id LIMIT $2
"""


async def related_documents(reader: Reader, asset_id: UUID) -> Sequence[str]:
    """The documents of up to twenty published assets that belong to one."""
    return [row["document"] for row in await reader.fetch(_RELATED, asset_id, MAX_RELATED)]


async def _find_id(session: AsyncSession, reference: str) -> UUID | None:
    asset_id = parse_id(reference)
    query = select(Asset.id).where(Asset.id == asset_id if asset_id else Asset.slug == reference)
    found: UUID | None = await session.scalar(query)
    return found


def _plain(pairs: Sequence[tuple[UUID, str]]) -> list[dict[str, str]]:
    return [{"rel": rel, "id": str(other)} for other, rel in pairs]
