"""A receiver of webhooks, as its owner would write it, and a worker that sends to it."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import httpx
from aiohttp import web
from aiohttp.abc import AbstractResolver

from app.adapters.webhook_client import WebhookClient
from app.crypto import Keyring
from app.db import Database
from app.jobs.webhooks import Surroundings, WebhookSender
from app.services import policy, webhook_urls
from tests.helpers import bearer, rows
from tests.hurried_worker import eventually

EVENTS = ["asset.created", "asset.updated", "asset.withdrawn"]


@dataclass
class Received:
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def message(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.body)
        return message


Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Sink:
    """Answers challenges, and everything else as it is told to; keeps what it gets."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    challenges: list[Received] = field(default_factory=list)
    behave: Behaviour | None = None
    answers_challenges: bool = True
    # Answers to challenges wait for this.
    may_answer: asyncio.Event | None = None
    most_at_once: int = 0
    _at_once: int = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        names = {name.lower(): value for name, value in request.headers.items()}
        got = Received(names, await request.read())
        if got.message["type"] == "webhook.challenge":
            self.challenges.append(got)
            if self.may_answer is not None:
                await self.may_answer.wait()
            if self.answers_challenges:
                return web.json_response({"challenge": got.message["data"]["challenge"]})
            return web.Response(text="What?")
        self.received.append(got)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            return await self.behave(request) if self.behave else web.Response()
        finally:
            self._at_once -= 1

    @property
    def sequences(self) -> list[int]:
        """Of the changes that arrived, as they came."""
        return [each.message["data"]["sequence"] for each in self.received]

    async def has(self, count: int, *, within: float = 60) -> list[Received]:
        async def is_there() -> bool:
            return len(self.received) >= count

        await eventually(is_there, within=within)
        return self.received


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Sink]:
    sink = Sink()
    app = web.Application(client_max_size=2**20)
    app.router.add_route("*", "/{path:.*}", sink.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    sink.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/hooks"
    try:
        yield sink
    finally:
        await runner.cleanup()


def client(
    *,
    loopback: bool = True,
    resolver: AbstractResolver | None = None,
    tls: ssl.SSLContext | None = None,
    total_timeout: float = 15.0,
) -> WebhookClient:
    is_allowed = partial(webhook_urls.is_allowed, loopback=loopback)
    return WebhookClient(is_allowed, resolver=resolver, tls=tls, total_timeout=total_timeout)


@asynccontextmanager
async def telling(
    database: Database,
    keyring: Keyring,
    *,
    lease: timedelta = policy.WEBHOOK_LEASE,
    total_timeout: float = 15.0,
) -> AsyncIterator[WebhookSender]:
    """The part of a worker that sends webhooks, for as long as the block runs."""
    around = Surroundings(keyring, "https://api.example", loopback=True, lease=lease)
    sender = WebhookSender(database, client(total_timeout=total_timeout), around)
    stop = asyncio.Event()
    running = asyncio.create_task(sender.run(stop))
    try:
        yield sender
    finally:
        stop.set()
        await running


@dataclass
class Owner:
    """An account with a session, and its webhooks over HTTP."""

    api: httpx.AsyncClient
    session: dict[str, Any]

    async def call(self, method: str, path: str = "", **kwargs: Any) -> httpx.Response:
        headers = {**bearer(self.session), **kwargs.pop("headers", {})}
        if method == "PATCH":
            headers["Content-Type"] = "application/merge-patch+json"
        return await self.api.request(method, f"/v1/webhooks{path}", headers=headers, **kwargs)

    async def create(self, url: str, events: list[str] | None = None) -> dict[str, Any]:
        response = await self.call("POST", json={"url": url, "events": events or EVENTS})
        assert response.status_code == 201, response.text
        webhook: dict[str, Any] = response.json()
        return webhook

    async def get(self, webhook: dict[str, Any]) -> dict[str, Any]:
        response = await self.call("GET", f"/{webhook['id']}")
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def deliveries(self, webhook: dict[str, Any], **query: Any) -> list[dict[str, Any]]:
        """Oldest first, without the challenges."""
        response = await self.call(
            "GET", f"/{webhook['id']}/deliveries", params={"limit": 100, **query}
        )
        assert response.status_code == 200, response.text
        items: list[dict[str, Any]] = response.json()["items"]
        return [item for item in items[::-1] if item["event"] != "webhook.challenge"]

    async def reaches(self, webhook: dict[str, Any], state: str, *, within: float = 60) -> None:
        async def has_state() -> bool:
            return bool((await self.get(webhook))["state"] == state)

        await eventually(has_state, within=within)

    async def concluded(
        self, webhook: dict[str, Any], count: int, *, within: float = 60
    ) -> list[dict[str, Any]]:
        """The deliveries, once so many have an attempt behind them."""

        async def are_there() -> bool:
            found = await self.deliveries(webhook)
            return len([each for each in found if each["last_attempt_at"]]) >= count

        await eventually(are_there, within=within)
        return await self.deliveries(webhook)


async def endpoint_row(database: Database, webhook: dict[str, Any]) -> Any:
    from app.models import WebhookEndpoint

    [row] = [
        each for each in await rows(database, WebhookEndpoint) if each.id == UUID(webhook["id"])
    ]
    return row
