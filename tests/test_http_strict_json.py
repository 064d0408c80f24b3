import json
import time
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Body, FastAPI, Request
from pydantic import BaseModel, ConfigDict

from app.errors import InvalidInput, MalformedBody, install_handlers
from app.http.strict_json import StrictJsonRoute, parse
from tests.http_asgi import client_of


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid")
    email: str
    amount: int | None = None
    nested: Any = None


def make_app() -> FastAPI:
    router = APIRouter(route_class=StrictJsonRoute)

    @router.post("/form")
    @router.patch("/form")
    async def take(form: Form) -> dict[str, Any]:
        return {"got": form.model_dump()}

    @router.post("/optional")
    async def take_or_not(form: Annotated[Form | None, Body()] = None) -> dict[str, bool]:
        return {"given": form is not None}

    @router.post("/raw")
    async def take_raw(request: Request) -> dict[str, int]:
        return {"size": len(await request.body())}

    app = FastAPI()
    install_handlers(app)
    app.include_router(router, prefix="/v1")
    return app


async def post(
    body: bytes | str,
    *,
    content_type: str | None = "application/json",
    path: str = "/v1/form",
    method: str = "POST",
) -> httpx.Response:
    headers = {} if content_type is None else {"Content-Type": content_type}
    content = body.encode() if isinstance(body, str) else body
    async with client_of(make_app()) as client:
        return await client.request(method, path, content=content, headers=headers)


ANN = '{"email": "ann@example.org"}'


async def test_good_body_arrives() -> None:
    email = '"email": "ännchen@example.org 🎬\\ud83c\\udfac"'
    response = await post(f'{{{email}, "amount": -0, "nested": [1.5, true, null]}}')
    assert response.status_code == 200
    got = response.json()["got"]
    assert got["email"] == "ännchen@example.org 🎬🎬"
    assert (got["amount"], got["nested"]) == (0, [1.5, True, None])


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"\xef\xbb\xbf" + ANN.encode(), "a byte order mark"),
        (ANN.encode("utf-16"), "UTF-16"),
        (ANN.encode("utf-16-le"), "UTF-16 without a mark"),
        (ANN.encode("utf-32"), "UTF-32"),
        (b'{"email": "\xff"}', "invalid UTF-8"),
        (b'{"email": "\xed\xa0\x80"}', "a raw surrogate"),
        (b'{"email": "\xc0\x80"}', "overlong UTF-8"),
        (b'{"email": "\\ud800"}', "an escaped surrogate"),
        (b'{"email": "\\uDC00\\uD800"}', "surrogates in the wrong order"),
        (b'{"\\ud800": 1}', "a surrogate in a key"),
        (b'{"email": "a", "email": "b"}', "a key twice"),
        (b'{"email": "a", "nested": [{"x": 1, "x": 1}]}', "a key twice further in"),
        (b'{"email": "a", "\\u0065mail": "b"}', "a key twice, spelt in two ways"),
        (b'{"nested": NaN}', "NaN"),
        (b'{"nested": Infinity}', "Infinity"),
        (b'{"nested": -Infinity}', "-Infinity"),
        (b'{"nested": 1e400}', "a float beyond all floats"),
        (b'{"nested": -1e400}', "the same, negative"),
        (b'{"nested": %b}' % (b"[" * 32 + b"]" * 32), "33 levels"),
        (b"[" * 100_000, "100,000 open arrays"),
        (b'{"a":' * 100_000, "100,000 open objects"),
        (b"[" * 100_000 + b"]" * 100_000, "100,000 levels"),
        (b'{"email": "a"', "no end"),
        (b'{"email": "a"} x', "something behind"),
        (b'{"email": "a\nb"}', "a bare line break"),
        (b'{"email": "a\0b"}', "a bare NUL"),
        (b"{'email': 'a'}", "single quotes"),
        (b'{"email": "a",}', "a comma too many"),
        (b'{"amount": 01}', "a leading zero"),
        (b"   ", "blanks only"),
    ],
)
async def test_malformed_body_is_a_400_without_its_content(body: bytes, why: str) -> None:
    response = await post(body)
    assert response.status_code == 400, why
    assert response.json()["code"] == "malformed_body"
    assert "ann@" not in response.text


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        (r'{"email": "a\u0000b"}', "/email", "nul_character"),
        (r'{"email": "a", "nested": [1, {"x": "\u0000"}]}', "/nested/1/x", "nul_character"),
        (r'{"email": "a", "nested": {"k\u0000": 1}}', "/nested", "nul_character"),
        (r'{"email": "a", "nested": {"a/b~c": "\u0000"}}', "/nested/a~1b~0c", "nul_character"),
        ('{"amount": 9223372036854775808}', "/amount", "number_out_of_range"),
        ('{"amount": -9223372036854775809}', "/amount", "number_out_of_range"),
        ('{"nested": [0, 100000000000000000000000]}', "/nested/1", "number_out_of_range"),
        ('{"amount": %s}' % ("9" * 5000), "", "number_out_of_range"),
    ],
)
async def test_value_that_no_column_takes_is_a_422_with_its_place(
    body: str, pointer: str, code: str
) -> None:
    response = await post(body)
    assert response.status_code == 422
    [error] = response.json()["errors"]
    assert (error["pointer"], error["code"]) == (pointer, code)


