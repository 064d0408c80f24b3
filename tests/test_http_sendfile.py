"""Files sent past the event loop, over real sockets."""

import hashlib
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from structlog.testing import capture_logs

from app.http.ranges import ServedFile, file_response
from app.http.stack import StackOptions, middleware_stack
from tests.http_wire import (
    CLOSE,
    DEADLINE,
    HOST,
    PATIENCE,
    exchange,
    hello,
    parse_answers,
    read_until_closed,
    request,
    running_server,
)
from tests.programs import eventually

# More than the socket's buffers hold, and no whole number of pieces.
CONTENTS = hashlib.shake_128(b"file").digest(12 * 1024 * 1024 + 13)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "file.mp4"
    path.write_bytes(CONTENTS)
    return path


@pytest.fixture(scope="module")
def port(path: Path) -> Iterator[int]:
    """Of a server that has a file, the same with too large a size, and a short answer."""

    async def send(request: Request) -> Response:
        surplus = 1000 if request.url.path == "/shrunk" else 0
        file = ServedFile(
            size=len(CONTENTS) + surplus,
            media_type="text/vtt",  # which would be compressed if it could be
            etag='"tag"',
            sha256="00" * 32,
            content_disposition="attachment",
            path=path,
        )
        return file_response(request.method, request.headers, file, read_by_us)

    routes = [Route("/file", send), Route("/shrunk", send), Route("/", hello)]
    with running_server(
        Starlette(routes=routes, middleware=middleware_stack(StackOptions()))
    ) as port:
        yield port


async def read_by_us(_start: int, _end: int) -> AsyncIterator[bytes]:
    """The way that these connections have no need of; an answer by it would be too short."""
    yield b""


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # names alone


def test_file_arrives_whole_and_the_connection_goes_on(port: int) -> None:
    pieces = [request("GET /file", HOST, "Accept-Encoding: gzip"), request("GET /", HOST, CLOSE)]
    file, after = exchange(port, [b"".join(pieces)])
    assert file.body == CONTENTS
    assert file.headers["content-length"] == str(len(CONTENTS))
    assert "content-encoding" not in file.headers
    assert after.status == 200


def test_range_and_head_are_answered_too(port: int) -> None:
    fields = (HOST, "Range: bytes=3000000-7000000", CLOSE)
    [part] = exchange(port, [request("GET /file", *fields)])
    assert part.status == 206
    assert part.body == CONTENTS[3_000_000:7_000_001]
    [head] = exchange(port, [request("HEAD /file", HOST, CLOSE)])
    assert head.headers["content-length"] == str(len(CONTENTS))
    assert head.body == b""


def test_slow_reader_gets_all_of_it_while_others_are_served(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        slow.sendall(request("GET /file", HOST, CLOSE))
        received = []
        for _ in range(5):
            time.sleep(DEADLINE / 2)  # less than the deadline of one that does not read
            received += [slow.recv(60_000) for _ in range(10)]
            [other] = exchange(port, [request("GET /", HOST, CLOSE)])
            assert other.status == 200
        received.append(read_until_closed(slow))
    [answer] = parse_answers(b"".join(received))
    assert answer.body == CONTENTS


def test_many_downloads_at_once_all_arrive(port: int) -> None:
    def download(_: int) -> bytes:
        [answer] = exchange(port, [request("GET /file", HOST, CLOSE)])
        return hashlib.sha256(answer.body).digest()

    with ThreadPoolExecutor(12) as clients:
        digests = set(clients.map(download, range(12)))
    assert digests == {hashlib.sha256(CONTENTS).digest()}


def test_client_that_stops_reading_is_cut_and_leaves_nothing_open(port: int) -> None:
    before = open_files()
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as silent:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        silent.sendall(request("GET /file", HOST))
        time.sleep(2 * DEADLINE)
        eventually(lambda: open_files() == before + 1, within=PATIENCE)  # our own end
        assert len(read_until_closed(silent)) < len(CONTENTS)


@pytest.mark.parametrize("politely", [True, False])
def test_client_that_leaves_leaves_nothing_open(port: int, *, politely: bool) -> None:
    before = open_files()
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as leaving:
        leaving.sendall(request("GET /file", HOST))
        assert leaving.recv(1000)
        if politely:
            leaving.shutdown(socket.SHUT_WR)
    eventually(lambda: open_files() == before, within=PATIENCE)
    [after] = exchange(port, [request("GET /", HOST, CLOSE)])
    assert after.status == 200


def test_file_that_shrank_is_a_broken_answer_and_not_a_short_one(port: int) -> None:
    before = open_files()
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(request("GET /shrunk", HOST))
        raw = read_until_closed(connection)
    head, _, body = raw.partition(b"\r\n\r\n")
    assert f"content-length: {len(CONTENTS) + 1000}".encode() in head
    assert body == CONTENTS
    eventually(lambda: open_files() == before, within=PATIENCE)


def test_log_tells_how_much_of_a_file_went_out(port: int) -> None:
    with capture_logs() as events:
        exchange(port, [request("GET /file", HOST, "Range: bytes=0-1999999", CLOSE)])
        eventually(lambda: [event for event in events if event["event"] == "request"])
    [logged] = [event for event in events if event["event"] == "request"]
    assert (logged["status"], logged["bytes"]) == (206, 2_000_000)
