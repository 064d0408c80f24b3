"""Times of shots and files, as the formats write them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

# How long the last shot lasts where nothing says when it ends.
_SHORTEST_SHOT_MS = 1_000
_DEFAULT_RATE = Fraction(25)


@dataclass(frozen=True, slots=True)
class TimedShot:
    """A line of a shotlist with an end, which editors often leave out."""

    shot: Mapping[str, Any]
    start_ms: int
    end_ms: int

    @property
    def title(self) -> str:
        """Who speaks what, or what is to be seen."""
        speaker = self.shot["speaker"]
        text = str(self.shot["text"])
        return f"{speaker}: {text}" if speaker else text


def timed_shots(document: Mapping[str, Any]) -> list[TimedShot]:
    """The shots in order of time. One without an end lasts until the next, or until the end."""
    shots = sorted(document["shotlist"], key=lambda shot: shot["start_ms"])
    starts = [shot["start_ms"] for shot in shots]
    duration: int = document["duration_ms"] or 0
    return [
        TimedShot(shot, start, _end(shot, start, following))
        for shot, (start, following) in zip(shots, pairwise([*starts, duration]), strict=True)
    ]


def _end(shot: Mapping[str, Any], start: int, following: int) -> int:
    end: int | None = shot["end_ms"]
    if end is not None and end > start:
        return end
    return following if following > start else start + _SHORTEST_SHOT_MS


def clock(milliseconds: int) -> str:
    """HH:MM:SS.mmm, as WebVTT and Media RSS write it."""
    seconds, thousandths = divmod(milliseconds, 1000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02}:{minute:02}:{second:02}.{thousandths:03}"


def iso_duration(milliseconds: int) -> str:
    """PT1H2M3.5S (ISO 8601). Without days: not every reader of the formats knows them."""
    seconds, thousandths = divmod(milliseconds, 1000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    fraction = f".{thousandths:03}".rstrip("0") if thousandths else ""
    return f"PT{hours}H{minute}M{second}{fraction}S"


def frame_rate(document: Mapping[str, Any]) -> Fraction:
    """Of the first file that has one; 25 frames per second where none has."""
    return next(frame_rates(document["renditions"]), _DEFAULT_RATE)


def frame_rates(renditions: Sequence[Mapping[str, Any]]) -> Iterator[Fraction]:
    for rendition in renditions:
        rate = (rendition["technical"].get("video") or {}).get("frame_rate")
        if rate:
            yield Fraction(rate["num"], rate["den"])
