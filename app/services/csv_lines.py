"""The lines of a CSV file (RFC 4180) as it comes in, each with its number and a bounded length.

A record is one line here: no column of ours can hold a line break, and a quote that somebody forgot
to close must not swallow the good lines after it.
"""

import csv
from collections.abc import AsyncGenerator, AsyncIterator
from typing import NamedTuple

DELIMITERS = ",;\t"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """`raw` is None for a line that was too long to be kept."""

    number: int
    raw: bytes | None


class BrokenLine(Exception):
    """What is wrong with one line: a stable code and a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


async def split(
    pieces: AsyncIterator[bytes], *, max_bytes: int
) -> AsyncGenerator[list[Line], None]:
    """The lines that are complete with each piece; never more than a piece and a line in memory."""
    number, rest, is_too_long = 0, b"", False
    async for piece in pieces:
        *complete, rest = (rest + piece).split(b"\n")
        lines = []
        for raw in complete:
            number += 1
            lines.append(Line(number, None if is_too_long or len(raw) > max_bytes else raw))
            is_too_long = False
        if is_too_long or len(rest) > max_bytes:
            is_too_long, rest = True, b""
        if number == len(lines):  # the first lines of the file, if any came at all
            lines = [*map(_without_mark, lines[:1]), *lines[1:]]
        yield lines
    if rest or is_too_long:
        last = Line(number + 1, None if is_too_long else rest)
        yield [_without_mark(last) if number == 0 else last]


def _without_mark(line: Line) -> Line:
    return line._replace(raw=line.raw and line.raw.removeprefix(_BYTE_ORDER_MARK))


def is_blank(line: Line) -> bool:
    return line.raw is not None and not line.raw.strip()


def decode(line: Line) -> str:
    """The line's text without its end. Raises `BrokenLine`."""
    if line.raw is None:
        raise BrokenLine("line_too_long", "The line is too long")
    try:
        text = line.raw.decode()
    except UnicodeDecodeError:
        raise BrokenLine("invalid_utf8", "The line is not UTF-8") from None
    if "\0" in text:
        raise BrokenLine("nul_character", "NUL is not allowed in text")
    return text.removesuffix("\r")


def fields(text: str, delimiter: str) -> list[str]:
    """The fields of a line. Raises `BrokenLine` for quotes that are not as RFC 4180 has them."""
    if '"' not in text:
        return text.split(delimiter)
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error:
        if text.count('"') % 2:
            raise BrokenLine("unclosed_quote", "A quote is not closed on its line") from None
        raise BrokenLine("misplaced_quote", "A quote stands where none may be") from None


def delimiter_of(header: str) -> str:
    """What separates the columns: that of the known delimiters which the header has most of."""
    return max(DELIMITERS, key=header.count)
