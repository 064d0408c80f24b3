import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.http.security_headers import SecurityHeadersMiddleware
from tests.http_asgi import http_scope, messages_of


async def headers_of(response: Response, *sent: tuple[str, str]) -> dict[str, str]:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await response(scope, receive, send)

    [start, _] = await messages_of(SecurityHeadersMiddleware(app), http_scope(headers=sent))
    names = [name for name, _ in start["headers"]]
    assert len(names) == len(set(names))
    return {name.decode(): value.decode() for name, value in start["headers"]}


@pytest.mark.parametrize("status", [200, 404, 405, 413, 500])
async def test_every_answer_has_the_headers(status: int) -> None:
    headers = await headers_of(Response(status_code=status))
    assert headers == {
        "content-length": "0",
        "strict-transport-security": "max-age=63072000; includeSubDomains",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "x-frame-options": "DENY",
        "content-security-policy": (
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "cross-origin-resource-policy": "same-origin",
        "vary": "Authorization",
    }


async def test_policies_that_a_route_has_set_stay() -> None:
    own = {
        "Content-Security-Policy": "default-src 'self'",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Cross-Origin-Opener-Policy": "unsafe-none",
    }
    headers = await headers_of(Response("<p>", headers=own, media_type="text/html"))
    assert headers["content-security-policy"] == "default-src 'self'"
    assert headers["cross-origin-resource-policy"] == "cross-origin"
    assert headers["cross-origin-opener-policy"] == "unsafe-none"


@pytest.mark.parametrize(
    ("policy", "refused"),
    [
        ("frame-ancestors 'self' https://media.example.org", None),
        ("default-src 'none'; frame-ancestors 'none'", "DENY"),
        ("default-src 'none'", "DENY"),
    ],
)
async def test_frames_are_refused_unless_a_page_names_who_may(
    policy: str, refused: str | None
) -> None:
    headers = await headers_of(Response(headers={"Content-Security-Policy": policy}))
    assert headers.get("x-frame-options") == refused


async def test_pages_are_kept_apart_from_other_windows() -> None:
    headers = await headers_of(Response("<p>", media_type="text/html"))
    assert headers["cross-origin-opener-policy"] == "same-origin"


@pytest.mark.parametrize("credentials", [("authorization", "Bearer x"), ("cookie", "a=b")])
async def test_answer_to_credentials_is_stored_nowhere(credentials: tuple[str, str]) -> None:
    assert (await headers_of(Response(), credentials))["cache-control"] == "no-store"


async def test_route_may_allow_caching_despite_credentials() -> None:
    response = Response(headers={"Cache-Control": "public, max-age=60"})
    headers = await headers_of(response, ("authorization", "Bearer x"))
    assert headers["cache-control"] == "public, max-age=60"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Accept-Encoding", "Accept-Encoding, Authorization"),
        ("authorization", "authorization"),
        ("*", "*"),
    ],
)
async def test_vary_is_one_line(before: str, after: str) -> None:
    assert (await headers_of(Response(headers={"Vary": before})))["vary"] == after
