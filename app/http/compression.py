"""zstd, br and gzip for answers that gain by it and give nothing away."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette_compress import CompressMiddleware, add_compress_type

MINIMUM_BYTES = 500

# JSON under names that the library does not know.
for _media_type in (
    "application/feed+json",
    "application/problem+json",
    "application/schema+json",
    "application/x-ndjson",
):
    add_compress_type(_media_type)

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


def _may_be_compressed(start: Message) -> bool:
    """Neither short nor secret; the library then looks at the status and the media type."""
    fields = dict(start.get("headers", ()))
    length = fields.get(b"content-length", b"")
    is_short = length.isdigit() and int(length) < MINIMUM_BYTES
    return not is_short and b"no-store" not in fields.get(b"cache-control", b"")
