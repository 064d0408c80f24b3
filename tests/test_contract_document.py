"""The OpenAPI document, and the pages that this API serves itself."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import TypeAdapter

import app.http.refusals  # noqa: F401  # its errors count, whatever else this process has loaded
from app.errors import AppError
from app.main import create_app
from app.schemas.asset_examples import ASSET_EXAMPLES
from app.schemas.examples import EXAMPLES
from app.settings import Settings

JSON = "application/json"
PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def documented() -> FastAPI:
    return create_app(Settings())


@pytest.fixture(scope="module")
def document(documented: FastAPI) -> dict[str, Any]:
    return documented.openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def responses(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    """An operation's responses, also those that it shares with others."""
    shared = document["components"]["responses"]
    return {
        status: shared[response["$ref"].rpartition("/")[2]] if "$ref" in response else response
        for status, response in operation["responses"].items()
    }


def codes_of(answers: dict[str, Any], status: str) -> set[str]:
    """The codes of the problems with this status."""
    return {*answers.get(status, {}).get("content", {}).get(PROBLEM, {}).get("examples", ())}


def json_contents(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The JSON bodies and good answers of all operations."""
    for name, operation in operations(document):
        described = {"body": operation.get("requestBody", {}), **operation["responses"]}
        for where, each in described.items():
            is_refused = where != "body" and int(where) >= 400
            if not is_refused and JSON in each.get("content", {}):
                yield f"{name} {where}", each["content"][JSON]


def schemas(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema there is, with those inside of it."""
    for name, schema in document["components"]["schemas"].items():
        yield from parts(name, schema)
    for name, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            yield from parts(f"{name} {parameter['name']}", parameter["schema"])
        for response in operation["responses"].values():
            for content in response.get("content", {}).values():
                yield from parts(name, content["schema"])


def parts(name: str, value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, list):
        for each in value:
            yield from parts(name, each)
    elif isinstance(value, dict):
        yield name, value
        for key in ("items", "additionalProperties", "propertyNames", "anyOf", "allOf"):
            yield from parts(f"{name} {key}", value.get(key))
        for key in ("properties", "patternProperties"):
            for field, each in value.get(key, {}).items():
                yield from parts(f"{name}.{field}", each)


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
        for status, response in responses(document, operation).items():
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
    errors = {
        name
        for name, operation in described.items()
        for status, response in responses(document, operation).items()
        if int(status) >= 400 and response["content"].keys() != {PROBLEM}
    }
    assert errors == OAUTH | {"GET /readyz"}  # which says as much as when it is ready
    for name in OAUTH:
        answers = described[name]["responses"]
        for status in ("400", "401"):
            content = answers[status]["content"][JSON]
            assert content["schema"] == {"$ref": "#/components/schemas/OAuthErrorAnswer"}
            for code, example in content["examples"].items():
                assert example["value"]["error"] == code
                assert f"`{code}`" in answers[status]["description"]


# Answers to what is no request of this API, or to one before it has a route.
OUTSIDE_OF_OPERATIONS = {
    "malformed_request",
    "too_many_connections",
    "headers_too_large",
    "duplicate_header",
    "invalid_url",
}
# Of addresses that are handed out whole.
NOT_RAISED_BY_OPERATIONS = {"link_expired"}


def test_every_error_is_in_the_document(document: dict[str, Any]) -> None:
    documented = {
        code
        for _, operation in operations(document)
        for status, response in responses(document, operation).items()
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


# For generated clients


def test_every_tag_is_described(document: dict[str, Any]) -> None:
    described = {tag["name"] for tag in document["tags"] if tag["description"]}
    used = {tag for _, operation in operations(document) for tag in operation["tags"]}
    assert used <= described


def test_names_of_schemas_are_names_of_classes(document: dict[str, Any]) -> None:
    """None is split by direction or told apart by its module, and none is called like its field.

    A class `ReturnTo` with a field `return_to` breaks what openapi-python-client generates.
    """
    for name, schema in document["components"]["schemas"].items():
        assert re.fullmatch(r"([A-Z][a-z0-9]*)+", name), name
        fields = {field.replace("_", "") for field in schema.get("properties", {})}
        assert name.lower() not in fields, name


def test_lists_of_words_that_recur_have_a_name(document: dict[str, Any]) -> None:
    found = Counter(
        tuple(schema["enum"])
        for name, schema in schemas(document)
        if len(schema.get("enum", ())) > 1
    )
    assert {words: count for words, count in found.items() if count > 1} == {}


def test_schemas_say_nothing_twice(document: dict[str, Any]) -> None:
    for name, schema in schemas(document):
        assert "title" not in schema, name
        match schema.get("anyOf"):
            case [{"type": str()}, {"type": "null"}]:
                assert "enum" in schema["anyOf"][0], name


def test_parameters_are_left_out_rather_than_null(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            assert "null" not in str(parameter["schema"]), (name, parameter["name"])


def test_every_json_body_and_answer_has_an_example_that_fits(document: dict[str, Any]) -> None:
    for name, content in json_contents(document):
        schema = {**content["schema"], "components": document["components"]}
        validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
        validator.validate(content["example"])
        assert content["example"] is not None, name


def test_no_field_has_an_example_in_two_lists() -> None:
    assert not ASSET_EXAMPLES.keys() & EXAMPLES.keys()


def test_every_example_of_a_body_is_taken(documented: FastAPI, document: dict[str, Any]) -> None:
    """Also by the rules that a schema can't tell."""
    examples = {
        operation["operationId"]: operation["requestBody"]["content"][JSON]["example"]
        for _, operation in operations(document)
        if JSON in operation.get("requestBody", {}).get("content", {})
    }
    for context in iter_route_contexts(documented.routes):
        route = context.original_route
        if isinstance(route, APIRoute) and (example := examples.pop(route.name, None)) is not None:
            assert route.body_field
            annotation = route.body_field.field_info.annotation
            assert annotation
            TypeAdapter(annotation).validate_json(json.dumps(example))
    assert examples == {}


def test_operations_that_know_who_asks_say_how_to_tell_them(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]
    for name, operation in operations(document):
        asks = "invalid_token" in codes_of(responses(document, operation), "401")
        assert (asks or name in OAUTH) == ("security" in operation), name
        assert {key for each in operation.get("security", ()) for key in each} <= schemes.keys()


def test_public_reads_take_a_login_and_need_none(document: dict[str, Any]) -> None:
    for path in ("/v1/assets", "/v1/assets/{reference}", "/v1/keywords"):
        assert document["paths"][path]["get"]["security"][:2] == [{}, {"access_token": []}], path
    assert document["paths"]["/v1/account"]["get"]["security"] == [{"access_token": []}]
    assert document["paths"]["/v1/mail/inbound"]["post"]["security"] == [{"inbound_token": []}]


def test_keys_and_tokens_are_taken_with_their_scope(document: dict[str, Any]) -> None:
    assert document["paths"]["/v1/assets/{reference}"]["get"]["security"] == [
        {},
        {"access_token": []},
        {"api_key": []},
        {"oauth2": ["assets:read"]},
    ]
    flow = document["components"]["securitySchemes"]["oauth2"]["flows"]["clientCredentials"]
    assert flow["tokenUrl"] == "http://127.0.0.1:8000/oauth/token"
    assert [*flow["scopes"]] == [
        *("assets:read", "assets:download", "changes:read", "webhooks:manage")
    ]


# Whatever takes a key says with which scope; None is any.
KEYS_NEED = {
    "assets:read": (
        "list_assets get_asset get_asset_as_json_ld get_asset_as_ebucore get_asset_as_ninjs"
        " get_shotlist_as_chapters get_shotlist_as_timeline get_captions list_related"
        " list_renditions get_mrss_feed get_atom_feed get_json_feed list_keywords"
        " list_collections get_collection list_exports get_newest_export get_export"
        " list_saved_searches get_saved_search list_assets_of_saved_search"
    ),
    "assets:download": (
        "create_download redirect_to_download get_asset_manifest get_collection_manifest"
    ),
    "changes:read": "list_changes",
    "webhooks:manage": (
        "create_webhook list_webhooks get_webhook update_webhook delete_webhook send_challenge"
        " rotate_webhook_secret list_webhook_deliveries get_webhook_delivery"
        " replay_webhook_delivery replay_webhook_changes send_webhook_test"
    ),
    None: "list_usage",
}


def test_every_operation_that_takes_keys_names_their_scope(document: dict[str, Any]) -> None:
    expected = {
        name: [scope] if scope else []
        for scope, names in KEYS_NEED.items()
        for name in names.split()
    }
    found = {
        operation["operationId"]: each["oauth2"]
        for _, operation in operations(document)
        for each in operation.get("security", ())
        if "oauth2" in each
    }
    assert found == expected
    for _, operation in operations(document):
        is_for_keys = {"api_key": []} in operation.get("security", ())
        assert is_for_keys == (operation["operationId"] in expected)


def test_clients_of_oauth_authenticate_by_header_or_form(document: dict[str, Any]) -> None:
    described = dict(operations(document))
    for name in OAUTH:
        assert described[name]["security"] == [{"client": []}, {}]
        form = described[name]["requestBody"]["content"]["application/x-www-form-urlencoded"]
        assert {"client_id", "client_secret"} <= form["schema"]["properties"].keys()
    assert document["components"]["securitySchemes"]["client"]["scheme"] == "basic"


def test_whoever_may_lack_a_scope_is_told_so(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        answers = responses(document, operation)
        is_told = "insufficient_scope" in codes_of(answers, "403")
        assert is_told == ({"access_token": []} in operation.get("security", ())), name


def test_those_who_are_to_wait_are_told_how_long(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        for status in ("429", "503"):
            headers = responses(document, operation)[status]["headers"]
            assert headers["Retry-After"]["schema"] == {"type": "integer"}, name


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
    examples = {"https://media.example", "https://example.org"}  # nobody's (RFC 2606)
    assert set(re.findall(r"https?://[^/\"\\ ]+", document)) <= {"http://127.0.0.1:8000", *examples}


@pytest.mark.parametrize("path", ["/", "/verify", "/reset", "/undo", "/assets/a-slug"])
async def test_pages_of_our_own_load_nothing_from_elsewhere(
    plain_client: httpx.AsyncClient, path: str
) -> None:
    page = await plain_client.get(path)
    assert page.status_code == 200
    assert "http" not in page.headers["content-security-policy"]
    assert not re.findall(r'(?:src|href)="(?!/|data:,)[^"]*"', page.text)
    assert "'unsafe-inline'" not in page.headers["content-security-policy"]


async def test_page_of_an_asset_has_every_text_in_both_languages_and_every_element_it_uses(
    plain_client: httpx.AsyncClient,
) -> None:
    page = await plain_client.get("/assets/a-slug")
    assert "media-src 'self';" in page.headers["content-security-policy"]
    script = (await plain_client.get("/static/asset.js")).text
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
