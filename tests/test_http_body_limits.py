import asyncio
from collections.abc import Iterable
from datetime import timedelta

import pytest
from starlette.types import Message, Receive, Scope, Send

from app.errors import BodyTooLarge, RequestTimeout
from app.http.body_limits import BodyLimit, BodyLimitsMiddleware
from tests.http_asgi import http_scope, messages_of

CHUNKED = [("transfer-encoding", "chunked")]
SOON = timedelta(milliseconds=30)


def body(*pieces: bytes, complete: bool = True) -> list[Message]:
    last = len(pieces) - 1
    return [
        {"type": "http.request", "body": piece, "more_body": index < last or not complete}
        for index, piece in enumerate(pieces)
    ]


class Reader:
    """An application that reads the whole body, and answers even to a failure, as many do."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.failure: Exception | None = None

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        try:
            while True:
                message = await receive()
                self.pieces.append(message.get("body", b""))
                if not message.get("more_body", False):
                    break
        except Exception as failure:  # noqa: BLE001  # as frameworks do
            self.failure = failure
        await send({"type": "http.response.start", "status": 400, "headers": []})
        await send({"type": "http.response.body"})


async def send_body(
    reader: Reader,
    received: Iterable[Message],
    headers: Iterable[tuple[str, str]] = CHUNKED,
    limit: BodyLimit | None = None,
    path: str = "/",
) -> list[Message]:
    middleware = BodyLimitsMiddleware(
        reader,
        limit=limit,
        exception_for=lambda path: BodyLimit(max_bytes=10) if path == "/uploads" else None,
    )
    return await messages_of(middleware, http_scope(path, method="POST", headers=headers), received)


async def test_body_within_the_limit_arrives_whole() -> None:
    reader = Reader()
    await send_body(reader, body(b"one", b"two", b""))
    assert b"".join(reader.pieces) == b"onetwo"
    assert reader.failure is None


async def test_default_limit_is_a_mebibyte() -> None:
    mebibyte = b"x" * 1_048_576
    await send_body(Reader(), body(mebibyte))
    with pytest.raises(BodyTooLarge):
        await send_body(Reader(), body(mebibyte, b"x"))


async def test_announced_length_is_refused_unread() -> None:
    reader = Reader()
    with pytest.raises(BodyTooLarge):
        await send_body(reader, [], [("content-length", "1048577")])
    assert reader.failure is None


async def test_absurd_length_is_refused_too() -> None:
    with pytest.raises(BodyTooLarge):
        await send_body(Reader(), [], [("content-length", "9" * 5000)])


async def test_path_may_have_a_limit_of_its_own() -> None:
    await send_body(Reader(), body(b"x" * 10), path="/uploads")
    with pytest.raises(BodyTooLarge):
        await send_body(Reader(), body(b"x" * 11), path="/uploads")


async def test_answer_of_the_application_gives_way_to_the_refusal() -> None:
    """The reader answers 400; what leaves must be the 413 that is raised."""
    reader = Reader()
    with pytest.raises(BodyTooLarge):
        await send_body(reader, body(b"x" * 2_000_000))
    assert isinstance(reader.failure, BodyTooLarge)


async def test_failures_of_the_application_stay_its_own() -> None:
    async def fails(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        await messages_of(BodyLimitsMiddleware(fails), http_scope(method="POST", headers=CHUNKED))


async def test_body_that_stalls_is_a_timeout_and_the_end_of_the_connection() -> None:
    with pytest.raises(RequestTimeout) as refusal:
        await send_body(Reader(), body(b"x", complete=False), limit=BodyLimit(stall=SOON))
    assert refusal.value.headers == {"Connection": "close"}


async def test_total_time_is_limited_however_often_a_byte_comes() -> None:
    async def drip() -> Message:
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def send(_: Message) -> None: ...

    limit = BodyLimit(stall=timedelta(seconds=5), total=SOON)
    middleware = BodyLimitsMiddleware(Reader(), limit=limit)
    with pytest.raises(RequestTimeout):
        await middleware(http_scope(method="POST", headers=CHUNKED), drip, send)


async def test_defaults_are_ten_seconds_and_a_minute() -> None:
    assert BodyLimit() == BodyLimit(
        max_bytes=1_048_576, stall=timedelta(seconds=10), total=timedelta(seconds=60)
    )


@pytest.mark.parametrize("headers", [[], [("content-length", "0")]])
async def test_request_without_body_may_wait_for_a_disconnect(
    headers: list[tuple[str, str]],
) -> None:
    await waits_without_a_limit(headers, [])


async def test_so_may_one_whose_body_has_come() -> None:
    await waits_without_a_limit(CHUNKED, body(b"x"))


async def waits_without_a_limit(headers: list[tuple[str, str]], received: list[Message]) -> None:
    async def long_poll(_scope: Scope, receive: Receive, _send: Send) -> None:
        for _ in received:
            await receive()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(receive(), 0.1)

    limit = BodyLimit(stall=SOON, total=SOON)
    middleware = BodyLimitsMiddleware(long_poll, limit=limit)
    await messages_of(middleware, http_scope(method="POST", headers=headers), received)


async def test_answer_that_has_begun_is_not_cut_by_an_unread_body() -> None:
    async def answers_first(_scope: Scope, receive: Receive, send: Send) -> None:
        waiting = asyncio.create_task(_wait_for(receive))
        await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        done, _ = await asyncio.wait([waiting], timeout=0.1)
        assert not done
        waiting.cancel()

    middleware = BodyLimitsMiddleware(answers_first, limit=BodyLimit(stall=SOON))
    [start] = await messages_of(middleware, http_scope(method="POST", headers=CHUNKED))
    assert start["status"] == 200


async def _wait_for(receive: Receive) -> Message:
    return await receive()
