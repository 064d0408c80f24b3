"""Those who follow the feed of changes: by pages, by waiting, and by a stream."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from app.http.server import uvicorn_config
from app.lifespan import change_listener
from tests.test_catalogue_events import running, until


@asynccontextmanager
async def listening(app: FastAPI, url: str) -> AsyncIterator[None]:
    """Let the app hear of changes as its lifespan would."""
    async with running(change_listener(app, url)):
        await until(app.state.pages.is_trusted)
        yield


@dataclass
class Served:
    """The app behind a real server, in this event loop."""

    server: uvicorn.Server
    url: str
    stopped: "asyncio.Task[None]"

    @asynccontextmanager
    async def client(self, headers: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(
            base_url=self.url, headers=headers, timeout=20, limits=limits
        ) as client:
            yield client


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[Served]:
    async def without_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)

    config = uvicorn_config(without_lifespan, host="127.0.0.1", port=0)
    config.lifespan = "off"
    listener = socket.create_server(("127.0.0.1", 0), backlog=200)
    server = uvicorn.Server(config)
    # Without the signals, which are pytest's.
    stopped = asyncio.create_task(server._serve(sockets=[listener]))
    await until(lambda: server.started)
    try:
        yield Served(server, f"http://127.0.0.1:{listener.getsockname()[1]}", stopped)
    finally:
        server.should_exit = server.force_exit = True
        await stopped


@dataclass(frozen=True)
class Event:
    """What a stream sends at once; `data` is None where it has only an id."""

    id: str | None
    kind: str | None
    data: Any


async def events_of(response: httpx.Response) -> AsyncIterator[Event]:
    """The events of a stream, as its standard has them read."""
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        else:
            data = json.loads(fields["data"]) if "data" in fields else None
            yield Event(fields.get("id"), fields.get("event"), data)
            fields = {}


@dataclass
class Consumer:
    """Keeps what it has seen together with the place where it goes on, as a broadcaster's copy."""

    client: httpx.AsyncClient
    after: str
    limit: int = 100
    seen: list[dict[str, Any]] = field(default_factory=list)
    streams: int = 0

    @property
    def sequences(self) -> list[int]:
        return [item["sequence"] for item in self.seen]

    async def read_page(self, **parameters: Any) -> None:
        asked = {"after": self.after, "limit": self.limit, **parameters}
        response = await self.client.get("/v1/changes", params=asked)
        if response.status_code == 503:
            await asyncio.sleep(0.05)
            return
        assert response.status_code == 200, response.text
        answer = response.json()
        self.seen += answer["items"]
        self.after = answer["next_after"]

    async def by_pages(self) -> None:
        while True:
            await self.read_page()
            await asyncio.sleep(0.002)

    async def by_waiting(self) -> None:
        while True:
            await self.read_page(wait=10)

    async def by_stream(self) -> None:
        """Connects again whenever the stream has ended."""
        while True:
            headers = {"Accept": "text/event-stream", "Last-Event-ID": self.after}
            with suppress(httpx.TransportError):
                async with self.client.stream("GET", "/v1/changes", headers=headers) as response:
                    if response.status_code == 200:
                        self.streams += 1
                        await self._take(response)
            await asyncio.sleep(0.02)

    async def _take(self, response: httpx.Response) -> None:
        async for event in events_of(response):
            if event.data is not None:
                self.seen.append(event.data)
            if event.id is not None:
                self.after = event.id


WAYS: tuple[Callable[[Consumer], Awaitable[None]], ...] = (
    Consumer.by_pages,
    Consumer.by_waiting,
    Consumer.by_stream,
)


async def end_of_feed(client: httpx.AsyncClient) -> str:
    return str((await client.get("/v1/changes", params={"after": "now"})).json()["next_after"])


@asynccontextmanager
async def following(
    consumer: Consumer, way: Callable[[Consumer], Awaitable[None]]
) -> AsyncIterator[None]:
    """The consumer follows for as long as the block runs, and is then cut off wherever it is."""
    task: asyncio.Task[None] = asyncio.ensure_future(partial(way, consumer)())
    try:
        yield
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
