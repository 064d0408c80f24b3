"""How jobs log what went wrong."""

import traceback
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

PACKAGE = Path(__file__).parent.parent
PLACES_SHOWN = 3


def report(event: str, error: BaseException, **details: object) -> None:
    """Log an unexpected error's kind, where it arose, and which lines of ours led there.

    Not its text and not the variables around it: those may hold an address or a code.
    """
    frames = traceback.extract_tb(error.__traceback__)[::-1]
    ours = [frame for frame in frames[1:] if Path(frame.filename).is_relative_to(PACKAGE)]
    places = [*frames[:1], *ours][:PLACES_SHOWN]
    at = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in places)
    log.error(event, error=type(error).__name__, at=at, **details)
