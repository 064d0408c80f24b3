"""Painting on the planes of a YUV 4:2:0 video frame, with byte strings alone.

Positions are pixels of the luma plane, right and bottom edges are exclusive. One sample of colour
covers 2 x 2 pixels, so areas of colour begin and end at even positions.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor, hypot, sqrt
from typing import NamedTuple

import av

from app.adapters.bitmap_font import ADVANCE, glyph

Rgb = tuple[float, float, float]  # gamma-corrected components between 0 and 1


class Colour(NamedTuple):
    """8-bit video levels: luma from 16 to 235, colour differences from 16 to 240 around 128."""

    luma: int
    blue_difference: int
    red_difference: int


def from_rgb(rgb: Rgb) -> Colour:
    """Video levels of a colour by the matrix of ITU-R BT.709."""
    red, green, blue = rgb
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return Colour(
        round(16 + 219 * luma),
        round(128 + 224 * (blue - luma) / 1.8556),
        round(128 + 224 * (red - luma) / 1.5748),
    )


@dataclass(frozen=True)
class Box:
    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left


@dataclass(frozen=True)
class Disc:
    x: float
    y: float
    radius: float

    def span(self, row: int) -> tuple[int, int]:
        """Left and right end of the disc on a row of pixels; equal where it is not met."""
        square = self.radius**2 - (row + 0.5 - self.y) ** 2
        half = sqrt(max(0.0, square))
        return round(self.x - half), round(self.x + half)


class Raster:
    """The writable picture of a frame, valid as long as the frame keeps its buffers."""

    def __init__(self, frame: av.VideoFrame) -> None:
        self.width, self.height = frame.width, frame.height
        self._planes = [(memoryview(plane), plane.line_size) for plane in frame.planes]

    def fill(self, box: Box, colour: Colour, within: Disc | None = None) -> None:
        for row in range(box.top, box.bottom):
            left, right = _overlap(box, within, row)
            self._write(0, row, left, bytes([colour.luma]) * (right - left))
            if row % 2 == 0:
                self._write_chroma(row // 2, left // 2, right // 2, colour)

    def pattern(self, box: Box, luma: bytes, within: Disc | None = None) -> None:
        """Write the same luma samples, as many as the box is wide, on each of its rows."""
        for row in range(box.top, box.bottom):
            left, right = _overlap(box, within, row)
            self._write(0, row, left, luma[left - box.left : right - box.left])

    def ring(self, disc: Disc, thickness: float, colour: Colour) -> None:
        """A circle line, smoothed by how much of each pixel it covers."""
        whole = Disc(disc.x, disc.y, disc.radius + thickness / 2 + 1)
        hole = Disc(disc.x, disc.y, disc.radius - thickness / 2 - 2)
        for row in range(floor(disc.y - whole.radius), ceil(disc.y + whole.radius)):
            (left, right), (hole_left, hole_right) = whole.span(row), hole.span(row)
            for column in (*range(left, hole_left), *range(hole_right, right)):
                distance = hypot(column + 0.5 - disc.x, row + 0.5 - disc.y)
                self._blend(column, row, colour, (thickness + 1) / 2 - abs(distance - disc.radius))

    def text(self, left: int, top: int, text: str, *, dot: int, ink: int, paper: int) -> None:
        """Write a line of letters into the luma; each of their dots is a square of `dot` pixels."""
        letters = [_letter_rows(letter, dot, ink, paper) for letter in text]
        for row, parts in enumerate(zip(*letters, strict=True)):
            self._write(0, top + row, left, b"".join(parts))

    def _blend(self, column: int, row: int, colour: Colour, coverage: float) -> None:
        if coverage <= 0:
            return
        plane, stride = self._planes[0]
        old = plane[row * stride + column]
        plane[row * stride + column] = round(old + (colour.luma - old) * min(1.0, coverage))
        if coverage > 0.5:  # noqa: PLR2004  # most of the pixel
            self._write_chroma(row // 2, column // 2, column // 2 + 1, colour)

    def _write_chroma(self, row: int, left: int, right: int, colour: Colour) -> None:
        self._write(1, row, left, bytes([colour.blue_difference]) * (right - left))
        self._write(2, row, left, bytes([colour.red_difference]) * (right - left))

    def _write(self, plane_number: int, row: int, left: int, samples: bytes) -> None:
        plane, stride = self._planes[plane_number]
        start = row * stride + left
        plane[start : start + len(samples)] = samples


def _overlap(box: Box, disc: Disc | None, row: int) -> tuple[int, int]:
    """Where a row of the box lies within the disc."""
    if disc is None:
        return box.left, box.right
    left, right = disc.span(row)
    left = max(left, box.left)
    return left, max(left, min(right, box.right))


@lru_cache
def _letter_rows(letter: str, dot: int, ink: int, paper: int) -> list[bytes]:
    """The rows of pixels of a letter and of the gap that follows it."""
    rows = []
    for signs in glyph(letter):
        levels = (ink if sign == "#" else paper for sign in signs.ljust(ADVANCE))
        rows += [b"".join(bytes([level]) * dot for level in levels)] * dot
    return rows
