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
from starlette.types import ASGIApp

from app.http.body_limits import BodyLimit
from app.http.connection import ConnectionLimits
from app.http.server import uvicorn_config
from app.http.stack import StackOptions, middleware_stack

DEADLINE = 0.4
PATIENCE = 3.0  # far more than any deadline here, far less than uvicorn's own patience
LIMITS = ConnectionLimits(
    head=timedelta(seconds=DEADLINE),
    write_stall=timedelta(seconds=DEADLINE),
    linger=timedelta(seconds=DEADLINE),
    max_connections=20,
)
BODY_LIMIT = BodyLimit(stall=timedelta(seconds=DEADLINE), total=timedelta(seconds=1.5))


async def hello(_: Request) -> Response:
    return JSONResponse({"hello": "world"})


async def echo(request: Request) -> Response:
    size = len(await request.body())
    return JSONResponse({"size": size, "headers": [name for name, _ in request.headers.items()]})


async def slow(_: Request) -> Response:
    await asyncio.sleep(2 * DEADLINE)
    return JSONResponse({"slow": True})


async def large(_: Request) -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(400):
            yield b"x" * 65536

    return StreamingResponse(chunks(), media_type="video/mp4")


def make_app() -> Starlette:
    routes = [
        Route("/", hello, methods=["GET", "POST"]),
        Route("/echo", echo, methods=["POST"]),
        Route("/slow", slow),
        Route("/large", large),
    ]
    return Starlette(
        routes=routes, middleware=middleware_stack(StackOptions(body_limit=BODY_LIMIT))
    )


@contextmanager
def running_server(app: ASGIApp | None = None) -> Iterator[int]:
    """Give the port of a server with deadlines of a fraction of a second."""
    config = uvicorn_config(app or make_app(), host="127.0.0.1", port=0, limits=LIMITS)
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


def exchange(port: int, pieces: Iterable[bytes], *, pause: float = 0.0) -> list[Answer]:
    """Send the pieces, and give all answers until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
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
