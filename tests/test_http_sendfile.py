"""Files sent past the event loop, over real sockets."""

import asyncio
import hashlib
import os
import socket
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from structlog.testing import capture_logs
from uvicorn.protocols.http.flow_control import FlowControl

from app.http import sendfile
from app.http.ranges import ServedFile, file_response
from app.http.stack import StackOptions, middleware_stack
from tests.http_wire import (
    CLOSE,
    DEADLINE,
    HOST,
    PATIENT_LIMITS,
    connect,
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
def app(path: Path) -> Starlette:
    """It has a file, the same with too large a size, and a short answer."""

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

    files = [Route(path, send) for path in ("/file", "/shrunk", "/logged")]
    routes = [*files, Route("/", hello)]
    return Starlette(routes=routes, middleware=middleware_stack(StackOptions()))


@pytest.fixture(scope="module")
def port(app: Starlette) -> Iterator[int]:
    with running_server(app, limits=PATIENT_LIMITS) as port:
        yield port


@pytest.fixture(scope="module")
def strict_port(app: Starlette) -> Iterator[int]:
    """Of a server that soon cuts a client which does not read."""
    soon = replace(PATIENT_LIMITS, write_stall=timedelta(seconds=DEADLINE))
    with running_server(app, limits=soon) as port:
        yield port


async def read_by_us(_start: int, _end: int) -> AsyncIterator[bytes]:
    """The way that these connections have no need of; an answer by it would be too short."""
    yield b""


def open_files() -> set[tuple[str, str]]:
    """Files and connections, each with its number.

    Not how many: what other tests have left may be closed at any moment. And not what the sender of
    files opens for good, with the first of them.
    """
    found = set()
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208  # names alone
        with suppress(FileNotFoundError):  # that of the folder itself
            what = os.readlink(f"/proc/self/fd/{number}")  # noqa: PTH115  # as text
            if what.startswith(("/", "socket:")):
                found.add((number, what))
    return found


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
    with connect(port) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        slow.sendall(request("GET /file", HOST, CLOSE))
        received = []
        for _ in range(5):
            received += [slow.recv(60_000) for _ in range(10)]
            [other] = exchange(port, [request("GET /", HOST, CLOSE)])
            assert other.status == 200
        received.append(read_until_closed(slow))
    [answer] = parse_answers(b"".join(received))
    assert answer.body == CONTENTS


@pytest.mark.parametrize(
    ("positions", "is_cut"), [([0, 1, 2, 3, 4], False), ([0, 1, 2, 2, 3], True), ([0, 0], True)]
)
async def test_reader_is_cut_when_it_took_nothing_from_one_look_to_the_next(
    monkeypatch: pytest.MonkeyPatch, positions: list[int], *, is_cut: bool
) -> None:
    """However long it takes for the whole."""

    class Connection:
        def __init__(self) -> None:
            self.transport = self
            self.flow = FlowControl(self)  # type: ignore[arg-type]  # only to pause writing
            self.was_cut = False

        def abort(self) -> None:
            self.was_cut = True

    connection: Any = Connection()
    later = iter(positions)
    with socket.socket() as own:
        transfer = sendfile._Transfer(own, -1, next(later), 100)

        async def look(_: Any, *, timeout: float, return_when: str) -> None:  # noqa: ASYNC109  # asyncio's own
            assert (timeout, return_when) == (30, asyncio.FIRST_COMPLETED)
            try:
                transfer.position = next(later)
            except StopIteration:
                transfer.over.set_result(None)
                await asyncio.sleep(0)  # the loop hears of it

        with monkeypatch.context() as watched:
            watched.setattr(asyncio, "wait", look)
            await sendfile._wait_until_over(connection, transfer, timedelta(seconds=30))
    assert connection.was_cut == is_cut


def test_many_downloads_at_once_all_arrive(port: int) -> None:
    def download(_: int) -> bytes:
        [answer] = exchange(port, [request("GET /file", HOST, CLOSE)])
        return hashlib.sha256(answer.body).digest()

    with ThreadPoolExecutor(12) as clients:
        digests = set(clients.map(download, range(12)))
    assert digests == {hashlib.sha256(CONTENTS).digest()}


def test_client_that_stops_reading_is_cut_and_leaves_nothing_open(strict_port: int) -> None:
    before = open_files()
    with connect(strict_port) as silent:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        silent.sendall(request("GET /file", HOST))
        assert silent.recv(1)  # it is being served
        eventually(lambda: len(open_files() - before) == 1)  # our own end
        assert len(read_until_closed(silent)) < len(CONTENTS)


@pytest.mark.parametrize("politely", [True, False])
def test_client_that_leaves_leaves_nothing_open(port: int, *, politely: bool) -> None:
    before = open_files()
    with connect(port) as leaving:
        leaving.sendall(request("GET /file", HOST))
        assert leaving.recv(1000)
        if politely:
            leaving.shutdown(socket.SHUT_WR)
    eventually(lambda: not open_files() - before)
    [after] = exchange(port, [request("GET /", HOST, CLOSE)])
    assert after.status == 200


def test_file_that_shrank_is_a_broken_answer_and_not_a_short_one(port: int) -> None:
    before = open_files()
    with connect(port) as connection:
        connection.sendall(request("GET /shrunk", HOST))
        raw = read_until_closed(connection)
    head, _, body = raw.partition(b"\r\n\r\n")
    assert f"content-length: {len(CONTENTS) + 1000}".encode() in head
    assert body == CONTENTS
    eventually(lambda: not open_files() - before)


def test_log_tells_how_much_of_a_file_went_out(port: int) -> None:
    with capture_logs() as events:
        exchange(port, [request("GET /logged", HOST, "Range: bytes=0-1999999", CLOSE)])
        # Lines of the requests before may still come.
        [logged] = eventually(lambda: [each for each in events if each.get("route") == "/logged"])
    assert (logged["status"], logged["bytes"]) == (206, 2_000_000)
