"""A small tus client: it creates, cuts, asks where it stands, and goes on."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import FastAPI
from starlette.types import Message

from tests.http_asgi import http_scope

TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {"Content-Type": "application/offset+octet-stream"}


def metadata(**values: str | bytes) -> str:
    pairs = (
        (key, value.encode() if isinstance(value, str) else value) for key, value in values.items()
    )
    return ",".join(f"{key} {b64encode(value).decode()}" for key, value in pairs)


@dataclass
class Tus:
    """One account's uploads, over a client of its own."""

    client: httpx.AsyncClient
    session: dict[str, str]
    more: dict[str, str] = field(default_factory=dict)

    async def create(
        self, length: int | str, body: bytes | None = None, /, **values: str | bytes
    ) -> httpx.Response:
        values = {"asset_id": "a-draft", "filename": "harbour.mxf", **values}
        headers = {"Upload-Length": str(length), "Upload-Metadata": metadata(**values)}
        if body is not None:
            headers |= BYTES
        return await self.call("POST", "/v1/uploads", headers, body)

    async def begin(self, length: int, **values: str | bytes) -> str:
        response = await self.create(length, **values)
        assert response.status_code == 201, response.text
        assert response.headers["location"].startswith("/v1/uploads/")
        return str(response.headers["location"])

    async def patch(
        self,
        path: str,
        offset: int | str,
        body: bytes | AsyncIterator[bytes],
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        sent = {**BYTES, "Upload-Offset": str(offset), **(headers or {})}
        return await self.call("PATCH", path, sent, body)

    async def head(self, path: str) -> httpx.Response:
        return await self.call("HEAD", path)

    async def offset(self, path: str) -> int:
        response = await self.head(path)
        assert response.status_code == 200, response.text
        return int(response.headers["upload-offset"])

    async def delete(self, path: str) -> httpx.Response:
        return await self.call("DELETE", path)

    async def call(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: Any = None
    ) -> httpx.Response:
        sent = {**TUS, **self.session, **self.more, **(headers or {})}
        return await self.client.request(method, path, headers=sent, content=body)

    async def send_and_vanish(
        self,
        app: FastAPI,
        path: str,
        offset: int,
        chunks: Iterable[bytes],
        headers: dict[str, str] | None = None,
        method: str = "PATCH",
    ) -> None:
        """Send some of a body, and close the connection in the middle of it."""
        sent = {
            "Host": "127.0.0.1:8000",
            "Transfer-Encoding": "chunked",
            "Upload-Offset": str(offset),
            **(TUS | BYTES | self.session | (headers or {})),
        }
        raw = [(name.lower(), value) for name, value in sent.items()]
        messages: list[Message] = [
            {"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks
        ]
        messages.append({"type": "http.disconnect"})

        async def receive() -> Message:
            await asyncio.sleep(0)
            return messages.pop(0)

        async def send(message: Message) -> None:
            raise AssertionError(f"nobody is there to be told {message}")

        await app(http_scope(path, method=method, headers=raw), receive, send)
