"""What editors do to the text of an asset: create it, change it, delete what never was public."""

from collections.abc import Mapping
from datetime import datetime
from itertools import count
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from app.errors import AppError, constraint_name
from app.models import Asset
from app.services import (
    asset_documents,
    asset_fields,
    asset_relations,
    asset_versions,
    audit_events,
    collection_items,
    keywords,
    shotlists,
)
from app.services.asset_versions import VersionCheck
from app.services.context import Editor

# What an asset has beside its descriptive fields, in columns and tables of their own.
_COLUMNS = ("slug", "language", "publish_at", "available_until")


class SlugTaken(AppError):
    status, code, title = 409, "slug_taken", "Another asset has this slug"


class AssetPublished(AppError):
    status, code, title = 409, "asset_published", "That is not possible once an asset was public"


async def create(
    session: AsyncSession,
    asset_type: str,
    sent: Mapping[str, Any],
    *,
    editor: Editor,
    now: datetime,
) -> Asset:
    """A draft, with a slug made from its title where none is given."""
    asset = Asset(
        id=uuid7(),
        slug=sent.get("slug") or await _free_slug(session, sent["title"]),
        type=asset_type,
        state="draft",
        version=1,
        language=sent.get("language") or "en",
        fields={},
        created_at=now,
        updated_at=now,
        created_by=editor.account_id,
    )
    session.add(asset)
    await _flush(session)
    columns = {"slug": asset.slug, "language": asset.language}
    await _apply(session, asset, {**sent, **columns}, now=now)
    await asset_versions.record_change(
        session, asset, kind="created", account_id=editor.account_id, now=now
    )
    await audit(session, "asset.created", asset, editor=editor, now=now)
    return asset


async def change(
    session: AsyncSession,
    reference: str,
    patch: Mapping[str, Any],
    *,
    check: VersionCheck,
    note: str | None,
    editor: Editor,
    now: datetime,
) -> Asset:
    """Apply a merge patch; of a published asset that is a correction, seen at once.

    A patch that changes nothing makes no version.
    """
    asset = await asset_versions.lock(session, reference)
    check(asset.version)
    _refuse_what_is_too_late(asset, patch)
    earlier_state = asset.state
    changes = await _apply(session, asset, patch, now=now)
    if not changes and note is None:
        return asset
    kind = "corrected" if asset.state == "published" else "edited"
    if asset.state != earlier_state:
        kind = "unscheduled"
    await asset_versions.record_change(
        session,
        asset,
        kind=kind,
        changes=changes,
        note=note,
        account_id=editor.account_id,
        now=now,
    )
    if asset.state == "published" and "title" in changes:
        await asset_relations.enqueue_referrers(session, asset.id)
    await audit(session, f"asset.{kind}", asset, editor=editor, now=now)
    return asset


async def delete_draft(
    session: AsyncSession, reference: str, *, check: VersionCheck, editor: Editor, now: datetime
) -> None:
    """Only what nobody has seen can be deleted; the rest is withdrawn and leaves a tombstone."""
    asset = await asset_versions.lock(session, reference)
    check(asset.version)
    if asset.published_at is not None:
        raise AssetPublished("An asset that was public can be withdrawn, not deleted")
    await audit(session, "asset.deleted", asset, editor=editor, now=now)
    await session.delete(asset)
    await session.flush()


async def audit(
    session: AsyncSession, action: str, asset: Asset, *, editor: Editor, now: datetime
) -> None:
    """Append a step of an asset's life to the audit trail."""
    await audit_events.record(
        session,
        action,
        account_id=editor.account_id,
        client=editor.client,
        details={"asset_id": str(asset.id), "slug": asset.slug, "version": asset.version},
        now=now,
    )


def _refuse_what_is_too_late(asset: Asset, patch: Mapping[str, Any]) -> None:
    if asset.state == "withdrawn":
        raise AssetPublished("A withdrawn asset stays as it was")
    if asset.state == "published":
        if "publish_at" in patch:
            raise AssetPublished("It is public already; withdraw it to take it back")
        if patch.get("slug", asset.slug) != asset.slug:
            raise AssetPublished("Its address is in use; the slug stays")


async def _apply(
    session: AsyncSession, asset: Asset, patch: Mapping[str, Any], *, now: datetime
) -> dict[str, Any]:
    """Merge a patch into an asset; returns what has changed, by field, before and after."""
    asset_fields.check_required(patch)
    patch = dict(patch)
    changes = _set_columns(asset, patch, now=now)
    if "collections" in patch:
        references = patch.pop("collections") or []
        changes["collections"] = await collection_items.set_memberships(
            session, asset.id, references
        )
    if "related" in patch:
        references = patch.pop("related") or []
        changes["related"] = await asset_relations.set_related(session, asset, references)
    if patch.get("keywords"):
        patch["keywords"] = await keywords.canonical(session, patch["keywords"], now=now)
    if patch.get("shotlist"):
        patch["shotlist"] = await shotlists.timed(session, asset.id, patch["shotlist"])
    merged = asset_fields.merge(asset.fields, patch)
    asset_fields.check_merged(merged)
    for name in patch:
        if (before := asset.fields.get(name)) != (after := merged.get(name)):
            changes[name] = {"before": before, "after": after}
    asset.fields = merged
    await _flush(session)
    return {name: change for name, change in changes.items() if change}


async def _flush(session: AsyncSession) -> None:
    """Write; the slug's uniqueness is decided by its constraint alone."""
    try:
        async with session.begin_nested():
            await session.flush()
    except IntegrityError as error:
        if constraint_name(error) == "uq_asset_slug":
            raise SlugTaken from None
        raise


def _set_columns(asset: Asset, patch: dict[str, Any], *, now: datetime) -> dict[str, Any]:
    changes = {}
    for name in _COLUMNS:
        if name not in patch:
            continue
        before, after = getattr(asset, name), patch.pop(name)
        if isinstance(after, datetime) and after <= now:
            raise asset_fields.invalid(f"/{name}", "in_the_past", "This must be in the future")
        if before != after:
            setattr(asset, name, after)
            if name == "publish_at" and after is None and asset.state == "scheduled":
                asset.state = "draft"
            changes[name] = {"before": _plain(before), "after": _plain(after)}
    return changes


async def _free_slug(session: AsyncSession, title: str) -> str:
    """The title's, or with the next free number; or for a title in another script, random.

    Two editors who save the same title at once take turns.
    """
    slug = asset_fields.slug_of(title) or f"asset-{uuid7().hex[-12:]}"
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtext(slug))))
    numbered = Asset.slug.regexp_match(f"^{slug}-[0-9]+$")
    taken = set(await session.scalars(select(Asset.slug).where((Asset.slug == slug) | numbered)))
    if slug not in taken:
        return slug
    return next(name for n in count(2) if (name := f"{slug}-{n}") not in taken)


def _plain(value: Any) -> Any:
    """Ready for JSON."""
    return asset_documents.time_text(value) if isinstance(value, datetime) else value
