"""The files of a Media RSS item."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from app.formats.addresses import Addresses
from app.formats.medium import medium_of
from app.formats.mrss_names import MEDIA, METALINK
from app.formats.xml_tree import Attributes, Element, add

# What a reader takes who takes one file only, the best first.
_PURPOSES = ("master", "broadcast", "web", "proxy", "audio", "image")

_Document = Mapping[str, Any]


def add_files(item: Element, document: _Document, addresses: Addresses) -> None:
    """The same content in several files is a group; papers that came with it are not in it."""
    files = document["renditions"]
    default = min(files, key=_preference, default=None)
    group = None
    if document["preview"] or any(medium_of(file) != "document" for file in files):
        group = add(item, f"{MEDIA}group")
    for file in files:
        parent = item if group is None or medium_of(file) == "document" else group
        attributes = _attributes(file, addresses, is_default=file is default)
        content = add(parent, f"{MEDIA}content", attributes=attributes)
        add(content, f"{METALINK}hash", file["sha256"], {"type": "sha-256"})
    if group is not None and document["preview"]:
        sample = _sample(document, addresses)
        add(group, f"{MEDIA}content", attributes=sample)
    if poster := document["poster"]:
        size = {"width": poster["width"], "height": poster["height"]}
        thumbnail = {"url": addresses.absolute(poster["url"]), **size}
        add(item, f"{MEDIA}thumbnail", attributes=thumbnail)


def _preference(rendition: _Document) -> int:
    purpose = rendition["purpose"]
    return _PURPOSES.index(purpose) if purpose in _PURPOSES else len(_PURPOSES)


def _attributes(rendition: _Document, addresses: Addresses, *, is_default: bool) -> Attributes:
    """Bit rates in kilobits, sampling rates in kilohertz, durations in whole seconds."""
    technical = rendition["technical"]
    video = technical.get("video") or {}
    size = video or technical.get("image") or {}
    audio: _Document = next(iter(technical.get("audio_tracks") or ()), {})
    rate = video.get("frame_rate")
    return {
        "url": addresses.absolute(rendition["download"]),
        "fileSize": rendition["size_bytes"],
        "type": rendition["media_type"],
        "medium": medium_of(rendition),
        "isDefault": "true" if is_default else None,
        "expression": "full",
        "bitrate": _thousands(technical.get("bit_rate")),
        "framerate": f"{float(Fraction(rate['num'], rate['den'])):.5g}" if rate else None,
        "samplingrate": _thousands(audio.get("sampling_rate_hz")),
        "channels": audio.get("channels"),
        "duration": _seconds(technical.get("duration_ms")),
        "height": size.get("height"),
        "width": size.get("width"),
        "lang": audio.get("language"),
    }


def _sample(document: _Document, addresses: Addresses) -> Attributes:
    """The preview: smaller than the rest, but anybody may fetch it."""
    preview = document["preview"]
    return {
        "url": addresses.absolute(preview["url"]),
        "fileSize": preview["size_bytes"],
        "type": preview["media_type"],
        "medium": "audio" if document["type"] == "audio" else "video",
        "expression": "sample",
        "duration": _seconds(document["duration_ms"]),
        "height": preview["height"],
        "width": preview["width"],
    }


def _thousands(number: int | None) -> str | None:
    return None if number is None else f"{number / 1000:.10g}"


def _seconds(milliseconds: int | None) -> int | None:
    return None if milliseconds is None else round(milliseconds / 1000)
