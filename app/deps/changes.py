"""The feed of changes, for who reads it and for who waits for more."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Annotated, cast

from fastapi import Depends, Request

from app.deps.application import DeploymentDep
from app.deps.authorization import may_read_changes
from app.deps.clock import Clock
from app.errors import RateLimited
from app.http.ending import call_at_end
from app.services import policy
from app.services.change_hub import ChangeHub
from app.services.change_watch import Watch

ChangesWatching = Callable[[], AbstractContextManager[Watch]]


async def get_change_hub(request: Request) -> ChangeHub:
    return cast("ChangeHub", request.app.state.changes)


ChangeHubDep = Annotated[ChangeHub, Depends(get_change_hub)]


async def get_changes_watcher(request: Request, clock: Clock) -> ChangesWatching:
    """For who waits for changes: it is told of them, and when nobody may or wants to have more."""
    state = request.app.state

    async def check() -> None:
        await may_read_changes(request, clock())

    @contextmanager
    def watching() -> Iterator[Watch]:
        credential = request.headers["authorization"]
        with (
            state.changes.watching(state.database.reader) as watch,
            state.access_checks.watching(credential, check, watch.end),
        ):
            call_at_end(request.scope, watch.end)
            yield watch

    return watching


ChangesWatcher = Annotated[ChangesWatching, Depends(get_changes_watcher)]


async def get_room_to_wait(request: Request, deployment: DeploymentDep) -> Callable[[], None]:
    """Refuses one more wait of a credential that already has many open connections."""

    def check() -> None:
        open_waits = request.app.state.access_checks.count(request.headers["authorization"])
        if deployment.limits_on and open_waits >= policy.WAITS_PER_CREDENTIAL:
            raise RateLimited(retry_after=policy.WAIT_RETRY_AFTER)

    return check


RoomToWait = Annotated[Callable[[], None], Depends(get_room_to_wait)]
