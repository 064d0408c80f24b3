"""A shotlist as an OpenTimelineIO timeline, for editing systems.

The file format is JSON: https://opentimelineio.readthedocs.io, "Serialized Data". Each shot is a
clip of the file it was logged from; between shots that do not touch there are gaps.
"""

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any

from app.formats import json_text
from app.formats.addresses import Addresses
from app.formats.timing import TimedShot, frame_rate, timed_shots

# As the project has proposed it; none is registered.
MEDIA_TYPE = "application/vnd.pixar.opentimelineio+json"
_NAMESPACE = "multimedia_account"
# The file an editor works with, the best first.
_PURPOSES = ("master", "broadcast", "web", "proxy", "audio")

_Json = dict[str, Any]


def write(document: Mapping[str, Any], addresses: Addresses) -> bytes:
    rate = frame_rate(document)
    media = _media(document, addresses, rate)
    lanes = _lanes(timed_shots(document))
    kind = "Audio" if document["type"] == "audio" else "Video"
    about = {"asset_id": document["id"], "version": document["version"]}
    timeline = {
        "OTIO_SCHEMA": "Timeline.1",
        "metadata": {_NAMESPACE: about},
        "name": document["title"],
        "global_start_time": None,
        "tracks": {
            "OTIO_SCHEMA": "Stack.1",
            "metadata": {},
            "name": "tracks",
            "children": [_track(lane, kind, media, rate) for lane in lanes],
        },
    }
    return json_text.to_bytes(timeline)


def _lanes(shots: Iterable[TimedShot]) -> list[list[TimedShot]]:
    """Clips of one track follow each other, so shots that overlap need tracks of their own."""
    lanes: list[list[TimedShot]] = []
    for shot in shots:
        free = next((lane for lane in lanes if lane[-1].end_ms <= shot.start_ms), None)
        if free is None:
            lanes.append([shot])
        else:
            free.append(shot)
    return lanes or [[]]


def _track(shots: Iterable[TimedShot], kind: str, media: _Json, rate: Fraction) -> _Json:
    return {
        "OTIO_SCHEMA": "Track.1",
        "metadata": {},
        "name": "shotlist",
        "kind": kind,
        "children": list(_children(shots, media, rate)),
    }


def _children(shots: Iterable[TimedShot], media: _Json, rate: Fraction) -> Iterator[_Json]:
    """Clips of one frame or more, and the gaps between them."""
    position = 0
    for shot in shots:
        start = max(position, _frames(shot.start_ms, rate))
        end = max(start + 1, _frames(shot.end_ms, rate))
        if start > position:
            yield {"OTIO_SCHEMA": "Gap.1", "source_range": _range(0, start - position, rate)}
        yield _clip(shot, _range(start, end - start, rate), media)
        position = end


def _clip(shot: TimedShot, source_range: _Json, media: _Json) -> _Json:
    details = {name: value for name, value in shot.shot.items() if value is not None}
    return {
        "OTIO_SCHEMA": "Clip.2",
        "metadata": {_NAMESPACE: details},
        "name": shot.title,
        "source_range": source_range,
        "media_references": {"DEFAULT_MEDIA": media},
        "active_media_reference_key": "DEFAULT_MEDIA",
    }


def _media(document: Mapping[str, Any], addresses: Addresses, rate: Fraction) -> _Json:
    offered = {each["purpose"]: each for each in reversed(document["renditions"])}
    rendition = next((offered[purpose] for purpose in _PURPOSES if purpose in offered), None)
    if rendition is None:
        return {"OTIO_SCHEMA": "MissingReference.1", "metadata": {}, "name": ""}
    duration = _frames(document["duration_ms"] or 0, rate)
    about = {
        "sha256": rendition["sha256"],
        "timecode": rendition["technical"].get("start_timecode"),
    }
    return {
        "OTIO_SCHEMA": "ExternalReference.1",
        "metadata": {_NAMESPACE: about},
        "name": rendition["filename"],
        "available_range": _range(0, duration, rate) if duration else None,
        "target_url": addresses.absolute(rendition["download"]),
    }


def _frames(milliseconds: int, rate: Fraction) -> int:
    return round(milliseconds * rate / 1000)


def _range(start: int, duration: int, rate: Fraction) -> _Json:
    return {
        "OTIO_SCHEMA": "TimeRange.1",
        "start_time": _time(start, rate),
        "duration": _time(duration, rate),
    }


def _time(frames: int, rate: Fraction) -> _Json:
    return {"OTIO_SCHEMA": "RationalTime.1", "rate": float(rate), "value": float(frames)}
