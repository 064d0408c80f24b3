"""How much a client may send, on raw sockets."""

import json
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.http_wire import (
    CLOSE,
    HOST,
    PATIENCE,
    exchange,
    parse_answers,
    read_until_closed,
    request,
    running_server,
)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running_server() as port:
        yield port


@pytest.mark.parametrize(
    ("pieces", "status", "code"),
    [
        (
            [request("GET /", HOST)[:-2], b"X-Big: ", *[b"x" * 65536] * 80],
            431,
            "headers_too_large",
        ),
        ([request("GET /", HOST, CLOSE, *["A: b"] * 20_000)], 431, "headers_too_large"),
        ([request("GET /" + "x" * 1_000_000, HOST)], 414, "uri_too_long"),
        ([request("GET /" + "x" * 8192, HOST, CLOSE)], 414, "uri_too_long"),
        ([request("GET /", HOST, CLOSE, "X-Big: " + "x" * 16384)], 431, "headers_too_large"),
        ([request("GET /", HOST, CLOSE, *["A: b"] * 99)], 431, "headers_too_large"),
    ],
    ids=["5 MB header", "20,000 headers", "1 MB URL", "8 KiB URL", "16 KiB", "101 fields"],
)
def test_large_head_is_refused(port: int, pieces: list[bytes], status: int, code: str) -> None:
    [answer] = exchange(port, pieces)
    assert answer.status == status
    assert answer.problem["code"] == code


def test_parser_holds_no_more_than_its_limit_of_a_head(port: int) -> None:
    """Slower than the server reads, so that no read is larger than a piece."""
    pieces = [request("GET /", HOST)[:-2], b"X-Big: ", *[b"x" * 4096] * 50]
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sent = 0
        connection.settimeout(0.005)
        for piece in pieces:
            connection.sendall(piece)
            sent += len(piece)
            try:
                assert connection.recv(12) == b"HTTP/1.1 431"
                break
            except TimeoutError:
                continue
    assert 16 * 1024 < sent <= 24 * 1024 + 4096 + 50


def test_announced_body_over_the_limit_is_refused_before_it_is_sent(port: int) -> None:
    fields = [HOST, CLOSE, "Content-Length: 1048577", "Expect: 100-continue"]
    [answer] = exchange(port, [request("POST /echo", *fields)])
    assert answer.status == 413
    assert answer.problem["code"] == "body_too_large"


def test_body_of_exactly_the_limit_is_accepted(port: int) -> None:
    fields = [HOST, CLOSE, "Content-Length: 1048576"]
    [answer] = exchange(port, [request("POST /echo", *fields, body=b"x" * 1_048_576)])
    assert json.loads(answer.body)["size"] == 1_048_576


def test_chunked_body_is_counted_while_it_is_read(port: int) -> None:
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    head = request("POST /echo", HOST, CLOSE, "Transfer-Encoding: chunked")
    [answer] = exchange(port, [head, *[chunk] * 17, b"0\r\n\r\n"])
    assert answer.status == 413
    assert answer.problem["code"] == "body_too_large"


def test_client_that_sends_on_after_its_refusal_is_cut(port: int) -> None:
    head = request("POST /echo", HOST, "Content-Length: 100000000")
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(head)
        sent = 0
        with suppress(ConnectionError):
            while sent < 100_000_000:
                sent += connection.send(b"x" * 65536)
        assert parse_answers(read_until_closed(connection))[0].status == 413
    assert sent < 50_000_000
