"""Makes posters and previews from a file on this machine, and puts them into the store."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import structlog

from app.adapters import media_probe, poster, preview
from app.adapters.poster import PosterError
from app.adapters.preview import PreviewError
from app.adapters.storage import Storage
from app.adapters.technical_metadata import Image, TechnicalMetadata
from app.adapters.workspace import WorkspaceFull
from app.db import Transactions
from app.services import policy, stored_objects
from app.services.derived_files import DerivedFile, Purpose, Shown
from app.services.rendition_rules import FileRefused, Technical, kind_of

log = structlog.get_logger(__name__)

OnProgress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Derived:
    """What could be made; `is_complete` is False where something could not."""

    files: Sequence[DerivedFile]
    is_complete: bool


@dataclass(frozen=True, slots=True)
class _Made:
    purpose: Purpose
    path: Path
    technical: TechnicalMetadata


@dataclass(frozen=True, slots=True)
class DerivedFileMaker:
    transactions: Transactions
    storage: Storage

    async def make(
        self,
        source: Path,
        technical: Technical,
        *,
        wanted: Collection[Shown],
        stem: str,
        folder: Path,
        on_progress: OnProgress,
    ) -> Derived:
        """Make what is wanted and can be; `stem` begins the names that the files are given.

        A picture is decoded in any case. Raises `FileRefused` when not a single one can be.
        """
        kind = kind_of(technical)
        made: list[_Made | None] = []
        if kind != "audio":
            pictures = await _make_posters(source, technical, folder)
            made += pictures if None in pictures or "poster" in wanted else []
        if kind != "image" and "preview" in wanted:
            made.append(await _make_preview(source, technical, folder, on_progress))
        files = [await self._store(each, stem) for each in made if each is not None]
        return Derived(files, is_complete=None not in made)

    async def _store(self, made: _Made, stem: str) -> DerivedFile:
        sha256 = await asyncio.to_thread(media_probe.sha256_file, made.path)
        technical = asdict(made.technical)
        file = DerivedFile(
            purpose=made.purpose,
            filename=f"{stem}-{made.path.name}",
            media_type=made.technical.mime_type,
            size_bytes=made.technical.size_bytes,
            sha256=sha256,
            object_key="",
            technical=technical,
        )
        key = await stored_objects.store_file(
            self.transactions,
            self.storage,
            made.path,
            sha256=sha256,
            size_bytes=file.size_bytes,
            filename=file.filename,
            media_type=file.media_type,
            now=datetime.now(UTC),  # the preview may have taken hours
        )
        return replace(file, object_key=key)


async def _make_posters(source: Path, technical: Technical, folder: Path) -> Sequence[_Made | None]:
    """Both or neither, so that they show the same."""
    seconds = (technical["duration_ms"] or 0) / 1000 if technical["video"] else 0
    moments = (*(part * seconds for part in poster.MOMENTS), 0) if seconds else (0,)
    try:
        large = await poster.poster(source, seconds=moments, width=poster.WIDTH)
        shown = await _written("poster", large, folder / "poster.jpg")
        small = await poster.poster(shown.path, width=policy.SMALL_POSTER_WIDTH)
    except PosterError as error:
        _refuse_undecodable(error.code)
        log.warning("poster_not_made", reason=str(error))
        return [None]
    return [shown, await _written("poster@small", small, folder / "poster-small.jpg")]


async def _written(purpose: Purpose, picture: poster.Poster, path: Path) -> _Made:
    await asyncio.to_thread(path.write_bytes, picture.jpeg)
    return _Made(purpose, path, _poster_metadata(picture))


async def _make_preview(
    source: Path, technical: Technical, folder: Path, on_progress: OnProgress
) -> _Made | None:
    path = folder / "preview.mp4"
    try:
        await preview.make_preview(
            source, path, duration_ms=technical["duration_ms"], on_progress=on_progress
        )
        return _Made("preview", path, await media_probe.probe(path))
    except PreviewError as error:
        if error.code == "no_space":
            raise WorkspaceFull(str(error)) from error
        if technical["video"] is None:  # of a video, pictures were decoded: its poster
            _refuse_undecodable(error.code)
        log.warning("preview_not_made", reason=str(error))
        return None


def _refuse_undecodable(code: str | None) -> None:
    if code == "undecodable":
        raise FileRefused(code)


def _poster_metadata(picture: poster.Poster) -> TechnicalMetadata:
    return TechnicalMetadata(
        container="JPEG",
        mime_type="image/jpeg",
        size_bytes=len(picture.jpeg),
        duration_ms=None,
        bit_rate=None,
        video=None,
        audio_tracks=(),
        start_timecode=None,
        drop_frame=None,
        image=Image(picture.width, picture.height),
    )
