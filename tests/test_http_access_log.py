from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from prometheus_client import REGISTRY
from starlette.middleware import Middleware
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from app.errors import NotFound
from app.http import access_log
from app.http.access_log import AccessLogMiddleware
from app.http.metrics import metrics_response
from tests.http_asgi import client_of, http_scope, messages_of

SECRET = "s3cret-token-that-nobody-may-log"


def make_app() -> FastAPI:
    router = APIRouter(prefix="/assets")

    @router.get("/{asset_id}")
    async def read(asset_id: str) -> dict[str, str]:
        return {"id": asset_id}

    app = FastAPI(middleware=[Middleware(AccessLogMiddleware)])
    app.include_router(router, prefix="/v1")

    @app.get("/livez")
    async def livez(status: int = 204) -> Response:
        return Response(status_code=status)

    return app


async def logged(method: str, url: str, **options: Any) -> list[dict[str, Any]]:
    async with client_of(make_app()) as client:
        with capture_logs() as events:
            await client.request(method, url, **options)
    return [dict(event) for event in events]


async def test_each_request_is_one_event_with_the_template_of_its_route() -> None:
    [event] = await logged("GET", "/v1/assets/42")
    assert event.pop("duration_ms") >= 0
    assert event == {
        "event": "request",
        "log_level": "info",
        "method": "GET",
        "route": "/v1/assets/{asset_id}",
        "status": 200,
        "bytes": len('{"id":"42"}'),
        "client": "203.0.113.0/24",
    }


async def test_duration_is_in_milliseconds_and_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([100.0, 100.05678])
    monkeypatch.setattr(access_log, "perf_counter", lambda: next(times))
    [event] = await logged("GET", "/v1/assets/42")
    assert event["duration_ms"] == 56.8


async def test_method_that_a_route_does_not_have_is_logged_under_the_route() -> None:
    [event] = await logged("DELETE", "/v1/assets/42")
    assert (event["route"], event["status"]) == ("/v1/assets/{asset_id}", 405)


async def test_unknown_path_is_logged_as_it_came() -> None:
    [event] = await logged("GET", "/wp-admin/setup.php?step=1")
    assert (event["path"], event["status"]) == ("/wp-admin/setup.php", 404)
    assert "route" not in event


@pytest.mark.parametrize(
    "url",
    [
        f"/v1/assets/42?token={SECRET}",
        f"/v1/assets/{SECRET}",
        f"/v1/newsletter/unsubscribe/{SECRET}/",
        "/v1/accounts/ann%40example.org/nothing",
    ],
)
async def test_nothing_secret_or_personal_is_logged(url: str) -> None:
    headers = {"Authorization": f"Bearer {SECRET}", "Cookie": f"a={SECRET}", "User-Agent": SECRET}
    events = await logged("POST", url, headers=headers, content=SECRET.encode())
    assert SECRET not in repr(events)
    assert "example.org" not in repr(events)


async def test_only_failing_probes_are_logged() -> None:
    assert await logged("GET", "/livez") == []
    for status in (400, 503):
        [event] = await logged("GET", f"/livez?status={status}")
        assert event["status"] == status


async def test_client_that_left_before_the_answer_is_logged_as_499() -> None:
    async def gives_up(_scope: Scope, _receive: Receive, _send: Send) -> None: ...

    with capture_logs() as events:
        await messages_of(AccessLogMiddleware(gives_up), http_scope("/"))
    assert events[0]["status"] == 499


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.mark.parametrize(
    ("method", "url", "labels"),
    [
        ("GET", "/v1/assets/1", {"method": "GET", "route": "/v1/assets/{asset_id}"}),
        ("GET", "/no/such/path", {"method": "GET", "route": "unmatched"}),
        ("BREW", "/no/such/path", {"method": "OTHER", "route": "unmatched"}),
    ],
)
async def test_requests_are_counted_and_timed(
    method: str, url: str, labels: dict[str, str]
) -> None:
    status = "2xx" if "assets" in url else "4xx"
    total = sample("http_requests_total", status=status, **labels)
    timed = sample("http_request_duration_seconds_count", **labels)
    await logged(method, url)
    assert sample("http_requests_total", status=status, **labels) == total + 1
    assert sample("http_request_duration_seconds_count", **labels) == timed + 1


async def test_request_is_in_flight_until_it_ends_even_by_an_exception() -> None:
    before = sample("http_requests_in_flight")
    seen = []

    async def fails(_scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(sample("http_requests_in_flight"))
        raise RuntimeError

    with pytest.raises(RuntimeError), capture_logs():
        await messages_of(AccessLogMiddleware(fails), http_scope("/"))
    assert seen == [before + 1]
    assert sample("http_requests_in_flight") == before


def scrape(token: str | None, authorization: str | None, accept: str = "*/*") -> Response:
    headers = [("accept", accept)]
    if authorization is not None:
        headers.append(("authorization", authorization))
    return metrics_response(Request(http_scope("/metrics", headers=headers)), token=token)


def test_metrics_are_open_without_a_token_set() -> None:
    response = scrape(None, None)
    assert b"http_requests_total" in response.body
    assert response.headers["content-type"].startswith("text/plain; version=")
    assert response.headers["cache-control"] == "no-store"


def test_metrics_come_as_openmetrics_on_request() -> None:
    response = scrape(None, None, "application/openmetrics-text; version=1.0.0")
    assert response.headers["content-type"].startswith("application/openmetrics-text")


def test_metrics_open_with_the_right_token() -> None:
    assert scrape("right", "Bearer right").status_code == httpx.codes.OK


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer wrong", "right", "Bearer ä"])
def test_metrics_do_not_exist_without_the_right_token(authorization: str | None) -> None:
    with pytest.raises(NotFound):
        scrape("right", authorization)
