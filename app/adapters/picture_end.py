"""Whether a picture is there to its end: decoders fill up with grey what is missing."""

import mmap
import re
from pathlib import Path

# A marker inside the coded picture (ISO/IEC 10918-1, B.1.1): not a stuffed zero, not a restart.
_JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_JPEG_END, _JPEG_SCAN = 0xD9, 0xDA
_PNG_SIGNATURE_BYTES = 8
_PNG_AROUND_CONTENTS = 12  # length, type and checksum of a chunk


def is_cut(path: Path, container: str) -> bool:
    """Of a JPEG or a PNG, by MediaInfo's names; other containers say so themselves."""
    has_end = {"JPEG": _has_jpeg_end, "PNG": _has_png_end}.get(container)
    if has_end is None:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return not has_end(data)


def _has_jpeg_end(data: mmap.mmap) -> bool:
    """Follow the segments from the start: thumbnails in them have ends of their own."""
    place = 2  # behind the start of the image
    while match := _JPEG_MARKER.match(data, place):
        marker = data[place + 1]
        if marker == _JPEG_END:
            return True
        place = match.end() + int.from_bytes(data[match.end() : match.end() + 2])
        if marker == _JPEG_SCAN:
            following = _JPEG_MARKER.search(data, place)
            place = following.start() if following else len(data)
    return False


def _has_png_end(data: mmap.mmap) -> bool:
    place = _PNG_SIGNATURE_BYTES
    while place + _PNG_AROUND_CONTENTS <= len(data):
        if data[place + 4 : place + 8] == b"IEND":
            return True
        place += _PNG_AROUND_CONTENTS + int.from_bytes(data[place : place + 4])
    return False
