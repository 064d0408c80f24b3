"""A bare SMTP client: connections that send one prepared mail over and over, as fast as they can.

It has no errors to tell apart and nothing to write down, so its rate is what the server can do.
"""

import asyncio
import time
from typing import cast

from typing_extensions import override


async def sink_ceiling(port: int, mail: bytes, *, connections: int, seconds: float) -> float:
    """Mails a second that the server takes."""
    loop = asyncio.get_running_loop()
    deadline = time.perf_counter() + seconds
    busy = [_BusyConnection(mail, deadline) for _ in range(connections)]
    started = time.perf_counter()
    for each in busy:
        await loop.create_connection(lambda each=each: each, "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.gather(*(each.done for each in busy))
    return sum(each.mails for each in busy) / (time.perf_counter() - started)


async def mails_taken(port: int) -> int:
    """How many mails the sink has taken so far."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readline()
    writer.write(b"XCOUNT\r\n")
    answer = await reader.readline()
    writer.close()
    return int(answer.split()[1])


class _BusyConnection(asyncio.Protocol):
    """Sends the next line of the dialogue at each answer; all answers have one line."""

    def __init__(self, mail: bytes, deadline: float) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.mails = 0
        dialogue = [b"MAIL FROM:<bare@example.org>", b"RCPT TO:<nobody@example.org>", b"DATA"]
        self._dialogue = [*(line + b"\r\n" for line in dialogue), mail + b"\r\n.\r\n"]
        self._deadline = deadline
        # The greeting is the answer to nothing.
        self._step = 0

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # a TCP connection

    @override
    def data_received(self, data: bytes) -> None:
        if self._step == len(self._dialogue):
            self._step = 0
            self.mails += 1
            if time.perf_counter() >= self._deadline:
                self._transport.close()
                self.done.set_result(None)
                return
        self._transport.write(self._dialogue[self._step])
        self._step += 1

    @override
    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("closed by the server"))
