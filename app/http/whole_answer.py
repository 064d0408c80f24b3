"""An answer whose head has been put together before, written at one go.

uvicorn looks at each header of each answer again, which for a page from memory costs more than all
else. Our connection offers this way; any other server gets the same answer as ASGI messages.
"""

from collections.abc import Iterable
from http import HTTPStatus

from starlette.types import Message, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from app.http.headers import RawHeaders

_KEY = "app.http.whole_answer"
_STATUS_LINES = {
    status: f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode() for status in (200, 304)
}


class Head:
    """A status and headers that many answers have in common, also as they go over the wire."""

    __slots__ = ("headers", "rendered", "status")

    def __init__(self, status: int, headers: RawHeaders) -> None:
        self.status = status
        self.headers = headers
        self.rendered = _STATUS_LINES[status] + _render(headers)


def offer(scope: Scope, cycle: RequestResponseCycle) -> None:
    """Let the application write the answer of this cycle at one go."""
    scope[_KEY] = cycle


async def send_whole(
    head: Head, more_headers: RawHeaders, body: bytes, scope: Scope, send: Send
) -> None:
    """Send a complete answer; `more_headers` are those of this one alone."""
    cycle: RequestResponseCycle | None = scope.get(_KEY)
    if cycle is not None and not cycle.flow.write_paused:
        _write(cycle, head.rendered + _render(more_headers), body)
        return
    headers = [*head.headers, *more_headers]
    start: Message = {"type": "http.response.start", "status": head.status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})


def _write(cycle: RequestResponseCycle, head: bytes, body: bytes) -> None:
    """What `RequestResponseCycle.send` does for an answer in one piece with a Content-Length."""
    if cycle.disconnected:
        return
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    closing = b"" if cycle.keep_alive else b"connection: close\r\n"
    rest = _render(cycle.default_headers)
    cycle.transport.writelines((b"%b%b%b\r\n" % (head, rest, closing), body))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()


def _render(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join([b"%b: %b\r\n" % field for field in headers])
