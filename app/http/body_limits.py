"""How large a request's body may be, and how long it may take to arrive."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import AppError, BodyTooLarge, RequestTimeout
from app.http.headers import has_body, request_fields


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyLimit:
    """`stall` is the longest pause between two pieces, `total` the time for all of them."""

    max_bytes: int = 1024 * 1024
    stall: timedelta = timedelta(seconds=10)
    total: timedelta | None = timedelta(seconds=60)


class BodyLimitsMiddleware:
    """Refuses bodies over the limit, by raising `AppError`.

    `exception_for` gives another limit for a path, such as that of uploads, or None.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limit: BodyLimit | None = None,
        exception_for: Callable[[str], BodyLimit | None] = lambda _: None,
    ) -> None:
        self.app = app
        self._limit = limit or BodyLimit()
        self._exception_for = exception_for

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not has_body(request_fields(scope)):
            await self.app(scope, receive, send)
            return
        limit = self._exception_for(scope["path"]) or self._limit
        _check_announced_length(request_fields(scope), limit)
        body = _LimitedBody(receive, send, limit)
        try:
            await self.app(scope, body.receive, body.send)
        except Exception:
            if body.refusal is None:
                raise
        if body.refusal is not None:
            raise body.refusal


def _check_announced_length(fields: dict[bytes, bytes], limit: BodyLimit) -> None:
    """Refuse by Content-Length before a byte is read: no memory, no `100 Continue`."""
    length = fields.get(b"content-length", b"")
    if length.isdigit() and int(length[:20]) > limit.max_bytes:
        raise BodyTooLarge


class _LimitedBody:
    """Counts and times the body of one request.

    Frameworks turn whatever `receive` raises into an answer of their own. Therefore a refusal is
    kept, and the answer that the application then tries to give is dropped for it.
    """

    def __init__(self, receive: Receive, send: Send, limit: BodyLimit) -> None:
        self.refusal: AppError | None = None
        self._receive, self._send, self._limit = receive, send, limit
        self._bytes = 0
        self._done = False  # the body is complete, or nobody waits for its rest any more
        now = asyncio.get_running_loop().time()
        self._ends_at = now + limit.total.total_seconds() if limit.total else float("inf")

    async def receive(self) -> Message:
        if self._done:
            return await self._receive()
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(
                min(now + self._limit.stall.total_seconds(), self._ends_at)
            ):
                message = await self._receive()
        except TimeoutError:
            return await self._receive_late()
        self._bytes += len(message.get("body", b""))
        if self._bytes > self._limit.max_bytes:
            self._refuse(BodyTooLarge())
        self._done = not message.get("more_body", False)
        return message

    async def _receive_late(self) -> Message:
        if not self._done:
            # The rest may still come, and must not be taken for another request.
            self._refuse(RequestTimeout(headers={"Connection": "close"}))
        return await self._receive()  # an answer has begun: this only waits for a disconnect

    async def send(self, message: Message) -> None:
        if self.refusal is None:
            self._done = True
            await self._send(message)

    def _refuse(self, error: AppError) -> NoReturn:
        self.refusal = error
        raise error
