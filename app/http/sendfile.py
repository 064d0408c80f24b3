"""Files that go from the disk's cache to the client inside the kernel, past the event loop.

A thread of its own sends to whichever client is ready, a piece to each in turn. The loop hears of a
download when it is over, so that it has time for other calls whatever the number of downloads.
"""

import asyncio
import os
import select
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from threading import Thread
from typing import TYPE_CHECKING, Any, BinaryIO

from starlette.types import Scope

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from app.http.connection import TimedHttpToolsProtocol

PIECE_BYTES = 1024 * 1024
# How far ahead of the client the disk is read.
AHEAD_BYTES = 4 * PIECE_BYTES
# As much of a file waits in the kernel for its turn on the line, not the megabytes that it would
# take: of many slow clients those add up, and one that reads slowly would seem not to read at all.
UNSENT_BYTES = 256 * 1024
# Sockets that are looked after between two looks at which are ready.
SOCKETS_AT_ONCE = 64

_KEY = "app.http.send_file"
# Sends the bytes of a file from a start up to, not including, an end; gives how many went out.
SendFile = Callable[[BinaryIO, int, int], Awaitable[int]]


class FileShrank(Exception):
    """The file ended before the bytes that were promised."""


def offer(scope: Scope, send_file: SendFile) -> None:
    """Tell the application that this connection can send files, where the system can (Linux)."""
    if hasattr(select, "epoll"):
        scope[_KEY] = send_file


def offered(scope: Scope) -> SendFile | None:
    """Only after `http.response.start`, with a Content-Length; then comes the end of the body."""
    return scope.get(_KEY)


async def send_file(
    connection: "TimedHttpToolsProtocol",
    cycle: "RequestResponseCycle",
    stall: timedelta,
    file: BinaryIO,
    start: int,
    end: int,
) -> int:
    """Send as one body of this cycle; stops when the client is gone or reads nothing for `stall`.

    Raises `FileShrank`.
    """
    cycle.expected_content_length -= end - start
    await _wait_until_sent(connection)
    if start == end or connection.transport.is_closing():
        return 0
    transfer = _Transfer(_own_socket(connection.transport), os.dup(file.fileno()), start, end)
    _sender().begin(transfer)
    try:
        await _wait_until_over(connection, transfer, stall)
    finally:
        transfer.stop()
    if transfer.over.done() and (error := transfer.over.result()) is not None:
        connection.transport.abort()
        if not isinstance(error, ConnectionError):
            raise error
    return transfer.position - start


async def _wait_until_sent(connection: "TimedHttpToolsProtocol") -> None:
    """What the transport still holds, the head at least, must be out before the file."""
    transport = connection.transport
    if not transport.is_closing():
        transport.set_write_buffer_limits(high=0)
        await connection.flow.drain()
    if not transport.is_closing():
        transport.set_write_buffer_limits()


def _own_socket(transport: asyncio.Transport) -> socket.socket:
    """The same connection under a number of our own, whatever becomes of the transport's."""
    own = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
    own.setblocking(False)
    own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
    return own


async def _wait_until_over(
    connection: "TimedHttpToolsProtocol", transfer: "_Transfer", stall: timedelta
) -> None:
    """Until all is sent, the client is gone, or it has read nothing from one look to the next."""
    over = asyncio.wrap_future(transfer.over)
    connection.flow.pause_writing()  # the end of the connection ends this pause
    gone = asyncio.ensure_future(connection.flow.drain())
    ends: list[asyncio.Future[Any]] = [over, gone]
    seen = -1
    try:
        while not over.done() and not gone.done():
            if transfer.position == seen:
                connection.transport.abort()
                return
            seen = transfer.position
            await asyncio.wait(
                ends, timeout=stall.total_seconds(), return_when=asyncio.FIRST_COMPLETED
            )
    finally:
        gone.cancel()
        connection.flow.resume_writing()


@dataclass(slots=True, eq=False)
class _Transfer:
    """A file on its way. Socket and file are its own: they are closed when it is `over`."""

    socket: socket.socket
    file: int
    position: int
    end: int
    advised: int = 0
    # What it failed by, or None.
    over: "Future[Exception | None]" = field(default_factory=Future)

    def stop(self) -> None:
        """An answer that is broken off can only be ended with its connection."""
        if not self.over.done():
            with suppress(OSError):  # it is over in this moment
                self.socket.shutdown(socket.SHUT_RDWR)

    def send_piece(self) -> None:
        """As much as the socket takes without waiting, while the disk looks for what follows."""
        if self.position >= self.advised:
            self.advised = self.position + AHEAD_BYTES // 2
            os.posix_fadvise(self.file, self.position, AHEAD_BYTES, os.POSIX_FADV_WILLNEED)
        wanted = min(self.end - self.position, PIECE_BYTES)
        try:
            sent = os.sendfile(self.socket.fileno(), self.file, self.position, wanted)
        except BlockingIOError:
            return
        if sent == 0:
            raise FileShrank
        self.position += sent

    def finish(self, error: Exception | None) -> None:
        self.socket.close()
        os.close(self.file)
        self.over.set_result(error)


class _Sender:
    """One thread for all: several would keep the interpreter's lock from the loop for long."""

    def __init__(self) -> None:
        self._ready = select.epoll()
        self._transfers: dict[int, _Transfer] = {}
        Thread(target=self._run, name="sendfile", daemon=True).start()

    def begin(self, transfer: _Transfer) -> None:
        """From the loop's thread; the other one sees it as soon as the socket takes anything."""
        handle = transfer.socket.fileno()
        self._transfers[handle] = transfer
        self._ready.register(handle, select.EPOLLOUT)

    def _run(self) -> None:
        while True:
            for handle, _ in self._ready.poll(-1, SOCKETS_AT_ONCE):
                transfer = self._transfers[handle]
                try:
                    transfer.send_piece()
                except Exception as error:  # noqa: BLE001  # whatever it is, the others go on
                    self._end(handle, transfer, error)
                else:
                    if transfer.position == transfer.end:
                        self._end(handle, transfer, None)

    def _end(self, handle: int, transfer: _Transfer, error: Exception | None) -> None:
        self._ready.unregister(handle)
        del self._transfers[handle]
        transfer.finish(error)


@cache
def _sender() -> _Sender:
    return _Sender()
