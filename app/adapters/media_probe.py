"""What a media file is, technically: read by MediaInfo, in a sandbox."""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from app.adapters import picture_end, sandbox
from app.adapters.media_report import Fields, technical_metadata
from app.adapters.technical_metadata import TechnicalMetadata

Reason = Literal[
    "file_empty",
    "file_truncated",
    "not_media",
    "references_other_files",
    "encrypted",
    "parser_failed",
]

_CUT_ANYWHERE = {"MPEG-TS", "MPEG-PS", "MPEG Audio"}  # streams that play wherever they end


class ProbeError(Exception):
    """The file is no media that could be offered; `reason` says why."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


async def probe(path: Path) -> TechnicalMetadata:
    """Read the technical metadata of a complete, self-contained file, or raise ProbeError.

    Raises `sandbox.Interrupted` where the host ended the parser.
    """
    size = (await asyncio.to_thread(path.stat)).st_size
    if size == 0:
        raise ProbeError("file_empty")
    try:
        report = json.loads(await sandbox.run("app.adapters.media_reader:read_report", path))
    except sandbox.Interrupted:
        raise
    except sandbox.SandboxError as error:
        raise ProbeError("parser_failed") from error
    tracks: list[Fields] = report["media"]["track"]
    _refuse_unusable(tracks)
    technical = technical_metadata(tracks, size)
    if technical is None:
        raise ProbeError("not_media")
    if await asyncio.to_thread(picture_end.is_cut, path, technical.container):
        raise ProbeError("file_truncated")
    return technical


def sha256_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse_unusable(tracks: Sequence[Fields]) -> None:
    general = tracks[0]
    notes = [track.get("extra", {}) for track in tracks]
    if any(note.get("Source_Info") == "Missing" for note in notes):
        raise ProbeError("references_other_files")
    if any(track.get("Encryption") for track in tracks):
        raise ProbeError("encrypted")
    if notes[0].get("IsTruncated") == "Yes" and general.get("Format") not in _CUT_ANYWHERE:
        raise ProbeError("file_truncated")
