"""A line to the server that can be slow and can break: a SOCKS 5 proxy (RFC 1928)."""

import asyncio
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

PIECE = 16_384
NO_PASSWORD = b"\x05\x00"
GRANTED = b"\x05\x00\x00\x01" + bytes(6)
REFUSED = b"\x05\x01\x00\x01" + bytes(6)


class Line:
    """`speed` is of what is sent, in bytes a second; None is as fast as it goes."""

    def __init__(self) -> None:
        self.speed: int | None = None
        self.is_broken = False
        self.port = 0
        self._open: set[StreamWriter] = set()

    def cut(self) -> None:
        """End what is running, at once, and let nothing new begin."""
        self.is_broken = True
        for each in self._open:
            each.transport.abort()

    def mend(self) -> None:
        self.is_broken = False

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await self._connect(reader, writer)
        writer.close()

    async def _connect(self, reader: StreamReader, writer: StreamWriter) -> None:
        _, count = await reader.readexactly(2)
        await reader.readexactly(count)
        writer.write(NO_PASSWORD)
        *_, length = await reader.readexactly(5)  # browsers send the host as a name
        host = (await reader.readexactly(length)).decode()
        port = int.from_bytes(await reader.readexactly(2))
        writer.write(REFUSED if self.is_broken else GRANTED)
        if self.is_broken:
            return
        server_reader, server_writer = await asyncio.open_connection(host, port)
        ends = {writer, server_writer}
        self._open |= ends
        try:
            await asyncio.gather(
                self._pass_on(reader, server_writer), self._pass_back(server_reader, writer)
            )
        finally:
            self._open -= ends
            server_writer.close()

    async def _pass_on(self, reader: StreamReader, writer: StreamWriter) -> None:
        while data := await reader.read(PIECE):
            if self.speed:
                await asyncio.sleep(len(data) / self.speed)
            writer.write(data)
            await writer.drain()
        writer.close()

    async def _pass_back(self, reader: StreamReader, writer: StreamWriter) -> None:
        while data := await reader.read(PIECE):
            writer.write(data)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def line_to_server() -> AsyncIterator[Line]:
    line = Line()
    listener = socket.create_server(("127.0.0.1", 0))
    # What waits in between the browser takes for sent, so there must not be room for much.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)
    line.port = listener.getsockname()[1]
    server = await asyncio.start_server(line.serve, sock=listener, limit=PIECE)
    try:
        yield line
    finally:
        server.close()
        line.cut()
