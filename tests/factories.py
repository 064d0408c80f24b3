"""Catalogue entries for tests, made by the services that make real ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Asset, ChangeFeed, Rendition, StoredObject
from app.services import asset_editing, exports, publication, stored_objects
from app.services.context import WORKER
from app.services.exports import OfferedFile, Snapshot

PUBLISHED_AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
CONTENTS = bytes(range(256)) * 40


@dataclass(frozen=True)
class Published:
    """An asset with one rendition, which is called "hd"."""

    id: UUID
    slug: str
    rendition_id: UUID
    contents: bytes
    sha256: str
    object_key: str

    @property
    def downloads(self) -> str:
        return f"/v1/assets/{self.id}/renditions/hd/downloads"


async def publish_video(
    app: FastAPI,
    slug: str = "harbour-exercise",
    *,
    contents: bytes = CONTENTS,
    filename: str = "harbour-exercise.mp4",
    age: timedelta = timedelta(0),
    **fields: Any,
) -> Published:
    """Store an object and publish a video with it, `age` before 9 o'clock."""
    digest = sha256(contents).hexdigest()
    await store(app, content_key(digest), contents, filename=filename)
    at = PUBLISHED_AT - age
    async with app.state.database.transaction() as session:
        asset = await create(session, slug, "video", fields=fields, at=at)
        rendition = await add_file(
            session, asset, contents=contents, filename=filename, created_at=at
        )
        await publish(session, asset, at=at)
    return Published(asset.id, slug, rendition.id, contents, digest, content_key(digest))


async def publish_story(
    app: FastAPI, slug: str, *, published_at: datetime = PUBLISHED_AT, **fields: Any
) -> UUID:
    async with app.state.database.transaction() as session:
        asset = await create(session, slug, "story", fields=fields, at=published_at)
        await publish(session, asset, at=published_at)
    return asset.id


async def add_draft(app: FastAPI, slug: str = "a-draft", **fields: Any) -> UUID:
    async with app.state.database.transaction() as session:
        return (await create(session, slug, "video", fields=fields)).id


async def withdraw(app: FastAPI, asset_id: UUID, reason: str) -> None:
    async with app.state.database.transaction() as session:
        await publication.withdraw(
            session,
            str(asset_id),
            reason=reason,
            check=any_version,
            editor=WORKER,
            now=PUBLISHED_AT,
        )


async def create(
    session: AsyncSession,
    slug: str,
    asset_type: str = "video",
    *,
    fields: Mapping[str, Any],
    at: datetime = PUBLISHED_AT,
) -> Asset:
    """A draft by the editors' own way; its title is its slug unless another is given."""
    sent = {"slug": slug, "title": slug, **fields}
    return await asset_editing.create(session, asset_type, sent, editor=WORKER, now=at)


async def add_file(
    session: AsyncSession,
    asset: Asset,
    *,
    contents: bytes = CONTENTS,
    filename: str = "harbour-exercise.mp4",
    created_at: datetime = PUBLISHED_AT,
    **columns: Any,
) -> Rendition:
    """A ready rendition, called "hd" unless it is given a name."""
    digest = sha256(contents).hexdigest()
    key = content_key(digest)
    if await session.get(StoredObject, key) is None:
        session.add(
            StoredObject(
                key=key,
                size_bytes=len(contents),
                sha256=digest,
                created_at=created_at,
                claimed_at=created_at,
            )
        )
        await session.flush()
    rendition = Rendition(
        **{
            "asset_id": asset.id,
            "name": "hd",
            "purpose": "broadcast",
            "object_key": key,
            "filename": filename,
            "media_type": "video/mp4",
            "size_bytes": len(contents),
            "sha256": digest,
            "technical": {"duration_ms": 10_000},
            "created_at": created_at,
            **columns,
        }
    )
    session.add(rendition)
    await session.flush()
    return rendition


async def publish(session: AsyncSession, asset: Asset, *, at: datetime = PUBLISHED_AT) -> None:
    await publication.publish(
        session,
        str(asset.id),
        publish_at=None,
        note=None,
        check=any_version,
        editor=WORKER,
        now=at,
    )


async def add_export(app: FastAPI) -> UUID:
    """An export of an empty catalogue, without the connections of its own that a real one needs."""
    files = []
    async with app.state.database.transaction() as session:
        for file_format in exports.MEDIA_TYPES:
            contents = file_format.encode()
            digest = sha256(contents).hexdigest()
            key = await stored_objects.claim(
                session,
                sha256=digest,
                size_bytes=len(contents),
                now=PUBLISHED_AT,
                prefix=stored_objects.EXPORTS,
            )
            await store(app, key, contents)
            files.append(OfferedFile(file_format, key, len(contents), digest))
        epoch = (await session.scalars(select(ChangeFeed.epoch))).one()
        sequence = (await session.scalars(select(ChangeFeed.last_sequence))).one()
        snapshot = Snapshot(epoch, sequence, PUBLISHED_AT, 0)
        return await exports.add(session, snapshot, files, now=PUBLISHED_AT)


def any_version(_: int) -> None:
    """The check of an editor who has seen the newest version."""


async def store(app: FastAPI, key: str, contents: bytes, *, filename: str = "a.mp4") -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "object"
        path.write_bytes(contents)
        await app.state.storage.put_file(key, path, filename=filename, media_type="video/mp4")


def content_key(digest: str) -> str:
    """The same for the same contents, so that tests can tell it beforehand."""
    return f"renditions/{digest[:2]}/{digest}"
