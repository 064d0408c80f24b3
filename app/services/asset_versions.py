"""Versions of assets: each change is one more, and keeps what was changed, by whom and why."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import NotFound
from app.models import Asset, AssetVersion
from app.services import asset_documents, asset_rendering
from app.services import changes as feed
from app.services.changes import Kind

# Raises unless the client has seen this version (If-Match); called under the asset's lock.
VersionCheck = Callable[[int], None]


async def lock(session: AsyncSession, reference: str | UUID) -> Asset:
    """An asset of any state, by id or slug, locked until the transaction ends."""
    query = select(Asset).where(_is(reference)).with_for_update()
    asset = (
        await session.scalars(query, execution_options={"populate_existing": True})
    ).one_or_none()
    if asset is None:
        raise NotFound
    return asset


async def get(session: AsyncSession, reference: str) -> Asset | None:
    """An asset of any state, for editors."""
    return (await session.scalars(select(Asset).where(_is(reference)))).one_or_none()


def _is(reference: str | UUID) -> ColumnElement[bool]:
    asset_id = reference if isinstance(reference, UUID) else asset_documents.parse_id(reference)
    return Asset.id == asset_id if asset_id else Asset.slug == reference


async def record_change(
    session: AsyncSession,
    asset: Asset,
    *,
    kind: str,
    account_id: UUID | None,
    now: datetime,
    changes: Mapping[str, Any] | None = None,
    note: str | None = None,
) -> None:
    """Count a change of a locked asset as its next version; what is public is rendered again.

    Of a new asset it is the first version.
    """
    if kind != "created":
        asset.version += 1
    asset.updated_at = now
    session.add(
        AssetVersion(
            asset_id=asset.id,
            version=asset.version,
            kind=kind,
            note=note,
            changes=dict(changes or {}),
            account_id=account_id,
            occurred_at=now,
        )
    )
    await session.flush()
    if asset.state == "published":
        await asset_rendering.refresh(session, asset)
        seen_as: Kind = "created" if kind == "published" else "updated"
    elif kind == "withdrawn":
        seen_as = "withdrawn"
    else:
        return
    await feed.record(session, seen_as, asset_id=asset.id, version=asset.version, now=now)


async def list_versions(
    session: AsyncSession, reference: str, *, before: int | None, limit: int
) -> Sequence[AssetVersion]:
    """Newest first; `before` is the version that the previous page ended with."""
    asset_id = await session.scalar(select(Asset.id).where(_is(reference)))
    if asset_id is None:
        raise NotFound
    query = select(AssetVersion).where(AssetVersion.asset_id == asset_id)
    if before is not None:
        query = query.where(AssetVersion.version < before)
    newest_first = query.order_by(AssetVersion.version.desc()).limit(limit)
    return (await session.scalars(newest_first)).all()
