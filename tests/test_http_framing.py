"""Requests that two parsers may read in two ways, on raw sockets."""

import json
from collections.abc import Iterator

import pytest

from tests.http_wire import (
    CHUNKED,
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
    "data",
    [
        request("POST /echo", HOST, "Content-Length: 4", CHUNKED, body=b"0\r\n\r\nGET / HTTP/1.1"),
        request("POST /echo", HOST, "Content-Length: 4", "Content-Length: 4", body=b"1234"),
        request("POST /echo", HOST, "Content-Length: 4", "Content-Length: 5", body=b"12345"),
        request("POST /echo", HOST, "Content-Length: 4, 4", body=b"1234"),
        request("POST /echo", HOST, "Content-Length: +4", body=b"1234"),
        request("POST /echo", HOST, "Transfer-Encoding : chunked", body=b"0\r\n\r\n"),
        request("POST /echo", HOST, "Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n"),
        request("POST /echo", HOST, CHUNKED, body=b"4\r\n12345\r\n0\r\n\r\n"),
        request("POST /echo", HOST, CHUNKED, body=b"zz\r\n1234\r\n0\r\n\r\n"),
        request("GET /", HOST, "X-Folded: a", " b"),
        request("GET /", HOST, "X-Nul: a\0b"),
        b"GET / HTTP/1.1\nHost: localhost\n\n",
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"FOO / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/3.7\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=[
        "CL+TE",
        "CL twice",
        "CL twice, differing",
        "CL list",
        "CL signed",
        "space before colon",
        "chunked not last",
        "chunk longer than its size",
        "chunk size not hexadecimal",
        "folded line",
        "NUL in a header",
        "bare LF",
        "path not ASCII",
        "CONNECT",
        "unknown method",
        "unknown version",
        "TLS hello",
    ],
)
def test_ambiguous_or_broken_framing_is_one_400_and_the_end(port: int, data: bytes) -> None:
    [answer] = exchange(port, [data])
    assert answer.status == 400
    assert answer.problem["code"] == "malformed_request"
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.problem["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("head", "host_problem"),
    [
        (request("GET /", CLOSE), "no Host"),
        (request("GET /", HOST, "Host: evil.example", CLOSE), "two Hosts"),
        (request("GET /", HOST, HOST, CLOSE), "the same Host twice"),
        (request("GET /", "Host: a/b?c", CLOSE), "a path in it"),
        (b"GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 without"),
        (b"GET /\r\n\r\n", "HTTP/0.9"),
    ],
)
def test_host_must_come_once_and_well_formed(port: int, head: bytes, host_problem: str) -> None:
    answers = exchange(port, [head])
    assert answers[0].status == 400, host_problem
    assert answers[0].problem["code"] in {"invalid_host", "malformed_request"}


def test_chunk_extension_of_a_megabyte_is_refused(port: int) -> None:
    head = request("POST /echo", HOST, CHUNKED)
    [answer] = exchange(port, [head, b"1;x=", *[b"x" * 65536] * 16])
    assert answer.status == 400
    assert answer.problem["code"] == "malformed_request"


def test_broken_body_of_an_answered_request_gets_no_second_answer(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(request("POST /", HOST, CHUNKED))
        answered = b""
        while not answered.endswith(b"}"):  # or both would be read together, and refused
            answered += connection.recv(65536)
        connection.sendall(b"zz\r\n")
        [answer] = parse_answers(answered + read_until_closed(connection))
    assert answer.status == 200


def test_body_in_chunks_of_one_byte_is_legal(port: int) -> None:
    head = request("POST /echo", HOST, CLOSE, CHUNKED)
    [answer] = exchange(port, [head, b"1\r\nx\r\n" * 50_000, b"0\r\n\r\n"])
    assert json.loads(answer.body)["size"] == 50_000


def test_trailers_do_not_become_headers(port: int) -> None:
    head = request("POST /echo", HOST, CLOSE, CHUNKED)
    pieces = [head, b"1\r\nx\r\n", b"0\r\nAuthorization: Bearer stolen\r\n\r\n"]
    [answer] = exchange(port, pieces, pause=0.02)
    assert json.loads(answer.body)["headers"] == ["host", "connection", "transfer-encoding"]


def test_upgrade_with_a_body_smuggles_nothing(port: int) -> None:
    smuggled = request("GET /smuggled", HOST)
    fields = [HOST, "Connection: Upgrade", "Upgrade: h2c", f"Content-Length: {len(smuggled)}"]
    [answer] = exchange(port, [request("POST /echo", *fields), smuggled], pause=0.05)
    assert answer.status == 400


def test_upgrade_is_ignored_and_nothing_is_read_after_it(port: int) -> None:
    head = request("GET /", HOST, "Connection: Upgrade", "Upgrade: websocket")
    [answer] = exchange(port, [head, request("GET /smuggled", HOST)], pause=0.02)
    assert answer.status == 200
    assert answer.headers["connection"] == "close"


def test_junk_behind_pipelined_requests_does_not_overtake_their_answers(port: int) -> None:
    data = request("GET /slow", HOST) + request("GET /", HOST) + b"\0\0\0\r\n\r\n"
    answers = exchange(port, [data])
    assert [answer.status for answer in answers] == [200, 200]
    assert json.loads(answers[0].body) == {"slow": True}
