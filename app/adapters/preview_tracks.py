"""The two tracks of a preview: what becomes of pictures and of sound. For the sandbox."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Protocol

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.filter import Graph
from av.filter.context import FilterContext
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from app.adapters import decoding

# Of the shorter side; the longer one may be so long that a panorama stays one.
LINES = 540
LONGEST_SIDE = 1920
# Above, every second frame is shown: 50 becomes 25, 59.94 becomes 29.97.
FASTEST_FRAME_RATE = Fraction(30)
FRAME_RATE_WHERE_NONE_IS_KNOWN = Fraction(25)
KEY_FRAME_SECONDS = 2
SAMPLING_RATE = 48_000
SOUND_BIT_RATE = 128_000
X264_OPTIONS = {
    "preset": "veryfast",
    "crf": "25",
    "maxrate": "1500k",
    "bufsize": "3000k",
    "profile": "high",
}
_THREADS = 2
_STEREO = 2


class Track(Protocol):
    """Decodes the packets of its streams, filters the frames, encodes and writes them."""

    @property
    def streams(self) -> Sequence[Stream]: ...
    @property
    def has_begun(self) -> bool: ...
    def feed(self, packet: "Packet[Stream]") -> None: ...
    def finish(self) -> None: ...


class VideoTrack:
    """Pictures: whole, upright, in square pixels, of 8 bits, at most 540 lines and 30 a second.

    `sample` is the first picture: the size that will come of it must be known before any packet
    is written.
    """

    def __init__(
        self, stream: VideoStream, preview: OutputContainer, *, sample: av.VideoFrame, start: float
    ) -> None:
        self.streams = (stream,)
        self.has_begun = False
        self._preview = preview
        self._rate = _frame_rate(stream)
        self._steps = _picture_steps(stream, sample, self._rate, start)
        self._output = preview.add_stream("libx264", rate=self._rate, options=X264_OPTIONS)
        self._output.width, self._output.height = _shown_size(stream, sample)
        self._output.pix_fmt = "yuv420p"
        self._output.codec_context.gop_size = round(self._rate * KEY_FRAME_SECONDS)
        self._output.codec_context.thread_count = _THREADS
        self._graph: Graph | None = None  # must live as long as its filters are used
        self._ends: tuple[FilterContext, FilterContext] | None = None
        self._shape: object = None

    def feed(self, packet: "Packet[Stream]") -> None:
        for frame in packet.decode():
            assert isinstance(frame, av.VideoFrame)  # noqa: S101  # of a video stream
            if self._ends is None or self._shape != _shape(frame):
                self._drain()
                self._ends, self._shape = self._new_graph(frame), _shape(frame)
                self.has_begun = True
            source, sink = self._ends
            source.push(frame)
            self._write(sink)

    def finish(self) -> None:
        self._drain()
        if self.has_begun:
            self._preview.mux(self._output.encode(None))

    def _new_graph(self, frame: av.VideoFrame) -> tuple[FilterContext, FilterContext]:
        """A recording may change its size on the way; its preview does not."""
        graph = self._graph = Graph()
        source = graph.add_buffer(
            width=frame.width,
            height=frame.height,
            format=frame.format,
            time_base=self.streams[0].time_base,
        )
        sink = decoding.add_chain(graph, source, self._steps)
        graph.configure()
        return source, sink

    def _drain(self) -> None:
        if self._ends is not None:
            source, sink = self._ends
            source.push(None)
            self._write(sink)
            self._ends = None

    def _write(self, sink: FilterContext) -> None:
        for frame in decoding.pull(sink):
            assert isinstance(frame, av.VideoFrame)  # noqa: S101  # of a video filter
            frame.pict_type = 0  # the encoder decides which are key frames
            self._preview.mux(self._output.encode(frame))


class SoundTrack:
    """Stereo. Broadcast files keep each channel in a track of its own: the first two are heard."""

    def __init__(
        self, streams: Sequence[AudioStream], preview: OutputContainer, *, start: float
    ) -> None:
        is_pair = len(streams) > 1 and all(each.channels == 1 for each in streams[:2])
        self.streams = tuple(streams[: 2 if is_pair else 1])
        self.has_begun = False
        self._preview = preview
        self._start = start
        self._output = preview.add_stream("aac", rate=SAMPLING_RATE, layout="stereo")
        self._output.bit_rate = SOUND_BIT_RATE
        self._graph: Graph | None = None  # must live as long as its filters are used
        self._sources: dict[int, FilterContext] = {}
        self._sink: FilterContext | None = None

    def feed(self, packet: "Packet[Stream]") -> None:
        for frame in packet.decode():
            assert isinstance(frame, av.AudioFrame)  # noqa: S101  # of an audio stream
            if self._sink is None:
                self._sink = self._new_graph(frame)
                self.has_begun = True
            self._sources[packet.stream.index].push(frame)
            self._write(self._sink)

    def finish(self) -> None:
        if self._sink is not None:
            for source in self._sources.values():
                source.push(None)
            self._write(self._sink)
            self._preview.mux(self._output.encode(None))

    def _new_graph(self, frame: av.AudioFrame) -> FilterContext:
        """All streams are like the one of this frame, of which there is but one, or two mono."""
        graph = self._graph = Graph()
        channels = frame.layout.nb_channels
        for stream in self.streams:
            self._sources[stream.index] = graph.add_abuffer(
                sample_rate=frame.sample_rate,
                format=frame.format,
                channels=channels,
                layout=frame.layout if _is_named(frame) else None,
                time_base=stream.time_base,
            )
        first, *others = self._sources.values()
        if others:
            merge = graph.add("amerge", "inputs=2")
            first.link_to(merge)
            others[0].link_to(merge, 0, 1)
            first = merge
        takes_two = others or (channels > _STEREO and not _is_named(frame))
        steps = [
            *(["pan=stereo|c0=c0|c1=c1"] if takes_two else []),
            f"asetpts=PTS-{self._start}/TB",
            f"aresample={SAMPLING_RATE}:async=1:first_pts=0",
            "aformat=sample_fmts=fltp:channel_layouts=stereo",
            "abuffersink",
        ]
        sink = decoding.add_chain(graph, first, steps)
        graph.configure()
        return sink

    def _write(self, sink: FilterContext) -> None:
        for frame in decoding.pull(sink):
            assert isinstance(frame, av.AudioFrame)  # noqa: S101  # of an audio filter
            self._preview.mux(self._output.encode(frame))


def _frame_rate(stream: VideoStream) -> Fraction:
    rate = stream.guessed_rate or stream.average_rate or FRAME_RATE_WHERE_NONE_IS_KNOWN
    while rate > FASTEST_FRAME_RATE:
        rate /= 2
    return rate


def _picture_steps(
    stream: VideoStream, sample: av.VideoFrame, rate: Fraction, start: float
) -> list[str]:
    width, height = _shown_size(stream, sample)
    return [
        f"setpts=PTS-{start}/TB",
        *decoding.upright(stream.sample_aspect_ratio, sample.rotation),
        f"fps={rate}",
        f"scale={width}:{height}:out_range=limited:out_color_matrix=bt709",
        "setsar=1",
        "format=yuv420p",
        "buffersink",
    ]


def _shown_size(stream: VideoStream, sample: av.VideoFrame) -> tuple[int, int]:
    """In square pixels, upright, not enlarged, and even as H.264 needs it."""
    ratio = stream.sample_aspect_ratio or 1
    width, height = sample.width * (ratio if ratio > 0 else 1), Fraction(sample.height)
    if abs(sample.rotation) == 90:  # noqa: PLR2004  # degrees
        width, height = height, width
    shrink = min(1, Fraction(LINES) / min(width, height), LONGEST_SIDE / max(width, height))
    return max(2, 2 * round(width * shrink / 2)), max(2, 2 * round(height * shrink / 2))


def _shape(frame: av.VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name


def _is_named(frame: av.AudioFrame) -> bool:
    """Whether it is known which channel is which; broadcast files often only count them."""
    return " channel" not in frame.layout.name
