"""Says in the log how fast editions are being sent, and how long they still take."""

import time
from collections import Counter
from collections.abc import Sequence
from uuid import UUID

import structlog

from app.services import deliveries
from app.services.deliveries import Result, Write

log = structlog.get_logger(__name__)

# Seconds.
INTERVAL = 10.0


class ProgressLog:
    def __init__(self, write: Write) -> None:
        self._write = write
        self._told_at = time.monotonic()
        self._counts: Counter[tuple[UUID, str]] = Counter()
        self._remaining: dict[UUID, int] = {}

    def count(self, result: Result) -> None:
        self._counts[result.claim.edition_id, result.state] += 1

    async def tell(self, editions: Sequence[tuple[UUID, int, bool]]) -> None:
        """Every ten seconds, a line for each edition that is on its way."""
        elapsed = time.monotonic() - self._told_at
        if elapsed < INTERVAL:
            return
        self._told_at = time.monotonic()
        counts, self._counts = self._counts, Counter()
        before, self._remaining = self._remaining, {}
        for edition_id, number, is_complete in editions:
            remaining = await deliveries.remaining(self._write, edition_id)
            self._remaining[edition_id] = remaining
            # Of all workers together, which only the ledger knows.
            pace = max(0, before.get(edition_id, remaining) - remaining) / elapsed
            log.info(
                "edition_progress",
                edition=number,
                sent_here_per_second=round(counts[edition_id, "sent"] / elapsed, 1),
                deferred_here=counts[edition_id, "deferred"],
                failed_here=counts[edition_id, "failed"],
                remaining=remaining,
                seconds_left=round(remaining / pace) if pace and is_complete else None,
            )
