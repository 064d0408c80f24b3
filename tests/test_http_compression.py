import gzip
from collections.abc import AsyncIterator

import brotli
import httpx
import pytest
import zstandard
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from app.http.compression import CompressionMiddleware
from tests.http_asgi import client_of

TEXT = b'{"headline": "words that come again and again"}' * 40


async def document(request: Request) -> Response:
    """An answer as the query asks for it."""
    query = request.query_params
    headers = {"ETag": '"v7"'} | {
        name: query[name] for name in ("cache-control", "content-range", "vary") if name in query
    }
    size = int(query.get("size", len(TEXT)))
    return Response(
        TEXT[:size],
        int(query.get("status", 200)),
        headers,
        media_type=query.get("type", "application/json"),
    )


async def stream(_: Request) -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        yield TEXT[:100]
        yield TEXT[100:]

    return StreamingResponse(chunks(), media_type="application/x-ndjson")


async def ask(
    path: str = "/", *, accept: str = "gzip", method: str = "GET", **query: str
) -> httpx.Response:
    routes = [Route("/", document), Route("/stream", stream)]
    app = Starlette(routes=routes, middleware=[Middleware(CompressionMiddleware)])
    params = {name.replace("_", "-"): value for name, value in query.items()}
    async with client_of(app) as client:
        headers = {"Accept-Encoding": accept}
        # The raw bytes: httpx would decompress them on its own.
        async with client.stream(method, path, params=params, headers=headers) as response:
            response._content = b"".join([chunk async for chunk in response.aiter_raw()])
        return response


@pytest.mark.parametrize(
    ("accept", "encoding"),
    [
        ("zstd, br, gzip", "zstd"),
        ("gzip, deflate, br", "br"),
        ("gzip", "gzip"),
        ("br;q=0, gzip", "gzip"),
    ],
)
async def test_client_gets_the_best_encoding_that_it_takes(accept: str, encoding: str) -> None:
    response = await ask(accept=accept)
    assert response.headers["content-encoding"] == encoding
    assert response.headers["vary"] == "Accept-Encoding"
    assert int(response.headers["content-length"]) == len(response.content) < len(TEXT) / 4
    plain = {
        "zstd": zstandard.ZstdDecompressor().decompress,
        "br": brotli.decompress,
        "gzip": gzip.decompress,
    }[encoding](response.content)
    assert plain == TEXT


async def test_five_hundred_bytes_are_worth_it() -> None:
    response = await ask(size="500")
    assert response.headers["content-encoding"] == "gzip"


async def test_tag_survives() -> None:
    assert (await ask()).headers["etag"] == '"v7"'


async def test_client_that_takes_none_is_told_that_others_exist() -> None:
    response = await ask(accept="identity")
    assert response.content == TEXT
    assert "content-encoding" not in response.headers
    assert response.headers["vary"] == "Accept-Encoding"


async def test_stream_is_compressed_as_it_goes() -> None:
    response = await ask("/stream")
    assert response.headers["content-encoding"] == "gzip"
    assert gzip.decompress(response.content) == TEXT


@pytest.mark.parametrize(
    "query",
    [
        {"cache_control": "no-store"},
        {"cache_control": "private, no-store, max-age=0"},
        {"size": "499"},
        {"type": "video/mp4"},
        {"type": "image/jpeg"},
        {"type": "application/zip"},
        {"status": "206", "content_range": "bytes 0-9/100"},
        {"status": "206", "type": "multipart/byteranges; boundary=x"},
    ],
    ids=str,
)
async def test_answer_is_left_alone(query: dict[str, str]) -> None:
    response = await ask(**query)
    assert "content-encoding" not in response.headers
    assert response.content == TEXT[: int(query.get("size", len(TEXT)))]


@pytest.mark.parametrize("query", [{"status": "304", "size": "0"}, {"status": "204", "size": "0"}])
async def test_answer_without_a_body_is_left_alone(query: dict[str, str]) -> None:
    response = await ask(**query)
    assert "content-encoding" not in response.headers
    assert response.headers["etag"] == '"v7"'


async def test_head_is_left_alone() -> None:
    response = await ask(method="HEAD")
    assert response.content == b""
    assert response.headers["etag"] == '"v7"'


async def test_problem_documents_are_text_too() -> None:
    response = await ask(type="application/problem+json", status="422")
    assert response.headers["content-encoding"] == "gzip"
