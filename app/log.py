"""Structured logs: colours for people at a terminal of development, JSON lines everywhere else.

Each request writes a line, so each microsecond here counts as much as one in routing.
"""

import asyncio
import json
import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TextIO

# structlog loads rich, for coloured tracebacks, wherever it finds it: 7 MB and 0.1 s in every
# process, for something that our logs do not use. So it does not find it; app/commands sees to it
# that this import is the first.
if hides_rich := "rich" not in sys.modules:
    sys.modules["rich"] = None  # type: ignore[assignment]  # how Python says "can't be imported"
import structlog

if hides_rich:
    del sys.modules["rich"]

# Nothing of these is ever logged on purpose; this is the net below.
_SECRET_NAMES = frozenset(
    {"password", "token", "code", "secret", "authorization", "cookie", "email"}
)


# `json.dumps` would make a new encoder for each line.
_encode = json.JSONEncoder(default=repr).encode
# A string as JSON, with its quotes; the standard library's own, in C.
json_text = json.encoder.encode_basestring_ascii
# Where JSON lines go; None while events are for people, or for a test.
_lines: TextIO | None = None
_pending: list[str] = []


def configure_logging(*, json_lines: bool, level: int = logging.INFO) -> None:
    """Send our own events, and the libraries', in one form to standard error.

    Our events go there directly: the standard library's handlers would cost a request more than
    its routing does.
    """
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        add_time,
        mask_secrets,
    ]
    global _lines  # noqa: PLW0603  # as global as structlog's own configuration
    json_lines = json_lines or not sys.stderr.isatty()
    _lines = sys.stderr if json_lines and level <= logging.INFO else None
    rendering: list[structlog.typing.Processor] = (
        [structlog.processors.dict_tracebacks, render_json]
        if json_lines
        else [structlog.dev.ConsoleRenderer()]
    )
    structlog.configure(
        processors=[*processors, *rendering],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    _catch_library_logs(processors, rendering, level)


def json_line_writer() -> Callable[[str], None] | None:
    """For who makes JSON lines without the processors; None while events are for people.

    Lines of one turn of the event loop, in which a busy server answers many requests, are written
    together at its end.
    """
    return None if _lines is None else _write_soon


def _write_soon(line: str) -> None:
    if not _pending:
        asyncio.get_running_loop().call_soon(_write_pending)
    _pending.append(line)


def _write_pending() -> None:
    text = "".join(_pending)
    _pending.clear()  # whatever becomes of these: a full disk must not keep all later ones back
    if _lines is not None:
        _lines.write(text)
        _lines.flush()


def _catch_library_logs(
    processors: list[structlog.typing.Processor],
    rendering: list[structlog.typing.Processor],
    level: int,
) -> None:
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*processors, structlog.stdlib.add_logger_name],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=level, force=True)
    # These say at INFO what our own events say better.
    for name in ("alembic", "mail.log", "httpx", "pgqueuer"):
        logging.getLogger(name).setLevel(logging.WARNING)


def mask_secrets(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Replace text in any field that is named like a secret or an address; numbers are counts."""
    for name, value in event.items():
        if _is_secret(name) and isinstance(value, str | bytes):
            event[name] = "***"
    return event


@lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    return name.rpartition("_")[2] in _SECRET_NAMES


def add_time(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    event["timestamp"] = now_text()
    return event


def now_text() -> str:
    """The time as our lines have it."""
    seconds, fraction = divmod(time.time_ns(), 1_000_000_000)
    return f"{_second_text(seconds)}.{fraction // 1000:06d}Z"


@lru_cache(maxsize=1)
def _second_text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def render_json(_: Any, __: str, event: structlog.typing.EventDict) -> str:
    return _encode(event)
