"""All layers together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from app.http.counters import InProcessCounters
from app.http.rate_limits import RateLimitPolicy
from app.http.stack import StackOptions, middleware_stack
from tests.http_asgi import client_of, messages_of
from tests.http_example import OPTIONS, ORIGIN, make_app, noon
from tests.virtual_time import run_in_no_time


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(make_app()) as client:
        yield client


async def get(path: str, headers: dict[str, str] | None = None) -> httpx.Response:
    async with client_of(make_app()) as client:
        return await client.get(path, headers=headers)


GOOD_LOGIN = {"email": "ann@example.org", "password": "correct Horse 9"}


async def test_good_request_passes(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/login", json=GOOD_LOGIN)
    assert response.status_code == 200
    assert response.json() == {"email": "ann@example.org"}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/missing", 404),
        ("/nowhere", 404),
        ("/v1/login", 405),
        ("/v1/broken", 500),
        ("/v1/stuck", 503),
    ],
)
def test_listed_page_can_read_every_error(path: str, status: int) -> None:
    with capture_logs():
        response = run_in_no_time(get(path, {"Origin": ORIGIN, "X-Request-Id": "request-1"}))
    assert response.status_code == status
    assert response.json()["request_id"] == "request-1"
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert response.headers["x-request-id"] == "request-1"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert ("retry-after" in response.headers) == (status == 503)


async def test_lifespan_reaches_the_application_through_all_layers() -> None:
    steps = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        steps.append("started")
        yield
        steps.append("stopped")

    app = FastAPI(middleware=middleware_stack(OPTIONS), lifespan=lifespan)
    events = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    await messages_of(app, {"type": "lifespan"}, events)
    assert steps == ["started", "stopped"]


async def test_unexpected_error_is_told_to_the_log_alone(client: httpx.AsyncClient) -> None:
    with capture_logs() as events:
        response = await client.get("/v1/broken?number=hunter2")
    assert "hunter2" not in response.text
    assert "hunter2" not in str(events)
    assert [event["event"] for event in events] == ["unhandled_exception", "request"]
    assert events[1]["status"] == 500


async def test_refused_request_says_when_to_come_back(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/once")).status_code == 200
    response = await client.get("/v1/once", headers={"Origin": ORIGIN})
    assert response.status_code == 429
    assert response.json()["code"] == "rate_limited"
    assert 1 <= int(response.headers["retry-after"]) <= 60
    exposed = response.headers["access-control-expose-headers"].split(", ")
    assert {"Retry-After", "RateLimit", "RateLimit-Policy"} <= set(exposed)
    assert '"once";r=0;t=' in response.headers["ratelimit"]


def test_download_outlasts_the_deadline() -> None:
    assert run_in_no_time(get("/v1/download")).content == b"first and last"


async def test_public_answer_is_compressed_cacheable_and_open(client: httpx.AsyncClient) -> None:
    headers = {
        "Accept-Encoding": "gzip",
        "Authorization": "Bearer x",
        "Origin": "https://a.example",
    }
    response = await client.get("/v1/feeds/assets.json", headers=headers)
    assert response.json() == ["words that come again"] * 50
    assert response.headers["content-encoding"] == "gzip"
    assert response.headers["cache-control"] == "public, max-age=60"
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["vary"] == "Accept-Encoding, Authorization"


async def test_access_log_counts_the_bytes_that_left(client: httpx.AsyncClient) -> None:
    with capture_logs() as events:
        response = await client.get("/v1/feeds/assets.json", headers={"Accept-Encoding": "gzip"})
    assert events[0]["bytes"] == int(response.headers["content-length"]) < len(response.content)


async def test_personal_answer_is_stored_nowhere(client: httpx.AsyncClient) -> None:
    response = await client.get("/v1/assets/a", headers={"Authorization": "Bearer x"})
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "header", ["X-Forwarded-Host", "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override"]
)
async def test_headers_that_rewrite_requests_are_ignored(
    client: httpx.AsyncClient, header: str
) -> None:
    plain = await client.get("/v1/assets/a")
    spoofed = await client.get("/v1/assets/a", headers={header: "/v1/missing"})
    assert (spoofed.status_code, spoofed.text) == (plain.status_code, plain.text)


async def test_forged_address_does_not_renew_a_quota() -> None:
    options = StackOptions(
        counters=InProcessCounters(),
        clock=noon,
        rate_limit_policies=[RateLimitPolicy("one", 1, 60)],
    )
    async with client_of(make_app(options)) as client:
        statuses = [
            (await client.get("/v1/assets/a", headers={"X-Forwarded-For": f"1.1.1.{number}"}))
            for number in range(2)
        ]
    assert [response.status_code for response in statuses] == [200, 429]


async def test_limits_are_off_without_counters() -> None:
    async with client_of(make_app(StackOptions())) as client:
        assert "ratelimit" not in (await client.get("/v1/once")).headers
