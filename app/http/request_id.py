"""X-Request-Id in and out: the name by which logs, answers and callers speak of one request."""

import re

import uuid_utils
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, reset_contextvars

from app.http.headers import request_fields

_ACCEPTED = re.compile(rb"[A-Za-z0-9._-]{8,64}")


class RequestIdMiddleware:
    """Gives each request an id, in `scope["state"]`, the log context and the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = request_id_for(scope)
        # The server may hand every request the same dict of the lifespan: never write into it.
        scope["state"] = {**scope.get("state", {}), "request_id": request_id}
        field = (b"x-request-id", request_id.encode())

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append(field)
            await send(message)

        tokens = bind_contextvars(request_id=request_id)
        try:
            await self.app(scope, receive, send_with_id)
        finally:
            reset_contextvars(**tokens)


def request_id_for(scope: Scope) -> str:
    """The caller's id where it is harmless in logs and headers, else a new UUIDv7."""
    given = request_fields(scope).get(b"x-request-id")
    if given is not None and _ACCEPTED.fullmatch(given):
        return given.decode("ascii")
    return new_request_id()


def new_request_id() -> str:
    return str(uuid_utils.uuid7())
