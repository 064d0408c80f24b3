"""A request is answered in time or refused: nothing hangs on a stuck query for ever."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import ServiceUnavailable
from app.http.headers import has_body, request_fields

REQUEST_DEADLINE = timedelta(seconds=30)
# While the body is on its way the client is the slow one, and limits of its own apply.
BODY_ALLOWANCE = timedelta(seconds=60)
RETRY_AFTER = timedelta(seconds=5)
# How exact a deadline is: late by a thirtieth of it at most, which is a second of thirty.
_TICKS_PER_DEADLINE = 30


class DeadlineMiddleware:
    """Cancels a request that has no answer `deadline` after its last byte came in.

    An answer that has begun may take as long as it needs. `is_exempt` names the paths that wait on
    purpose (long-polls) or that work while the body comes in (uploads). Raises `AppError`.

    One timer looks after all requests: a timer of its own for each costs more than all the other
    checks of a request together.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        deadline: timedelta = REQUEST_DEADLINE,
        body_allowance: timedelta = BODY_ALLOWANCE,
        is_exempt: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.app = app
        self._seconds = deadline.total_seconds()
        self._body_seconds = body_allowance.total_seconds()
        self._is_exempt = is_exempt
        self._running: set[_Countdown] = set()
        self._ticking: asyncio.AbstractEventLoop | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._is_exempt(scope["path"]):
            await self.app(scope, receive, send)
            return
        expects_body = has_body(request_fields(scope))
        countdown = self._start(self._body_seconds if expects_body else 0)
        if expects_body:
            receive = self._restarting(countdown, receive)
        try:
            await self.app(scope, receive, self._stopping(countdown, send))
        except asyncio.CancelledError:
            if countdown.expired and countdown.task.uncancel() == 0:
                raise ServiceUnavailable(retry_after=RETRY_AFTER) from None
            raise  # somebody else wants an end too, such as a shutdown
        finally:
            self._running.discard(countdown)

    def _start(self, allowance: float) -> "_Countdown":
        loop = asyncio.get_running_loop()
        countdown = _Countdown(loop.time() + allowance + self._seconds)
        self._running.add(countdown)
        if self._ticking is not loop:
            self._ticking = loop
            self._tick(loop)
        return countdown

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for countdown in [each for each in self._running if each.ends_at <= now]:
            self._running.discard(countdown)
            countdown.expired = True
            countdown.task.cancel()
        if self._running:
            loop.call_later(self._seconds / _TICKS_PER_DEADLINE, self._tick, loop)
        else:
            self._ticking = None

    def _restarting(self, countdown: "_Countdown", receive: Receive) -> Receive:
        """Count from the end of the body."""

        async def receive_and_restart() -> Message:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                countdown.ends_at = asyncio.get_running_loop().time() + self._seconds
            return message

        return receive_and_restart

    def _stopping(self, countdown: "_Countdown", send: Send) -> Send:
        """Stop counting once the answer begins."""

        async def send_and_stop(message: Message) -> None:
            self._running.discard(countdown)
            await send(message)

        return send_and_stop


class _Countdown:
    """The time that one request, and so one task, has left."""

    __slots__ = ("ends_at", "expired", "task")

    def __init__(self, ends_at: float) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # an ASGI application always runs in one
        self.task = task
        self.ends_at = ends_at
        self.expired = False
