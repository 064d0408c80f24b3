"""The rows of the list of adversarial inputs that the HTTP layer answers, by their numbers."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.http_asgi import client_of
from tests.http_example import make_app


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(make_app()) as client:
        yield client


GOOD_LOGIN = {"email": "ann@example.org", "password": "correct Horse 9"}
JSON = {"Content-Type": "application/json"}


ROWS: list[tuple[int, dict[str, Any], int, str]] = [
    (9, {"content": rb'{"email": "a\u0000", "password": "x"}'}, 422, "invalid_input"),
    (9, {"url": "/v1/assets/a%00b"}, 400, "invalid_url"),
    (9, {"url": "/v1/assets/a?q=%00"}, 400, "invalid_url"),
    (10, {"content": rb'{"email": "\ud800", "password": "x"}'}, 400, "malformed_body"),
    (10, {"content": b'{"email": "\xed\xa0\x80", "password": "x"}'}, 400, "malformed_body"),
    (10, {"url": "/v1/assets/a?q=%ED%A0%80"}, 400, "invalid_url"),
    (11, {"content": b'{"email": NaN, "password": "x"}'}, 400, "malformed_body"),
    (11, {"content": b'{"email": Infinity, "password": "x"}'}, 400, "malformed_body"),
    (11, {"content": b'{"email": 1e400, "password": "x"}'}, 400, "malformed_body"),
    (12, {"content": b'{"email": 9223372036854775808}'}, 422, "invalid_input"),
    (12, {"content": b'{"email": %b}' % (b"9" * 5000)}, 422, "invalid_input"),
    (14, {"content": b"[" * 100_000 + b"]" * 100_000}, 400, "malformed_body"),
    (14, {"content": b'{"email":' * 100_000 + b"1" + b"}" * 100_000}, 400, "malformed_body"),
    (15, {"content": b'{"email": "a", "email": "b"}'}, 400, "malformed_body"),
    (16, {"content": b"\xef\xbb\xbf{}"}, 400, "malformed_body"),
    (17, {"content": json.dumps(GOOD_LOGIN).encode("utf-16")}, 400, "malformed_body"),
    (17, {"content": json.dumps(GOOD_LOGIN).encode("utf-32")}, 400, "malformed_body"),
    (18, {"content": b'{"email": "\xff"}'}, 400, "malformed_body"),
    (19, {"content": b"{}", "headers": {}}, 415, "unsupported_media_type"),
    (
        19,
        {"json": GOOD_LOGIN, "headers": {"Content-Type": "text/plain"}},
        415,
        "unsupported_media_type",
    ),
    (19, {"data": GOOD_LOGIN, "headers": {}}, 415, "unsupported_media_type"),
    (
        20,
        {"content": b"\x1f\x8b", "headers": {**JSON, "Content-Encoding": "gzip"}},
        415,
        "unsupported_media_type",
    ),
    (21, {"content": b"x" * 1_048_577}, 413, "body_too_large"),
    (22, {"json": {"email": "a", "password": "x" * 10_000_000}}, 413, "body_too_large"),
    (35, {"json": {**GOOD_LOGIN, "is_admin": True}}, 422, "unknown_field"),
    (35, {"json": {**GOOD_LOGIN, "__proto__": {}}}, 422, "unknown_field"),
    (
        46,
        {"url": "/v1/assets/a", "headers": {"Authorization": "x" * 1_000_000}},
        431,
        "headers_too_large",
    ),
    (
        46,
        {"url": "/v1/assets/a", "headers": [("Authorization", "a"), ("Authorization", "b")]},
        400,
        "duplicate_header",
    ),
    (56, {"url": "/v1/assets/a", "headers": {"Host": "evil.example"}}, 400, "invalid_host"),
    (56, {"url": "/v1/assets/a", "headers": {"Host": "a/b?c"}}, 400, "invalid_host"),
    (58, {"url": "/v1/assets/a", "method": "TRACE"}, 405, "method_not_allowed"),
    (58, {"url": "/v1/assets/a", "method": "FOO"}, 405, "method_not_allowed"),
    (59, {"url": "/v1/assets/..%2f..%2fetc"}, 404, "not_found"),
    (59, {"url": "//v1/assets/a"}, 404, "not_found"),
    (59, {"url": "/v1/assets/a/"}, 404, "not_found"),
    (59, {"url": "/v1/missing;x"}, 404, "not_found"),
    (
        70,
        {"url": "/v1/assets/a", "headers": {"If-None-Match": '"a",' * 10_000}},
        431,
        "headers_too_large",
    ),
    (75, {"url": "/v1/assets/" + "x" * 60_000}, 414, "uri_too_long"),
    (75, {"url": "/v1/assets/a", "headers": [("X", "y")] * 20_000}, 431, "headers_too_large"),
]


@pytest.mark.parametrize(("row", "options", "status", "code"), ROWS)
async def test_adversarial_input_gets_its_problem_document(
    client: httpx.AsyncClient, row: int, options: dict[str, Any], status: int, code: str
) -> None:
    method = "GET" if "url" in options else "POST"
    defaults: dict[str, Any] = {"method": method, "url": "/v1/login", "headers": JSON}
    response = await client.request(**(defaults | options))
    assert response.status_code == status, row
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["code"] == code
    assert problem["status"] == status
    assert problem["request_id"] == response.headers["x-request-id"]
    assert response.headers["strict-transport-security"].startswith("max-age=63072000")
    assert "Origin" in response.headers["vary"]


async def test_body_without_a_length_is_counted(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 65536

    response = await client.post("/v1/upload", content=chunks())
    assert response.status_code == 413
    assert response.json()["code"] == "body_too_large"
