"""A real server on a loopback port, and a client that sends raw bytes to it."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from typing_extensions import override

from app.http.body_limits import BodyLimit
from app.http.connection import ConnectionLimits
from app.http.server import uvicorn_config
from app.http.stack import StackOptions, middleware_stack

DEADLINE = 0.4
# Seconds. What a busy machine may take, and less than what uvicorn waits for another request: an
# end of the connection that comes within it is our own.
AS_LONG_AS_IT_TAKES = 60.0
UVICORN_PATIENCE = timedelta(minutes=10)
LIMITS = ConnectionLimits(
    head=timedelta(seconds=DEADLINE),
    write_stall=timedelta(seconds=DEADLINE),
    linger=timedelta(seconds=DEADLINE),
    max_connections=20,
)
BODY_LIMIT = BodyLimit(stall=timedelta(seconds=DEADLINE), total=timedelta(seconds=1.5))
# For tests of something else than deadlines, which a machine that stands still would pass.
PATIENT_LIMITS = ConnectionLimits(
    head=timedelta(minutes=5), write_stall=timedelta(minutes=5), linger=timedelta(minutes=5)
)
PATIENT_BODY_LIMIT = BodyLimit(stall=timedelta(minutes=5), total=timedelta(minutes=5))


async def hello(_: Request) -> Response:
    return JSONResponse({"hello": "world"})


async def echo(request: Request) -> Response:
    size = len(await request.body())
    return JSONResponse({"size": size, "headers": [name for name, _ in request.headers.items()]})


async def slow(_: Request) -> Response:
    await asyncio.sleep(2 * DEADLINE)
    return JSONResponse({"slow": True})


class Large(StreamingResponse):
    """More than lies in any buffer; it says when it has come to its end."""

    ended = threading.Event()

    def __init__(self) -> None:
        super().__init__(self._chunks(), media_type="video/mp4")

    async def _chunks(self) -> AsyncIterator[bytes]:
        for _ in range(400):
            yield b"x" * 65536

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.ended.set()


async def large(_: Request) -> Response:
    return Large()


def make_app(body_limit: BodyLimit = BODY_LIMIT) -> Starlette:
    routes = [
        Route("/", hello, methods=["GET", "POST"]),
        Route("/echo", echo, methods=["POST"]),
        Route("/slow", slow),
        Route("/large", large),
    ]
    return Starlette(
        routes=routes, middleware=middleware_stack(StackOptions(body_limit=body_limit))
    )


@contextmanager
def running_server(
    app: ASGIApp | None = None, *, limits: ConnectionLimits = LIMITS
) -> Iterator[int]:
    """Give the port of a server, by default with deadlines of a fraction of a second."""
    config = uvicorn_config(
        app or make_app(), host="127.0.0.1", port=0, keep_alive=UVICORN_PATIENCE, limits=limits
    )
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> Any:
        assert self.headers["content-type"] == "application/problem+json"
        return json.loads(self.body)


def parse_answers(raw: bytes) -> list[Answer]:
    answers = []
    while raw:
        head, _, raw = raw.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (field.partition(": ") for field in fields)
        }
        length = int(headers.get("content-length", "0"))
        answers.append(Answer(int(line.split()[1]), headers, raw[:length]))
        raw = raw[length:]
    return answers


def read_until_closed(connection: socket.socket) -> bytes:
    pieces = []
    with suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            pieces.append(piece)
    return b"".join(pieces)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=AS_LONG_AS_IT_TAKES)


def exchange(port: int, pieces: Iterable[bytes], *, pause: float = 0.0) -> list[Answer]:
    """Send the pieces, and give all answers until the server closes the connection."""
    with connect(port) as connection:
        with suppress(ConnectionError):  # refused before the end
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause)
        return parse_answers(read_until_closed(connection))


def request(line: str, *fields: str, body: bytes = b"") -> bytes:
    return "\r\n".join([f"{line} HTTP/1.1", *fields, "", ""]).encode("latin-1") + body


HOST = "Host: localhost"
CLOSE = "Connection: close"


CHUNKED = "Transfer-Encoding: chunked"


def drip(data: bytes) -> Iterator[bytes]:
    return (data[index : index + 1] for index in range(len(data)))
