"""Timecodes of shotlists (SMPTE ST 12-1), and what they are in milliseconds."""

import re
from dataclasses import dataclass
from fractions import Fraction

# Hours, minutes, seconds, frames, with a semicolon where frame numbers are dropped; or less, as
# people write them: minutes and seconds.
PATTERN = r"^(?:(\d{2}):)?([0-5]\d):([0-5]\d)(?:([:;])(\d{2}))?$"
_TIMECODE = re.compile(PATTERN, re.ASCII)
_DEFAULT_RATE = Fraction(25)
_MINUTES_PER_DROP_CYCLE = 10


@dataclass(frozen=True, slots=True)
class FrameCount:
    """The rate of a file and the timecode of its first frame."""

    rate: Fraction = _DEFAULT_RATE
    start: str | None = None


def to_ms(timecode: str, clock: FrameCount) -> int:
    """Milliseconds since the start of the file.

    A timecode from the file's own start on is the file's; one before it counts from zero, as in
    a shotlist that was written beside a player. Raises ValueError for what is no timecode.
    """
    frames = _frames(timecode, clock.rate)
    start = _frames(clock.start, clock.rate) if clock.start else 0
    if frames >= start:
        frames -= start
    return round(frames * 1000 / clock.rate)


def from_ms(milliseconds: int, clock: FrameCount) -> str:
    """HH:MM:SS:FF since the start of the file, without dropping frame numbers."""
    per_second = round(clock.rate)
    numerator, denominator = clock.rate.as_integer_ratio()
    # To the nearest frame; in whole numbers, since a catalogue has millions of shots.
    frames = (2 * milliseconds * numerator + 1000 * denominator) // (2000 * denominator)
    seconds, frame = divmod(frames, per_second)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02}:{minute:02}:{second:02}:{frame:02}"


def _frames(timecode: str, rate: Fraction) -> int:
    """The number of the frame, counted from 00:00:00:00."""
    match = _TIMECODE.match(timecode)
    if match is None:
        raise ValueError("is no timecode such as 00:01:05:12")
    hours, minutes, seconds = (int(part or 0) for part in match.groups()[:3])
    per_second = round(rate)
    frame = int(match[5] or 0)
    if frame >= per_second:
        raise ValueError(f"has a frame number of {per_second} or more")
    total_minutes = 60 * hours + minutes
    count = (60 * total_minutes + seconds) * per_second + frame
    if match[4] != ";":
        return count
    # At 29.97 the first two numbers of each minute are left out, but not of each tenth; at 59.94
    # the first four.
    dropped = per_second // 15
    return count - dropped * (total_minutes - total_minutes // _MINUTES_PER_DROP_CYCLE)
