"""Captions of an asset, one file for each language."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import AppError, NotFound
from app.models import Asset, Caption
from app.services import asset_editing, asset_versions, policy, webvtt
from app.services.asset_editing import AssetPublished
from app.services.asset_versions import VersionCheck
from app.services.auth import Transactions
from app.services.context import Editor

Kind = Literal["captions", "subtitles"]
FileType = Literal["text/vtt", "application/x-subrip"]


class TooManyCaptions(AppError):
    status, code = 409, "too_many_captions"
    title = f"An asset has captions in at most {policy.MAX_CAPTIONS_PER_ASSET} languages"


@dataclass(frozen=True, slots=True)
class CaptionFile:
    """What an editor sends: a file and what players call it."""

    data: bytes
    media_type: FileType
    kind: Kind
    label: str | None


@dataclass(frozen=True, slots=True)
class StoredCaption:
    asset_id: UUID
    # Of the asset, with these captions.
    version: int
    is_new: bool
    language: str
    kind: str
    label: str | None

    @property
    def url(self) -> str:
        return f"/v1/assets/{self.asset_id}.captions.{self.language}.vtt"


async def put(
    transactions: Transactions,
    reference: str,
    language: str,
    file: CaptionFile,
    *,
    check: VersionCheck,
    editor: Editor,
    now: datetime,
) -> StoredCaption:
    """Keep a language's captions, in place of those that were there.

    The same file again makes no version. Raises `InvalidCaptions` for a file that can't be read.
    """
    language = language_tag(language)
    read = webvtt.read_webvtt if file.media_type == "text/vtt" else webvtt.convert_subrip
    # Two megabytes take a third of a second, in which other requests go on.
    text = await asyncio.to_thread(read, file.data)
    async with transactions() as session:
        asset = await _lock(session, reference, check)
        before = await _languages(session, asset.id)
        if language not in before and len(before) >= policy.MAX_CAPTIONS_PER_ASSET:
            raise TooManyCaptions
        columns = {"kind": file.kind, "label": file.label, "webvtt": text}
        if await _write(session, asset.id, language, columns, now=now):
            await _record(session, asset, before, editor=editor, now=now)
        return StoredCaption(
            asset.id, asset.version, language not in before, language, file.kind, file.label
        )


async def remove(
    session: AsyncSession,
    reference: str,
    language: str,
    *,
    check: VersionCheck,
    editor: Editor,
    now: datetime,
) -> int:
    """Take a language's captions away; returns the asset's version without them."""
    asset = await _lock(session, reference, check)
    caption = await session.get(Caption, (asset.id, language_tag(language)))
    if caption is None:
        raise NotFound
    before = await _languages(session, asset.id)
    await session.delete(caption)
    await _record(session, asset, before, editor=editor, now=now)
    return asset.version


def language_tag(tag: str) -> str:
    """A language tag in its usual case: en-GB, zh-Hant (RFC 5646, section 2.1.1)."""
    language, *others = tag.split("-")
    usual = {2: str.upper, 4: str.title}
    return "-".join([language.lower(), *(usual.get(len(each), str.lower)(each) for each in others)])


async def _lock(session: AsyncSession, reference: str, check: VersionCheck) -> Asset:
    asset = await asset_versions.lock(session, reference)
    check(asset.version)
    if asset.state == "withdrawn":
        raise AssetPublished("A withdrawn asset stays as it was")
    return asset


async def _languages(session: AsyncSession, asset_id: UUID) -> Sequence[str]:
    query = select(Caption.language).where(Caption.asset_id == asset_id)
    return (await session.scalars(query.order_by(Caption.language))).all()


async def _write(
    session: AsyncSession, asset_id: UUID, language: str, columns: dict[str, Any], *, now: datetime
) -> bool:
    """Whether anything is different from before."""
    caption = await session.get(Caption, (asset_id, language))
    if caption is None:
        caption = Caption(asset_id=asset_id, language=language)
        session.add(caption)
    elif all(getattr(caption, name) == value for name, value in columns.items()):
        return False
    for name, value in columns.items():
        setattr(caption, name, value)
    caption.sha256 = sha256(caption.webvtt.encode()).hexdigest()
    caption.updated_at = now
    await session.flush()
    return True


async def _record(
    session: AsyncSession, asset: Asset, before: Sequence[str], *, editor: Editor, now: datetime
) -> None:
    await session.flush()
    after = await _languages(session, asset.id)
    await asset_versions.record_change(
        session,
        asset,
        kind="corrected" if asset.state == "published" else "edited",
        changes={"captions": {"before": list(before), "after": list(after)}},
        account_id=editor.account_id,
        now=now,
    )
    await asset_editing.audit(session, "asset.captions_changed", asset, editor=editor, now=now)
