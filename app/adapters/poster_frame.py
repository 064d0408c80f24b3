"""FFmpeg, as it makes posters. Runs in the sandbox, and is imported nowhere else."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import av.subtitles.codeccontext  # PyAV loads these two where a file needs them,
import av.subtitles.stream  # which would be after the sandbox is shut
from av.codec.context import CodecContext, Flags
from av.container import InputContainer
from av.error import InvalidDataError
from av.filter import Graph
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream

from app.adapters import decoding, sandbox

# From 1, the best, to 31. At 6 a test card shows no noise and weighs a fifth less than at 3.
_QUANTISER = 6
_THUMBNAIL = (64, 36)
_BLACK_UNTIL = 16  # mean luma, of 255
_THREADS = 2


def read_poster(path: str, width: str, *seconds: str) -> bytes:
    """The size on a line of its own, then the JPEG."""
    with Path(path).open("rb") as file:
        sandbox.confine()
        try:
            with av.open(file, "r") as container:
                stream = _video_of(container)
                frame = _best_frame(container, stream, [float(second) for second in seconds])
                picture = _prepared(frame, stream, int(width))
        except InvalidDataError as error:
            raise sandbox.Refused("undecodable") from error
    return b"%d %d\n" % (picture.width, picture.height) + _jpeg(picture)


def _video_of(container: InputContainer) -> VideoStream:
    for stream in container.streams.video:
        if decoding.is_decodable(stream):
            stream.codec_context.thread_count = _THREADS
            return stream
    raise sandbox.Refused("no_decoder")


def _best_frame(
    container: InputContainer, stream: VideoStream, moments: Iterable[float]
) -> av.VideoFrame:
    best: tuple[float, av.VideoFrame] | None = None
    for seconds in moments:
        frame = _frame_at(container, stream, seconds)
        brightness = _mean_luma(frame)
        if best is None or brightness > best[0]:
            best = brightness, frame
        if brightness > _BLACK_UNTIL:
            break
    if best is None:
        raise sandbox.Refused("undecodable")
    return best[1]


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
        raise sandbox.Refused("undecodable")
    return shown


def _last_until(
    container: InputContainer, stream: VideoStream, microseconds: int
) -> av.VideoFrame | None:
    shown = None
    for frame in decoding.pictures(container, stream):
        if shown and frame.time * 1_000_000 > microseconds:
            break
        shown = frame
    return shown


def _mean_luma(frame: av.VideoFrame) -> float:
    width, height = _THUMBNAIL
    plane = frame.reformat(width, height, "gray").planes[0]
    return sum(bytes(plane)) / plane.buffer_size


def _prepared(frame: av.VideoFrame, stream: VideoStream, width: int) -> av.VideoFrame:
    """Scaled, in the levels and the matrix of JPEG."""
    size = f"w='min({width},iw)':h='max(1,2*trunc(ow/dar/2))'"
    graph = Graph()
    source = graph.add_buffer(template=stream)
    steps = [
        *decoding.upright(stream.sample_aspect_ratio, frame.rotation),
        f"scale={size}:out_range=full:out_color_matrix=smpte170m",
        "format=yuv420p",
        "buffersink",
    ]
    decoding.add_chain(graph, source, steps)
    graph.configure()
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
