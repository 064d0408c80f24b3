"""A shotlist as chapters in WebVTT (https://www.w3.org/TR/webvtt1/), for the menu of a player."""

from collections.abc import Mapping
from typing import Any

from app.formats.timing import TimedShot, clock, timed_shots

MEDIA_TYPE = "text/vtt"


def write(document: Mapping[str, Any]) -> bytes:
    """One cue for each shot: chapters may touch but, unlike captions, never overlap."""
    header = f"WEBVTT\n\nNOTE\n{_text(document['title'])}"
    shots = timed_shots(document)
    ends = [following.start_ms for following in shots[1:]]
    cues = [
        _cue(shot, min(shot.end_ms, end))
        for shot, end in zip(shots, [*ends, shots[-1].end_ms] if shots else [], strict=True)
    ]
    return "\n\n".join([header, *cues, ""]).encode()


def _cue(shot: TimedShot, end_ms: int) -> str:
    times = f"{clock(shot.start_ms)} --> {clock(max(end_ms, shot.start_ms + 1))}"
    return f"{shot.shot['number']}\n{times}\n{_text(shot.title)}"


def _text(text: str) -> str:
    """On one line: an empty one would end the cue, and an arrow would make it a timing."""
    line = " ".join(text.split()).replace("\x00", "")
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
