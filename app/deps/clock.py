"""The time of a request."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Annotated

from fastapi import Depends


async def utc_now() -> datetime:
    """The time of this request. Tests move the clock by overriding this function."""
    return datetime.now(UTC)


Now = Annotated[datetime, Depends(utc_now)]


async def get_clock(now: Now) -> Callable[[], datetime]:
    """The time as it goes on, for a request that may take hours."""
    started = monotonic()
    return lambda: now + timedelta(seconds=monotonic() - started)


Clock = Annotated[Callable[[], datetime], Depends(get_clock)]
