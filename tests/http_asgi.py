"""In-process ways to call an ASGI application: over httpx, or message by message."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.types import ASGIApp, Message

CLIENT_ADDRESS = "203.0.113.9"


@asynccontextmanager
async def client_of(
    app: ASGIApp, address: str = CLIENT_ADDRESS
) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, client=(address, 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


def http_scope(
    path: str = "/", *, method: str = "GET", headers: Iterable[tuple[str, str]] = (), **more: Any
) -> dict[str, Any]:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": raw,
        "client": (CLIENT_ADDRESS, 4711),
        "server": ("localhost", 80),
        **more,
    }


async def messages_of(
    app: ASGIApp, scope: dict[str, Any], received: Iterable[Message] = ()
) -> list[Message]:
    """What the application sends, given what it receives; after that it waits for ever."""
    sent: list[Message] = []
    incoming = iter(received)

    async def receive() -> Message:
        for message in incoming:
            return message
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent
