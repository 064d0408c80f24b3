"""Structured logs: JSON lines in production, colours for people elsewhere; one event, one line."""

import logging
import sys
from typing import Any

import structlog

# Nothing of these is ever logged on purpose; this is the net below.
_SECRET_NAMES = ("password", "token", "code", "secret", "authorization", "cookie", "email")


def configure_logging(*, json_lines: bool, level: int = logging.INFO) -> None:
    """Send structlog's and the libraries' logs through the same processors to standard error."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        mask_secrets,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    final: list[structlog.typing.Processor] = (
        [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
        if json_lines
        else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=level, force=True)
    # These say at INFO what our own events say better.
    for name in ("alembic", "mail.log", "httpx", "pgqueuer"):
        logging.getLogger(name).setLevel(logging.WARNING)


def mask_secrets(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Replace the value of any field that is named like a secret or an address."""
    for name in event:
        if any(secret in name for secret in _SECRET_NAMES) and name != "status_code":
            event[name] = "***"
    return event
