"""The time of a request."""

from collections.abc import Callable
from datetime import datetime, timedelta
from time import monotonic
from typing import Annotated

from fastapi import Depends, Request


async def get_now(request: Request) -> datetime:
    """The time of this request, by the application's clock."""
    now: datetime = request.app.state.clock()
    return now


Now = Annotated[datetime, Depends(get_now)]


async def get_clock(now: Now) -> Callable[[], datetime]:
    """The time as it goes on, for a request that may take hours."""
    started = monotonic()
    return lambda: now + timedelta(seconds=monotonic() - started)


Clock = Annotated[Callable[[], datetime], Depends(get_clock)]
