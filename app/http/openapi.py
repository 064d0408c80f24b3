"""The OpenAPI document: every error with its codes, one shape for all, and stable operation ids."""

from collections import defaultdict
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from app import errors
from app.crypto import InvalidToken
from app.errors import AppError
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
            "code": {"type": "string"},
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

Responses = dict[int | str, dict[str, Any]]


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


def install_openapi(app: FastAPI, *, server_url: str) -> None:
    """Serve one complete document, made at the first request."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, server_url)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def operation_id(route: APIRoute) -> str:
    """The endpoint's own name: generated clients then read like this code."""
    return route.name


def _response(kinds: list[type[AppError]]) -> dict[str, Any]:
    examples = {kind.code: {"value": _example(kind)} for kind in kinds}
    return {
        "description": "; ".join(f"`{kind.code}`: {kind.title}" for kind in kinds),
        "content": {_PROBLEM_TYPE: {"schema": _PROBLEM, "examples": examples}},
    }


def _example(kind: type[AppError]) -> dict[str, Any]:
    return {
        "type": f"urn:problem:{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": kind.title,
        "code": kind.code,
        "request_id": "0190b3a1-7d3c-7000-8000-3a1f0c2d4e5f",
    }


def _document(app: FastAPI, server_url: str) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        servers=[{"url": server_url}],
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for replaced in ("HTTPValidationError", "ValidationError"):
        schemas.pop(replaced, None)
    schemas.update(_PROBLEM_SCHEMAS)
    document["components"]["securitySchemes"] = {_BEARER: {"type": "http", "scheme": "bearer"}}
    for path in document["paths"].values():
        for operation in path.values():
            _add_common_refusals(operation)
            refused = str(operation["responses"].get("401"))
            if InvalidToken.code in refused:
                # Where nobody has to log in, a token is looked at if there is one.
                is_optional = errors.LoginRequired.code not in refused
                operation["security"] = [*([{}] if is_optional else []), {_BEARER: []}]
                _add_refusals(operation, refusals(InsufficientScope))
    return document


_BEARER = "access_token"


def _add_common_refusals(operation: dict[str, Any]) -> None:
    responses: dict[str, Any] = operation["responses"]
    kinds = [*_EVERYWHERE, *(_WITH_BODY if "requestBody" in operation else ())]
    if "parameters" in operation:
        kinds.append(errors.InvalidInput)
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
