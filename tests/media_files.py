"""Small files in the formats that broadcasters send, and files that are meant to do harm."""

import os
import signal
import struct
import wave
import zlib
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from math import pi, sin
from pathlib import Path

import av
from av.codec.context import Flags
from av.stream import Disposition

EIGHT_MONO_TRACKS = ("pcm_s24le", "mono"), *[("pcm_s24le", "mono")] * 7
# Alternating by pictures, so that a preview that shows too few or too many is found out.
GREY = range(60, 220, 8)


def write_video(  # noqa: PLR0913  # each is what one format differs by
    path: Path,
    codec: str = "libx264",
    *,
    size: tuple[int, int] = (320, 180),
    pixels: str = "yuv420p",
    rate: Fraction = Fraction(25),
    pictures: int = 25,
    luma: Sequence[int] = GREY,
    sound: Sequence[tuple[str, str]] = (),
    codec_options: Mapping[str, str] | None = None,
    file_options: Mapping[str, str] | None = None,
    interlaced: bool = False,
    degrees: int = 0,
    pixel_aspect_ratio: Fraction = Fraction(1),
    times: Sequence[int] | None = None,
    bit_rate: int | None = None,
) -> Path:
    """Plain pictures, each of one shade; `times` count in 1/`rate`. Tones of 400, 500 … Hz."""
    with av.open(path, "w", options=dict(file_options or {})) as container:
        stream = container.add_stream(codec, rate=rate, options=dict(codec_options or {}))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = pixels
        stream.codec_context.sample_aspect_ratio = pixel_aspect_ratio
        stream.codec_context.thread_count = 1
        if bit_rate:
            stream.codec_context.bit_rate = bit_rate
        if interlaced:
            stream.codec_context.flags |= Flags.interlaced_dct | Flags.interlaced_me
        if degrees:
            stream.set_display_rotation(degrees)
        voices = [container.add_stream(name, rate=48_000, layout=layout) for name, layout in sound]
        for number in range(pictures):
            frame = _picture(size, pixels, luma[number % len(luma)])
            frame.pts, frame.time_base = times[number] if times else number, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        for number, voice in enumerate(voices):
            assert isinstance(voice, av.AudioStream)
            _write_tone(container, voice, 400 + 100 * number, float(pictures / rate))
    return path


def write_wave(path: Path, *, channels: int = 2, seconds: float = 0.5, width: int = 3) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(48_000)
        file.writeframes(bytes(channels * width * round(48_000 * seconds)))
    return path


def write_picture(path: Path, codec: str, pixels: str, *, size: tuple[int, int]) -> Path:
    with av.open(path, "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream(codec, rate=1)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = pixels
        container.mux(stream.encode(_picture(size, pixels, 128)))
        container.mux(stream.encode())
    return path


def with_cover(sound: Path, cover: Path, path: Path) -> None:
    """A song as shops sell it, in AAC."""
    with av.open(sound) as source, av.open(cover) as picture, av.open(path, "w") as song:
        voice = song.add_stream("aac", rate=48_000, layout="stereo")
        shown = song.add_stream_from_template(picture.streams.video[0])
        shown.disposition = Disposition.attached_pic
        for frame in source.decode(audio=0):
            song.mux(voice.encode(frame))
        song.mux(voice.encode(None))
        for packet in picture.demux(video=0):
            if packet.size:
                packet.stream = shown
                song.mux(packet)


def rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes() if path.exists() else b""))


def png(width: int, height: int, *, rows: int) -> bytes:
    """A black and white PNG of any size, of which only so many rows are there."""
    compressor = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    pixels = b"".join(compressor.compress(row) for _ in range(rows)) + compressor.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = (_png_chunk(b"IHDR", header), _png_chunk(b"IDAT", pixels), _png_chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def atom(kind: bytes, contents: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(contents), kind) + contents


MP4_HEAD = atom(b"ftyp", b"isom\0\0\x02\0isomiso2avc1mp41")


def with_noise_for_pictures(mp4: bytes) -> bytes:
    """The same file with its index, but nothing in it can be decoded."""
    start = mp4.index(b"mdat") + 4
    end = mp4.index(b"moov") - 4
    return mp4[:start] + bytes((7 * place) % 251 for place in range(end - start)) + mp4[end:]


def end_myself() -> bytes:
    """What a host without memory does to a child."""
    os.kill(os.getpid(), signal.SIGKILL)
    return b""


def _picture(size: tuple[int, int], pixels: str, luma: int) -> av.VideoFrame:
    grey = av.VideoFrame(*size, "gray")
    grey.planes[0].update(bytes([luma]) * grey.planes[0].buffer_size)
    return grey.reformat(format=pixels)


def _write_tone(
    container: av.container.OutputContainer, voice: av.AudioStream, hertz: int, seconds: float
) -> None:
    layout = voice.codec_context.layout
    samples = [round(8000 * sin(2 * pi * hertz * k / 48_000)) for k in range(480)]
    piece = struct.pack("<480h", *samples)  # a whole number of waves
    for number in range(round(seconds * 100)):
        frame = av.AudioFrame(format="s16p", layout=layout.name, samples=480)
        for plane in frame.planes:
            plane.update(piece + bytes(plane.buffer_size - len(piece)))
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 480 * number, Fraction(1, 48_000)
        container.mux(voice.encode(frame))
    container.mux(voice.encode(None))


def _png_chunk(kind: bytes, contents: bytes) -> bytes:
    checksum = zlib.crc32(kind + contents)
    return struct.pack(">I", len(contents)) + kind + contents + struct.pack(">I", checksum)
