"""Every error that leaves this API, as RFC 9457 problem documents.

Errors of one feature stand beside the function that raises them; the shared kinds are here.
"""

import socket
from collections.abc import Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus
from math import ceil
from typing import Any, ClassVar, TypedDict

import asyncpg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import Scope

from app.http.allow import allowed_methods

log = structlog.get_logger(__name__)

DATABASE_RETRY_AFTER = timedelta(seconds=2)
FOREIGN_KEY_VIOLATION = "23503"


class FieldError(TypedDict):
    """One thing wrong with the input: a JSON pointer (RFC 6901), a stable code, a sentence."""

    pointer: str
    code: str
    message: str


class AppError(Exception):
    """An expected refusal, with a stable code that is part of the contract."""

    status: ClassVar[int]
    code: ClassVar[str]
    title: ClassVar[str]
    # True where the request fails but what it wrote must stay, such as a counted wrong guess.
    keep_changes: ClassVar[bool] = False

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        retry_after: timedelta | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(max(1, ceil(retry_after.total_seconds())))


class InvalidInput(AppError):
    status, code, title = 422, "invalid_input", "Something in the request is not valid"


class UnknownField(InvalidInput):
    code, title = "unknown_field", "The body has a field that this call does not know"


class MalformedBody(AppError):
    status, code, title = 400, "malformed_body", "The body is not the JSON that this call takes"


class UnsupportedMediaType(AppError):
    status, code, title = 415, "unsupported_media_type", "Send the body as application/json"


class BodyTooLarge(AppError):
    status, code, title = 413, "body_too_large", "The body is larger than this call takes"


class HeadersTooLarge(AppError):
    status, code, title = 431, "headers_too_large", "The request's headers are too large"


class UriTooLong(AppError):
    status, code, title = 414, "uri_too_long", "The request's address is too long"


class InvalidHost(AppError):
    status, code, title = 400, "invalid_host", "The Host header is missing or not one of ours"


class RequestTimeout(AppError):
    status, code, title = 408, "request_timeout", "The body did not arrive in time"


class LoginRequired(AppError):
    status, code, title = 401, "login_required", "Log in first"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"})


class Forbidden(AppError):
    status, code, title = 403, "forbidden", "This account may not do that"


class NotFound(AppError):
    status, code, title = 404, "not_found", "There is nothing here"


class PreconditionFailed(AppError):
    status, code, title = 412, "precondition_failed", "Somebody changed it in the meantime"


class RateLimited(AppError):
    status, code, title = 429, "rate_limited", "Too many requests; wait a little"


class ServiceUnavailable(AppError):
    status, code, title = 503, "service_unavailable", "A part we depend on does not answer"


class InternalError(AppError):
    status, code, title = 500, "internal_error", "Something went wrong on our side"


def constraint_name(error: IntegrityError) -> str | None:
    """Which constraint decided, for services that answer each in its own way."""
    return getattr(getattr(error.orig, "__cause__", None), "constraint_name", None)


def problem(scope: Scope, error: AppError) -> JSONResponse:
    """The answer for an error; middleware uses it where no exception handler is around."""
    return _problem_response(
        scope,
        status=error.status,
        code=error.code,
        title=error.title,
        detail=error.detail,
        errors=error.errors,
        headers=error.headers,
    )


def _problem_response(
    scope: Scope,
    *,
    status: int,
    code: str,
    title: str,
    detail: str | None = None,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    body: dict[str, Any] = {
        "type": f"urn:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail or title,
        "code": code,
        "request_id": scope.get("state", {}).get("request_id"),
    }
    if errors:
        body["errors"] = list(errors)
    return JSONResponse(
        body,
        status,
        headers={"Cache-Control": "no-store", **(headers or {})},
        media_type="application/problem+json",
    )


def install_handlers(app: FastAPI) -> None:
    """Turn every exception of a route into a problem document."""
    app.add_exception_handler(AppError, _handle_app_error)
    app.add_exception_handler(RequestValidationError, _handle_validation_error)
    app.add_exception_handler(HTTPException, _handle_http_exception)
    for kind in (DBAPIError, PoolTimeoutError, OSError, asyncpg.PostgresError):
        app.add_exception_handler(kind, _handle_outage)
    app.add_exception_handler(asyncpg.InterfaceError, _handle_outage)
    app.add_exception_handler(asyncpg.InternalClientError, _handle_outage)


async def _handle_app_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AppError)  # noqa: S101  # registered for this class only
    return problem(request.scope, error)


