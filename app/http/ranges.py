"""Serving one range of a file (RFC 9110, section 14), so that a broken download goes on."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from app.errors import AppError
from app.http import sendfile
from app.http.conditional import not_modified

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.IGNORECASE)

# Gives the bytes from a start up to, not including, an end.
ReadRange = Callable[[int, int], AsyncIterator[bytes]]


@dataclass(frozen=True, slots=True)
class ServedFile:
    size: int
    media_type: str
    # A strong entity tag: the same bytes and no others.
    etag: str
    sha256: str
    content_disposition: str
    # Never compressed: ranges are of the bytes as they are stored.
    cache_control: str = "private, no-cache, no-transform"
    # Where the bytes are on this machine, if they are.
    path: Path | None = None
    # What else is to be said of it.
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """From `start` up to, not including, `end`."""

    start: int
    end: int


class RangeNotSatisfiable(AppError):
    status, code, title = 416, "range_not_satisfiable", "The range starts behind the file's end"

    def __init__(self, size: int) -> None:
        super().__init__(headers={"Accept-Ranges": "bytes", "Content-Range": f"bytes */{size}"})


def parse_range(field: str | None, size: int) -> ByteRange | None:
    """The range to send, or None for the whole file.

    Several ranges at once, another unit or a malformed field may be ignored (section 14.2), so a
    thousand overlapping ranges cost what one file costs.
    """
    match = _RANGE.fullmatch(field.strip()) if field else None
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    if not first:  # the last so many bytes
        length = min(int(last), size)
        if length == 0:
            raise RangeNotSatisfiable(size)
        return ByteRange(size - length, size)
    start = int(first)
    end = min(int(last) + 1, size) if last else size
    if last and int(last) < start:
        return None
    if start >= size:
        raise RangeNotSatisfiable(size)
    return ByteRange(start, end)


def file_response(method: str, headers: Headers, file: ServedFile, read: ReadRange) -> Response:
    """Answer a GET or HEAD: 200, 206, 304 or 416 (`RangeNotSatisfiable`)."""
    common = {"Accept-Ranges": "bytes", "ETag": file.etag, **_described(file)}
    if not_modified(headers, file.etag):
        return Response(status_code=304, headers=common)
    part = parse_range(_usable_range(headers, file.etag), file.size)
    status, sent = (206, part) if part else (200, ByteRange(0, file.size))
    if part:
        common["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{file.size}"
    common["Content-Length"] = str(sent.end - sent.start)
    if method == "HEAD":
        return Response(status_code=status, headers=common, media_type=file.media_type)
    return _FileResponse(file, sent, read, status, common)


def handed_over(address: str, file: ServedFile) -> Response:
    """Let the server in front send the file: nginx, from an internal location (X-Accel-Redirect).

    It looks after ranges and conditions itself, with an entity tag of its own.
    """
    headers = {"X-Accel-Redirect": address, **_described(file)}
    return Response(headers=headers, media_type=file.media_type)


class _FileResponse(StreamingResponse):
    """Goes from the disk's cache to the client where the connection can do that, else in pieces."""

    def __init__(
        self,
        file: ServedFile,
        part: ByteRange,
        read: ReadRange,
        status: int,
        headers: dict[str, str],
    ) -> None:
        super().__init__(read(part.start, part.end), status, headers, file.media_type)
        self._path, self._part = file.path, part

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        send_file = sendfile.offered(scope)
        if send_file is None or self._path is None:
            await super().__call__(scope, receive, send)
            return
        file = await asyncio.to_thread(self._path.open, "rb", buffering=0)
        try:
            headers = self.raw_headers
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": headers}
            )
            count = await send_file(file, self._part.start, self._part.end)
        finally:
            file.close()
        # The count is for the access log: these bytes were in no message.
        await send({"type": "http.response.body", "body": b"", "count": count})


def _described(file: ServedFile) -> dict[str, str]:
    """What the client is told of the file in any case."""
    return {
        **file.headers,
        "Cache-Control": file.cache_control,
        "Content-Disposition": file.content_disposition,
        "Repr-Digest": f"sha-256=:{_base64(file.sha256)}:",
    }


def _usable_range(headers: Headers, etag: str) -> str | None:
    """If-Range: a range only of the very file that the client has begun; else all of it."""
    condition = headers.get("if-range")
    if condition is not None and condition.strip() != etag:
        return None
    return headers.get("range")


def _base64(hex_digest: str) -> str:
    return base64.b64encode(bytes.fromhex(hex_digest)).decode()
