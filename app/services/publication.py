"""The life of an asset in public: scheduled, published, and withdrawn for good."""

import json
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import AppError
from app.models import Asset
from app.services import (
    asset_documents,
    asset_fields,
    asset_relations,
    asset_rendering,
    asset_versions,
    shotlists,
    stored_objects,
)
from app.services.asset_editing import AssetPublished, audit
from app.services.asset_versions import VersionCheck
from app.services.assets import RIGHTS_ENDED
from app.services.context import WORKER, Editor


class NotPublished(AppError):
    status, code, title = 409, "asset_not_published", "Only what was published can be withdrawn"


async def publish(
    session: AsyncSession,
    reference: str,
    *,
    publish_at: datetime | None,
    note: str | None,
    check: VersionCheck,
    editor: Editor,
    now: datetime,
) -> Asset:
    """Make an asset public now, or have the worker do it when the embargo lifts.

    Without `publish_at`, the time that the asset itself was given counts, if it is still to come.
    """
    asset = await asset_versions.lock(session, reference)
    check(asset.version)
    if asset.state in {"published", "withdrawn"}:
        raise AssetPublished(f"It is {asset.state} already")
    if publish_at is None and asset.state == "draft":
        publish_at = asset.publish_at
    if publish_at is not None and publish_at > now:
        await _schedule(session, asset, publish_at, note=note, editor=editor, now=now)
    else:
        await _publish(session, asset, note=note, editor=editor, now=now)
    return asset


async def withdraw(
    session: AsyncSession,
    reference: str,
    *,
    reason: str,
    check: VersionCheck,
    editor: Editor,
    now: datetime,
) -> Asset:
    """Take back what was published. Its address says why from then on: never a hole."""
    asset = await asset_versions.lock(session, reference)
    check(asset.version)
    if asset.state == "withdrawn":
        raise AssetPublished("It is withdrawn already")
    if asset.state != "published":
        raise NotPublished
    await _withdraw(session, asset, reason=reason, editor=editor, now=now)
    return asset


async def publish_due(session: AsyncSession, *, now: datetime) -> UUID | None:
    """Publish the scheduled asset that has waited longest; None when none is due.

    Any number of workers may do it: each asset is published by one of them, once.
    """
    query = select(Asset).where(Asset.state == "scheduled", Asset.publish_at <= now)
    waiting = query.order_by(Asset.publish_at).limit(1).with_for_update(skip_locked=True)
    asset = (await session.scalars(waiting)).one_or_none()
    if asset is None:
        return None
    await _publish(session, asset, note=None, editor=WORKER, now=now)
    return asset.id


async def end_due(session: AsyncSession, *, now: datetime) -> UUID | None:
    """Withdraw a published asset that may no longer be offered; None when there is none."""
    query = select(Asset).where(Asset.state == "published", Asset.available_until <= now)
    ended = query.order_by(Asset.available_until).limit(1).with_for_update(skip_locked=True)
    asset = (await session.scalars(ended)).one_or_none()
    if asset is None:
        return None
    await _withdraw(session, asset, reason=RIGHTS_ENDED, editor=WORKER, now=now)
    return asset.id


async def files_changed(
    session: AsyncSession, asset_id: UUID, *, account_id: UUID | None, now: datetime
) -> None:
    """A rendition has become ready or has gone: what is public shows it, as a new version.

    A draft keeps its version, so that processing does not get in the way of who is writing.
    """
    asset = await asset_versions.lock(session, asset_id)
    changes = await shotlists.count_by_file(session, asset)
    if asset.state == "published":
        await asset_versions.record_change(
            session, asset, kind="files", changes=changes, account_id=account_id, now=now
        )


async def render_again(session: AsyncSession, asset_id: UUID, *, now: datetime) -> None:
    """Bring a published document up to date; it is a new version only if it reads differently."""
    asset = await asset_versions.lock(session, asset_id)
    if asset.state != "published":
        return
    # Compared as data: the database keeps the members of stored objects in an order of its own.
    earlier = json.loads(asset.document or "null")
    await asset_rendering.refresh(session, asset)
    if json.loads(asset.document or "null") != earlier:
        await asset_versions.record_change(
            session, asset, kind="rendered", account_id=None, now=now
        )


async def outdated(session: AsyncSession, *, limit: int) -> Sequence[UUID]:
    """Published assets whose documents an earlier release rendered, or were marked as stale."""
    query = select(Asset.id).where(
        Asset.state == "published", Asset.document_format < asset_documents.FORMAT
    )
    return (await session.scalars(query.limit(limit))).all()


async def _schedule(
    session: AsyncSession,
    asset: Asset,
    publish_at: datetime,
    *,
    note: str | None,
    editor: Editor,
    now: datetime,
) -> None:
    _check_publishable(asset, publish_at)
    before = asset_documents.time_text(asset.publish_at)
    asset.state, asset.publish_at = "scheduled", publish_at
    changes = {"publish_at": {"before": before, "after": asset_documents.time_text(publish_at)}}
    await asset_versions.record_change(
        session,
        asset,
        kind="scheduled",
        changes=changes,
        note=note,
        account_id=editor.account_id,
        now=now,
    )
    await audit(session, "asset.scheduled", asset, editor=editor, now=now)


async def _publish(
    session: AsyncSession, asset: Asset, *, note: str | None, editor: Editor, now: datetime
) -> None:
    _check_publishable(asset, now)
    asset.state, asset.published_at, asset.publish_at = "published", now, None
    asset.document = ""  # rendered with the version, which is known only then
    await asset_versions.record_change(
        session, asset, kind="published", note=note, account_id=editor.account_id, now=now
    )
    await asset_relations.enqueue_referrers(session, asset.id)
    await audit(session, "asset.published", asset, editor=editor, now=now)


def _check_publishable(asset: Asset, at: datetime) -> None:
    if asset.available_until is not None and asset.available_until <= at:
        message = "The right to offer it ends before it would be published"
        raise asset_fields.invalid("/publish_at", "rights_ended", message)


async def _withdraw(
    session: AsyncSession, asset: Asset, *, reason: str, editor: Editor, now: datetime
) -> None:
    asset.state, asset.withdrawn_at, asset.withdrawal_reason = "withdrawn", now, reason
    await asset_rendering.remove(session, asset)
    await asset_versions.record_change(
        session, asset, kind="withdrawn", note=reason, account_id=editor.account_id, now=now
    )
    await asset_relations.enqueue_referrers(session, asset.id)
    await stored_objects.enqueue_withdrawal(session, asset.id)
    await audit(session, "asset.withdrawn", asset, editor=editor, now=now)
