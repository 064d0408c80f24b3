import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import ServiceUnavailable
from app.http.deadline import BODY_ALLOWANCE, REQUEST_DEADLINE, DeadlineMiddleware
from tests.http_asgi import http_scope, messages_of

START: Message = {"type": "http.response.start", "status": 200, "headers": []}
END: Message = {"type": "http.response.body"}
DEADLINE = timedelta(milliseconds=50)


async def sleeper(_scope: Scope, _receive: Receive, send: Send) -> None:
    await asyncio.sleep(0.2)
    await send(START)
    await send(END)


async def run(app: ASGIApp, received: Iterable[Message] = (), **scope: Any) -> list[Message]:
    middleware = DeadlineMiddleware(
        app,
        deadline=DEADLINE,
        body_allowance=timedelta(seconds=60),
        is_exempt=lambda path: path == "/changes",
    )
    return await messages_of(middleware, http_scope(**scope), received)


async def test_request_without_an_answer_in_time_is_refused() -> None:
    started = asyncio.get_running_loop().time()
    with pytest.raises(ServiceUnavailable) as refusal:
        await run(sleeper)
    assert refusal.value.headers["Retry-After"] == "5"
    # The loop's timers count whole milliseconds.
    assert asyncio.get_running_loop().time() - started > 0.048


async def test_its_work_is_cancelled_and_cleaned_up() -> None:
    steps = []

    async def worker(_scope: Scope, _receive: Receive, _send: Send) -> None:
        try:
            await asyncio.sleep(5)
        finally:
            steps.append("rolled back")

    with pytest.raises(ServiceUnavailable):
        await run(worker)
    assert steps == ["rolled back"]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_quick_request_is_left_alone() -> None:
    async def quick(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(START)
        await send(END)

    assert await run(quick) == [START, END]
    await asyncio.sleep(0.1)  # and nothing fires later


async def test_answer_that_has_begun_may_take_its_time() -> None:
    async def download(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(START)
        await asyncio.sleep(0.15)
        await send(END)

    assert await run(download) == [START, END]


async def test_long_poll_may_wait() -> None:
    assert await run(sleeper, path="/changes") == [START, END]


BODY: list[Message] = [{"type": "http.request", "body": b"x", "more_body": False}]
WITH_BODY: dict[str, Any] = {"method": "POST", "headers": [("content-length", "1")]}


async def test_time_does_not_count_while_the_body_comes_in() -> None:
    async def slow_body(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await asyncio.sleep(0.2)
        await receive()
        await send(START)

    pieces: list[Message] = [{"type": "http.request", "body": b"x", "more_body": True}, *BODY]
    assert await run(slow_body, pieces, **WITH_BODY) == [START]


async def test_time_counts_from_the_end_of_the_body() -> None:
    async def slow_work(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await sleeper(scope, receive, send)

    with pytest.raises(ServiceUnavailable):
        await run(slow_work, BODY, **WITH_BODY)


async def test_body_that_is_never_read_gives_a_minute_more_and_not_for_ever() -> None:
    middleware = DeadlineMiddleware(sleeper, deadline=DEADLINE, body_allowance=DEADLINE)
    with pytest.raises(ServiceUnavailable):
        await messages_of(middleware, http_scope(**WITH_BODY))


def test_deadline_holds_in_a_second_event_loop() -> None:
    """As in tests and reloads: the timer of the first loop died with it."""
    middleware = DeadlineMiddleware(sleeper, deadline=DEADLINE)

    async def leave_early() -> None:
        task = asyncio.create_task(messages_of(middleware, http_scope()))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(leave_early())
    with pytest.raises(ServiceUnavailable):
        asyncio.run(messages_of(middleware, http_scope()))


async def test_timeouts_of_the_application_stay_its_own() -> None:
    async def times_out(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await run(times_out)


async def test_cancelling_from_outside_stays_a_cancelling() -> None:
    task = asyncio.create_task(run(sleeper))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_each_of_many_requests_has_its_own_deadline() -> None:
    async def one(delay: float) -> bool:
        await asyncio.sleep(delay)
        try:
            await run(sleeper)
        except ServiceUnavailable:
            return True
        return False

    assert all(await asyncio.gather(*(one(number / 100) for number in range(10))))


def test_defaults() -> None:
    assert timedelta(seconds=30) == REQUEST_DEADLINE
    assert timedelta(seconds=60) == BODY_ALLOWANCE
