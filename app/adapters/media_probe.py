"""What a media file is, technically: read by MediaInfo, in a sandbox."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pymediainfo import MediaInfo

from app.adapters import sandbox

ScanType = Literal["progressive", "interlaced"]
Reason = Literal[
    "file_empty", "file_truncated", "not_media", "references_other_files", "parser_failed"
]
_Fields = Mapping[str, Any]  # of one MediaInfo track; an absent field is unknown

_CUT_ANYWHERE = {"MPEG-TS", "MPEG-PS", "MPEG Audio"}  # streams that play wherever they end
# MediaInfo does not look back into a piece that reaches the end of the file, and then misses the
# timecode of a short MP4 or the profile in an AVI; so the pieces are small.
_READ_BYTES = 4096


class ProbeError(Exception):
    """The file is no media that could be offered; `reason` says why."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class FrameRate:
    """Frames per second, exact: 30000/1001 is not 29.97."""

    num: int
    den: int


@dataclass(frozen=True)
class VideoTrack:
    """Codec, profile and colour are named as MediaInfo does: AVC is H.264."""

    codec: str
    profile: str | None
    level: str | None
    width: int
    height: int
    display_aspect_ratio: str | None  # 16:9
    pixel_aspect_ratio: float | None
    rotation_degrees: int  # clockwise, to be applied by the player
    frame_rate: FrameRate | None  # None where it varies
    frame_count: int | None
    scan_type: ScanType | None
    scan_order: str | None  # TFF or BFF: which field comes first
    bit_depth: int | None
    chroma_subsampling: str | None
    colour_primaries: str | None
    colour_transfer: str | None
    colour_matrix: str | None
    colour_range: str | None
    bit_rate: int | None
    bit_rate_mode: str | None


@dataclass(frozen=True)
class AudioTrack:
    codec: str
    channels: int | None
    layout: str | None  # L R C LFE Ls Rs
    sampling_rate_hz: int | None
    bit_depth: int | None
    language: str | None
    bit_rate: int | None


@dataclass(frozen=True)
class Image:
    width: int
    height: int


@dataclass(frozen=True)
class TechnicalMetadata:
    """Bit rates are in bits per second. `dataclasses.asdict` makes it ready for JSON."""

    container: str
    mime_type: str
    size_bytes: int
    duration_ms: int | None
    bit_rate: int | None
    video: VideoTrack | None
    audio_tracks: tuple[AudioTrack, ...]
    start_timecode: str | None  # HH:MM:SS:FF, with a semicolon before FF where frames are dropped
    drop_frame: bool | None
    image: Image | None


def probe(path: Path) -> TechnicalMetadata:
    """Read the technical metadata of a complete, self-contained file, or raise ProbeError."""
    size = path.stat().st_size
    if size == 0:
        raise ProbeError("file_empty")
    try:
        report = json.loads(sandbox.run(read_report, str(path.resolve())))
    except sandbox.SandboxError as error:
        raise ProbeError("parser_failed") from error
    tracks: list[_Fields] = report["media"]["track"]
    _refuse_unusable(tracks)
    return _technical_metadata(tracks, size)


def read_report(path: str) -> bytes:
    """MediaInfo's report as JSON. Runs in the sandbox."""
    MediaInfo.can_parse()  # loads the library while it still may be opened
    with Path(path).open("rb") as file:
        sandbox.confine()
        return MediaInfo.parse(file, output="JSON", buffer_size=_READ_BYTES).encode()


def sha256_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse_unusable(tracks: Sequence[_Fields]) -> None:
    general = tracks[0]
    notes = [track.get("extra", {}) for track in tracks]
    if any(note.get("Source_Info") == "Missing" for note in notes):
        raise ProbeError("references_other_files")
    if notes[0].get("IsTruncated") == "Yes" and general.get("Format") not in _CUT_ANYWHERE:
        raise ProbeError("file_truncated")


