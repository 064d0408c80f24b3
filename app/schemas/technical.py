"""The technical metadata of a file, as the probe has found it (adapters/technical_metadata.py)."""

from typing import Literal

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from app.schemas.base import require_nothing

GROWING = ConfigDict(extra="allow", json_schema_extra=require_nothing)


class FrameRate(TypedDict):
    """Frames per second, exact: 30000/1001 is not 29.97."""

    num: int
    den: int


@with_config(GROWING)
class VideoTrack(TypedDict, total=False):
    """Codec, profile and colour are named as MediaInfo does: AVC is H.264."""

    codec: str
    profile: str | None
    level: str | None
    width: int
    height: int
    display_aspect_ratio: str | None
    pixel_aspect_ratio: float | None
    rotation_degrees: int | None
    frame_rate: FrameRate | None
    frame_count: int | None
    scan_type: Literal["progressive", "interlaced"] | None
    scan_order: str | None
    bit_depth: int | None
    chroma_subsampling: str | None
    colour_primaries: str | None
    colour_transfer: str | None
    colour_matrix: str | None
    colour_range: str | None
    bit_rate: int | None
    bit_rate_mode: str | None


@with_config(GROWING)
class AudioTrack(TypedDict, total=False):
    codec: str
    channels: int | None
    layout: str | None
    sampling_rate_hz: int | None
    bit_depth: int | None
    language: str | None
    bit_rate: int | None


class Picture(TypedDict):
    """Pixels of a file that is a still picture."""

    width: int
    height: int


@with_config(GROWING)
class Technical(TypedDict, total=False):
    """Empty until the worker has read the file. Bit rates are in bits per second."""

    container: str
    mime_type: str
    size_bytes: int
    duration_ms: int | None
    bit_rate: int | None
    video: VideoTrack | None
    audio_tracks: list[AudioTrack]
    start_timecode: str | None
    drop_frame: bool | None
    image: Picture | None
