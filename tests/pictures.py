"""Look into rendered pictures and sound."""

from pathlib import Path

import av

from app.adapters.bitmap_font import ADVANCE, COLUMNS, ROWS, glyph
from app.adapters.test_card_picture import timecode_place


def frames_of(path: Path) -> list[av.VideoFrame]:
    with av.open(path) as container:
        return list(container.decode(video=0))


def samples_of(path: Path) -> tuple[list[float], list[float]]:
    """Left and right channel, at full scale 1.0."""
    left: list[float] = []
    right: list[float] = []
    with av.open(path) as container:
        for frame in container.decode(audio=0):
            for channel, plane in zip((left, right), frame.planes, strict=True):
                channel.extend(memoryview(plane)[: 4 * frame.samples].cast("f"))
    return left, right


def read_timecode(frame: av.VideoFrame) -> str:
    """Recognise the burnt-in digits by the middle of each of their dots."""
    plane, stride = memoryview(frame.planes[0]), frame.planes[0].line_size
    left, top, dot = timecode_place(frame.width, frame.height)

    def signs(letter: int, row: int) -> str:
        y = top + row * dot + dot // 2
        xs = (left + (letter * ADVANCE + column) * dot + dot // 2 for column in range(COLUMNS))
        return "".join("#" if plane[y * stride + x] > 126 else " " for x in xs)

    letters = {glyph(letter): letter for letter in "0123456789:"}
    return "".join(
        letters.get(tuple(signs(letter, row) for row in range(ROWS)), "?") for letter in range(11)
    )


def colour_at(frame: av.VideoFrame, x: int, y: int) -> tuple[int, ...]:
    """Luma and both colour differences of a pixel."""
    positions = ((x, y), (x // 2, y // 2), (x // 2, y // 2))
    return tuple(
        memoryview(plane)[row * plane.line_size + column]
        for plane, (column, row) in zip(frame.planes, positions, strict=True)
    )
