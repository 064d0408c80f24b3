"""Reading captions: WebVTT as the W3C's Recommendation has it, and SubRip, which becomes WebVTT.

Libraries skip what they can't read. An editor must be told instead, or a line is missing on air.
"""

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from app.errors import InvalidInput
from app.services import policy

_ARROW = "-->"
_TIME = r"(?:(\d{2,4}):)?([0-5]\d):([0-5]\d)\.(\d{3})"
_TIMING = re.compile(rf"[ \t]*{_TIME}[ \t]+-->[ \t]+{_TIME}(?:[ \t].*)?", re.ASCII)
_HEADER = re.compile(r"WEBVTT(?:[ \t].*)?")
_NO_CUE = re.compile(r"(?:NOTE(?:[ \t].*)?|STYLE[ \t]*|REGION[ \t]*)")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_TAG = re.compile(r"<[^>]*>?")
# Hours of one digit, a point for the comma, and a position behind are what programs write, too.
_SUBRIP_TIME = r"(\d{1,3}):([0-5]\d):([0-5]\d)[,.](\d{3})"
_SUBRIP_TIMING = re.compile(rf"\s*{_SUBRIP_TIME}\s*-->\s*{_SUBRIP_TIME}(?:\s.*)?", re.ASCII)
_SUBRIP_STYLE = re.compile(r"\{\\[^}]*\}|</?font[^>]*>", re.IGNORECASE)
_KEPT_TAG = re.compile(r"&lt;(/?)([biu])&gt;", re.IGNORECASE)


class InvalidCaptions(InvalidInput):
    code, title = "invalid_captions", "These captions can't be read"

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"Line {line}: {message}")


@dataclass(frozen=True, slots=True)
class Cue:
    """`line` is where its times stand in the file; `text` is as it was written."""

    line: int
    start_ms: int
    end_ms: int
    text: str


def read_webvtt(data: bytes) -> str:
    """The text of a WebVTT file, with plain line ends and no byte order mark; else untouched.

    Raises `InvalidCaptions`. Cue settings are let pass: players skip those that they don't know
    and show the cue.
    """
    text = _decode(data)
    _check_times(list(_parse(text)))
    return text


def convert_subrip(data: bytes) -> str:
    """A SubRip file as WebVTT. Bold, italic and underlined text stays so; colours are lost."""
    found = list(_parse_subrip(_decode(data)))
    _check_times(found)
    return "\n".join(["WEBVTT\n", *map(_block, found)])


def cues(webvtt: str) -> list[tuple[int, int, str]]:
    """Start and end in milliseconds and the plain text of each cue of a stored file."""
    return [(cue.start_ms, cue.end_ms, _plain(cue.text)) for cue in _parse(webvtt)]


def _decode(data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidCaptions(line, "this is not UTF-8") from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if control := _CONTROL.search(text):
        line = text.count("\n", 0, control.start()) + 1
        raise InvalidCaptions(line, "there is a control character")
    return text if text.endswith("\n") else f"{text}\n"


def _parse(text: str) -> Iterator[Cue]:
    blocks = _blocks(text)
    first = next(blocks, None)
    if first is None or first[0] != 1 or not _HEADER.fullmatch(first[1][0]):
        raise InvalidCaptions(1, "a WebVTT file begins with WEBVTT")
    _refuse_arrow(*first)
    for number, lines in blocks:
        if _NO_CUE.fullmatch(lines[0]) and _ARROW not in "".join(lines[:2]):
            _refuse_arrow(number, lines)
        else:
            yield _cue(number, lines)


def _blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    """What empty lines separate, each with the number of its first line."""
    block: list[str] = []
    for number, line in enumerate([*text.split("\n"), ""], 1):
        if line:
            block.append(line)
        elif block:
            yield number - len(block), block
            block = []


def _cue(number: int, lines: Sequence[str]) -> Cue:
    has_name = _ARROW not in lines[0] and len(lines) > 1
    timing, *payload = lines[1:] if has_name else lines
    number += has_name
    times = _TIMING.fullmatch(timing)
    if times is None:
        raise InvalidCaptions(number, "these are no times, such as 00:01.000 --> 00:04.000")
    _refuse_arrow(number + 1, payload)
    groups = times.groups()
    return Cue(number, _milliseconds(groups[:4]), _milliseconds(groups[4:]), "\n".join(payload))


def _refuse_arrow(number: int, lines: Sequence[str]) -> None:
    for offset, line in enumerate(lines):
        if _ARROW in line:
            message = f"{_ARROW} stands within a text; an empty line is missing before the cue"
            raise InvalidCaptions(number + offset, message)


def _parse_subrip(text: str) -> Iterator[Cue]:
    """A cue's text reaches to the times of the next one: there may be empty lines in it."""
    lines = text.split("\n")
    timings = [index for index, line in enumerate(lines) if _ARROW in line]
    for index, line in enumerate(lines[: timings[0] if timings else None]):
        if line.strip() and not line.strip().isdecimal():
            raise InvalidCaptions(index + 1, "a SubRip file begins with a number and times")
    for index, end in pairwise([*timings, len(lines)]):
        times = _SUBRIP_TIMING.fullmatch(lines[index])
        if times is None:
            message = "these are no times, such as 00:00:01,000 --> 00:00:04,000"
            raise InvalidCaptions(index + 1, message)
        payload = lines[index + 1 : end]
        if end < len(lines) and payload and payload[-1].strip().isdecimal():
            del payload[-1]  # the number of the next cue
        groups = times.groups()
        written = "\n".join(_webvtt_text(line) for line in payload if line.strip())
        yield Cue(index + 1, _milliseconds(groups[:4]), _milliseconds(groups[4:]), written)


def _webvtt_text(line: str) -> str:
    escaped = html.escape(_SUBRIP_STYLE.sub("", line), quote=False)
    return _KEPT_TAG.sub(lambda tag: f"<{tag[1]}{tag[2].lower()}>", escaped)


def _check_times(found: Sequence[Cue]) -> None:
    if not found:
        raise InvalidCaptions(1, "there are no cues")
    previous_start = 0
    for cue in found:
        if cue.start_ms < previous_start:
            raise InvalidCaptions(cue.line, "this cue begins before the one above it")
        if cue.end_ms <= cue.start_ms:
            raise InvalidCaptions(cue.line, "this cue does not end after it begins")
        if cue.end_ms > policy.CAPTION_LATEST / timedelta(milliseconds=1):
            raise InvalidCaptions(cue.line, "no programme is that long")
        previous_start = cue.start_ms


def _block(cue: Cue) -> str:
    return f"{_clock(cue.start_ms)} {_ARROW} {_clock(cue.end_ms)}\n{cue.text}\n"


def _milliseconds(parts: Sequence[str | None]) -> int:
    hours, minutes, seconds, milliseconds = (int(part or 0) for part in parts)
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + milliseconds


def _clock(milliseconds: int) -> str:
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}.{milliseconds:03}"


def _plain(text: str) -> str:
    return " ".join(html.unescape(_TAG.sub("", text)).split())
