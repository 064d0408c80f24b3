"""How much a client may send, on raw sockets."""

import json
from collections.abc import Iterator
from contextlib import suppress
from queue import SimpleQueue

import pytest

from app.http.connection import TimedHttpToolsProtocol
from tests.http_wire import (
    AS_LONG_AS_IT_TAKES,
    CLOSE,
    HOST,
    PATIENT_BODY_LIMIT,
    PATIENT_LIMITS,
    connect,
    exchange,
    make_app,
    parse_answers,
    read_until_closed,
    request,
    running_server,
)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running_server(make_app(PATIENT_BODY_LIMIT), limits=PATIENT_LIMITS) as port:
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


def test_parser_holds_no_more_than_its_limit_of_a_head(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As slowly as the server reads, so that no read is larger than a piece."""
    reads: SimpleQueue[tuple[int, int, bool]] = SimpleQueue()
    receive = TimedHttpToolsProtocol.data_received

    def noted(protocol: TimedHttpToolsProtocol, data: bytes) -> None:
        receive(protocol, data)
        assert protocol.client is not None
        reads.put((protocol.client[1], len(data), protocol._ignoring))

    monkeypatch.setattr(TimedHttpToolsProtocol, "data_received", noted)
    pieces = [request("GET /", HOST)[:-2], b"X-Big: ", *[b"x" * 4096] * 50]
    with connect(port) as connection:
        own_port = connection.getsockname()[1]
        sent = read = 0
        is_refused = False
        for piece in pieces:
            connection.sendall(piece)
            sent += len(piece)
            while read < sent:
                client_port, size, is_refused = reads.get(timeout=AS_LONG_AS_IT_TAKES)
                read += size if client_port == own_port else 0
            if is_refused:
                break
        assert connection.recv(12) == b"HTTP/1.1 431"
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
    with connect(port) as connection:
        connection.sendall(head)
        sent = 0
        with suppress(ConnectionError):
            while sent < 100_000_000:
                sent += connection.send(b"x" * 65536)
        assert parse_answers(read_until_closed(connection))[0].status == 413
    assert sent < 50_000_000