@pytest.mark.parametrize(
    "text",
    [
        r'{"email": "\\u0000"}',  # a backslash and "u0000", no NUL
        r'{"email": "\\ud800"}',
        r'{"email": "\ud83c\udfac"}',
        '{"email": "1234567890123456789012345"}',
        '{"email": "a", "amount": 9223372036854775807}',
        '{"email": "a", "amount": -9223372036854775808}',
        '{"email": "a", "nested": 0.1234567890123456789012345}',
        '{"email": "a", "nested": 1e300}',
        '{"email": "a", "nested": %s}' % ("[" * 31 + "]" * 31),
        '{"email": "a", "nested": [{}, %s]}' % ("[" * 30 + "]" * 30),
        '{"email": "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["}',
    ],
)
async def test_unusual_but_valid_body_passes(text: str) -> None:
    response = await post(text)
    assert response.status_code == 200
    assert response.json()["got"]["email"] == json.loads(text)["email"]


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/merge-patch+json",
        "application/vnd.evil+json",
        "application/jsonp",
        "text/json",
        "application/json; charset=utf-16",
        "application/json, text/plain",
        "application/json\x0b; x",
    ],
)
async def test_other_content_types_are_415(content_type: str | None) -> None:
    response = await post(ANN, content_type=content_type)
    assert response.status_code == 415
    assert response.json()["code"] == "unsupported_media_type"


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=UTF-8",
        'application/json;charset="utf-8"',
    ],
)
async def test_json_content_types_pass(content_type: str) -> None:
    assert (await post(ANN, content_type=content_type)).status_code == 200


async def test_merge_patch_is_for_patches() -> None:
    body = ANN
    for content_type in ("application/merge-patch+json", "application/json"):
        response = await post(body, content_type=content_type, method="PATCH")
        assert response.status_code == 200


async def test_missing_body_is_a_422() -> None:
    response = await post(b"", content_type=None)
    assert response.status_code == 422
    assert response.json()["errors"][0]["code"] == "missing"


async def test_optional_body_may_be_missing_or_null() -> None:
    for body in (b"", b"null"):
        response = await post(body, path="/v1/optional")
        assert response.json() == {"given": False}


async def test_raw_body_passes_by() -> None:
    response = await post(b"\xff\xfe", content_type="video/mp4", path="/v1/raw")
    assert response.json() == {"size": 2}


async def test_schema_errors_are_still_found() -> None:
    response = await post('{"email": "a", "is_admin": true}')
    assert response.status_code == 422
    assert response.json()["code"] == "unknown_field"
    assert response.json()["errors"][0]["pointer"] == "/is_admin"


def test_place_of_a_syntax_error_is_told() -> None:
    with pytest.raises(MalformedBody, match="line 2, column 3"):
        parse(b"{\n  oops")


def test_error_of_a_parse_keeps_no_content_in_its_chain() -> None:
    with pytest.raises(MalformedBody) as refusal:
        parse(b'{"password": "hunter2" oops')
    assert refusal.value.__suppress_context__
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("body", [b"[" * 1_000_000, b'{"a":' * 200_000, b"[" * 500 + b"]" * 500])
def test_deep_nesting_is_refused_fast(body: bytes) -> None:
    seconds = []
    for _ in range(3):  # the collector may have come between, or a colder cache
        started = time.thread_time()
        with pytest.raises(MalformedBody):
            parse(body)
        seconds.append(time.thread_time() - started)
    assert min(seconds) < 0.05


def test_wide_body_is_refused_past_twenty_thousand_arrays_and_objects() -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse(b"[" + b"[]," * 19_999 + b'"\\u0000"]')
    assert refusal.value.errors[0]["pointer"] == "/19999"
    with pytest.raises(MalformedBody):
        parse(b"[" + b"[]," * 20_000 + b"0]")
