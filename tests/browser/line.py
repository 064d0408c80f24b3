"""A line between browser and server that can be slow, and cut: a SOCKS 5 proxy (RFC 1928)."""

import asyncio
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from playwright.async_api import Browser, Page, ProxySettings

from tests.browser.conftest import PATIENCE, Site

# Bytes; small, so that a slow line is slow throughout, and cut between two of them.
PIECE = 8192
NO_PASSWORD = b"\x05\x00"
GRANTED = b"\x05\x00\x00\x01" + bytes(6)
REFUSED = b"\x05\x01\x00\x01" + bytes(6)


class Line:
    """`speed` is in bytes a second each way; None is as fast as it goes."""

    def __init__(self) -> None:
        self.speed: int | None = None
        self.port = 0
        self._is_cut = False
        self._ends: set[StreamWriter] = set()

    def cut(self) -> None:
        """End what is running, at once, and let nothing new begin."""
        self._is_cut = True
        for end in self._ends:
            end.transport.abort()

    def mend(self) -> None:
        self._is_cut = False

    async def join(self, browser: StreamReader, to_browser: StreamWriter) -> None:
        """Serve one connection."""
        self._ends.add(to_browser)
        # The browser also asks its maker's servers, which a closed network has not.
        with suppress(OSError, asyncio.IncompleteReadError):
            await self._connect(browser, to_browser)
        self._ends.discard(to_browser)
        to_browser.close()

    async def _connect(self, browser: StreamReader, to_browser: StreamWriter) -> None:
        host, port = await _greet(browser, to_browser)
        to_browser.write(REFUSED if self._is_cut else GRANTED)
        if self._is_cut:
            return
        server, to_server = await asyncio.open_connection(host, port)
        self._ends.add(to_server)
        try:
            await asyncio.gather(self._carry(browser, to_server), self._carry(server, to_browser))
        finally:
            self._ends.discard(to_server)
            to_server.close()

    async def _carry(self, source: StreamReader, target: StreamWriter) -> None:
        while piece := await source.read(PIECE):
            if self.speed:
                await asyncio.sleep(len(piece) / self.speed)
            if target.is_closing():
                return
            target.write(piece)
            await target.drain()
        target.close()


async def _greet(browser: StreamReader, to_browser: StreamWriter) -> tuple[str, int]:
    """Where the browser wants to go; it sends the host as a name, or as an IPv4 address."""
    _, methods = await browser.readexactly(2)
    await browser.readexactly(methods)
    to_browser.write(NO_PASSWORD)
    *_, kind = await browser.readexactly(4)
    length = 4 if kind == 1 else (await browser.readexactly(1))[0]
    host = await browser.readexactly(length)
    name = ".".join(map(str, host)) if kind == 1 else host.decode()
    return name, int.from_bytes(await browser.readexactly(2))


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    line = Line()
    listener = socket.create_server(("127.0.0.1", 0))
    # What waits in between the browser takes for sent, so there must not be room for much.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)
    line.port = listener.getsockname()[1]
    async with await asyncio.start_server(line.join, sock=listener, limit=PIECE):
        yield line
        line.cut()


@pytest.fixture
async def far_page(browser: Browser, site: Site, line: Line) -> AsyncIterator[Page]:
    """A page at the other end of the line."""
    proxy: ProxySettings = {"server": f"socks5://127.0.0.1:{line.port}", "bypass": "<-loopback>"}
    async with await browser.new_context(base_url=site.url, locale="en-GB", proxy=proxy) as context:
        context.set_default_timeout(PATIENCE)
        yield await context.new_page()
