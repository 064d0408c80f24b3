"""Short clips of a test card, made on the spot: bars, a running timecode and a line-up tone."""

import heapq
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, pi, sin
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.codec.context import Flags
from av.container import OutputContainer
from av.packet import Packet
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream

from app.adapters import test_card_picture
from app.adapters.raster import Raster, Rgb

SAMPLING_RATE_HZ = 48_000
TONE_DBFS = -18  # the alignment level of EBU R 68
_SAMPLE_BYTES = 4
_ENCODER = {"preset": "veryfast", "crf": "20", "profile": "high", "x264-params": "scenecut=0"}


@dataclass(frozen=True)
class ClipSpec:
    """What a clip shall be. The card is drawn for pictures of 16:9 with even sides."""

    title: str
    width: int
    height: int
    frame_rate: Fraction
    duration_seconds: int
    accent: Rgb  # colour of the ground, each component between 0 and 1
    start_timecode: str = "10:00:00:00"
    tone_hz: int = 1000

    def __post_init__(self) -> None:
        wide = round(9 * self.width / self.height) == 16  # noqa: PLR2004  # 16:9, as 854 x 480
        if not wide or self.width % 2 or self.height % 2:
            msg = f"not a picture of 16:9 with even sides: {self.width} x {self.height}"
            raise ValueError(msg)

    @property
    def frame_count(self) -> int:
        return round(self.duration_seconds * self.frame_rate)


DEMO_CLIPS = (
    ClipSpec("1080p50", 1920, 1080, Fraction(50), 6, accent=(0.10, 0.20, 0.34)),
    ClipSpec("720p25", 1280, 720, Fraction(25), 8, accent=(0.06, 0.27, 0.25)),
    ClipSpec("480p25", 854, 480, Fraction(25), 10, accent=(0.30, 0.13, 0.22)),
)


def render(path: Path, spec: ClipSpec) -> None:
    """Write the clip as MP4 (H.264 High, AAC) that plays while it still downloads.

    The same libraries write the same bytes for the same spec, so its hash is stable.
    """
    muxer = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(path, "w", format="mp4", options=muxer) as container:
        container.metadata["title"] = spec.title
        video, audio = _add_video(container, spec), _add_audio(container)
        container.start_encoding()
        packets = heapq.merge(
            _encode_video(video, spec), _encode_audio(audio, spec), key=_decoding_time
        )
        for packet in packets:
            container.mux(packet)


def timecode_at(start: str, frame_rate: Fraction, frame: int) -> str:
    """HH:MM:SS:FF of a frame, counted without dropping numbers (SMPTE ST 12-1), past midnight."""
    nominal = ceil(frame_rate)
    hours, minutes, seconds, frames = (int(part) for part in start.split(":"))
    seconds += 60 * (minutes + 60 * hours)
    seconds, frames = divmod(seconds * nominal + frames + frame, nominal)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours % 24:02}:{minutes:02}:{seconds:02}:{frames:02}"


def _add_video(container: OutputContainer, spec: ClipSpec) -> VideoStream:
    """H.264 High with a closed group of pictures each second, tagged as ITU-R BT.709."""
    stream = container.add_stream("libx264", rate=spec.frame_rate, options=dict(_ENCODER))
    stream.metadata["timecode"] = spec.start_timecode
    stream.width, stream.height, stream.pix_fmt = spec.width, spec.height, "yuv420p"
    context = stream.codec_context
    context.gop_size = ceil(spec.frame_rate)
    context.max_b_frames = 0  # they would take a third of the time and save 3 % of the size
    context.color_primaries = ColorPrimaries.BT709
    context.color_trc = ColorTrc.BT709
    context.colorspace = Colorspace.ITU709
    context.color_range = ColorRange.MPEG
    context.flags |= Flags.bitexact
    context.thread_count = 1  # with more, the bytes would depend on the number of cores
    return stream


def _add_audio(container: OutputContainer) -> AudioStream:
    stream = container.add_stream("aac", rate=SAMPLING_RATE_HZ, layout="stereo")
    stream.metadata["language"] = "zxx"  # ISO 639-2: no linguistic content
    stream.bit_rate = 128_000
    stream.codec_context.flags |= Flags.bitexact
    return stream


def _encode_video(stream: VideoStream, spec: ClipSpec) -> Iterator["Packet[Any]"]:
    frame = av.VideoFrame(spec.width, spec.height, "yuv420p")
    tone = f"{spec.tone_hz} Hz {TONE_DBFS} dBFS"
    test_card_picture.paint(Raster(frame), spec.title, tone, spec.accent)
    for number in range(spec.frame_count):
        frame.make_writable()
        timecode = timecode_at(spec.start_timecode, spec.frame_rate, number)
        test_card_picture.animate(Raster(frame), timecode, number / spec.frame_rate)
        frame.pts, frame.time_base = number, 1 / spec.frame_rate
        yield from stream.encode(frame)
    yield from stream.encode()


def _encode_audio(stream: AudioStream, spec: ClipSpec) -> Iterator["Packet[Any]"]:
    """The stereo line-up tone of EBU Tech 3304: left is silent for 250 ms every three seconds."""
    tone = _tone(spec.tone_hz)
    silence = bytes(len(tone) // 4)
    interrupted = tone[: -len(silence)] + silence
    total = round(spec.frame_count / spec.frame_rate * SAMPLING_RATE_HZ)
    for start in range(0, total, SAMPLING_RATE_HZ):
        count = min(SAMPLING_RATE_HZ, total - start)
        left = interrupted if start // SAMPLING_RATE_HZ % 3 == 2 else tone  # noqa: PLR2004
        frame = av.AudioFrame("fltp", "stereo", count)
        frame.sample_rate, frame.pts = SAMPLING_RATE_HZ, start
        frame.time_base = Fraction(1, SAMPLING_RATE_HZ)
        for plane, samples in zip(frame.planes, (left, tone), strict=True):
            plane.update(samples[: count * _SAMPLE_BYTES])
        yield from stream.encode(frame)
    yield from stream.encode()


def _tone(frequency: int) -> bytes:
    """One second of a sine wave in 32-bit floats; whole hertz, so that seconds join smoothly."""
    peak = 10 ** (TONE_DBFS / 20)
    step = 2 * pi * frequency / SAMPLING_RATE_HZ
    wave = (peak * sin(step * sample) for sample in range(SAMPLING_RATE_HZ))
    return array("f", wave).tobytes()


def _decoding_time(packet: "Packet[Any]") -> Fraction:
    return (packet.dts or 0) * packet.time_base
