import pytest
from starlette.types import Receive, Scope, Send

from app.errors import AppError, HeadersTooLarge, InvalidHost, UnsupportedMediaType, UriTooLong
from app.http.limits import (
    DuplicateHeader,
    InvalidUrl,
    RequestLimits,
    RequestLimitsMiddleware,
)
from tests.http_asgi import http_scope, messages_of

HOST = ("host", "api.example.org")


async def pass_through(
    *headers: tuple[str, str],
    path: str = "/",
    query: str = "",
    allowed_hosts: list[str] | None = None,
) -> bool:
    """Whether a request reaches the application; raises as the layer does."""
    reached = False

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        nonlocal reached
        reached = True

    middleware = RequestLimitsMiddleware(app, limits=RequestLimits(allowed_hosts=allowed_hosts))
    scope = http_scope(
        path,
        headers=headers,
        raw_path=path.encode("latin-1"),
        query_string=query.encode("latin-1"),
    )
    await messages_of(middleware, scope)
    return reached


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "api.example.org:8443",
        "127.0.0.1:8000",
        "[::1]:8000",
        "my_api",
        "xn--bcher-kva",
    ],
)
async def test_well_formed_host_passes_where_any_is_allowed(host: str) -> None:
    assert await pass_through(("host", host))


@pytest.mark.parametrize(
    "host",
    [
        "",
        "a/b?c",
        "user@host",
        "a b",
        "a,b",
        "host:",
        "host:port",
        "host:123456",
        "[::1",
        "bücher",
        "a" * 271,
        "http://host",
    ],
)
async def test_malformed_host_is_refused(host: str) -> None:
    with pytest.raises(InvalidHost):
        await pass_through(("host", host))


@pytest.mark.parametrize("headers", [[], [HOST, HOST], [HOST, ("host", "evil.example")]])
async def test_host_comes_exactly_once(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(InvalidHost):
        await pass_through(*headers)


@pytest.mark.parametrize("host", ["api.example.org", "API.Example.ORG:443"])
async def test_listed_host_passes_in_any_case_and_port(host: str) -> None:
    assert await pass_through(("host", host), allowed_hosts=["api.example.org"])


@pytest.mark.parametrize(
    "host", ["evil.example", "api.example.org.evil.example", "sub.api.example.org", "127.0.0.1"]
)
async def test_other_hosts_are_refused(host: str) -> None:
    with pytest.raises(InvalidHost):
        await pass_through(("host", host), allowed_hosts=["api.example.org"])


async def test_probe_by_address_passes() -> None:
    assert await pass_through(
        ("host", "10.1.2.3:8000"), path="/livez", allowed_hosts=["api.example.org"]
    )


async def test_hundred_fields_are_the_most() -> None:
    fields = [("x-field", "value")] * 99
    assert await pass_through(HOST, *fields)
    with pytest.raises(HeadersTooLarge):
        await pass_through(HOST, *fields, ("one", "more"))


async def test_sixteen_kibibytes_of_headers_are_the_most() -> None:
    spent = len("host: api.example.org\r\n") + len("x-big: \r\n")
    assert await pass_through(HOST, ("x-big", "x" * (16384 - spent)))
    with pytest.raises(HeadersTooLarge):
        await pass_through(HOST, ("x-big", "x" * (16384 - spent + 1)))


async def test_eight_kibibytes_of_address_are_the_most() -> None:
    assert await pass_through(HOST, path="/" + "a" * 4095, query="q" * 4095)
    with pytest.raises(UriTooLong):
        await pass_through(HOST, path="/" + "a" * 4095, query="q" * 4096)


@pytest.mark.parametrize("part", ["path", "query"])
@pytest.mark.parametrize(
    "text",
    ["%00", "a%00b", "%FF", "%ed%a0%80", "%C0%AF", "%", "%4", "%zz", "100%", "\xff", "%E4"],
)
async def test_address_that_is_not_utf8_is_refused(part: str, text: str) -> None:
    with pytest.raises(InvalidUrl):
        await pass_through(HOST, **{part: f"/{text}"})  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["caf%C3%A9", "a%2Fb", "%F0%9F%8E%AC", "a+b", "..%2f", "//", ";x"])
async def test_address_that_is_utf8_passes(text: str) -> None:
    assert await pass_through(HOST, path=f"/{text}", query=f"q={text}")


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "content-encoding",
        "content-length",
        "content-type",
        "idempotency-key",
        "transfer-encoding",
    ],
)
async def test_field_that_may_come_once_came_twice(name: str) -> None:
    with pytest.raises(DuplicateHeader):
        await pass_through(HOST, (name, "identity"), (name, "identity"))


async def test_lists_may_come_in_several_lines() -> None:
    assert await pass_through(HOST, ("accept", "a/b"), ("accept", "c/d"), ("cookie", "a=b"))


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "identity, gzip", "x"])
async def test_compressed_body_is_refused(encoding: str) -> None:
    with pytest.raises(UnsupportedMediaType) as refusal:
        await pass_through(HOST, ("content-encoding", encoding))
    assert refusal.value.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("encoding", ["identity", "Identity", " identity "])
async def test_plain_body_may_say_so(encoding: str) -> None:
    assert await pass_through(HOST, ("content-encoding", encoding))


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (DuplicateHeader(), 400, "duplicate_header"),
        (InvalidUrl(), 400, "invalid_url"),
        (InvalidHost(), 400, "invalid_host"),
        (HeadersTooLarge(), 431, "headers_too_large"),
        (UriTooLong(), 414, "uri_too_long"),
        (UnsupportedMediaType(), 415, "unsupported_media_type"),
    ],
)
def test_codes_are_part_of_the_contract(error: AppError, status: int, code: str) -> None:
    assert (error.status, error.code) == (status, code)
