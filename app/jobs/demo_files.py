"""The few real files of the demo catalogue: clips and a tone, made on the spot and stored."""

import asyncio
import wave
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from math import pi, sin
from pathlib import Path
from tempfile import mkdtemp

from app.adapters import media_probe, test_card
from app.adapters.storage import Storage
from app.adapters.test_card import ClipSpec
from app.db import Transactions
from app.jobs.demo_assets import SourceFile
from app.jobs.derived_files import DerivedFileMaker
from app.models import Rendition
from app.services import stored_objects
from app.services.asset_documents import to_json
from app.services.derived_files import DerivedFile

TONE_SECONDS = 10
PURPOSES = ("broadcast", "web", "proxy")


@dataclass(frozen=True, slots=True)
class DemoFile:
    """A file in the store, with the poster and the preview that were made of it."""

    source: SourceFile
    derived: Sequence[DerivedFile]

    def rendition(self, *, stem: str, now: datetime) -> Rendition:
        """A new row that refers to it."""
        source = self.source
        return Rendition(
            name=source.name,
            purpose=source.purpose,
            state="ready",
            object_key=source.object_key,
            filename=f"{stem}.{source.extension}",
            media_type=source.media_type,
            size_bytes=source.size_bytes,
            sha256=source.sha256,
            technical=source.technical,
            created_at=now,
        )


@dataclass(frozen=True, slots=True)
class DemoFileMaker:
    transactions: Transactions
    storage: Storage
    folder: Path
    now: datetime

    async def clips(self) -> list[DemoFile]:
        """Three test cards that move, from the largest to the smallest."""
        return [
            await self._clip(spec, purpose)
            for spec, purpose in zip(test_card.DEMO_CLIPS, PURPOSES, strict=True)
        ]

    async def tone(self) -> DemoFile:
        """Ten seconds of line-up tone."""
        path = self.folder / "line-up-tone.wav"
        await asyncio.to_thread(_write_tone, path)
        return await self._store(path, kind="audio", name="master", purpose="master")

    async def _clip(self, spec: ClipSpec, purpose: str) -> DemoFile:
        path = self.folder / f"line-up-card-{spec.title.lower()}.mp4"
        await asyncio.to_thread(test_card.render, path, spec)
        return await self._store(path, kind="video", name=spec.title.lower(), purpose=purpose)

    async def _store(self, path: Path, *, kind: str, name: str, purpose: str) -> DemoFile:
        """Probe, hash and store a file, and what is made from it; no transaction waits."""
        technical = await media_probe.probe(path)
        sha256 = await asyncio.to_thread(media_probe.sha256_file, path)
        key = await stored_objects.store_file(
            self.transactions,
            self.storage,
            path,
            sha256=sha256,
            size_bytes=technical.size_bytes,
            filename=path.name,
            media_type=technical.mime_type,
            now=self.now,
        )
        described = asdict(technical)
        derived = await DerivedFileMaker(self.transactions, self.storage).make(
            path,
            described,
            wanted=("poster", "preview"),
            stem=path.stem,
            folder=Path(await asyncio.to_thread(mkdtemp, dir=self.folder)),  # others work too
            on_progress=lambda _: None,
        )
        source = SourceFile(
            kind=kind,
            name=name,
            purpose=purpose,
            extension=path.suffix.removeprefix("."),
            media_type=technical.mime_type,
            object_key=key,
            size_bytes=technical.size_bytes,
            sha256=sha256,
            technical=described,
            technical_json=to_json(described),
        )
        return DemoFile(source, derived.files)


def by_type(clips: Sequence[DemoFile], tone: DemoFile) -> Mapping[str, Sequence[SourceFile]]:
    """What the assets of each type have: files to download, a poster, a preview."""
    posters = [_shown(clips[0], size) for size in ("poster", "poster@small")]
    pictures = [
        _shown(clip, "poster", name=name, purpose="image")
        for clip, name in zip(clips, ("large", "medium", "small"), strict=True)
    ]
    return {
        "video": [*(clip.source for clip in clips), *posters, _shown(clips[-1], "preview")],
        "image": [*pictures, *posters],
        "audio": [tone.source, _shown(tone, "preview")],
        "story": [pictures[0], *posters],
    }


def _shown(
    file: DemoFile, derived: str, *, name: str | None = None, purpose: str | None = None
) -> SourceFile:
    """A poster or preview, in its own place or offered as a picture."""
    found = next(each for each in file.derived if each.purpose == derived)
    return SourceFile(
        kind=file.source.kind,
        name=name or derived,
        purpose=purpose or derived,
        extension=found.filename.rpartition(".")[2],
        media_type=found.media_type,
        object_key=found.object_key,
        size_bytes=found.size_bytes,
        sha256=found.sha256,
        technical=dict(found.technical),
        technical_json=to_json(found.technical),
    )


def _write_tone(path: Path) -> None:
    """1 kHz at -18 dBFS (EBU R 68), 48 kHz, 16 bits, mono."""
    rate = test_card.SAMPLING_RATE_HZ
    peak = 32767 * 10 ** (test_card.TONE_DBFS / 20)
    second = array("h", (round(peak * sin(2 * pi * 1000 * n / rate)) for n in range(rate)))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(second.itemsize)
        file.setframerate(rate)
        file.writeframes(second.tobytes() * TONE_SECONDS)
