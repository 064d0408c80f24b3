import uuid
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from structlog.contextvars import get_contextvars

from app.http.request_id import RequestIdMiddleware
from tests.http_asgi import http_scope, messages_of


class Recorder:
    """An application that keeps what it saw of the request's id."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self.logged: dict[str, Any] = {}

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        self.state = scope.get("state", {})
        self.logged = get_contextvars()
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})


async def answered_id(recorder: Recorder, *given: str) -> str:
    scope = http_scope(headers=[("x-request-id", value) for value in given])
    [start, _] = await messages_of(RequestIdMiddleware(recorder), scope)
    headers: dict[bytes, bytes] = dict(start["headers"])
    return headers[b"x-request-id"].decode()


async def test_request_without_id_gets_a_uuid_version_7() -> None:
    recorder = Recorder()
    request_id = await answered_id(recorder)
    assert uuid.UUID(request_id).version == 7
    assert recorder.state["request_id"] == request_id
    assert request_id != await answered_id(recorder)


@pytest.mark.parametrize("given", ["abcdefgh", "A.b-c_90", "x" * 64])
async def test_harmless_id_of_the_caller_is_kept(given: str) -> None:
    recorder = Recorder()
    assert await answered_id(recorder, given) == given
    assert recorder.state["request_id"] == given


@pytest.mark.parametrize(
    "given", ["", "x" * 7, "x" * 65, "has a space", "new\nline.log", "quote\"'<b>", "umlaut-äöü"]
)
async def test_any_other_id_is_replaced(given: str) -> None:
    assert uuid.UUID(await answered_id(Recorder(), given)).version == 7


async def test_log_context_has_the_id_during_the_request_only() -> None:
    recorder = Recorder()
    request_id = await answered_id(recorder)
    assert recorder.logged == {"request_id": request_id}
    assert get_contextvars() == {}


async def test_state_of_the_lifespan_is_seen_but_never_written() -> None:
    recorder = Recorder()
    lifespan_state = {"pool": "shared"}
    scope = http_scope(state=lifespan_state)
    await messages_of(RequestIdMiddleware(recorder), scope)
    assert recorder.state["pool"] == "shared"
    assert lifespan_state == {"pool": "shared"}
