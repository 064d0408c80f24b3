"""Those who wait for changes."""

import asyncio
from collections.abc import Iterator
from itertools import islice

from app.errors import AppError

_WOKEN_AT_ONCE = 32


class Watch:
    """What somebody who waits is told: that there may be news, or that the wait is over.

    Lighter than an `asyncio.Event`, since there may be thousands.
    """

    __slots__ = ("_is_told", "_sleep", "has_ended", "refusal")

    def __init__(self) -> None:
        self._is_told = False
        self._sleep: asyncio.Future[None] | None = None
        self.has_ended = False
        self.refusal: AppError | None = None

    def wake(self) -> None:
        self._is_told = True
        if self._sleep is not None and not self._sleep.done():
            self._sleep.set_result(None)

    def end(self, refusal: AppError | None = None) -> None:
        """Wait no more; with a refusal, for somebody who may not have what comes."""
        self.has_ended = True
        self.refusal = self.refusal or refusal
        self.wake()

    def expect(self) -> None:
        """Count as news only what is told from now on; called before the feed is read."""
        self._is_told = self.has_ended

    async def wait(self, until: float) -> None:
        """Until told, or until this time of the event loop."""
        if self._is_told:
            return
        loop = asyncio.get_running_loop()
        self._sleep = loop.create_future()
        timer = loop.call_at(until, self.wake)
        try:
            await self._sleep
        finally:
            timer.cancel()
            self._sleep = None


def wake_each(watches: Iterator[Watch]) -> None:
    """Wake a few after the other, since what a turn of the event loop sends leaves at its end."""
    some = list(islice(watches, _WOKEN_AT_ONCE))
    for watch in some:
        watch.wake()
    if some:
        asyncio.get_running_loop().call_soon(wake_each, watches)