async def _handle_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101  # registered for this class only
    errors = [field_error(item) for item in error.errors()]
    unknown = any(item["code"] == UnknownField.code for item in errors)
    kind = UnknownField if unknown else InvalidInput
    return problem(request.scope, kind(errors=errors))


def field_error(error: Mapping[str, Any]) -> FieldError:
    """A pydantic error without `input` and `ctx`, which may hold a password or a NaN."""
    code = UnknownField.code if error["type"] == "extra_forbidden" else str(error["type"])
    location = [str(part) for part in error["loc"]]
    if location and location[0] in {"body", "query", "path", "header", "cookie"}:
        location = location[1:]
    # Pydantic's mark for a key of an object that is not valid itself, and no part of the input.
    if location[-1:] == ["[key]"] and code != UnknownField.code:
        location = location[:-1]
    escaped = [part.replace("~", "~0").replace("/", "~1") for part in location]
    pointer = "".join(f"/{part}" for part in escaped).encode("utf-8", "replace").decode()
    message = str(error["msg"]).removeprefix("Value error, ")
    return {"pointer": pointer, "code": code, "message": message[:1].upper() + message[1:]}


async def _handle_http_exception(request: Request, error: Exception) -> JSONResponse:
    """Answer for unknown paths and methods, which Starlette raises itself."""
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for this class only
    phrase = HTTPStatus(error.status_code).phrase
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = allowed_methods(request.app, request.scope)
    return _problem_response(
        request.scope,
        status=error.status_code,
        code=phrase.lower().replace(" ", "_").replace("-", "_"),
        title=phrase,
        headers=headers,
    )


async def _handle_outage(request: Request, error: Exception) -> JSONResponse:
    """Answer for the database's own errors and outages, none of which a client may read."""
    sqlstate = _sqlstate(error)
    if sqlstate.startswith("22"):  # data exception: a value that the schemas let through
        return problem(request.scope, InvalidInput())
    # Where a row was deleted that the request refers to, the next try finds out by itself.
    if sqlstate == FOREIGN_KEY_VIOLATION or _is_outage(error, sqlstate):
        log.warning("database_unavailable", error=type(error).__name__, sqlstate=sqlstate)
        return problem(request.scope, ServiceUnavailable(retry_after=DATABASE_RETRY_AFTER))
    raise error


def _sqlstate(error: BaseException) -> str:
    """The SQLSTATE of a driver error, also when SQLAlchemy has wrapped it twice."""
    for cause in (error, getattr(error, "orig", None), getattr(error, "__cause__", None)):
        if state := getattr(cause, "sqlstate", None):
            return str(state)
    return ""


# Connection lost, refused, shutting down, out of resources, cancelled, lock or deadlock.
_OUTAGE_CLASSES = ("08", "53", "57", "58", "40", "55")


def is_outage(error: Exception) -> bool:
    """Whether the database is away, and not the request or our own code to blame."""
    return _is_outage(error, _sqlstate(error))


def _is_outage(error: Exception, sqlstate: str) -> bool:
    """Tell a fault of the database from a fault of ours; asyncpg raises some bare."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    if sqlstate:
        return sqlstate.startswith(_OUTAGE_CLASSES)
    bare = (
        ConnectionError,
        TimeoutError,
        socket.gaierror,
        PoolTimeoutError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        asyncpg.CannotConnectNowError,
    )
    wrapped = getattr(error, "orig", None)
    return any(
        isinstance(each, bare) for each in (error, wrapped, getattr(wrapped, "__cause__", None))
    )
