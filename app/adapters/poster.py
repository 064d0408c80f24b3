"""A still picture out of a video, as JPEG: decoded by FFmpeg, in a sandbox."""

from fractions import Fraction
from pathlib import Path

import av
import av.subtitles.codeccontext  # PyAV loads these two where a file needs them,
import av.subtitles.stream  # which would be after the sandbox is shut
from av.codec.context import CodecContext, Flags
from av.container import InputContainer
from av.filter import Graph
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream

from app.adapters import sandbox

_QUANTISER = 3  # from 1, the best, to 31
_TURNS = {
    -90: ["transpose=clock"],
    90: ["transpose=cclock"],
    180: ["hflip", "vflip"],
    -180: ["hflip", "vflip"],
}


class PosterError(Exception):
    """No picture can be decoded from the file."""


def poster(path: Path, at_seconds: float, width: int) -> bytes:
    """The frame shown at that time, else the last one: upright, in square pixels, not enlarged."""
    try:
        return sandbox.run(read_poster, str(path.resolve()), str(at_seconds), str(width))
    except sandbox.SandboxError as error:
        raise PosterError(str(error)) from error


def read_poster(path: str, at_seconds: str, width: str) -> bytes:
    """Runs in the sandbox."""
    with Path(path).open("rb") as file:
        sandbox.confine()
        with av.open(file, "r") as container:
            stream = container.streams.video[0]
            frame = _frame_at(container, stream, float(at_seconds))
            return _jpeg(_prepared(frame, stream, int(width)))


def _frame_at(container: InputContainer, stream: VideoStream, seconds: float) -> av.VideoFrame:
    start = container.start_time or 0
    wanted = start + round(seconds * 1_000_000)
    if seconds > 0 and container.duration:
        container.seek(wanted)  # to the key frame before
    shown = _last_until(container, stream, wanted)
    if shown is None and container.duration:  # some formats seek beyond their end
        container.seek(start)
        shown = _last_until(container, stream, wanted)
    if shown is None:
        raise PosterError
    return shown


def _last_until(
    container: InputContainer, stream: VideoStream, microseconds: int
) -> av.VideoFrame | None:
    shown = None
    for frame in container.decode(stream):
        if shown and frame.time * 1_000_000 > microseconds:
            break
        shown = frame
    return shown


def _prepared(frame: av.VideoFrame, stream: VideoStream, width: int) -> av.VideoFrame:
    """Without interlacing, turned upright, scaled, in the levels and the matrix of JPEG."""
    size = f"w='min({width},iw)':h='2*trunc(ow/dar/2)'"
    chain = [
        f"setsar={stream.sample_aspect_ratio or 1}",
        "yadif=deint=interlaced",
        *_TURNS.get(frame.rotation, []),
        f"scale={size}:out_range=full:out_color_matrix=smpte170m",
        "format=yuv420p",
        "buffersink",
    ]
    graph = Graph()
    nodes = [graph.add_buffer(template=stream)]
    for step in chain:
        name, _, options = step.partition("=")
        nodes.append(graph.add(name, options or None))
    graph.link_nodes(*nodes).configure()
    graph.vpush(frame)
    graph.vpush(None)
    return graph.vpull()


def _jpeg(frame: av.VideoFrame) -> bytes:
    encoder = CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, "yuv420p"
    encoder.color_range = ColorRange.JPEG
    encoder.sample_aspect_ratio = encoder.framerate = Fraction(1)
    encoder.qmin = encoder.qmax = _QUANTISER
    encoder.flags |= Flags.bitexact
    return b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode()))
