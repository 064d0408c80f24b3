"""Hears what other processes announce by NOTIFY, and knows until when it has heard everything."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import asyncpg
import structlog

log = structlog.get_logger(__name__)

# Seconds. A server that went away without a word is noticed after a heartbeat and its time-out.
HEARTBEAT = 1.0
HEARTBEAT_TIMEOUT = 1.0
# How long one heartbeat vouches for what was heard, so that the next one is late by a second.
VOUCHED = HEARTBEAT + HEARTBEAT_TIMEOUT
SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 5.0

Connect = Callable[[], Awaitable["asyncpg.Connection[asyncpg.Record]"]]


class Listener:
    """A connection of its own that listens to channels, opened again whenever it is lost.

    `vouch` is called with the seconds for which nothing can have been missed, `distrust` when
    something may have been. The connection must be a direct one: PgBouncer would lose its LISTEN.
    """

    def __init__(
        self,
        connect: Connect,
        hearers: Mapping[str, Callable[[str], None]],
        *,
        vouch: Callable[[float], None],
        distrust: Callable[[], None],
    ) -> None:
        self._connect = connect
        self._hearers = hearers
        self._vouch = vouch
        self._distrust = distrust
        self._pause = SHORTEST_PAUSE

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            try:
                await self._listen()
            except Exception as error:  # noqa: BLE001  # drivers raise far more than they document
                log.warning("listener_lost", error=type(error).__name__)
            await asyncio.sleep(self._pause)
            self._pause = min(2 * self._pause, LONGEST_PAUSE)

    async def _listen(self) -> None:
        connection = await self._connect()
        try:
            lost = asyncio.Event()
            connection.add_termination_listener(lambda _: lost.set())
            for channel in self._hearers:
                await connection.add_listener(channel, self._hear)
            while not lost.is_set():
                await connection.execute("SELECT 1", timeout=HEARTBEAT_TIMEOUT)
                self._vouch(VOUCHED)
                self._pause = SHORTEST_PAUSE
                with suppress(TimeoutError):
                    await asyncio.wait_for(lost.wait(), HEARTBEAT)
        finally:
            self._distrust()
            connection.terminate()

    def _hear(self, _connection: Any, _pid: int, channel: str, payload: Any) -> None:
        self._hearers[channel](str(payload))
