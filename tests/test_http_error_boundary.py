import asyncio
import json
from typing import Any

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send
from structlog.testing import capture_logs

from app.errors import NotFound, RateLimited
from app.http.error_boundary import ErrorBoundaryMiddleware
from tests.http_asgi import http_scope, messages_of

SECRET = "hunter2-typed-into-the-wrong-field"
START: Message = {"type": "http.response.start", "status": 200, "headers": []}


class Failing:
    """An application that sends some messages, then fails."""

    def __init__(self, error: BaseException, *messages: Message) -> None:
        self.error = error
        self.messages = messages

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        for message in self.messages:
            await send(message)
        raise self.error


async def outcome(app: Failing) -> tuple[list[Message], list[dict[str, Any]]]:
    scope = http_scope(state={"request_id": "request-1"})
    with capture_logs() as events:
        messages = await messages_of(ErrorBoundaryMiddleware(app), scope)
    return messages, [dict(event) for event in events]


async def test_unexpected_exception_is_a_500_that_tells_nothing() -> None:
    [start, body], _ = await outcome(Failing(RuntimeError(SECRET)))
    assert start["status"] == 500
    assert (b"content-type", b"application/problem+json") in start["headers"]
    document = json.loads(body["body"])
    assert document["code"] == "internal_error"
    assert document["request_id"] == "request-1"
    assert SECRET not in str(document)


async def test_it_is_logged_once_with_its_place() -> None:
    _, [event] = await outcome(Failing(TypeError("a bug of ours")))
    assert event["event"] == "unhandled_exception"
    assert event["log_level"] == "error"
    assert event["error"] == "TypeError: a bug of ours"
    assert "raise self.error" in event["traceback"]


@pytest.mark.parametrize("kind", [ValueError, KeyError, LookupError, OSError])
async def test_messages_that_quote_their_input_are_not_logged(kind: type[Exception]) -> None:
    error = RuntimeError("while handling")
    error.__cause__ = kind(SECRET)
    _, [event] = await outcome(Failing(error))
    assert event["error"] == f"RuntimeError: while handling <- builtins.{kind.__name__}"
    assert SECRET not in str(event)


async def test_ring_of_causes_has_an_end() -> None:
    first, second = ValueError(), ValueError()
    first.__cause__, second.__cause__ = second, first
    _, [event] = await outcome(Failing(first))
    assert event["error"] == "builtins.ValueError <- builtins.ValueError"


async def test_expected_refusal_is_answered_and_not_logged() -> None:
    [start, body], events = await outcome(Failing(RateLimited(headers={"Retry-After": "7"})))
    assert start["status"] == 429
    assert (b"retry-after", b"7") in start["headers"]
    assert json.loads(body["body"])["code"] == "rate_limited"
    assert events == []


async def test_answer_that_has_begun_is_left_without_its_end() -> None:
    """The server then closes the connection, so that nobody takes the part for the whole."""
    part: Message = {"type": "http.response.body", "body": b"half", "more_body": True}
    messages, events = await outcome(Failing(RuntimeError("late"), START, part))
    assert [message["type"] for message in messages] == [START["type"], part["type"]]
    assert messages[-1]["more_body"]
    assert [event["event"] for event in events] == ["unhandled_exception"]


@pytest.mark.parametrize("messages", [(), (START,)])
async def test_client_that_left_is_no_error(messages: tuple[Message, ...]) -> None:
    sent, events = await outcome(Failing(ClientDisconnect(), *messages))
    assert len(sent) == len(messages)
    assert events == []


async def test_request_cancelled_by_a_shutdown_is_told_to_come_again() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    boundary = ErrorBoundaryMiddleware(Failing(asyncio.CancelledError()))
    with pytest.raises(asyncio.CancelledError):
        await boundary(http_scope(), receive, send)
    assert sent[0]["status"] == 503
    assert (b"retry-after", b"2") in sent[0]["headers"]


async def test_headers_of_a_kept_answer_are_not_those_handed_on() -> None:
    kept: list[tuple[bytes, bytes]] = [(b"etag", b'"v1"')]

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({**START, "headers": kept})

    [start] = await messages_of(ErrorBoundaryMiddleware(app), http_scope())
    start["headers"].append((b"x-request-id", b"of this request only"))
    assert kept == [(b"etag", b'"v1"')]


async def test_not_found_of_a_layer_is_a_404() -> None:
    [start, _], _ = await outcome(Failing(NotFound()))
    assert start["status"] == 404