def _technical_metadata(tracks: Sequence[_Fields], size: int) -> TechnicalMetadata:
    general = tracks[0]
    video = [_video_track(track) for track in _of_type(tracks, "Video") if "Width" in track]
    audio = tuple(_audio_track(track) for track in _of_type(tracks, "Audio"))
    image = [_image(track) for track in _of_type(tracks, "Image") if "Width" in track]
    if not (video or audio or image):
        raise ProbeError("not_media")
    timecode, drop_frame = _start_timecode(tracks)
    seconds = _decimal(general, "Duration")
    return TechnicalMetadata(
        container=_format(general),
        mime_type=_mime_type(general, has_video=bool(video)),
        size_bytes=size,
        duration_ms=None if seconds is None else round(seconds * 1000),
        bit_rate=_integer(general, "OverallBitRate"),
        video=video[0] if video else None,
        audio_tracks=audio,
        start_timecode=timecode,
        drop_frame=drop_frame,
        image=image[0] if image and not video else None,
    )


def _video_track(track: _Fields) -> VideoTrack:
    return VideoTrack(
        codec=_format(track),
        profile=track.get("Format_Profile"),
        level=track.get("Format_Level"),
        width=int(_number(track["Width"])),
        height=int(_number(track["Height"])),
        display_aspect_ratio=track.get("DisplayAspectRatio_String"),
        pixel_aspect_ratio=_decimal(track, "PixelAspectRatio"),
        rotation_degrees=_integer(track, "Rotation") or 0,
        frame_rate=_frame_rate(track),
        frame_count=_integer(track, "FrameCount"),
        scan_type=_scan_type(track),
        scan_order=track.get("ScanOrder"),
        bit_depth=_integer(track, "BitDepth"),
        chroma_subsampling=track.get("ChromaSubsampling"),
        colour_primaries=track.get("colour_primaries"),
        colour_transfer=track.get("transfer_characteristics"),
        colour_matrix=track.get("matrix_coefficients"),
        colour_range=track.get("colour_range"),
        bit_rate=_integer(track, "BitRate"),
        bit_rate_mode=track.get("BitRate_Mode"),
    )


def _audio_track(track: _Fields) -> AudioTrack:
    return AudioTrack(
        codec=_format(track),
        channels=_integer(track, "Channels"),
        layout=track.get("ChannelLayout"),
        sampling_rate_hz=_integer(track, "SamplingRate"),
        bit_depth=_integer(track, "BitDepth"),
        language=track.get("Language"),
        bit_rate=_integer(track, "BitRate"),
    )


def _image(track: _Fields) -> Image:
    return Image(width=int(_number(track["Width"])), height=int(_number(track["Height"])))


def _start_timecode(tracks: Sequence[_Fields]) -> tuple[str | None, bool | None]:
    """A timecode track counts more than the codes inside MPEG video, which often start at 0."""
    for track in (*_of_type(tracks, "Other"), *_of_type(tracks, "Video")):
        if timecode := track.get("TimeCode_FirstFrame"):
            return timecode, ";" in timecode
    return None, None


def _mime_type(general: _Fields, *, has_video: bool) -> str:
    """MediaInfo takes QuickTime for MP4 and does not know Matroska's types (RFC 9559)."""
    if general.get("Format_Profile") == "QuickTime":
        return "video/quicktime"
    if _format(general) == "Matroska":
        return "video/matroska" if has_video else "audio/matroska"
    return str(general.get("InternetMediaType", "application/octet-stream"))


def _frame_rate(track: _Fields) -> FrameRate | None:
    num, den = _integer(track, "FrameRate_Num"), _integer(track, "FrameRate_Den")
    return FrameRate(num, den) if num and den else None


def _scan_type(track: _Fields) -> ScanType | None:
    """Mixtures such as MBAFF may hold interlaced pictures, so they count as interlaced."""
    scan_type = track.get("ScanType")
    if scan_type is None:
        return None
    return "progressive" if scan_type == "Progressive" else "interlaced"


def _of_type(tracks: Sequence[_Fields], kind: str) -> list[_Fields]:
    return [track for track in tracks if track["@type"] == kind]


def _format(track: _Fields) -> str:
    return str(track.get("Format") or track.get("CodecID") or "unknown")


def _integer(track: _Fields, name: str) -> int | None:
    number = _decimal(track, name)
    return None if number is None else round(number)


def _decimal(track: _Fields, name: str) -> float | None:
    return _number(track[name]) if name in track else None


def _number(text: str) -> float:
    """The first one where a codec has a core and an extension, as in `48000 / 24000`."""
    return float(text.partition(" / ")[0])
