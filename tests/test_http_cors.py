import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.http.cors import CorsMiddleware, CorsPolicy
from app.http.error_boundary import ErrorBoundaryMiddleware
from tests.http_asgi import client_of

ORIGIN = "https://app.example.org"
EXPOSED = (
    "Retry-After, ETag, Location, Link, RateLimit, RateLimit-Policy, X-Request-Id, "
    "Content-Disposition, Idempotent-Replayed, Tus-Checksum-Algorithm, Tus-Extension, "
    "Tus-Max-Size, Tus-Resumable, Tus-Version, Upload-Expires, Upload-Length, Upload-Metadata, "
    "Upload-Offset"
)


async def hello(_: Request) -> Response:
    return JSONResponse({}, headers={"Vary": "Accept"})


async def broken(_: Request) -> Response:
    raise RuntimeError


async def call(method: str, path: str, **headers: str) -> httpx.Response:
    middleware = [
        Middleware(
            CorsMiddleware,
            policy=CorsPolicy(
                allowed_origins=[ORIGIN], is_public=lambda path: path.startswith("/public/")
            ),
        ),
        Middleware(ErrorBoundaryMiddleware),
    ]
    routes = [Route("/", hello), Route("/public/feed", hello), Route("/broken", broken)]
    async with client_of(Starlette(routes=routes, middleware=middleware)) as client:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await client.request(method, path, headers=named)


def cors_headers(response: httpx.Response) -> dict[str, str]:
    prefix = "access-control-"
    return {
        name.removeprefix(prefix): value
        for name, value in response.headers.items()
        if name.startswith(prefix)
    }


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/nothing", 404), ("/broken", 500)])
async def test_listed_origin_may_read_answers_and_errors(path: str, status: int) -> None:
    response = await call("GET", path, origin=ORIGIN)
    assert response.status_code == status
    assert cors_headers(response) == {
        "allow-origin": ORIGIN,
        "allow-credentials": "true",
        "expose-headers": EXPOSED,
    }
    assert "Origin" in response.headers["vary"]


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "https://evil.example",
        "https://app.example.org.evil.example",
        "https://evil-app.example.org",
        "http://app.example.org",
        "https://app.example.org:8443",
        "https://APP.example.org",
        "*",
    ],
)
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_no_other_origin_may(origin: str, method: str) -> None:
    response = await call(method, "/", origin=origin, access_control_request_method="GET")
    assert cors_headers(response) == {}
    assert "Origin" in response.headers["vary"]


async def test_answer_without_origin_still_varies_by_it() -> None:
    response = await call("GET", "/")
    assert cors_headers(response) == {}
    assert response.headers["vary"] == "Accept, Origin"


async def test_preflight_is_answered_before_the_application() -> None:
    response = await call("OPTIONS", "/nothing", origin=ORIGIN, access_control_request_method="PUT")
    assert response.status_code == 204
    headers = cors_headers(response)
    assert headers["allow-origin"] == ORIGIN
    assert headers["allow-credentials"] == "true"
    assert headers["allow-methods"] == "GET, HEAD, POST, PUT, PATCH, DELETE"
    assert headers["max-age"] == "600"
    allowed = headers["allow-headers"].split(", ")
    assert {"Authorization", "Content-Type", "If-Match", "Idempotency-Key"} <= set(allowed)
    assert "*" not in allowed


async def test_second_preflight_has_no_more_headers_than_the_first() -> None:
    first, second = [
        await call("OPTIONS", "/", origin=ORIGIN, access_control_request_method="PUT")
        for _ in range(2)
    ]
    assert first.headers.multi_items() == second.headers.multi_items()


async def test_options_without_a_preflight_reaches_the_application() -> None:
    assert (await call("OPTIONS", "/", origin=ORIGIN)).status_code == 405


@pytest.mark.parametrize("origin", ["https://anybody.example", ORIGIN])
async def test_public_path_is_open_to_all_without_credentials(origin: str) -> None:
    response = await call("GET", "/public/feed", origin=origin)
    assert cors_headers(response) == {"allow-origin": "*", "expose-headers": EXPOSED}
    assert response.headers["vary"] == "Accept"
    # Without it no browser shows the answer in an <img> or a <video> of another site.
    assert response.headers["cross-origin-resource-policy"] == "cross-origin"


async def test_no_path_is_public_and_no_origin_listed_unless_told() -> None:
    routes = [Route("/", hello)]
    app = Starlette(routes=routes, middleware=[Middleware(CorsMiddleware, policy=CorsPolicy())])
    async with client_of(app) as client:
        assert cors_headers(await client.get("/", headers={"Origin": ORIGIN})) == {}


@pytest.mark.parametrize("origin", ["*", "null"])
def test_dangerous_setting_is_refused(origin: str) -> None:
    with pytest.raises(ValueError, match="cannot be an allowed origin"):
        CorsPolicy(allowed_origins=[ORIGIN, origin])
