"""A line between browser and server that can be slow, and cut in the middle of an answer."""

import asyncio
import contextlib
from asyncio import StreamReader, StreamWriter

# Bytes; small, so that a slow line is cut between two of them.
PIECE = 4096


class Line:
    """A SOCKS5 proxy (RFC 1928) without any of its choices."""

    def __init__(self) -> None:
        self.bytes_per_second: int | None = None
        self._is_cut = False
        self._ends: set[StreamWriter] = set()

    def cut(self) -> None:
        self._is_cut = True
        for end in self._ends:
            end.transport.abort()

    def mend(self) -> None:
        self._is_cut = False
        self.bytes_per_second = None

    async def join(self, browser: StreamReader, to_browser: StreamWriter) -> None:
        """Serve one connection."""
        if self._is_cut:
            to_browser.transport.abort()
            return
        self._ends.add(to_browser)
        # The browser also asks its maker's servers, which a closed network has not.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            server, to_server = await _greet(browser, to_browser)
            self._ends.add(to_server)
            await asyncio.gather(
                self._carry(browser, to_server), self._carry(server, to_browser, is_slow=True)
            )
        to_browser.close()

    async def _carry(
        self, source: StreamReader, target: StreamWriter, *, is_slow: bool = False
    ) -> None:
        while piece := await source.read(PIECE):
            if is_slow and self.bytes_per_second:
                await asyncio.sleep(len(piece) / self.bytes_per_second)
            target.write(piece)
            await target.drain()
        target.close()


async def _greet(
    browser: StreamReader, to_browser: StreamWriter
) -> tuple[StreamReader, StreamWriter]:
    _, methods = await browser.readexactly(2)
    await browser.readexactly(methods)
    to_browser.write(b"\x05\x00")
    *_, kind = await browser.readexactly(4)
    length = 4 if kind == 1 else (await browser.readexactly(1))[0]
    host = await browser.readexactly(length)
    name = ".".join(map(str, host)) if kind == 1 else host.decode()
    port = int.from_bytes(await browser.readexactly(2), "big")
    joined = await asyncio.open_connection(name, port)
    to_browser.write(b"\x05\x00\x00\x01" + bytes(6))
    return joined
