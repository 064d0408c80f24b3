"""Reading mails that strangers send: headers and parts, in time that grows with their size alone.

The standard library's parser is made for mails of good will: one that nests its parts a thousand
times would keep it busy for minutes, and a few broken headers make it raise.
"""

import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

# What reports say stands in their first part; the rest is a copy of the mail they are about.
READ_BYTES = 512 * 1024
MAX_DEPTH = 3
MAX_PARTS = 30
MAX_HEADERS = 500
VALUE_MAX_LENGTH = 2_000

Headers = Mapping[str, list[str]]


@dataclass(frozen=True, slots=True)
class Part:
    """Headers by their lower-case names, and the body as it stands."""

    headers: Headers
    body: bytes

    def header(self, name: str) -> str:
        """The first of this name, or nothing."""
        return self.headers.get(name, [""])[0]

    @property
    def media_type(self) -> str:
        return self.header("content-type").partition(";")[0].strip().lower() or "text/plain"

    def parameter(self, name: str) -> str:
        """Of Content-Type."""
        pattern = rf';\s*{re.escape(name)}\s*=\s*(?:"([^"]*)"|([^\s;"]+))'
        found = re.search(pattern, self.header("content-type"), re.IGNORECASE)
        return (found[1] or found[2] or "") if found else ""

    def text(self) -> str:
        """The body without its transfer encoding; what is no UTF-8 is replaced."""
        return self._decoded().decode("utf-8", "replace").replace("\r\n", "\n")

    def _decoded(self) -> bytes:
        encoding = self.header("content-transfer-encoding").strip().lower()
        if encoding == "quoted-printable":
            return binascii.a2b_qp(self.body)
        if encoding == "base64":
            try:
                return binascii.a2b_base64(self.body)
            except binascii.Error:
                return self.body
        return self.body


def read_message(raw: bytes) -> Part:
    """The beginning of a message, as one part."""
    return _read(raw[:READ_BYTES])


def leaves(message: Part) -> list[Part]:
    """The parts that hold something. A mail inside of a mail is one part, and not looked into."""
    found: list[Part] = []
    for part in _leaves(message, MAX_DEPTH):
        found.append(part)
        if len(found) == MAX_PARTS:
            break
    return found


def read_fields(text: str) -> list[Headers]:
    """Groups of fields between blank lines, as in a delivery status (RFC 3464, section 2.1)."""
    groups = re.split(r"\n[ \t]*\n", text.strip("\n"), maxsplit=MAX_PARTS)
    return [_headers(group) for group in groups[:MAX_PARTS] if group.strip()]


def embedded(part: Part) -> Part:
    """The mail that a part carries, whole or only its headers."""
    return _read(part.text().encode())


def _read(raw: bytes) -> Part:
    head, body = _split_head(raw)
    return Part(_headers(head.decode("utf-8", "replace").replace("\r\n", "\n")), body)


_END_OF_HEAD = re.compile(rb"\A\r?\n|\r?\n\r?\n")


def _split_head(raw: bytes) -> tuple[bytes, bytes]:
    end = _END_OF_HEAD.search(raw)
    return (raw[: end.start()], raw[end.end() :]) if end else (raw, b"")


def _headers(head: str) -> Headers:
    """Unfolded. Lines that are no headers, such as mbox's first, are passed over."""
    headers: dict[str, list[str]] = {}
    unfolded = re.sub(r"\n[ \t]+", " ", head)
    for line in unfolded.split("\n", MAX_HEADERS)[:MAX_HEADERS]:
        name, colon, value = line.partition(":")
        if colon and name and not re.search(r"\s", name.rstrip()):
            headers.setdefault(name.rstrip().lower(), []).append(value.strip()[:VALUE_MAX_LENGTH])
    return headers


def _leaves(part: Part, depth: int) -> Iterator[Part]:
    boundary = part.parameter("boundary").encode()
    if depth == 0 or not boundary or not part.media_type.startswith("multipart/"):
        yield part
        return
    for section in _sections(part.body, boundary):
        yield from _leaves(_read(section), depth - 1)


def _sections(body: bytes, boundary: bytes) -> list[bytes]:
    """What stands between the boundaries (RFC 2046, section 5.1.1), the end of which may lack."""
    delimiter = re.compile(rb"(?:\A|\r?\n)--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\r?\n|\Z)")
    sections: list[bytes] = []
    start = None
    for found in delimiter.finditer(body):
        if start is not None:
            sections.append(body[start : found.start()])
        start = None if found[1] else found.end()
        if start is None or len(sections) == MAX_PARTS:
            return [_without_first_break(section) for section in sections]
    if start is not None:
        sections.append(body[start:])
    return [_without_first_break(section) for section in sections]


def _without_first_break(section: bytes) -> bytes:
    return section.removeprefix(b"\r").removeprefix(b"\n")
