"""A small HTTP client for load: keep-alive connections that send prepared requests."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from typing_extensions import override


@dataclass
class Outcome:
    """Status codes and latencies (seconds) of a run, and how long it took."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Successful answers for each second."""
        good = sum(count for status, count in self.statuses.items() if status < 400)
        return good / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


class Connection(asyncio.Protocol):
    """One keep-alive connection; one request at a time."""

    def __init__(self) -> None:
        self._buffer = b""
        self._waiting: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.WriteTransport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # a TCP connection

    @override
    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if len(body) < length:
            return
        self._buffer = b""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result((int(head[9:12]), body))

    @override
    def connection_lost(self, error: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error or ConnectionError("closed by the server"))

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """The status and body of the answer."""
        assert self._transport is not None  # noqa: S101  # connected before it is given out
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waiting

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def connect(port: int) -> Connection:
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, "127.0.0.1", port)
    return connection


def request(
    method: str,
    path: str,
    *,
    body: Any = None,
    token: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """A request as it goes over the wire."""
    payload = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(payload)}"]
    return "\r\n".join([*lines, "", ""]).encode() + payload


async def call(port: int, method: str, path: str, **rest: Any) -> Any:
    """One request on a connection of its own; the parsed answer."""
    connection = await connect(port)
    status, body = await connection.send(request(method, path, **rest))
    connection.close()
    if status >= 400:
        raise RuntimeError(f"{method} {path}: {status} {body.decode()}")
    return json.loads(body) if body else None


async def run_load(
    port: int, next_request: Callable[[], bytes], *, connections: int, seconds: float
) -> Outcome:
    """Keep so many connections busy for so long (a closed loop)."""
    loop = asyncio.get_running_loop()
    outcome = Outcome()
    started = time.perf_counter()
    busy = [_BusyConnection(next_request, outcome, started + seconds) for _ in range(connections)]
    await asyncio.gather(
        *(loop.create_connection(lambda each=each: each, "127.0.0.1", port) for each in busy)  # type: ignore[misc]
    )
    await asyncio.gather(*(each.done for each in busy))
    outcome.seconds = time.perf_counter() - started
    return outcome


class _BusyConnection(asyncio.Protocol):
    """Sends the next request when an answer is complete; without tasks, which cost too much."""

    def __init__(
        self, next_request: Callable[[], bytes], outcome: Outcome, deadline: float
    ) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._next_request = next_request
        self._outcome = outcome
        self._deadline = deadline
        self._head = b""
        self._missing = 0  # bytes of the body that are still to come

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # a TCP connection
        self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._next_request())

    @override
    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            start = self._head.find(b"content-length: ", 0, end) + 16
            length = int(self._head[start : self._head.find(b"\r", start)]) if start > 15 else 0
            self._status = int(self._head[9:12])
            self._missing = end + 4 + length - len(self._head)
            self._head = b""
        if not self._missing:
            self._count()

    def _count(self) -> None:
        now = time.perf_counter()
        self._outcome.latencies.append(now - self._sent)
        statuses = self._outcome.statuses
        statuses[self._status] = statuses.get(self._status, 0) + 1
        if now < self._deadline:
            self._send()
        else:
            self._transport.close()
            self.done.set_result(None)

    @override
    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("closed by the server"))


async def at_rate(rate: float, seconds: float, action: Callable[[int], Awaitable[None]]) -> None:
    """Start `rate` actions a second whatever the earlier ones do (an open loop)."""
    started = time.perf_counter()
    tasks = []
    for number in range(int(rate * seconds)):
        delay = started + number / rate - time.perf_counter()
        if delay > 0:
            await asyncio.sleep(delay)
        tasks.append(asyncio.ensure_future(action(number)))
    await asyncio.gather(*tasks)
