"""The OpenAPI document, and the pages that this API serves itself."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

import app.http.refusals  # noqa: F401  # its errors count, whatever else this process has loaded
from app.errors import AppError

PROBLEM = "application/problem+json"


@pytest.fixture
def document(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_document_is_openapi_31_of_our_own_address(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert document["servers"] == [{"url": "http://127.0.0.1:8000"}]


def test_operations_are_named_once_and_described(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(ids) == len(set(ids)) > 25
    for name, operation in operations(document):
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", operation["operationId"]), name
        assert operation["summary"], name
        assert operation["tags"], name


def test_every_error_of_the_document_has_an_example_for_each_code(
    document: dict[str, Any],
) -> None:
    for name, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) < 400 or (name in OAUTH and status == "401"):
                continue
            content = response["content"][PROBLEM]
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}, (name, status)
            assert content["examples"], (name, status)
            for code, example in content["examples"].items():
                assert example["value"]["code"] == code
                assert example["value"]["status"] == int(status), (name, code)
                assert f"`{code}`" in response["description"], (name, code)


def test_every_success_of_the_document_has_a_schema(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        for status, response in operation["responses"].items():
            if status in {"200", "201", "202"}:
                # Some say all in their headers.
                contents = [*response.get("content", response.get("headers", {})).values()]
                assert contents, (name, status)
                assert all(content["schema"] for content in contents), (name, status)


def kinds_of_error(base: type[AppError] = AppError) -> Iterator[type[AppError]]:
    for kind in base.__subclasses__():
        if kind.__module__.startswith("app."):
            yield kind
            yield from kinds_of_error(kind)


# Whose errors have the form of RFC 6749, too.
OAUTH = {"POST /oauth/token", "POST /oauth/revoke"}


def test_errors_of_oauth_have_the_form_of_rfc_6749(document: dict[str, Any]) -> None:
    described = dict(operations(document))
    for name in OAUTH:
        for status in ("400", "401"):
            content = described[name]["responses"][status]["content"]["application/json"]
            assert content["schema"] == {"$ref": "#/components/schemas/OAuthErrorAnswer"}


# Answers to what is no request of this API, or to one before it has a route.
OUTSIDE_OF_OPERATIONS = {
    "malformed_request",
    "too_many_connections",
    "headers_too_large",
    "uri_too_long",
    "duplicate_header",
    "invalid_url",
}
# Of addresses that are handed out whole.
NOT_RAISED_BY_OPERATIONS = {"link_expired"}


def test_every_error_is_in_the_document(document: dict[str, Any]) -> None:
    documented = {
        code
        for _, operation in operations(document)
        for status, response in operation["responses"].items()
        if int(status) >= 400 and PROBLEM in response["content"]
        for code in response["content"][PROBLEM]["examples"]
    }
    codes = {kind.code for kind in kinds_of_error()}
    assert codes - documented == OUTSIDE_OF_OPERATIONS | NOT_RAISED_BY_OPERATIONS
    assert documented <= codes


def test_one_code_means_one_thing() -> None:
    """A code that two classes share must have one status too, for clients tell errors by it."""
    meaning: dict[str, int] = {}
    for kind in kinds_of_error():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.code)
        assert meaning.setdefault(kind.code, kind.status) == kind.status


# Pages


async def test_documentation_needs_no_other_host(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "http" not in policy
    links = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert len(links) == 4
    for link in links:
        if link != "data:,":
            assert link.startswith("/static/")
            file = await client.get(link)
            assert file.status_code == 200
            assert file.headers["cache-control"] == "public, max-age=3600"
    for text in (page.text, (await client.get("/static/docs.js")).text):
        assert not re.search(r"https?:|//", text.replace("<!doctype html>", ""))
    document = (await client.get("/openapi.json")).text
    assert set(re.findall(r"https?://[^/\"\\ ]+", document)) <= {"http://127.0.0.1:8000"}


@pytest.mark.parametrize("path", ["/", "/verify", "/reset", "/undo", "/assets/a-slug"])
async def test_pages_of_our_own_load_nothing_from_elsewhere(
    client: httpx.AsyncClient, path: str
) -> None:
    page = await client.get(path)
    assert page.status_code == 200
    assert "http" not in page.headers["content-security-policy"]
    assert not re.findall(r'(?:src|href)="(?!/|data:,)[^"]*"', page.text)
    assert "'unsafe-inline'" not in page.headers["content-security-policy"]


async def test_page_of_an_asset_has_every_text_in_both_languages_and_every_element_it_uses(
    client: httpx.AsyncClient,
) -> None:
    page = await client.get("/assets/a-slug")
    assert "media-src 'self';" in page.headers["content-security-policy"]
    script = (await client.get("/static/asset.js")).text
    english, french = re.findall(r"^  (?:en|fr): \{$(.*?)^  \},$", script, re.MULTILINE | re.DOTALL)
    names = [set(re.findall(r"[ {,](\w+): [\"\[]", texts)) for texts in (english, french)]
    assert names[0] == names[1] == set(re.findall(r"\btexts\.(\w+)", script))
    ids = set(re.findall(r'(?:\$|write)\("([\w-]+)"', script))
    assert ids == set(re.findall(r'\bid="([\w-]+)"', page.text))
    assert "innerHTML" not in script


@pytest.mark.parametrize("name", ["../main.py", "..%2Fmain.py", "link.html", "", "page.css/"])
async def test_static_files_are_those_that_are_named(client: httpx.AsyncClient, name: str) -> None:
    response = await client.get(f"/static/{name}")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
