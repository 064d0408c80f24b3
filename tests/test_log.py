"""The lines on standard error."""

import asyncio
import errno
import io
import json
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from app import log
from app.http.access_log import record
from tests.http_asgi import http_scope

ID = "0190aaaa-aaaa-7aaa-aaaa-aaaaaaaaaaaa"


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Standard error of a program that logs JSON lines."""
    written = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(sys, "stderr", written)
    monkeypatch.setattr(log, "_lines", None)  # as it shall be again
    log.configure_logging(json_lines=True)
    root.handlers[:] = handlers  # what libraries say meanwhile is none of these lines
    yield written
    structlog.reset_defaults()
    root.setLevel(level)


def parsed(lines: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.getvalue().splitlines()]


def take_time(event: dict[str, Any]) -> datetime:
    text = event.pop("timestamp")
    assert text.endswith("Z")
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("path", "state"),
    [
        ("/v1/assets/a", {"route": "/v1/assets/{reference}"}),
        ('/a "quoted"\\path\n', {}),
        ("/\u202eevil/ü", {}),
    ],
)
async def test_line_of_a_request_is_what_the_processors_would_make(
    lines: io.StringIO, path: str, state: dict[str, str]
) -> None:
    scope = http_scope(path, state={"request_id": ID, **state})
    record(scope, 200, 1234, 0.0123)
    await asyncio.sleep(0)
    with bound_contextvars(request_id=ID):
        structlog.get_logger().info(
            "request",
            method="GET",
            **({"route": state["route"]} if state else {"path": path}),
            status=200,
            duration_ms=12.3,
            bytes=1234,
            client="203.0.113.0/24",
        )
    quick, whole = parsed(lines)
    assert abs(take_time(quick) - datetime.now(UTC)) < timedelta(minutes=1)
    assert abs(take_time(whole) - datetime.now(UTC)) < timedelta(minutes=1)
    assert quick == whole


async def test_lines_of_one_turn_are_written_in_their_order(lines: io.StringIO) -> None:
    for status in (200, 404, 503):
        record(http_scope("/a", state={"request_id": ID}), status, 0, 0.001)
    assert lines.getvalue() == ""
    await asyncio.sleep(0)
    assert [line["status"] for line in parsed(lines)] == [200, 404, 503]
    record(http_scope("/a", state={"request_id": ID}), 201, 0, 0.001)
    await asyncio.sleep(0)
    assert [line["status"] for line in parsed(lines)] == [200, 404, 503, 201]


async def test_lines_after_a_fault_are_written(
    lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(lines, "write", fail)
        record(http_scope("/a", state={"request_id": ID}), 200, 0, 0.001)
        await asyncio.sleep(0)
    record(http_scope("/a", state={"request_id": ID}), 201, 0, 0.001)
    await asyncio.sleep(0)
    assert [line["status"] for line in parsed(lines)] == [201]


async def test_what_is_named_like_a_secret_is_masked(lines: io.StringIO) -> None:
    structlog.get_logger().info("sent", new_password="horse", email="a@b.org", codes_code=3)
    [event] = parsed(lines)
    assert (event["new_password"], event["email"], event["codes_code"]) == ("***", "***", 3)
