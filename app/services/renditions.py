"""The files of assets, as editors and readers see them.

rendition_processing.py is what the worker does to them, rendition_rules.py what it goes by.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.errors import NotFound
from app.models import Asset, Rendition
from app.services import (
    asset_documents,
    asset_editing,
    asset_versions,
    derived_files,
    publication,
    rendition_processing,
)
from app.services.asset_documents import DERIVED_PURPOSES
from app.services.asset_editing import AssetPublished
from app.services.asset_versions import VersionCheck
from app.services.assets import AssetWithdrawn
from app.services.context import Editor

# What a file is until it has been looked at.
UNKNOWN_MEDIA_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Duplicate:
    """An earlier file with the same bytes."""

    asset_id: UUID
    rendition: str


@dataclass(frozen=True, slots=True)
class RenditionView:
    name: str
    purpose: str
    state: str
    progress: int
    failure: str | None
    failure_detail: str | None
    duplicate_of: Duplicate | None
    filename: str
    media_type: str
    size_bytes: int
    sha256: str | None
    technical: dict[str, Any]
    download: str | None
    created_at: datetime


async def begin(
    session: AsyncSession,
    *,
    asset_id: UUID,
    name: str,
    purpose: str,
    filename: str,
    size_bytes: int,
    account_id: UUID,
    now: datetime,
) -> Rendition:
    """Note that a file has come in whole, and have the worker look at it."""
    rendition = Rendition(
        asset_id=asset_id,
        name=name,
        purpose=purpose,
        state="processing",
        progress=0,
        due_at=now,
        filename=filename,
        media_type=UNKNOWN_MEDIA_TYPE,
        size_bytes=size_bytes,
        created_at=now,
        created_by=account_id,
    )
    session.add(rendition)
    await session.flush()
    await rendition_processing.enqueue(session, [rendition.id])
    return rendition


async def list_renditions(
    session: AsyncSession, reference: str, *, for_editor: bool
) -> Sequence[RenditionView]:
    """What can be downloaded; editors see how far the others are, and why they failed."""
    asset = await _find(session, reference, for_editor=for_editor)
    query = (
        select(Rendition)
        .where(Rendition.asset_id == asset.id, Rendition.purpose.not_in(DERIVED_PURPOSES))
        .where(Rendition.state != "replaced" if for_editor else Rendition.state == "ready")
        .order_by(Rendition.id)
    )
    found = (await session.scalars(query)).all()
    duplicates = await _duplicates(session, asset.id) if for_editor else {}
    return [_view(each, duplicates.get(each.id), for_editor=for_editor) for each in found]


async def remove(
    session: AsyncSession,
    reference: str,
    name: str,
    *,
    check: VersionCheck,
    editor: Editor,
    now: datetime,
) -> None:
    """Take a file out of an asset, with what was made of it. What is in work is given up."""
    asset = await asset_versions.lock(session, reference)
    check(asset.version)
    if asset.state == "withdrawn":
        raise AssetPublished("A withdrawn asset stays as it was")
    of_name = (Rendition.asset_id == asset.id, Rendition.name == name)
    is_removable = (Rendition.state != "replaced", Rendition.purpose.not_in(DERIVED_PURPOSES))
    removed = await session.scalars(
        update(Rendition)
        .where(*of_name, *is_removable)
        .values(state="replaced", due_at=None)
        .returning(Rendition.id)
    )
    ids = removed.all()
    if not ids:
        raise NotFound
    if await derived_files.replace_made_from(session, asset.id, ids):
        await rendition_processing.show_by_another(session, asset.id, now=now)
    await publication.files_changed(session, asset.id, account_id=editor.account_id, now=now)
    await asset_editing.audit(session, "asset.file_removed", asset, editor=editor, now=now)


async def _find(session: AsyncSession, reference: str, *, for_editor: bool) -> Asset:
    asset_id = asset_documents.parse_id(reference)
    query = select(Asset).where(Asset.id == asset_id if asset_id else Asset.slug == reference)
    asset = await session.scalar(query)
    if asset is None or (not for_editor and asset.state in {"draft", "scheduled"}):
        raise NotFound
    if not for_editor and asset.state == "withdrawn":
        raise AssetWithdrawn(asset.withdrawal_reason)
    return asset


async def _duplicates(session: AsyncSession, asset_id: UUID) -> dict[UUID, Duplicate]:
    """For each file of the asset the first one in the catalogue that had the same bytes."""
    earlier = aliased(Rendition)
    query = (
        select(Rendition.id, earlier.asset_id, earlier.name)
        .join(earlier, (earlier.sha256 == Rendition.sha256) & (earlier.id < Rendition.id))
        .where(Rendition.asset_id == asset_id, Rendition.state != "replaced")
        .where(earlier.state.in_(("ready", "replaced")))
        .ext(distinct_on(Rendition.id))
        .order_by(Rendition.id, earlier.id)
    )
    rows = await session.execute(query)
    return {rendition_id: Duplicate(owner, name) for rendition_id, owner, name in rows}


def _view(rendition: Rendition, duplicate: Duplicate | None, *, for_editor: bool) -> RenditionView:
    """What a file lacks is the editors' affair."""
    download = f"/v1/assets/{rendition.asset_id}/renditions/{rendition.name}/download"
    return RenditionView(
        name=rendition.name,
        purpose=rendition.purpose,
        state=rendition.state,
        progress=rendition.progress,
        failure=rendition.failure if for_editor else None,
        failure_detail=rendition.failure_detail if for_editor else None,
        duplicate_of=duplicate,
        filename=rendition.filename,
        media_type=rendition.media_type,
        size_bytes=rendition.size_bytes,
        sha256=rendition.sha256,
        technical=rendition.technical,
        download=download if rendition.state == "ready" else None,
        created_at=rendition.created_at,
    )
