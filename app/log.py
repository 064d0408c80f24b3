"""Structured logs: JSON lines in production, colours for people elsewhere; one event, one line."""

import logging
import sys
from typing import Any

import structlog

# Nothing of these is ever logged on purpose; this is the net below.
_SECRET_NAMES = frozenset(
    {"password", "token", "code", "secret", "authorization", "cookie", "email"}
)


def configure_logging(*, json_lines: bool, level: int = logging.INFO) -> None:
    """Send our own events, and the libraries', in one form to standard error.

    Our events go there directly: the standard library's handlers would cost a request more than
    its routing does.
    """
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        mask_secrets,
    ]
    rendering: list[structlog.typing.Processor] = (
        [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
        if json_lines
        else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    )
    structlog.configure(
        processors=[*processors, *rendering],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    _catch_library_logs(processors, rendering, level)


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
        is_secret = name.rpartition("_")[2] in _SECRET_NAMES
        if is_secret and isinstance(value, str | bytes):
            event[name] = "***"
    return event
