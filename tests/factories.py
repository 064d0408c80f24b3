"""Catalogue entries for tests, made by the services that make real ones."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

from fastapi import FastAPI

from app.adapters.storage import content_key
from app.models import Asset, Rendition
from app.services import assets

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
    published_at = PUBLISHED_AT - age
    asset = make_asset(slug, fields={"title": slug, **fields}, created_at=published_at)
    rendition = Rendition(
        name="hd",
        purpose="broadcast",
        object_key=content_key(digest),
        filename=filename,
        media_type="video/mp4",
        size_bytes=len(contents),
        sha256=digest,
        technical={"duration_ms": 10_000},
        created_at=published_at,
    )
    async with app.state.database.transaction() as session:
        await assets.publish(session, asset, [rendition], now=published_at)
    return Published(asset.id, slug, rendition.id, contents, digest, content_key(digest))


async def publish_story(
    app: FastAPI, slug: str, *, published_at: datetime = PUBLISHED_AT, **fields: Any
) -> UUID:
    asset = make_asset(slug, "story", fields={"title": slug, **fields}, created_at=published_at)
    async with app.state.database.transaction() as session:
        await assets.publish(session, asset, [], now=published_at)
    return asset.id


async def add_draft(app: FastAPI, slug: str = "a-draft") -> UUID:
    asset = make_asset(slug, updated_at=PUBLISHED_AT)
    async with app.state.database.transaction() as session:
        session.add(asset)
    return asset.id


async def withdraw(app: FastAPI, asset_id: UUID, reason: str | None) -> None:
    async with app.state.database.transaction() as session:
        asset = await session.get_one(Asset, asset_id)
        asset.state, asset.withdrawal_reason = "withdrawn", reason
        asset.withdrawn_at = PUBLISHED_AT


async def store(app: FastAPI, key: str, contents: bytes, *, filename: str = "a.mp4") -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "object"
        path.write_bytes(contents)
        await app.state.storage.put_file(key, path, filename=filename, media_type="video/mp4")


def make_asset(slug: str, asset_type: str = "video", **columns: Any) -> Asset:
    return Asset(
        **{
            "slug": slug,
            "type": asset_type,
            "language": "en",
            "fields": {},
            "version": 1,
            "created_at": PUBLISHED_AT,
            **columns,
        }
    )
