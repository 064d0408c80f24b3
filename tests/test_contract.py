"""What holds for every answer, whatever was asked ("Everywhere" in the contract)."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters import storage
from app.crypto import Keyring, PasswordHasher
from app.errors import field_error
from app.main import create_app
from app.settings import Settings
from tests.conftest import clock_at_noon, running_app, settings_for
from tests.factories import Published, publish_video
from tests.helpers import Api, Mailbox, bearer, sign_up
from tests.one_connection import rolled_back

PROBLEM = "application/problem+json"
ORIGIN = "https://portal.example"  # the one that the settings of the tests allow
JSON = {"Content-Type": "application/json"}
LOGIN = "/v1/auth/login"
# What no answer may let out: stacks, paths, SQL, modules, objects.
INTERNAL = re.compile(
    rf"{re.escape(str(Path(__file__).parents[2]))}/|"
    r"Traceback|\.py\b|site-packages|/usr/|/home/|/tmp/|0x[0-9a-f]{8}|"
    r"sqlalchemy|asyncpg|pydantic|starlette|fastapi|\b(SELECT|INSERT|UPDATE|FROM) \w",
    re.IGNORECASE,
)


def assert_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == PROBLEM
    body: dict[str, Any] = response.json()
    assert set(body) - {"errors"} == {"type", "title", "status", "detail", "code", "request_id"}
    assert (body["status"], body["code"]) == (status, code)
    assert body["type"] == f"urn:problem:{code}"
    assert body["request_id"] == response.headers["x-request-id"]
    assert not INTERNAL.search(response.text)
    for error in body.get("errors", []):
        assert set(error) == {"pointer", "code", "message"}
    return body


# Errors

REFUSED: dict[str, tuple[str, str, dict[str, Any], int, str]] = {
    "unknown path": ("GET", "/v1/nothing", {}, 404, "not_found"),
    "path beside the API": ("GET", "/.git/config", {}, 404, "not_found"),
    "trailing slash": ("GET", "/v1/assets/", {}, 404, "not_found"),
    "double slash": ("GET", "//v1/assets", {}, 404, "not_found"),
    "method of another path": ("DELETE", "/v1/assets", {}, 405, "method_not_allowed"),
    "method that nobody knows": ("BREW", "/v1/assets", {}, 405, "method_not_allowed"),
    "TRACE": ("TRACE", "/v1/assets", {}, 405, "method_not_allowed"),
    "method override": (
        "POST",
        "/v1/assets/a-slug",
        {"headers": {"X-HTTP-Method-Override": "GET"}},
        405,
        "method_not_allowed",
    ),
    "malformed JSON": (
        "POST",
        LOGIN,
        {"content": b'{"a":', "headers": JSON},
        400,
        "malformed_body",
    ),
    "twice the same key": (
        "POST",
        LOGIN,
        {"content": b'{"email":"a@b.org","email":"c@d.org","password":"x"}', "headers": JSON},
        400,
        "malformed_body",
    ),
    "not UTF-8": (
        "POST",
        LOGIN,
        {"content": b'{"a":"\xff"}', "headers": JSON},
        400,
        "malformed_body",
    ),
    "not an object": ("POST", LOGIN, {"json": [1, 2]}, 422, "invalid_input"),
    "no body": ("POST", LOGIN, {}, 422, "invalid_input"),
    "null": ("POST", LOGIN, {"json": {"email": None, "password": None}}, 422, "invalid_input"),
    "form": ("POST", LOGIN, {"data": {"email": "a@b.org"}}, 415, "unsupported_media_type"),
    "no content type": ("POST", LOGIN, {"content": b"{}"}, 415, "unsupported_media_type"),
    "plain text": (
        "POST",
        LOGIN,
        {"content": b"{}", "headers": {"Content-Type": "text/plain"}},
        415,
        "unsupported_media_type",
    ),
    "merge patch on a POST": (
        "POST",
        LOGIN,
        {"content": b"{}", "headers": {"Content-Type": "application/merge-patch+json"}},
        415,
        "unsupported_media_type",
    ),
    "compressed body": (
        "POST",
        LOGIN,
        {"content": b"\x1f\x8b", "headers": {**JSON, "Content-Encoding": "gzip"}},
        415,
        "unsupported_media_type",
    ),
    "body over a mebibyte": (
        "POST",
        LOGIN,
        {"content": b'"' + b"x" * 1024 * 1024 + b'"', "headers": JSON},
        413,
        "body_too_large",
    ),
    "NUL in the path": ("GET", "/v1/assets/a%00b", {}, 400, "invalid_url"),
    "bad UTF-8 in the query": ("GET", "/v1/assets?cursor=%FF", {}, 400, "invalid_url"),
    "foreign host": (
        "GET",
        "/v1/assets",
        {"headers": {"Host": "evil.example"}},
        400,
        "invalid_host",
    ),
    "long address": ("GET", "/v1/assets?cursor=" + "x" * 9000, {}, 414, "uri_too_long"),
    "many headers": (
        "GET",
        "/v1/assets",
        {"headers": {f"X-{number}": "x" for number in range(120)}},
        431,
        "headers_too_large",
    ),
    "no login": ("GET", "/v1/account", {}, 401, "login_required"),
    "id that is none": ("GET", "/v1/accounts/1", {}, 401, "login_required"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_refusal_is_a_problem_document(client: httpx.AsyncClient, case: str) -> None:
    method, path, kwargs, status, code = REFUSED[case]
    response = await client.request(method, path, **kwargs)
    assert_problem(response, status, code)


async def test_method_that_is_not_allowed_says_which_are(client: httpx.AsyncClient) -> None:
    allowed = {
        "/v1/assets": "GET, POST",
        "/v1/auth/login": "POST",
        "/v1/account": "DELETE, GET, PATCH",
    }
    for path, methods in allowed.items():
        response = await client.put(path)
        assert_problem(response, 405, "method_not_allowed")
        named = {method.strip() for method in response.headers["allow"].split(",")}
        assert named - {"HEAD", "OPTIONS"} == set(methods.split(", "))


@pytest.mark.parametrize(
    ("path", "body", "pointers"),
    [
        (LOGIN, {"email": "a@b.org", "password": "x", "is_admin": True}, ["/is_admin"]),
        (LOGIN, {"email": "a@b.org", "password": "x", "a/b~c": 1}, ["/a~1b~0c"]),
        (LOGIN, {"email": "a@b.org", "password": "x", "": 1, "é": 2}, ["/", "/é"]),
        ("/v1/auth/register", {"email": "a@b.org", "password": "x", "role": "admin"}, ["/role"]),
        ("/v1/verification-codes/verify", {"flow": "x"}, ["/flow"]),
        ("/v1/auth/refresh", {"token": "x"}, ["/token"]),
    ],
)
async def test_unknown_field_is_named_by_its_pointer(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], pointers: list[str]
) -> None:
    problem = assert_problem(await client.post(path, json=body), 422, "unknown_field")
    unknown = [error for error in problem["errors"] if error["code"] == "unknown_field"]
    assert [error["pointer"] for error in unknown] == pointers


async def test_each_invalid_field_is_named_by_its_pointer(client: httpx.AsyncClient) -> None:
    body = {"email": 5, "country": "Belgium", "full_name": "a\nb"}
    problem = assert_problem(
        await client.post("/v1/auth/register", json=body), 422, "invalid_input"
    )
    pointers = {error["pointer"] for error in problem["errors"]}
    assert pointers == {"/email", "/password", "/country", "/full_name"}
    messages = {error["pointer"]: error["message"] for error in problem["errors"]}
    assert messages["/full_name"] == "Must be one line of visible characters"


def test_key_that_is_not_valid_is_named_as_a_client_would_name_it() -> None:
    def pointer(kind: str, *location: str | int) -> str:
        return field_error({"type": kind, "loc": ("body", *location), "msg": "No"})["pointer"]

    assert pointer("literal_error", "translations", "de", "[key]") == "/translations/de"
    assert pointer("extra_forbidden", "translations", "[key]") == "/translations/[key]"


async def test_refusal_does_not_repeat_what_was_sent(client: httpx.AsyncClient) -> None:
    secret = "My-Secret-Horse-7"
    for body in (
        {"email": secret, "password": secret},
        {"email": {"a": secret}, "password": [secret]},
        {"email": "a@b.org", "password": secret, "transport": secret},
        secret,
    ):
        response = await client.post(LOGIN, json=body)
        assert response.status_code in {401, 422}
        assert secret not in response.text


# Every kind of answer


def failing_app(app: FastAPI) -> FastAPI:
    """The same app with routes that fail."""
    failing = create_app(app.state.settings)
    failing.state._state.update(app.state._state)
    failing.dependency_overrides = app.dependency_overrides

    async def fail() -> None:
        password = "My-Secret-Horse-7"
        raise KeyError(password)

    async def lose_the_database() -> None:
        raise ConnectionRefusedError("connect to 10.0.0.5:5432 refused")

    failing.add_api_route("/v1/fail", fail)
    failing.add_api_route("/v1/lost", lose_the_database)
    return failing


async def every_kind(app: FastAPI, mailbox: Mailbox) -> dict[str, httpx.Response]:
    """One answer of each kind, all asked for by a page of our own portal."""
    video: Published = await publish_video(app)
    async with Api(app, network="127.0.0.1") as client:
        session = await sign_up(client, mailbox)
        client.headers["Origin"] = ORIGIN
        link = (await client.post(video.downloads, headers=bearer(session))).json()["url"]
        preflight = {"Access-Control-Request-Method": "POST"}
        answers = {
            "200": await client.get("/v1/assets"),
            "200 personal": await client.get("/v1/account", headers=bearer(session)),
            "200 file": await client.get(link),
            "200 page": await client.get("/docs"),
            "200 HEAD": await client.head("/v1/assets"),
            "200 metrics": await client.get("/metrics"),
            "200 openapi": await client.get("/openapi.json"),
            "201": await client.post(video.downloads, headers=bearer(session)),
            "204": await client.post("/v1/auth/logout", json={}),
            "204 preflight": await client.options(LOGIN, headers=preflight),
            "206": await client.get(link, headers={"Range": "bytes=0-9"}),
            "302": await client.get("/.well-known/change-password"),
            "304": await client.get("/v1/assets", headers={"If-None-Match": "*"}),
            "400": await client.get("/v1/assets?cursor=x"),
            "400 host": await client.get("/v1/assets", headers={"Host": "evil.example"}),
            "401": await client.get("/v1/account"),
            "403": await client.get("/v1/accounts", headers=bearer(session)),
            "404": await client.get("/v1/nothing"),
            "405": await client.put(LOGIN),
            "405 OPTIONS": await client.options(LOGIN),
            "413": await client.post(LOGIN, content=b"x" * 1_048_577, headers=JSON),
            "414": await client.get("/v1/assets?cursor=" + "x" * 9000),
            "415": await client.post(LOGIN, content=b"x"),
            "416": await client.get(link, headers={"Range": "bytes=99999-"}),
            "422": await client.post(LOGIN, json={"a": 1}),
            "500": await client.get("/v1/fail"),
            "503": await client.get("/v1/lost"),
        }
        for _ in range(61):
            answers["429"] = await client.post(LOGIN, content=b"x")
    return answers


@pytest.fixture(scope="module")
async def answers(
    engine: AsyncEngine,
    keyring: Keyring,
    hasher: PasswordHasher,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, httpx.Response]:
    settings = settings_for(tmp_path_factory.mktemp("answers"))
    async with rolled_back(engine) as database:
        app = await running_app(settings, database, keyring, hasher, clock_at_noon())
        answers = await every_kind(failing_app(app), Mailbox(database, keyring))
    statuses = {kind: response.status_code for kind, response in answers.items()}
    assert statuses == {kind: int(kind[:3]) for kind in answers}
    return answers


async def test_every_kind_of_answer_has_the_security_headers(
    answers: dict[str, httpx.Response],
) -> None:
    for kind, response in answers.items():
        headers = response.headers
        assert headers["strict-transport-security"] == "max-age=63072000; includeSubDomains", kind
        assert headers["x-content-type-options"] == "nosniff", kind
        assert headers["referrer-policy"] == "no-referrer", kind
        assert headers["x-frame-options"] == "DENY", kind
        assert headers["content-security-policy"].startswith("default-src 'none'"), kind
        assert "server" not in headers, kind
        assert len(headers.get_list("content-security-policy")) == 1, kind


async def test_every_kind_of_answer_has_its_request_id(
    answers: dict[str, httpx.Response],
) -> None:
    ids = [response.headers["x-request-id"] for response in answers.values()]
    assert len(set(ids)) == len(ids)


async def test_every_kind_of_answer_may_be_read_by_our_portal(
    answers: dict[str, httpx.Response],
) -> None:
    for kind, response in answers.items():
        assert response.headers["access-control-allow-origin"] == ORIGIN, kind
        assert response.headers["access-control-allow-credentials"] == "true", kind
        varies = response.headers["vary"].lower().replace(" ", "").split(",")
        assert {"origin", "authorization"} <= set(varies), kind


async def test_every_refusal_is_a_problem_and_kept_by_no_cache(
    answers: dict[str, httpx.Response],
) -> None:
    for kind, response in answers.items():
        if response.status_code >= 400:
            assert_problem(response, response.status_code, response.json()["code"])
            assert response.headers["cache-control"] == "no-store", kind


async def test_refusals_for_now_say_when_to_come_back(
    answers: dict[str, httpx.Response],
) -> None:
    for kind in ("429", "503"):
        assert int(answers[kind].headers["retry-after"]) >= 1, kind
    assert answers["429"].json()["code"] == "rate_limited"
    assert '"auth";r=0' in answers["429"].headers["ratelimit"]
    assert '"auth";q=60;w=60' in answers["429"].headers["ratelimit-policy"]


async def test_failure_of_ours_says_nothing_about_us(answers: dict[str, httpx.Response]) -> None:
    assert_problem(answers["500"], 500, "internal_error")
    assert_problem(answers["503"], 503, "service_unavailable")
    assert "Secret" not in answers["500"].text
    assert "10.0.0.5" not in answers["503"].text
    assert answers["500"].json()["detail"] == "Something went wrong on our side"


async def test_foreign_pages_may_read_nothing(client: httpx.AsyncClient) -> None:
    for origin in ("https://evil.example", "null", "https://portal.example.evil.example"):
        headers = {"Origin": origin}
        for response in (
            await client.get("/v1/assets", headers=headers),
            await client.get("/v1/nothing", headers=headers),
            await client.options(
                LOGIN, headers={**headers, "Access-Control-Request-Method": "POST"}
            ),
        ):
            assert not [name for name in response.headers if name.startswith("access-control")]
            assert "origin" in response.headers["vary"].lower()


async def test_request_id_of_the_caller_is_kept_where_it_is_harmless(
    client: httpx.AsyncClient,
) -> None:
    given = {"X-Request-Id": "trace-0123.abc"}
    assert (await client.get("/livez", headers=given)).headers["x-request-id"] == "trace-0123.abc"
    for harmful in ("short", "x" * 65, "a b c d e f g", '<script src="x">'):
        response = await client.get("/livez", headers={"X-Request-Id": harmful})
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f-]{27}", response.headers["x-request-id"])


async def test_head_of_every_page_and_list_has_no_body(client: httpx.AsyncClient) -> None:
    for path in ("/v1/assets", "/livez", "/readyz", "/", "/docs", "/openapi.json", "/v1/account"):
        whole, head = await client.get(path), await client.head(path)
        assert (head.status_code, head.content) == (whole.status_code, b""), path
        assert head.headers.get("content-type") == whole.headers.get("content-type"), path


# Operations


async def test_metrics_are_for_this_host_unless_there_is_a_token(
    app: FastAPI, client: httpx.AsyncClient, settings: Settings
) -> None:
    assert_problem(await client.get("/metrics"), 404, "not_found")
    async with Api(app, network="127.0.0.1") as local:
        measured = await local.get("/metrics")
        assert measured.status_code == 200
        assert "http_requests_total" in measured.text
        app.state.settings = settings.model_copy(update={"metrics_token": SecretStr("scraper-1")})
        assert_problem(await local.get("/metrics"), 404, "not_found")
    for token, status in (("scraper-1", 200), ("scraper-2", 404), ("", 404)):
        headers = {"Authorization": f"Bearer {token}"}
        assert (await client.get("/metrics", headers=headers)).status_code == status
    assert (await client.get("/metrics?token=scraper-1")).status_code == 404


async def test_readiness_names_each_part(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "CHECK_TIMEOUT", timedelta(minutes=1))  # were the machine busy
    response = await client.get("/readyz")
    assert response.status_code == 200
    assert response.json()["status"] == "ok"
    assert set(response.json()["parts"]) == {"database", "migrations", "storage", "mail_queue"}
    assert (await client.get("/livez")).json() == {"status": "ok"}


async def test_database_of_another_version_is_not_ready(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    app.state.expected_revision = "of the next release"
    response = await client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["parts"]["migrations"] == {"status": "down"}
    assert response.json()["parts"]["database"] == {"status": "ok"}
    assert (await client.get("/livez")).status_code == 200
