"""The pictures of the documentation, small, from those that test_screens.py takes: make screens."""

import io
from fractions import Fraction
from pathlib import Path

import av
import av.filter

from tests.programs import PROJECT

TAKEN, SHOWN = PROJECT / "artifacts/screenshots", PROJECT / "docs/screens"
CHOSEN = (
    "home-1280",
    "home-dark-1280",
    "asset-video-1280",
    "register-360",
    "newsletter-archive-360",
    "desk-1280",
    "desk-edition-1280",
)
TALLEST = {360: 720, 1280: 860}  # pixels: what one sees before one scrolls
LARGEST = 60_000  # bytes


def main() -> None:
    SHOWN.mkdir(exist_ok=True)
    for path in SHOWN.glob("*.webp"):
        path.unlink()
    for name in CHOSEN:
        picture = small(TAKEN / f"{name}.png")
        (SHOWN / f"{name}.webp").write_bytes(picture)


def small(path: Path) -> bytes:
    """The upper part as WebP, as good as the bytes allow."""
    with av.open(str(path)) as container:
        upper = first_view(next(container.decode(video=0)))
    for quality in range(90, 20, -10):
        picture = encoded(upper, quality)
        if len(picture) <= LARGEST:
            return picture
    raise ValueError(f"{path.name} does not fit into {LARGEST} bytes")


def first_view(frame: av.VideoFrame) -> av.VideoFrame:
    height = min(frame.height, TALLEST[frame.width])
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1)
    )
    crop = graph.add("crop", f"{frame.width}:{height}:0:0")
    sink = graph.add("buffersink")
    source.link_to(crop)
    crop.link_to(sink)
    graph.configure()
    graph.push(frame)
    upper = graph.pull()
    assert isinstance(upper, av.VideoFrame)
    return upper.reformat(format="yuv420p")


def encoded(frame: av.VideoFrame, quality: int) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="webp") as container:
        stream = container.add_stream("libwebp", rate=1, options={"quality": str(quality)})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


if __name__ == "__main__":
    main()
