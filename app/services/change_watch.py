"""One who waits for changes."""

import asyncio

from app.errors import AppError


class Watch:
    """What somebody who waits is told: that there may be news, or that the wait is over."""

    def __init__(self) -> None:
        self._told = asyncio.Event()
        self.has_ended = False
        self.refusal: AppError | None = None

    def wake(self) -> None:
        self._told.set()

    def end(self, refusal: AppError | None = None) -> None:
        """Wait no more; with a refusal, for somebody who may not have what comes."""
        self.has_ended = True
        self.refusal = self.refusal or refusal
        self._told.set()

    def expect(self) -> None:
        """Count as news only what is told from now on; called before the feed is read."""
        if not self.has_ended:
            self._told.clear()

    async def wait(self, until: float) -> None:
        """Until told, or until this time of the event loop."""
        timer = asyncio.get_running_loop().call_at(until, self._told.set)
        try:
            await self._told.wait()
        finally:
            timer.cancel()
