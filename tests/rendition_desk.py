"""An editor who uploads, the worker that takes it up, and a stand-in for what looks into files."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from fastapi import FastAPI
from sqlalchemy import update

from app.adapters.poster import Poster
from app.adapters.technical_metadata import AudioTrack, Image, TechnicalMetadata, VideoTrack
from app.adapters.upload_store import open_upload_store
from app.db import Database
from app.jobs.incoming_files import IncomingFiles
from app.jobs.renditions import RenditionProcessor
from app.models import Rendition
from tests.factories import PUBLISHED_AT, create, publish
from tests.helpers import rows
from tests.tus_client import Tus

SHOWN = {"poster", "poster@small", "preview"}
SCRATCH = hashlib.shake_128(b"contents").digest(5_000)


@dataclass
class Desk:
    """An editor with an asset, and the worker that looks at what is uploaded."""

    tus: Tus
    database: Database
    processor: RenditionProcessor
    asset: str = "harbour"

    async def upload(
        self, contents: bytes = SCRATCH, *, asset: str | None = None, **metadata: str
    ) -> UUID:
        metadata = {"asset_id": asset or self.asset, "filename": "Harbour.mp4", **metadata}
        response = await self.tus.create(len(contents), contents, **metadata)
        assert response.status_code == 201, response.text
        return max(row.id for row in await rows(self.database, Rendition))

    async def process(self, rendition_id: UUID) -> Rendition:
        await self.processor.process(rendition_id)
        return await self.row(rendition_id)

    async def add(self, contents: bytes = SCRATCH, **metadata: Any) -> Rendition:
        return await self.process(await self.upload(contents, **metadata))

    async def row(self, rendition_id: UUID) -> Rendition:
        async with self.database.transaction() as session:
            return await session.get_one(Rendition, rendition_id, populate_existing=True)

    async def shown(self) -> dict[str, Rendition]:
        """The ready posters and preview, by purpose."""
        found = await rows(self.database, Rendition)
        return {row.purpose: row for row in found if row.state == "ready" and row.purpose in SHOWN}

    async def due_now(self, rendition_id: UUID) -> None:
        """Let the pause before the next try, or a dead worker's lease, be over."""
        async with self.database.transaction() as session:
            await session.execute(
                update(Rendition).where(Rendition.id == rendition_id).values(due_at=PUBLISHED_AT)
            )

    async def due_again(self, rendition_id: UUID) -> Rendition:
        """Work on a file again that something has made due; it was not by itself."""
        assert (await self.row(rendition_id)).due_at is not None
        await self.due_now(rendition_id)
        return await self.process(rendition_id)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.tus.client.get(f"/v1/assets/{path}", headers=headers)

    async def files(self, *, as_editor: bool = True) -> list[dict[str, Any]]:
        headers = self.tus.session if as_editor else {}
        response = await self.get(f"{self.asset}/renditions", **headers)
        assert response.status_code == 200, response.text
        items: list[dict[str, Any]] = response.json()["items"]
        return items


def processor_of(app: FastAPI) -> RenditionProcessor:
    storage = app.state.storage
    files = IncomingFiles(storage, open_upload_store(storage))
    return RenditionProcessor(app.state.database, files, app.state.settings.data_dir / "tmp")


async def add_asset(
    app: FastAPI, slug: str, asset_type: str = "video", *, is_published: bool = True
) -> None:
    async with app.state.database.transaction() as session:
        asset = await create(session, slug, asset_type, fields={})
        if is_published:
            await publish(session, asset)


NOTHING_KNOWN: dict[str, Any] = dict.fromkeys(VideoTrack.__dataclass_fields__)
VIDEO = VideoTrack(**NOTHING_KNOWN | {"codec": "AVC", "width": 1920, "height": 1080})
SOUND = AudioTrack("PCM", 2, None, 48_000, 24, None, None)


def technical(kind: str = "video", **fields: Any) -> TechnicalMetadata:
    mime_type = {"video": "video/mp4", "audio": "audio/vnd.wave", "image": "image/jpeg"}[kind]
    known: dict[str, Any] = {
        "container": "MPEG-4",
        "mime_type": mime_type,
        "size_bytes": len(SCRATCH),
        "duration_ms": None if kind == "image" else 10_000,
        "bit_rate": None,
        "video": VIDEO if kind == "video" else None,
        "audio_tracks": (SOUND,) if kind != "image" else (),
        "start_timecode": None,
        "drop_frame": None,
        "image": Image(4000, 3000) if kind == "image" else None,
    }
    return TechnicalMetadata(**known | fields)


@dataclass
class Media:
    """Stands in for the programs that look into files, where the rules about them are tested."""

    kind: str = "video"
    fields: dict[str, Any] | None = None
    probe_error: Exception | None = None
    poster_error: Exception | None = None
    preview_error: Exception | None = None
    made: int = 0

    async def probe(self, path: Path) -> TechnicalMetadata:
        if path.name == "preview.mp4":
            return technical(size_bytes=len(str(self.made)) + 7)
        if self.probe_error:
            raise self.probe_error
        return technical(self.kind, **(self.fields or {}))

    async def poster(self, path: Path, *, seconds: Sequence[float] = (0,), width: int) -> Poster:
        if width == 480:
            assert path.name == "poster.jpg"
            return Poster(b"small " + await asyncio.to_thread(path.read_bytes), 480, 270)
        assert (width, seconds[-1]) == (1280, 0)
        if self.poster_error:
            raise self.poster_error
        self.made += 1
        return Poster(b"jpeg %d" % self.made, 1280, 720)

    async def preview(
        self, _source: Path, target: Path, *, duration_ms: int | None, on_progress: Any
    ) -> None:
        assert duration_ms == 10_000
        on_progress(50)
        if self.preview_error:
            raise self.preview_error
        self.made += 1
        await asyncio.to_thread(target.write_bytes, b"preview%d" % self.made)
