"""Writes the ledger for all connections of a worker together: one commit every few milliseconds."""

import asyncio
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

from app.jobs import faults
from app.services import deliveries
from app.services.deliveries import Claim, Result, Write

# Seconds. How long a commit waits for others to join it, and the pause while the database is away.
GATHER = 0.003
RETRY_PAUSE = 0.5
# A result is kept ready for so long: a mail that was taken and not noted would be sent twice.
PATIENCE = timedelta(minutes=10)


class Journal:
    """Marks mails as being sent, and notes what became of them.

    Results are committed no later than the marks that were asked for after them. So a connection
    that asks for its next mark has nothing unwritten behind it, and a worker that is killed leaves
    at most one mail per connection in doubt.
    """

    def __init__(self, write: Write) -> None:
        self._write = write
        self._results: list[Result] = []
        self._marks: dict[Claim, asyncio.Future[bool]] = {}
        self._wake = asyncio.Event()

    def mark(self, claim: Claim) -> "asyncio.Future[bool]":
        """Note that the contents are about to leave; False when they must not any more."""
        cleared: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._marks[claim] = cleared
        self._wake.set()
        return cleared

    def conclude(self, result: Result) -> None:
        """Note a result; of a mail that was refused at once, the mark is not needed any more."""
        self._marks.pop(result.claim, None)
        self._results.append(result)
        self._wake.set()

    async def run(self) -> None:
        """Write until cancelled; `flush` then writes what is left."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(GATHER)
            self._wake.clear()
            try:
                await self._write_down()
            except Exception as error:  # noqa: BLE001  # the database is away, say: it comes back
                faults.report("deliveries_not_written", error)
                await asyncio.sleep(RETRY_PAUSE)
                self._wake.set()

    async def flush(self) -> None:
        """Write what is left, also through a restart of the database."""
        patience_ends = time.monotonic() + PATIENCE.total_seconds()
        while self._results or self._marks:
            try:
                await self._write_down()
            except Exception as error:
                faults.report("deliveries_not_written", error)
                if time.monotonic() > patience_ends:
                    raise
                await asyncio.sleep(RETRY_PAUSE)

    async def _write_down(self) -> None:
        results, marks = self._results, self._marks
        self._results, self._marks = [], {}
        try:
            marked = await deliveries.write_down(
                self._write, results, list(marks), now=datetime.now(UTC)
            )
        except BaseException:
            self._results = results + self._results
            # Whether they are marked is not known; nothing was sent, so they are given back.
            _answer(marks, marked=())
            raise
        _answer(marks, marked)


def _answer(
    marks: "Mapping[Claim, asyncio.Future[bool]]", marked: Collection[tuple[UUID, UUID]]
) -> None:
    for claim, cleared in marks.items():
        if not cleared.done():
            cleared.set_result((claim.edition_id, claim.subscriber_id) in marked)
