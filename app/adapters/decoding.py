"""What posters and previews share: FFmpeg's streams, and its filters as chains."""

from collections.abc import Iterator, Sequence
from fractions import Fraction

import av
from av.container import InputContainer
from av.error import BlockingIOError as NothingReady
from av.error import EOFError as NothingLeft
from av.error import InvalidDataError
from av.filter import Graph
from av.filter.context import FilterContext
from av.frame import Frame
from av.stream import Stream
from av.video.stream import VideoStream

from app.adapters import sandbox

# In a row, before the first picture or between two.
_GLITCHES = 300

_TURNS = {
    -90: ["transpose=clock"],
    90: ["transpose=cclock"],
    180: ["hflip", "vflip"],
    -180: ["hflip", "vflip"],
}


def is_decodable(stream: Stream) -> bool:
    """Whether FFmpeg knows the codec; the type stubs say that it knows every one."""
    return getattr(stream, "codec_context", None) is not None


def pictures(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """Decode, passing over the glitches of a recording as players do, but not over a whole one."""
    glitches = 0
    for packet in container.demux(stream):
        try:
            decoded = packet.decode()
        except InvalidDataError:
            glitches += 1
            if glitches > _GLITCHES:
                raise sandbox.Refused("undecodable") from None
            continue
        for frame in decoded:
            assert isinstance(frame, av.VideoFrame)  # noqa: S101  # of a video stream
            glitches = 0
            yield frame


def add_chain(graph: Graph, first: FilterContext, steps: Sequence[str]) -> FilterContext:
    """Append filters, each written `name=options`; returns the last one."""
    last = first
    for step in steps:
        name, _, options = step.partition("=")
        following = graph.add(name, options or None)
        last.link_to(following)
        last = following
    return last


def upright(pixel_aspect_ratio: Fraction | None, rotation: int) -> list[str]:
    """Whole pictures, not fields, the right way up. Rotation is in degrees, anticlockwise."""
    return [
        f"setsar={pixel_aspect_ratio or 1}",
        "yadif=deint=interlaced",
        *_TURNS.get(rotation, []),
    ]


def pull(sink: FilterContext) -> Iterator[Frame]:
    """What a chain can give until more is pushed into it."""
    while True:
        try:
            yield sink.pull()
        except (NothingReady, NothingLeft):
            return
