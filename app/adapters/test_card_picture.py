"""The picture of the test card: the still parts are painted once, the moving parts on each frame.

Everything is placed on a grid of squares whose origin is the centre of the picture; nine of them
fill its height. So circles are round and the card fits every size.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import product
from math import ceil, cos, pi, sin

from app.adapters.bitmap_font import ADVANCE, ROWS
from app.adapters.raster import Box, Colour, Disc, Raster, Rgb, from_rgb

GRAPHICS_SAFE_MARGIN = 0.05  # of width and height (EBU R 95)
TIMECODE_LETTERS = len("HH:MM:SS:FF")

_BLACK, _WHITE = from_rgb((0, 0, 0)), from_rgb((1, 1, 1))
_MID_GREY = from_rgb((0.5, 0.5, 0.5))
_TRACK = from_rgb((0.1, 0.1, 0.1))

# The colour bars of the EBU: 75 %, luma falling from left to right.
_BARS: tuple[Rgb, ...] = (
    (0.75, 0.75, 0.75),
    (0.75, 0.75, 0),
    (0, 0.75, 0.75),
    (0, 0.75, 0),
    (0.75, 0, 0.75),
    (0.75, 0, 0),
    (0, 0, 0.75),
    (0, 0, 0),
)
_BURST_PERIODS = (24, 16, 12, 8, 6, 4)  # pixels per wave where the picture has 1080 lines
_GREY_STEPS = 11
_SWING = 2.3  # grid units that the pulse moves to either side


@dataclass(frozen=True)
class Place:
    """Where a line of letters is centred and the most room it may take, in grid units."""

    y: float
    width: float
    height: float


_TITLE = Place(-3.4, width=2.6, height=0.5)
_TIMECODE = Place(0.5, width=6.7, height=0.75)
_TONE = Place(3.4, width=2.6, height=0.3)


@dataclass(frozen=True)
class Grid:
    width: int
    height: int

    @property
    def unit(self) -> float:
        return self.height / 9

    @property
    def line(self) -> int:
        """Thickness of a thin line."""
        return max(2, _even(self.height / 540))

    def x(self, units: float) -> int:
        return min(self.width, max(0, _even(self.width / 2 + units * self.unit)))

    def y(self, units: float) -> int:
        return min(self.height, max(0, _even(self.height / 2 + units * self.unit)))

    def box(self, left: float, top: float, right: float, bottom: float) -> Box:
        return Box(self.x(left), self.y(top), self.x(right), self.y(bottom))

    def disc(self, x: float, y: float, radius: float) -> Disc:
        return Disc(
            self.width / 2 + x * self.unit, self.height / 2 + y * self.unit, radius * self.unit
        )

    def letters(self, count: int, place: Place) -> tuple[int, int, int]:
        """Left and top edge of that many letters, and the size of their dots, in pixels."""
        columns = count * ADVANCE - 1
        room = min(place.width / columns, place.height / ROWS)
        dot = max(1, int(room * self.unit))
        left = (self.width - columns * dot) // 2
        return left, round(self.height / 2 + place.y * self.unit - ROWS * dot / 2), dot


def paint(raster: Raster, title: str, tone: str, accent: Rgb) -> None:
    """Paint all that stands still, with `title` at the head of the circle, `tone` at its foot."""
    grid = Grid(raster.width, raster.height)
    circle = grid.disc(0, 0, 4)
    _paint_ground(raster, grid, accent)
    _paint_border(raster, grid)
    raster.fill(grid.box(-4, -4, 4, 4), _WHITE, circle)
    _paint_track(raster, grid, circle)
    _paint_colour_bars(raster, grid, circle)
    raster.fill(grid.box(-4, 0, 4, 1), _BLACK, circle)
    _paint_bursts(raster, grid, circle)
    _paint_grey_steps(raster, grid, circle)
    raster.ring(circle, 3 * grid.line, _WHITE)
    _write(raster, title, _TITLE, ink=_BLACK, paper=_WHITE)
    _write(raster, tone, _TONE, ink=_BLACK, paper=_WHITE)


def animate(raster: Raster, timecode: str, seconds: Fraction) -> None:
    """Paint what moves: the timecode, and a pulse that swings across once in each second."""
    _write(raster, timecode, _TIMECODE, ink=_WHITE, paper=_BLACK)
    grid = Grid(raster.width, raster.height)
    box = grid.box(-2.6, -2.85, 2.6, -2.3)
    sway = round(_SWING * grid.unit * cos(pi * seconds))
    raster.pattern(box, _pulse(box.width, round(grid.unit / 2), sway))


def timecode_place(width: int, height: int) -> tuple[int, int, int]:
    """Left and top edge of the burnt-in timecode, and the size of its dots, in pixels."""
    return Grid(width, height).letters(TIMECODE_LETTERS, _TIMECODE)


def _paint_ground(raster: Raster, grid: Grid, accent: Rgb) -> None:
    """The coloured ground with its squares, and a small circle in each corner."""
    raster.fill(Box(0, 0, grid.width, grid.height), from_rgb(accent))
    red, green, blue = accent
    pale = from_rgb((0.4 + 0.6 * red, 0.4 + 0.6 * green, 0.4 + 0.6 * blue))
    half = grid.line // 2
    for units in range(-7, 8):
        x = grid.x(units)
        raster.fill(Box(x - half, 0, x + half, grid.height), pale)
    for units in range(-4, 4):
        y = grid.y(units + 0.5)
        raster.fill(Box(0, y - half, grid.width, y + half), pale)
    for side, level in product((-6, 6), (-2.5, 2.5)):
        raster.ring(grid.disc(side, level, 1), 1.5 * grid.line, _WHITE)


def _paint_border(raster: Raster, grid: Grid) -> None:
    """Black and white blocks show whether an edge is cut off; the frame is the safe area."""
    depth = _even(grid.unit / 5)
    width, height = grid.width, grid.height
    for step in range(32):
        near, far = (_WHITE, _BLACK) if step % 2 else (_BLACK, _WHITE)
        left, right = grid.x(step / 2 - 8), grid.x(step / 2 - 7.5)
        raster.fill(Box(left, 0, right, depth), near)
        raster.fill(Box(left, height - depth, right, height), far)
    for step in range(18):
        near, far = (_WHITE, _BLACK) if step % 2 else (_BLACK, _WHITE)
        top, bottom = grid.y(step / 2 - 4.5), grid.y(step / 2 - 4)
        raster.fill(Box(0, top, depth, bottom), near)
        raster.fill(Box(width - depth, top, width, bottom), far)
    x, y = _even(width * GRAPHICS_SAFE_MARGIN), _even(height * GRAPHICS_SAFE_MARGIN)
    _paint_frame(raster, Box(x, y, width - x, height - y), grid.line)


def _paint_frame(raster: Raster, box: Box, line: int) -> None:
    raster.fill(Box(box.left, box.top, box.right, box.top + line), _WHITE)
    raster.fill(Box(box.left, box.bottom - line, box.right, box.bottom), _WHITE)
    raster.fill(Box(box.left, box.top, box.left + line, box.bottom), _WHITE)
    raster.fill(Box(box.right - line, box.top, box.right, box.bottom), _WHITE)


def _paint_track(raster: Raster, grid: Grid, circle: Disc) -> None:
    """The strip of the pulse, with marks where it turns and at the middle of its way."""
    raster.fill(grid.box(-4, -3, 4, -2), _TRACK, circle)
    for units in (-_SWING, 0, _SWING):
        x, half = grid.x(units), grid.line
        raster.fill(Box(x - half, grid.y(-2.25), x + half, grid.y(-2.1)), _WHITE)


def _paint_colour_bars(raster: Raster, grid: Grid, circle: Disc) -> None:
    for column, rgb in enumerate(_BARS, start=-4):
        raster.fill(grid.box(column, -2, column + 1, 0), from_rgb(rgb), circle)


def _paint_bursts(raster: Raster, grid: Grid, circle: Disc) -> None:
    """Waves that grow finer from left to right show the resolution of a screen."""
    box = grid.box(-4, 1, 4, 2)
    raster.fill(box, _MID_GREY, circle)
    length = ceil(box.width / len(_BURST_PERIODS))
    samples = bytearray()
    for pixels in _BURST_PERIODS:
        period = max(2.0, pixels * grid.height / 1080)
        samples += bytes(round(126 + 100 * cos(2 * pi * at / period)) for at in range(length))
    raster.pattern(box, bytes(samples), circle)


def _paint_grey_steps(raster: Raster, grid: Grid, circle: Disc) -> None:
    raster.fill(grid.box(-4, 2, 0, 3), _BLACK, circle)
    raster.fill(grid.box(0, 2, 4, 3), _WHITE, circle)
    for step in range(_GREY_STEPS):
        grey = step / (_GREY_STEPS - 1)
        left = (step - _GREY_STEPS / 2) / 2
        raster.fill(grid.box(left, 2, left + 0.5, 3), from_rgb((grey, grey, grey)), circle)


def _write(raster: Raster, text: str, place: Place, *, ink: Colour, paper: Colour) -> None:
    left, top, dot = Grid(raster.width, raster.height).letters(len(text), place)
    raster.text(left, top, text, dot=dot, ink=ink.luma, paper=paper.luma)


@lru_cache
def _pulse(width: int, length: int, offset: int) -> bytes:
    """A strip with a sine-squared pulse, `offset` pixels from its middle.

    Its soft flanks do not ring in a codec, so an uneven movement is a fault of the player.
    """
    track, height = _TRACK.luma, _WHITE.luma - _TRACK.luma
    start = (width - length) // 2 + offset
    pulse = bytes(round(track + height * sin(pi * at / length) ** 2) for at in range(length))
    return bytes([track]) * start + pulse + bytes([track]) * (width - start - length)


def _even(number: float) -> int:
    return 2 * round(number / 2)
