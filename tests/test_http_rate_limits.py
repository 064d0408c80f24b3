from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app.http.counters import Counters, InProcessCounters
from app.http.error_boundary import ErrorBoundaryMiddleware
from app.http.rate_limits import (
    DEFAULT_POLICIES,
    RateLimiter,
    RateLimitMiddleware,
    RateLimitPolicy,
)
from tests.http_asgi import client_of

TWO_A_MINUTE = [RateLimitPolicy("default", quota=2, window=60)]


class Service:
    """An application with limits, and a clock to turn."""

    def __init__(self, counters: Counters | None = None, **options: Any) -> None:
        self.now = 1_000_000_020.0
        counters = counters or InProcessCounters(clock=lambda: self.now)
        limiter = RateLimiter(counters, clock=self.time, **options)
        middleware = [
            Middleware(ErrorBoundaryMiddleware),
            Middleware(RateLimitMiddleware, limiter=limiter),
        ]
        methods = ["GET", "POST", "OPTIONS"]
        route = Route("/{path:path}", self.answer, methods=methods)
        self.app = Starlette(routes=[route], middleware=middleware)

    def time(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)

    async def answer(self, _: Request) -> Response:
        return PlainTextResponse("here")

    async def ask(
        self, path: str = "/", *, method: str = "GET", address: str = "198.51.100.7"
    ) -> httpx.Response:
        async with client_of(self.app, address) as client:
            return await client.request(method, path)

    async def statuses(self, count: int, path: str = "/", **options: Any) -> list[int]:
        return [(await self.ask(path, **options)).status_code for _ in range(count)]


async def test_requests_past_the_quota_are_refused_until_the_window_ends() -> None:
    service = Service(policies=TWO_A_MINUTE)
    assert await service.statuses(3) == [200, 200, 429]
    wait = int((await service.ask()).headers["retry-after"])
    service.now += wait - 1
    assert await service.statuses(1) == [429]
    service.now += 1
    assert await service.statuses(3) == [200, 200, 429]


async def test_answers_tell_what_is_left() -> None:
    service = Service(policies=TWO_A_MINUTE)
    first, second, third = [await service.ask() for _ in range(3)]
    seconds = first.headers["ratelimit"].partition("t=")[2]
    assert 1 <= int(seconds) <= 60
    assert first.headers["ratelimit"] == f'"default";r=1;t={seconds}'
    assert second.headers["ratelimit"] == f'"default";r=0;t={seconds}'
    assert third.headers["ratelimit"] == f'"default";r=0;t={seconds}'
    for response in (first, second, third):
        assert response.headers["ratelimit-policy"] == '"default";q=2;w=60'
    assert third.headers["retry-after"] == seconds
    assert third.json()["code"] == "rate_limited"


async def test_client_networks_do_not_share_a_quota() -> None:
    service = Service(policies=TWO_A_MINUTE)
    assert await service.statuses(3) == [200, 200, 429]
    assert await service.statuses(1, address="198.51.100.8") == [200]


async def test_addresses_of_one_household_share_a_quota() -> None:
    service = Service(policies=TWO_A_MINUTE)
    for address in ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2"):
        assert await service.statuses(1, address=address) == [200]
    assert await service.statuses(1, address="2001:db8:0:1::3") == [429]
    assert await service.statuses(1, address="2001:db8:0:2::1") == [200]


async def test_clients_do_not_all_come_back_in_the_same_second() -> None:
    service = Service(policies=TWO_A_MINUTE)
    addresses = [f"198.51.100.{number}" for number in range(20)]
    fields = [(await service.ask(address=address)).headers["ratelimit"] for address in addresses]
    assert len({field.partition("t=")[2] for field in fields}) > 10


def test_default_policies_are_600_6000_and_60_a_minute() -> None:
    quotas = [(policy.name, policy.quota, policy.window) for policy in DEFAULT_POLICIES]
    assert quotas == [
        ("default", 600, 60),
        ("uploads", 6000, 60),
        ("unsubscribe", 6000, 60),
        ("keys", 6000, 60),
        ("harvests", 3000, 60),
        ("page-files", 6000, 60),
        ("auth", 60, 60),
    ]


@pytest.mark.parametrize(
    ("method", "path", "policies"),
    [
        ("POST", "/v1/auth/login", '"default";q=600;w=60, "auth";q=60;w=60'),
        ("POST", "/v1/verification-codes", '"default";q=600;w=60, "auth";q=60;w=60'),
        ("POST", "/v1/verification-codes/verify", '"default";q=600;w=60, "auth";q=60;w=60'),
        ("POST", "/v1/newsletter/subscriptions", '"default";q=600;w=60, "auth";q=60;w=60'),
        ("POST", "/v1/newsletter/unsubscribe/x", '"unsubscribe";q=6000;w=60'),
        ("GET", "/v1/newsletter/unsubscribe/x", '"default";q=600;w=60'),
        ("POST", "/v1/saved-searches/stop/x", '"unsubscribe";q=6000;w=60'),
        ("POST", "/v1/saved-searches", '"default";q=600;w=60'),
        ("GET", "/v1/auth/sessions", '"default";q=600;w=60'),
        ("POST", "/v1/assets", '"default";q=600;w=60'),
        ("GET", "/ui/main.js", '"page-files";q=6000;w=60'),
        ("GET", "/uint", '"default";q=600;w=60'),
    ],
)
async def test_posts_that_prove_who_one_is_have_a_second_policy(
    method: str, path: str, policies: str
) -> None:
    response = await Service().ask(path, method=method)
    assert response.headers["ratelimit-policy"] == policies
    assert response.headers["ratelimit"].count(";r=") == policies.count(";q=")


async def test_sixty_logins_a_minute_leave_other_calls_open() -> None:
    service = Service()
    statuses = await service.statuses(61, "/v1/auth/login", method="POST")
    assert statuses == [200] * 60 + [429]
    assert await service.statuses(1, "/v1/assets") == [200]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/livez"), ("GET", "/readyz"), ("GET", "/metrics"), ("OPTIONS", "/v1/assets")],
)
async def test_probes_and_preflights_are_not_limited(method: str, path: str) -> None:
    service = Service(policies=TWO_A_MINUTE)
    assert await service.statuses(5, path, method=method) == [200] * 5
    assert "ratelimit" not in (await service.ask(path, method=method)).headers


async def test_nobody_is_refused_while_the_store_is_down() -> None:
    class Down:
        async def increment(self, key: str, lifetime: int) -> None: ...

        async def aclose(self) -> None: ...

    service = Service(Down(), policies=TWO_A_MINUTE)
    assert await service.statuses(5) == [200] * 5
    assert "ratelimit" not in (await service.ask()).headers
