"""The last stop of exceptions: whatever escapes becomes one log event and a clean answer."""

import asyncio
import traceback
from collections.abc import Iterator
from datetime import timedelta

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import AppError, InternalError, ServiceUnavailable, problem

log = structlog.get_logger(__name__)

# By then a load balancer has noticed that this process is going away.
SHUTDOWN_RETRY_AFTER = timedelta(seconds=2)
# Kinds whose messages are worded by code. Others (a database error, a KeyError, a ValueError)
# quote the value that they stumbled on, which may be a password.
_CODE_ERRORS = (AttributeError, ImportError, NameError, RuntimeError, TypeError)


class ErrorBoundaryMiddleware:
    """Answers for layers inside it that raise `AppError`, and for every unexpected exception.

    An answer that has already begun cannot be mended: returning without its end makes the server
    cut the connection, so that the client sees a broken answer and not a short one.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_and_note(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                # The outer layers change the headers: that must not reach an answer kept for
                # other requests.
                message = {**message, "headers": list(message.get("headers", ()))}
            await send(message)

        try:
            await self.app(scope, receive, send_and_note)
        except ClientDisconnect:
            return
        except asyncio.CancelledError:  # the grace period of a shutdown has passed
            if not started:
                error = ServiceUnavailable(retry_after=SHUTDOWN_RETRY_AFTER)
                await problem(scope, error)(scope, receive, send)
            raise
        except Exception as error:  # noqa: BLE001  # the one place that takes them all
            answer = _answer_for(error)
            if not started:
                await problem(scope, answer)(scope, receive, send)


def _answer_for(error: Exception) -> AppError:
    if isinstance(error, AppError):
        return error
    log.error("unhandled_exception", error=_describe(error), traceback=_frames(error))
    return InternalError()


def _describe(error: BaseException) -> str:
    """The kinds of the error and its causes, with messages only where they hold no input."""
    return " <- ".join(
        f"{type(one).__qualname__}: {one}"
        if type(one) in _CODE_ERRORS
        else f"{type(one).__module__}.{type(one).__qualname__}"
        for one in _causes(error)
    )


def _frames(error: BaseException) -> str:
    """File, line and source of every frame, without the values of variables."""
    return "".join(
        line for one in _causes(error) for line in traceback.format_tb(one.__traceback__)
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was raised from, and so on; each once, for chains may be rings."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__
