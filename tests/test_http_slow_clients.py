"""How long a client may hold a connection, on raw sockets."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from starlette.types import Message

from tests.http_asgi import http_scope
from tests.http_wire import (
    AS_LONG_AS_IT_TAKES,
    BODY_LIMIT,
    CLOSE,
    DEADLINE,
    HOST,
    LIMITS,
    PATIENT_BODY_LIMIT,
    PATIENT_LIMITS,
    Large,
    connect,
    drip,
    exchange,
    make_app,
    read_until_closed,
    request,
    running_server,
)
from tests.virtual_time import run_in_no_time


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running_server() as port:
        yield port


@pytest.fixture(scope="module")
def patient_port() -> Iterator[int]:
    """Of a server that is in no hurry: what it answers has nothing to do with time."""
    with running_server(
        limits=replace(PATIENT_LIMITS, max_connections=LIMITS.max_connections)
    ) as port:
        yield port


def test_ordinary_request_is_answered_without_naming_the_server(patient_port: int) -> None:
    [answer] = exchange(patient_port, [request("GET /", HOST, CLOSE)])
    assert answer.status == 200
    assert json.loads(answer.body) == {"hello": "world"}
    assert "server" not in answer.headers
    assert "date" in answer.headers


def test_connection_serves_one_request_after_the_other(patient_port: int) -> None:
    pieces = [request("GET /", HOST), request("GET /", HOST, CLOSE)]
    answers = exchange(patient_port, pieces, pause=0.05)
    assert [answer.status for answer in answers] == [200, 200]


def test_deadline_does_not_count_the_time_of_the_application(port: int) -> None:
    answers = exchange(port, [request("GET /slow", HOST), request("GET /", HOST, CLOSE)])
    assert [answer.status for answer in answers] == [200, 200]
    assert json.loads(answers[0].body) == {"slow": True}


def test_idle_connection_is_closed_without_a_word(port: int) -> None:
    started = time.monotonic()
    assert exchange(port, []) == []
    # A loop's timers go off a clock tick early.
    assert DEADLINE - 0.01 <= time.monotonic() - started < AS_LONG_AS_IT_TAKES


def test_dripped_head_is_cut_and_each_byte_does_not_put_it_off(port: int) -> None:
    # Complete after half a minute, it would be answered with 200.
    [answer] = exchange(port, drip(request("GET /", HOST, "X-Long: " + "x" * 999)), pause=0.03)
    assert answer.status == 408
    assert answer.problem["code"] == "request_timeout"
    assert answer.headers["connection"] == "close"


def test_second_head_has_the_same_deadline(port: int) -> None:
    first, second = exchange(port, [request("GET /", HOST), b"GET / HT"], pause=0.05)
    assert first.status == 200
    assert second.status == 408


def test_blank_lines_do_not_keep_a_connection_open(port: int) -> None:
    started = time.monotonic()
    first, *_ = exchange(port, [request("GET /", HOST), b"\r\n"], pause=0.05)
    assert first.status == 200
    assert time.monotonic() - started < AS_LONG_AS_IT_TAKES


def test_body_that_stalls_is_cut(port: int) -> None:
    head = request("POST /echo", HOST, "Content-Length: 10", body=b"12345")
    [answer] = exchange(port, [head])
    assert answer.status == 408
    assert answer.problem["code"] == "request_timeout"
    assert answer.headers["connection"] == "close"


def test_dripped_body_is_cut_when_its_total_time_is_over(port: int) -> None:
    started = time.monotonic()
    pieces = [request("POST /echo", HOST, "Content-Length: 3000"), *drip(b"x" * 2999)]
    [answer] = exchange(port, pieces, pause=0.05)
    assert answer.status == 408
    assert time.monotonic() - started < AS_LONG_AS_IT_TAKES


def test_slow_body_within_its_limits_arrives() -> None:
    """Also after the time that a head has."""
    pieces = [request("POST /echo", HOST, CLOSE, "Content-Length: 5"), *drip(b"x" * 5)]
    with running_server(make_app(PATIENT_BODY_LIMIT)) as port:
        [answer] = exchange(port, pieces, pause=DEADLINE / 3)
    assert json.loads(answer.body)["size"] == 5


def test_pause_before_each_piece_of_a_body_is_timed_by_itself() -> None:
    messages = [{"type": "http.request", "body": b"x", "more_body": left > 0} for left in (2, 1, 0)]
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.sleep(0.8 * DEADLINE)
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    assert BODY_LIMIT.stall.total_seconds() == DEADLINE
    headers = [("host", "localhost"), ("content-length", "3")]
    scope = http_scope("/echo", method="POST", headers=headers)
    run_in_no_time(make_app()(scope, receive, send))
    assert [message.get("status") for message in sent] == [200, None]
    assert json.loads(sent[1]["body"])["size"] == 3


def test_body_that_nobody_reads_does_not_hold_the_connection(port: int) -> None:
    started = time.monotonic()
    pieces = [request("POST /", HOST, "Content-Length: 10000"), *drip(b"x" * 5000)]
    [answer] = exchange(port, pieces, pause=0.03)
    assert answer.status == 200
    assert time.monotonic() - started < AS_LONG_AS_IT_TAKES


def test_half_a_head_right_behind_an_unread_body_does_not_hold_the_connection(port: int) -> None:
    started = time.monotonic()
    pieces = [request("POST /", HOST, "Content-Length: 5"), b"12345GET / HT"]
    first, *_ = exchange(port, pieces, pause=0.05)
    assert first.status == 200
    assert time.monotonic() - started < AS_LONG_AS_IT_TAKES


def test_client_that_stops_reading_is_cut(port: int) -> None:
    Large.ended.clear()
    with connect(port) as connection:
        connection.sendall(request("GET /large", HOST))
        assert Large.ended.wait(AS_LONG_AS_IT_TAKES)
        assert len(read_until_closed(connection)) < 400 * 65536


def test_connections_past_the_limit_get_a_clear_answer(patient_port: int) -> None:
    idle = [connect(patient_port) for _ in range(20)]
    [answer] = exchange(patient_port, [])  # they are accepted one after the other
    assert answer.status == 503
    assert answer.problem["code"] == "too_many_connections"
    assert answer.headers["retry-after"] == "1"
    for connection in idle:
        connection.shutdown(socket.SHUT_WR)
        assert read_until_closed(connection) == b""
        connection.close()
    assert exchange(patient_port, [request("GET /", HOST, CLOSE)])[0].status == 200
