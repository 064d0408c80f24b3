"""One log event and one measurement per request, without anything that may be secret."""

import re
from time import perf_counter
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from app.http.client_address import log_network
from app.http.metrics import UNMATCHED, in_flight, observe_request
from app.log import json_line_writer, json_text, now_text

log = structlog.get_logger(__name__)

# What nginx logs when the client left before there was an answer.
CLIENT_CLOSED_REQUEST = 499
# Probes come every few seconds and say nothing while they succeed.
QUIET_PATHS = frozenset({"/livez", "/readyz", "/metrics"})
# A path without a route may still be a mistyped link with a token or an address in it.
_TELLTALE_SEGMENT = re.compile(r"[^/]{21,}|[^/]*@[^/]*")
_MAX_PATH = 200


class AccessLogMiddleware:
    """Logs and measures each answer as it went out: status, bytes after compression, time."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, size = CLIENT_CLOSED_REQUEST, 0

        async def send_and_count(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                # A file goes past the messages; the last one says how much of it went out.
                size += len(message.get("body", b"")) + message.get("count", 0)
            await send(message)

        started = perf_counter()
        in_flight.inc()
        try:
            await self.app(scope, receive, send_and_count)
        finally:
            in_flight.dec()
            record(scope, status, size, perf_counter() - started)


def record(scope: Scope, status: int, size: int, seconds: float) -> None:
    """Log and measure one answer of so many bytes."""
    route = route_template(scope)
    observe_request(scope["method"], route or UNMATCHED, status, seconds)
    if scope["path"] in QUIET_PATHS and status < 400:  # noqa: PLR2004  # a success
        return
    request_id = scope.get("state", {}).get("request_id", "")
    method = scope["method"]
    kind, place = ("route", route) if route else ("path", _harmless(scope["path"]))
    duration_ms = round(seconds * 1000, 1)
    client = log_network(scope["client"][0]) if scope.get("client") else "unknown"
    write_line = json_line_writer()
    if write_line is None:
        with bound_contextvars(request_id=request_id):
            event = {kind: place, "status": status, "duration_ms": duration_ms, "bytes": size}
            log.info("request", method=method, **event, client=client)
        return
    # What the processors would make of it, for a quarter of what they cost.
    write_line(
        f'{{"request_id": "{request_id}", "method": {json_text(method)}, '
        f'"{kind}": {json_text(place)}, "status": {status}, "duration_ms": {duration_ms}, '
        f'"bytes": {size}, "client": "{client}", "event": "request", "level": "info", '
        f'"timestamp": "{now_text()}"}}\n'
    )


def route_template(scope: Scope) -> str | None:
    """The path as the route declares it, such as `/v1/assets/{id}`; None where none matched.

    A layer that answers before routing says so in `scope["state"]["route"]`. FastAPI keeps the
    template of an included router, prefix and all, in its own corner of the scope.
    """
    if early := scope.get("state", {}).get("route"):
        return str(early)
    matched: Any = scope.get("fastapi", {}).get("effective_route_context") or scope.get("route")
    template = getattr(matched, "path_format", None)
    return None if template is None else str(template)


def _harmless(path: str) -> str:
    return _TELLTALE_SEGMENT.sub("*", path)[:_MAX_PATH]
