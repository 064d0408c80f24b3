"""Answers of the connection itself, where there is no request to hand to the application."""

from datetime import timedelta
from http import HTTPStatus

from app.errors import AppError, problem
from app.http.headers import RawHeaders
from app.http.metrics import refused_connections
from app.http.request_id import new_request_id
from app.http.security_headers import add_security_headers

CONNECTIONS_RETRY_AFTER = timedelta(seconds=1)


class MalformedRequest(AppError):
    status, code, title = 400, "malformed_request", "This is not a valid HTTP/1.1 request"


class TooManyConnections(AppError):
    status, code, title = 503, "too_many_connections", "Too many connections are open"

    def __init__(self) -> None:
        super().__init__(retry_after=CONNECTIONS_RETRY_AFTER)


def refusal(error: AppError) -> bytes:
    """The whole answer, with the headers and the form of every other one."""
    refused_connections.labels(error.code).inc()
    request_id = new_request_id()
    response = problem({"state": {"request_id": request_id}}, error)
    headers: RawHeaders = list(response.raw_headers)
    headers += [(b"x-request-id", request_id.encode()), (b"connection", b"close")]
    add_security_headers(headers, has_credentials=False)
    line = f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\n"
    fields = b"".join(b"%b: %b\r\n" % field for field in headers)
    return b"%b%b\r\n%b" % (line.encode(), fields, bytes(response.body))
