"""Lets an application that waits know that it waits in vain: the client has left, or we stop.

Only our own connection can tell; under any other server a wait ends at its time.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.types import Scope

if TYPE_CHECKING:
    from app.http.connection import TimedHttpToolsProtocol

_KEY = "app.http.ending"


def offer(scope: Scope, connection: "TimedHttpToolsProtocol") -> None:
    scope[_KEY] = connection


def call_at_end(scope: Scope, callback: Callable[[], None]) -> None:
    """Call when nobody waits for the rest of this answer any more, or at once if that is so."""
    connection: TimedHttpToolsProtocol | None = scope.get(_KEY)
    if connection is not None:
        connection.call_at_end(callback)
