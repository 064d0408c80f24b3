"""How long a client may hold a connection, on raw sockets."""

import json
import socket
import time
from collections.abc import Iterator

import pytest

from tests.http_wire import (
    CLOSE,
    DEADLINE,
    HOST,
    PATIENCE,
    drip,
    exchange,
    read_until_closed,
    request,
    running_server,
)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running_server() as port:
        yield port


def test_ordinary_request_is_answered_without_naming_the_server(port: int) -> None:
    [answer] = exchange(port, [request("GET /", HOST, CLOSE)])
    assert answer.status == 200
    assert json.loads(answer.body) == {"hello": "world"}
    assert "server" not in answer.headers
    assert "date" in answer.headers


def test_connection_serves_one_request_after_the_other(port: int) -> None:
    pieces = [request("GET /", HOST), request("GET /", HOST, CLOSE)]
    answers = exchange(port, pieces, pause=0.05)
    assert [answer.status for answer in answers] == [200, 200]


def test_deadline_does_not_count_the_time_of_the_application(port: int) -> None:
    answers = exchange(port, [request("GET /slow", HOST), request("GET /", HOST, CLOSE)])
    assert [answer.status for answer in answers] == [200, 200]
    assert json.loads(answers[0].body) == {"slow": True}


def test_idle_connection_is_closed_without_a_word(port: int) -> None:
    started = time.monotonic()
    assert exchange(port, []) == []
    # A loop's timers go off a clock tick early.
    assert DEADLINE - 0.01 <= time.monotonic() - started < DEADLINE + 2


def test_dripped_head_is_cut_and_each_byte_does_not_put_it_off(port: int) -> None:
    started = time.monotonic()
    [answer] = exchange(port, drip(request("GET /", HOST, "X-Long: " + "x" * 999)), pause=0.03)
    assert time.monotonic() - started < DEADLINE + 2
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
    assert time.monotonic() - started < DEADLINE + 2


def test_body_that_stalls_is_cut(port: int) -> None:
    head = request("POST /echo", HOST, "Content-Length: 10", body=b"12345")
    [answer] = exchange(port, [head])
    assert answer.status == 408
    assert answer.problem["code"] == "request_timeout"
    assert answer.headers["connection"] == "close"


def test_dripped_body_is_cut_when_its_total_time_is_over(port: int) -> None:
    started = time.monotonic()
    pieces = [request("POST /echo", HOST, "Content-Length: 100"), *drip(b"x" * 99)]
    [answer] = exchange(port, pieces, pause=0.05)
    assert answer.status == 408
    assert time.monotonic() - started < PATIENCE


def test_slow_body_within_its_limits_arrives(port: int) -> None:
    pieces = [request("POST /echo", HOST, CLOSE, "Content-Length: 5"), *drip(b"x" * 5)]
    [answer] = exchange(port, pieces, pause=DEADLINE / 3)
    assert json.loads(answer.body)["size"] == 5


def test_body_that_nobody_reads_does_not_hold_the_connection(port: int) -> None:
    started = time.monotonic()
    pieces = [request("POST /", HOST, "Content-Length: 1000"), *drip(b"x" * 500)]
    [answer] = exchange(port, pieces, pause=0.03)
    assert answer.status == 200
    assert time.monotonic() - started < DEADLINE + 2


def test_half_a_head_right_behind_an_unread_body_does_not_hold_the_connection(port: int) -> None:
    started = time.monotonic()
    pieces = [request("POST /", HOST, "Content-Length: 5"), b"12345GET / HT"]
    first, *_ = exchange(port, pieces, pause=0.05)
    assert first.status == 200
    assert time.monotonic() - started < DEADLINE + 2


def test_client_that_stops_reading_is_cut(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(request("GET /large", HOST))
        time.sleep(3 * DEADLINE)
        assert len(read_until_closed(connection)) < 400 * 65536


def test_connections_past_the_limit_get_a_clear_answer(port: int) -> None:
    address = ("127.0.0.1", port)
    idle = [socket.create_connection(address, timeout=PATIENCE) for _ in range(20)]
    time.sleep(0.05)
    [answer] = exchange(port, [])
    assert answer.status == 503
    assert answer.problem["code"] == "too_many_connections"
    assert answer.headers["retry-after"] == "1"
    for connection in idle:
        assert read_until_closed(connection) == b""
        connection.close()
    assert exchange(port, [request("GET /", HOST, CLOSE)])[0].status == 200
