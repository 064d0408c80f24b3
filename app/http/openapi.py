"""The OpenAPI document: every error with its codes, one shape for all, and stable operation ids."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from app import errors
from app.errors import AppError
from app.http.openapi_examples import Examples, add_examples
from app.http.openapi_schemas import operations, tidy
from app.http.openapi_security import add_security, takes_login, used_schemes
from app.services.auth import InsufficientScope

_PROBLEM_TYPE = "application/problem+json"
_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_PROBLEM_SCHEMAS = {
    "FieldError": {
        "type": "object",
        "required": ["pointer", "code", "message"],
        "properties": {
            "pointer": {"type": "string", "description": "JSON pointer (RFC 6901)"},
            "code": {"type": "string"},
            "message": {"type": "string"},
        },
    },
    "Problem": {
        "type": "object",
        "description": "RFC 9457; `code` is stable, the texts are for people",
        "required": ["type", "title", "status", "detail", "code", "request_id"],
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "code": {
                "type": "string",
                "description": "One of those that the response names; newer servers know more",
            },
            "request_id": {"type": ["string", "null"]},
            "errors": {"type": "array", "items": {"$ref": "#/components/schemas/FieldError"}},
        },
    },
}

# What any call may answer, before its own code runs.
_EVERYWHERE = (
    errors.InvalidHost,
    errors.RequestTimeout,
    errors.RateLimited,
    errors.InternalError,
    errors.ServiceUnavailable,
)
_WITH_BODY = (
    errors.MalformedBody,
    errors.BodyTooLarge,
    errors.UnsupportedMediaType,
    errors.InvalidInput,
    errors.UnknownField,
)

# Whoever gets one of these is told when to come back.
_WITH_RETRY_AFTER = (429, 503)
_RETRY_AFTER = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}
_VALIDATORS = {
    "ETag": {"description": "The version", "schema": {"type": "string"}},
    "Last-Modified": {"schema": {"type": "string"}},
}
_NEXT_PAGE = {
    "Link": {"description": 'The next page, as `rel="next"`', "schema": {"type": "string"}}
}

Responses = dict[int | str, dict[str, Any]]


@dataclass(frozen=True)
class Vocabulary:
    """What the document needs to know of the API's words (app/schemas/vocabulary.py)."""

    word_lists: Mapping[str, Sequence[str]]
    examples: Mapping[str, Any]
    tags: Mapping[str, str]


def refusals(*kinds: type[AppError]) -> Responses:
    """For a route's `responses`: the errors that it raises itself, grouped by status."""
    grouped: dict[int | str, list[type[AppError]]] = defaultdict(list)
    for kind in kinds:
        grouped[kind.status].append(kind)
    return {status: _response(group) for status, group in grouped.items()}


def answer_in_headers(status: int, description: str, *names: str) -> Responses:
    """For a route's `responses`: an answer that says all in its headers."""
    headers = {name: {"schema": {"type": "string"}} for name in names}
    return {status: {"description": description, "headers": headers}}


def install_openapi(app: FastAPI, *, server_url: str, vocabulary: Vocabulary) -> None:
    """Serve one complete document, made at the first request."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, server_url, vocabulary)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def operation_id(route: APIRoute) -> str:
    """The endpoint's own name: generated clients then read like this code."""
    return route.name


def _response(kinds: list[type[AppError]]) -> dict[str, Any]:
    examples = {kind.code: {"value": _example(kind)} for kind in kinds}
    response: dict[str, Any] = {
        "description": "; ".join(f"`{kind.code}`: {kind.title}" for kind in kinds),
        "content": {_PROBLEM_TYPE: {"schema": _PROBLEM, "examples": examples}},
    }
    if kinds[0].status in _WITH_RETRY_AFTER:
        response["headers"] = _RETRY_AFTER
    return response


def _example(kind: type[AppError]) -> dict[str, Any]:
    return {
        "type": f"urn:problem:{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": kind.title,
        "code": kind.code,
        "request_id": "0190b3a1-7d3c-7000-8000-3a1f0c2d4e5f",
    }


def _document(app: FastAPI, server_url: str, vocabulary: Vocabulary) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        servers=[{"url": server_url}],
        tags=[{"name": name, "description": text} for name, text in vocabulary.tags.items()],
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for replaced in ("HTTPValidationError", "ValidationError"):
        schemas.pop(replaced, None)
    schemas.update(_PROBLEM_SCHEMAS)
    for operation in operations(document):
        _add_common_refusals(operation)
        _add_headers(operation)
    add_security(document, app)
    for operation in filter(takes_login, operations(document)):
        _add_refusals(operation, refusals(InsufficientScope))
    components["securitySchemes"] = used_schemes(document, server_url)
    tidy(document, vocabulary.word_lists)
    examples = Examples(schemas, vocabulary.examples)
    for operation in operations(document):
        add_examples(operation, examples)
    _share_refusals(document)
    return document


def _add_headers(operation: dict[str, Any]) -> None:
    headers = _VALIDATORS if "304" in operation["responses"] else {}
    if any(each["name"] == "cursor" for each in operation.get("parameters", ())):
        headers = {**headers, **_NEXT_PAGE}
    if headers:
        response = operation["responses"]["200"]
        response["headers"] = {**headers, **response.get("headers", {})}


def _share_refusals(document: dict[str, Any]) -> None:
    """Write down once what several operations answer alike, under the names of its codes."""
    found = [
        (responses, status, _name_of(responses[status]))
        for operation in operations(document)
        for responses in [operation["responses"]]
        for status in responses
        # Those of OAuth have a form of their own too (RFC 6749, section 5.2).
        if status.startswith(("4", "5")) and [*responses[status]["content"]] == [_PROBLEM_TYPE]
    ]
    often = Counter(name for _, _, name in found)
    shared: dict[str, Any] = {}
    for responses, status, name in found:
        if often[name] > 1 and shared.setdefault(name, responses[status]) == responses[status]:
            responses[status] = {"$ref": f"#/components/responses/{name}"}
    document["components"]["responses"] = shared


def _name_of(response: dict[str, Any]) -> str:
    codes = response["content"][_PROBLEM_TYPE]["examples"]
    return "Or".join(code.title().replace("_", "") for code in sorted(codes))


def _add_common_refusals(operation: dict[str, Any]) -> None:
    responses: dict[str, Any] = operation["responses"]
    kinds = [*_EVERYWHERE, *(_WITH_BODY if "requestBody" in operation else ())]
    if "parameters" in operation:
        kinds.append(errors.InvalidInput)
    if any(each["in"] == "query" for each in operation.get("parameters", ())):
        kinds.append(errors.UriTooLong)
    if "HTTPValidationError" in str(responses.get(str(HTTPStatus.UNPROCESSABLE_ENTITY))):
        del responses["422"]
    _add_refusals(operation, refusals(*dict.fromkeys(kinds)))


def _add_refusals(operation: dict[str, Any], added: Responses) -> None:
    responses: dict[str, Any] = operation["responses"]
    for status, common in added.items():
        own = responses.setdefault(str(status), common)
        if own is not common:
            _merge(own, common)


def _merge(own: dict[str, Any], common: dict[str, Any]) -> None:
    """Add what any call may answer to what this one answers with the same status."""
    contents = own.setdefault("content", {})
    documented = contents.get(_PROBLEM_TYPE, {"examples": {}})
    added = common["content"][_PROBLEM_TYPE]
    examples = {**added["examples"], **documented["examples"]}
    contents[_PROBLEM_TYPE] = {**added, "examples": examples}
    own["description"] = f"{own['description']}; {common['description']}"
    if "headers" in common:
        own.setdefault("headers", common["headers"])
