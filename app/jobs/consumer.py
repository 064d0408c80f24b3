"""Takes jobs from PgQueuer, through restarts of the database.

Any number of processes may consume, on any number of hosts. One that dies is noticed by its
missing heartbeat, and its jobs go to the others.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, TypeAlias

import asyncpg
from pgqueuer import AsyncpgDriver, Job, Queries, QueueManager, SchedulerManager
from pgqueuer.models import Schedule

from app.db import Database
from app.jobs import faults

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Manager = QueueManager | SchedulerManager

# Seconds.
CLOSE_TIMEOUT = 2.0
RECONNECT_FIRST = 0.25
RECONNECT_LONGEST = 5.0


@dataclass(frozen=True, slots=True)
class JobKind:
    """Jobs of one entry point, of which this process runs up to so many at once."""

    entrypoint: str
    run: Callable[[bytes], Awaitable[None]]
    at_once: int


@dataclass(frozen=True, slots=True)
class Periodic:
    """A task that one of all the workers runs at each time of a crontab expression (UTC)."""

    name: str
    crontab: str
    run: Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds."""

    # A worker that was silent for so long is taken for dead.
    heartbeat: float = 5
    # The queue is looked at so often although nothing was announced.
    poll: float = 5
    # What runs when the worker is told to stop may go on for so long.
    grace: float = 30


class Consumer:
    def __init__(
        self,
        direct: Database,
        kinds: Sequence[JobKind],
        periodic: Sequence[Periodic],
        *,
        patience: Patience,
        stop: asyncio.Event,
    ) -> None:
        self._direct = direct
        self._kinds = kinds
        self._periodic = periodic
        self._patience = patience
        self._stop = stop

    async def run(self) -> None:
        """Take jobs until told to stop, over a new connection whenever the database was away."""
        sessions: set[asyncio.Task[None]] = set()
        pause = RECONNECT_FIRST
        while not self._stop.is_set():
            began = time.monotonic()
            over = asyncio.Event()
            sessions.add(task := asyncio.create_task(self._session(over)))
            task.add_done_callback(sessions.discard)
            await over.wait()
            failed_soon = time.monotonic() - began < RECONNECT_LONGEST
            pause = min(2 * pause, RECONNECT_LONGEST) if failed_soon else RECONNECT_FIRST
            await sleep(pause, self._stop)
        await self._let_finish(sessions)

    async def _let_finish(self, sessions: set[asyncio.Task[None]]) -> None:
        if not sessions:
            return
        _, late = await asyncio.wait(sessions, timeout=self._patience.grace)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _session(self, over: asyncio.Event) -> None:
        """Take jobs over one connection until it breaks, then let those that run come to an end.

        `over` is set at the break, so that the next session need not wait for that end.
        """
        try:
            async with self._connection() as (connection, lost):
                managers = self._managers(connection)
                running = [asyncio.create_task(run) for _, run in managers]
                try:
                    await _any_of(running, lost, self._stop)
                finally:
                    over.set()
                    for manager, _ in managers:
                        manager.shutdown.set()
                    await _report_ends(running)
        except Exception as error:  # noqa: BLE001  # whatever it is, the next session may do better
            faults.report("queue_unreachable", error)
        finally:
            over.set()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[tuple[Connection, asyncio.Event]]:
        """A connection of its own, and the event of its loss."""
        lost = asyncio.Event()
        connection = await self._direct.connect()
        try:
            connection.add_termination_listener(lambda _: lost.set())
            yield connection, lost
        finally:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await connection.close(timeout=CLOSE_TIMEOUT)

    def _managers(self, connection: Connection) -> list[tuple[Manager, Coroutine[Any, Any, None]]]:
        """One queue manager for each kind of job, so that no kind can use up another's room."""
        driver = AsyncpgDriver(connection)
        managers: list[tuple[Manager, Coroutine[Any, Any, None]]] = []
        for kind in self._kinds:
            queue = QueueManager(Queries(driver))
            queue.entrypoint(kind.entrypoint, accepts_context=False)(partial(_run_job, kind))
            managers.append((queue, self._run_queue(queue, kind)))
        if self._periodic:
            scheduler = SchedulerManager(Queries(driver))
            for task in self._periodic:
                schedule = scheduler.schedule(task.name, task.crontab, accepts_context=False)
                schedule(partial(_run_periodic, task))
            managers.append((scheduler, scheduler.run()))
        return managers

    async def _run_queue(self, queue: QueueManager, kind: JobKind) -> None:
        await queue.run(
            dequeue_timeout=timedelta(seconds=self._patience.poll),
            batch_size=max(1, kind.at_once // 2),
            max_concurrent_tasks=max(2, kind.at_once),
            shutdown_on_listener_failure=True,
            heartbeat_timeout=timedelta(seconds=self._patience.heartbeat),
        )


async def sleep(seconds: float, stop: asyncio.Event) -> None:
    """Sleep, but not on when told to stop."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


async def _run_job(kind: JobKind, job: Job) -> None:
    await kind.run(job.payload or b"")


async def _run_periodic(task: Periodic, _: Schedule) -> None:
    try:
        await task.run()
    except Exception as error:  # noqa: BLE001  # its next time comes
        faults.report("periodic_task_failed", error, task=task.name)


async def _report_ends(running: Sequence[asyncio.Task[None]]) -> None:
    """Wait until all tasks have ended, and log why they did where that was not asked for."""
    for end in await asyncio.gather(*running, return_exceptions=True):
        if isinstance(end, Exception):
            faults.report("queue_session_failed", end)


async def _any_of(running: Sequence[asyncio.Task[None]], *events: asyncio.Event) -> None:
    """Wait until a task ends or an event is set."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait([*running, *waiting], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
