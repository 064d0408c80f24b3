"""uvicorn's HTTP/1.1 connection with the limits that it lacks.

uvicorn times only the pause between two requests, and its parser buffers a head without end. Here
every state in which a client owes us bytes and no application waits for them has a deadline, and
refusals have the API's own form where uvicorn would send plain text.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, cast

import httptools
import uvicorn
from starlette.types import Scope
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from app.errors import AppError, HeadersTooLarge, RequestTimeout, UriTooLong
from app.http import ending, sendfile, whole_answer
from app.http.headers import has_body
from app.http.limits import MAX_HEADER_BYTES, MAX_TARGET_BYTES
from app.http.refusals import MalformedRequest, TooManyConnections, refusal

# One-byte chunks, wasteful but legal, spend five bytes of framing on each byte of body.
_FRAMING_PER_BODY_BYTE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """`head` is the time for a request's line and headers, and for a body that nobody reads.

    `write_stall` cuts a client that stops reading its answer; `linger` is for one that still sends
    while it is being refused, and would otherwise lose the refusal to a connection reset.
    """

    head: timedelta = timedelta(seconds=10)
    write_stall: timedelta = timedelta(seconds=30)
    linger: timedelta = timedelta(seconds=1)
    max_head_bytes: int = MAX_HEADER_BYTES + MAX_TARGET_BYTES
    max_framing_bytes: int = 64 * 1024  # chunk sizes, chunk extensions and trailers
    max_unread_bytes: int = 1024 * 1024  # of a body after its answer
    max_connections: int = 2000


class TimedHttpToolsProtocol(HttpToolsProtocol):
    """One connection. Requests come one after another; answers leave in the same order."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.url = b""
        self._limits: ConnectionLimits = getattr(config, "connection_limits", ConnectionLimits())
        self._had_request = False
        self._in_head = True  # else in a body
        self._pending = 0  # bytes since the last head or body ended that no application gets
        self._passed_boundary = False  # a head or a body ended in the current read
        self._ignoring = False  # whatever still comes in is not parsed
        self._read_deadline: asyncio.TimerHandle | None = None
        self._write_deadline: asyncio.TimerHandle | None = None
        self._at_end: Callable[[], None] | None = None
        self._is_stopping = False

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._limits.max_connections:
            self._refuse(TooManyConnections())
        else:
            self._watch()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        self.resume_writing()
        super().connection_lost(exc)
        self._tell_end()

    @override
    def data_received(self, data: bytes) -> None:
        if self._ignoring:
            self._pending += len(data)
            if self._pending > self._limits.max_unread_bytes:
                self.transport.close()
            return
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._ignoring = True  # what follows is in a protocol that we do not speak
        except httptools.HttpParserError:
            self._refuse(MalformedRequest())
            return
        self._count(len(data))
        self._watch()

    # What the parser reports

    @override
    def on_headers_complete(self) -> None:
        upgrade = self.parser.should_upgrade()
        if upgrade and has_body(dict(self.headers)):
            # The parser would skip the body as if it were in the new protocol, and a proxy that
            # thinks otherwise could be made to smuggle a second request in it.
            raise MalformedRequest
        super().on_headers_complete()
        self._had_request = True
        self.headers = []  # trailers come here, and not among the headers already checked
        self._in_head = False
        self._pass_boundary()
        if upgrade:
            self.cycle.keep_alive = False

    @override
    def on_body(self, body: bytes) -> None:
        if not self.cycle.response_complete:
            self._pending -= _FRAMING_PER_BODY_BYTE * len(body)
        super().on_body(body)

    @override
    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head = True
        self._pass_boundary()

    def _pass_boundary(self) -> None:
        self._pending = 0
        self._passed_boundary = True

    @override
    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        scope = cast("Scope", cycle.scope)
        whole_answer.offer(scope, cycle)
        ending.offer(scope, self)
        if self.scheme == "http":  # TLS must see each byte
            stall = self._limits.write_stall
            sendfile.offer(scope, partial(sendfile.send_file, self, cycle, stall))
        super()._start_asgi_task(cycle, app)

    # The end of an answer that may last

    def call_at_end(self, callback: Callable[[], None]) -> None:
        """See `ending`."""
        if self._is_stopping or self.cycle.disconnected:
            callback()
        else:
            self._at_end = callback

    @override
    def shutdown(self) -> None:
        """The server stops: an answer that lasts ends now, whether its client reads or not."""
        super().shutdown()
        self._is_stopping = True
        if self._at_end is not None:
            cycle = self.cycle
            seconds = self._limits.linger.total_seconds()
            self.loop.call_later(seconds, self._abort_unless_complete, cycle)
        self._tell_end()

    def _tell_end(self) -> None:
        callback, self._at_end = self._at_end, None
        if callback is not None:
            callback()

    def _abort_unless_complete(self, cycle: RequestResponseCycle) -> None:
        if not cycle.response_complete:
            self.transport.abort()

    # Bytes

    def _count(self, size: int) -> None:
        """Hold the client to its limits. A read that passed a boundary is not counted.

        Its share on this side of the boundary is unknown, and one read is bounded anyway.
        """
        if self._passed_boundary:
            self._passed_boundary = False
            return
        self._pending += size
        limits = self._limits
        if self._in_head and self._pending > limits.max_head_bytes:
            self._refuse(UriTooLong() if len(self.url) > MAX_TARGET_BYTES else HeadersTooLarge())
        elif self._body_is_unread():
            if self._pending > limits.max_unread_bytes:
                self.transport.close()
        elif not self._in_head and self._pending > limits.max_framing_bytes:
            self._refuse(MalformedRequest("There is more chunk framing than body"))

    def _body_is_unread(self) -> bool:
        """Whether the rest of a body comes in whose request has been answered."""
        return not self._in_head and self.cycle.response_complete

    # Time

    def _watch(self) -> None:
        """Start the deadline when the client begins to owe us bytes, stop it when it has paid.

        It is not put off by each new byte. The pause between two requests is uvicorn's to time,
        until the first byte of the second.
        """
        if self._ignoring:
            return
        if not self._had_request or self._pending > 0:
            owed = self._in_head or self.cycle.response_complete
        else:
            owed = self.cycle.response_complete and self.timeout_keep_alive_task is None
        if not owed:
            self._unwatch()
        elif self._read_deadline is None:
            seconds = self._limits.head.total_seconds()
            self._read_deadline = self.loop.call_later(seconds, self._on_read_deadline)

    def _unwatch(self) -> None:
        if self._read_deadline is not None:
            self._read_deadline.cancel()
            self._read_deadline = None

    def _on_read_deadline(self) -> None:
        self._read_deadline = None
        if self._in_head and self._pending > 0:
            self._refuse(RequestTimeout("The head of the request did not arrive in time"))
        else:  # there is nobody to tell: no request was begun, or it has its answer
            self.transport.close()

    @override
    def on_response_complete(self) -> None:
        self._at_end = None
        super().on_response_complete()
        if self._body_is_unread():
            self._pending = 0

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        seconds = self._limits.write_stall.total_seconds()
        self._write_deadline = self.loop.call_later(seconds, self.transport.abort)

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = None

    # Refusals

    def _refuse(self, error: AppError) -> None:
        """Read no further, and answer with `error` if it is this request's turn to be answered."""
        self._ignoring = True
        self._unwatch()
        cycle = self.cycle
        if self._in_head and (not self._had_request or cycle.response_complete):
            self._answer(error)
        elif self._in_head:  # an earlier request is still being handled
            cycle.keep_alive = False
        elif cycle.response_started or self.pipeline:
            self.transport.close()
        else:
            cycle.disconnected = True
            cycle.message_event.set()
            self._answer(error)

    def _answer(self, error: AppError) -> None:
        self.transport.write(refusal(error))
        if self.transport.can_write_eof():
            self.transport.write_eof()
            seconds = self._limits.linger.total_seconds()
            self._read_deadline = self.loop.call_later(seconds, self.transport.close)
        else:  # TLS
            self.transport.close()
