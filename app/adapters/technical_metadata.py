"""What is known of a media file, technically: stored as JSON and shown to readers."""

from dataclasses import dataclass
from typing import Literal

ScanType = Literal["progressive", "interlaced"]


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
    """Of a file that is a still picture. Pixels."""

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
