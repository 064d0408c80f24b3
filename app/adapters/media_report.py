"""MediaInfo's report in our terms."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.adapters.technical_metadata import (
    AudioTrack,
    FrameRate,
    Image,
    ScanType,
    TechnicalMetadata,
    VideoTrack,
)

Fields = Mapping[str, Any]  # of one MediaInfo track; an absent field is unknown


def technical_metadata(tracks: Sequence[Fields], size: int) -> TechnicalMetadata | None:
    """What a report says of a file of so many bytes; None if it is no media."""
    general = tracks[0]
    video = [_video_track(track) for track in _of_type(tracks, "Video") if "Width" in track]
    audio = tuple(_audio_track(track) for track in _of_type(tracks, "Audio"))
    image = [_image(track) for track in _of_type(tracks, "Image") if "Width" in track]
    if not (video or audio or image):
        return None
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


def _video_track(track: Fields) -> VideoTrack:
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


def _audio_track(track: Fields) -> AudioTrack:
    return AudioTrack(
        codec=_format(track),
        channels=_integer(track, "Channels"),
        layout=track.get("ChannelLayout"),
        sampling_rate_hz=_integer(track, "SamplingRate"),
        bit_depth=_integer(track, "BitDepth"),
        language=track.get("Language"),
        bit_rate=_integer(track, "BitRate"),
    )


def _image(track: Fields) -> Image:
    return Image(width=int(_number(track["Width"])), height=int(_number(track["Height"])))


def _start_timecode(tracks: Sequence[Fields]) -> tuple[str | None, bool | None]:
    """A timecode track counts more than the codes inside MPEG video, which often start at 0."""
    for track in (*_of_type(tracks, "Other"), *_of_type(tracks, "Video")):
        if timecode := track.get("TimeCode_FirstFrame"):
            return timecode, ";" in timecode
    return None, None


def _mime_type(general: Fields, *, has_video: bool) -> str:
    """MediaInfo takes QuickTime for MP4 and does not know Matroska's types (RFC 9559)."""
    if general.get("Format_Profile") == "QuickTime":
        return "video/quicktime"
    if _format(general) == "Matroska":
        return "video/matroska" if has_video else "audio/matroska"
    return str(general.get("InternetMediaType", "application/octet-stream"))


def _frame_rate(track: Fields) -> FrameRate | None:
    num, den = _integer(track, "FrameRate_Num"), _integer(track, "FrameRate_Den")
    return FrameRate(num, den) if num and den else None


def _scan_type(track: Fields) -> ScanType | None:
    """Mixtures such as MBAFF may hold interlaced pictures, so they count as interlaced."""
    scan_type = track.get("ScanType")
    if scan_type is None:
        return None
    return "progressive" if scan_type == "Progressive" else "interlaced"


def _of_type(tracks: Sequence[Fields], kind: str) -> list[Fields]:
    return [track for track in tracks if track["@type"] == kind]


def _format(track: Fields) -> str:
    return str(track.get("Format") or track.get("CodecID") or "unknown")


def _integer(track: Fields, name: str) -> int | None:
    number = _decimal(track, name)
    return None if number is None else round(number)


def _decimal(track: Fields, name: str) -> float | None:
    return _number(track[name]) if name in track else None


def _number(text: str) -> float:
    """The first one where a codec has a core and an extension, as in `48000 / 24000`."""
    return float(text.partition(" / ")[0])
