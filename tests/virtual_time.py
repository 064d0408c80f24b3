"""An event loop in which waiting takes no time, for tests of what happens after how long."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from typing_extensions import override

T = TypeVar("T")


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Where nothing is left to do but to wait, its clock jumps to the next timer.

    A busy machine can be late for none. Not for what waits for sockets, threads or processes.
    """

    _now = 0.0
    _ready: Any
    _scheduled: list[asyncio.TimerHandle]

    @override
    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        waiting = [timer.when() for timer in self._scheduled if not timer.cancelled()]
        if waiting and not self._ready:
            self._now = max(self._now, min(waiting))
        super()._run_once()  # type: ignore[misc]  # of asyncio's own loops


def run_in_no_time(work: Coroutine[Any, Any, T]) -> T:
    """Not inside of another loop, so in tests that are no coroutines."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(work)
