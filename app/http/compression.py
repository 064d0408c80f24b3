"""zstd, br and gzip for answers that gain by it and give nothing away."""

import gzip
import re
from functools import lru_cache

import brotli
import zstandard
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette_compress import CompressMiddleware, add_compress_type

MINIMUM_BYTES = 500

# JSON under names that the library does not know.
for _media_type in (
    "application/feed+json",
    "application/vnd.iptc.ninjs+json",
    "application/vnd.pixar.opentimelineio+json",
    "application/problem+json",
    "application/schema+json",
    "application/x-ndjson",
):
    add_compress_type(_media_type)

# In the order of the library's preference.
_CODINGS = ("zstd", "br", "gzip")
_LEVEL = 4  # also the library's
_COMPRESSING_SEND = "app.http.compressing_send"


class CompressionMiddleware:
    """Compresses answers, but never one whose route marked it `no-store`.

    Those hold secrets, and the length of a compressed answer that also repeats what the caller
    sent tells the secret letter by letter (BREACH). Compressing leaves the ETag as it is: our tag
    names a version of the content, whatever its encoding.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._compress = CompressMiddleware(_hand_over, minimum_size=MINIMUM_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        chosen = send

        async def send_chosen(message: Message) -> None:
            nonlocal chosen
            if message["type"] == "http.response.start" and _may_be_compressed(message):
                # The library changes the headers, which may be those of many answers.
                message = {**message, "headers": list(message.get("headers", ()))}
                chosen = await self._compressing(scope, receive, send)
            await chosen(message)

        await self.app(scope, receive, send_chosen)

    async def _compressing(self, scope: Scope, receive: Receive, send: Send) -> Send:
        """The library's own `send`, asked for only when it is needed: most answers are short."""
        inner = {**scope}
        await self._compress(inner, receive, send)
        compressing: Send = inner[_COMPRESSING_SEND]
        return compressing


async def _hand_over(scope: Scope, _receive: Receive, send: Send) -> None:
    scope[_COMPRESSING_SEND] = send


@lru_cache(maxsize=256)
def chosen_coding(accept_encoding: bytes) -> bytes:
    """Which coding such a field gets; empty for none (RFC 9110, section 12.5.3)."""
    taken = {}
    for member in accept_encoding.decode("latin-1").lower().split(","):
        coding, _, weight = (part.strip() for part in member.partition(";"))
        taken[coding] = not re.fullmatch(r"q *= *0(\.0*)?", weight)
    wanted = (coding for coding in _CODINGS if taken.get(coding, taken.get("*", False)))
    return next(wanted, "").encode()


def compressed(body: bytes, coding: bytes) -> bytes:
    """An answer that many are given, in a coding of `chosen_coding`; the layer leaves it alone."""
    if coding == b"zstd":
        return zstandard.ZstdCompressor(level=_LEVEL).compress(body)
    if coding == b"br":
        return bytes(brotli.compress(body, quality=_LEVEL))
    return gzip.compress(body, compresslevel=_LEVEL, mtime=0)


def _may_be_compressed(start: Message) -> bool:
    """Neither short nor secret nor in ranges; the library then looks at status and media type.

    Nor where the route itself has looked at what the client takes.
    """
    fields = dict(start.get("headers", ()))
    length = fields.get(b"content-length", b"")
    is_short = length.isdigit() and int(length) < MINIMUM_BYTES
    control = fields.get(b"cache-control", b"")
    if b"content-encoding" in fields or fields.get(b"vary") == b"Accept-Encoding":
        return False
    return not is_short and b"no-store" not in control and b"no-transform" not in control
