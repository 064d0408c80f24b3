"""An editor at the desk puts assets into a collection one by one, and takes them out."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Asset
from app.services import asset_editing, asset_versions, collection_items
from app.services.context import Editor


async def add(
    session: AsyncSession, reference: str, asset_reference: str, *, editor: Editor, now: datetime
) -> None:
    """Of an asset that belongs to it already nothing changes, its version included."""
    collection_id = await collection_items.find_id(session, reference)
    asset = await asset_versions.lock(session, asset_reference)
    mine = await collection_items.memberships(session, asset.id)
    await _place(session, asset, [*mine, str(collection_id)], editor=editor, now=now)


async def remove(
    session: AsyncSession, reference: str, asset_reference: str, *, editor: Editor, now: datetime
) -> None:
    """Of an asset that does not belong to it nothing changes."""
    collection_id = await collection_items.find_id(session, reference)
    asset = await asset_versions.lock(session, asset_reference)
    mine = await collection_items.memberships(session, asset.id)
    others = [each for each in mine if each != str(collection_id)]
    await _place(session, asset, others, editor=editor, now=now)


async def _place(
    session: AsyncSession,
    asset: Asset,
    collection_ids: Sequence[str],
    *,
    editor: Editor,
    now: datetime,
) -> None:
    """A change of the asset like any other, but it depends on none that somebody else makes."""
    await asset_editing.change(
        session,
        str(asset.id),
        {"collections": list(collection_ids)},
        check=lambda _: None,
        note=None,
        editor=editor,
        now=now,
    )
