"""Sends editions: any number of workers share one ledger, each with its own connections."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

from app.db import Database
from app.jobs import faults
from app.jobs.delivery_attempts import Courier, Post
from app.jobs.delivery_journal import Journal
from app.jobs.delivery_progress import ProgressLog
from app.jobs.mail_rates import Allowance, TokenBucket
from app.services import (
    deliveries,
    delivery_outcomes,
    edition_states,
    fan_out,
    mail_rates,
    policy,
)
from app.services.deliveries import Claim

CONNECTIONS = 20
# Claimed at once; few enough that a pause or a stop leaves little to give back.
BATCH = 200
# Seconds. How often the editions are looked at while one is being sent, and while none is.
POLL, IDLE_POLL = 0.1, 0.5
# How often limits are read, and how often it is asked whether an edition is done.
LIMITS_REFRESH = 1.0
FINISH_CHECK = 0.5
# How long the mails on the wire have when the worker is told to stop.
GRACE = 30.0
# A turn so near is as good as now.
NEAR = timedelta(seconds=0.2)


class EditionSender:
    def __init__(
        self,
        database: Database,
        post: Post,
        *,
        rate: float | None = None,
        connections: int = CONNECTIONS,
        lease: timedelta = policy.DELIVERY_LEASE,
    ) -> None:
        self._database = database
        self._circuit = post.circuit
        self._allowance = Allowance(database.write, TokenBucket(rate))
        self._connections = connections
        self._lease = lease
        self._journal = Journal(database.write)
        self._courier = Courier(database, post, self._journal.mark)
        self._progress = ProgressLog(database.write)
        self._queue: asyncio.Queue[Claim | None] = asyncio.Queue()
        self._hungry = asyncio.Event()
        self._active: frozenset[UUID] = frozenset()
        self._in_hand: Counter[UUID] = Counter()
        self._served: UUID | None = None
        self._limited: frozenset[str] = frozenset()
        self._limits_read_at = 0.0
        self._finish_checked_at = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Send whatever is to be sent until `stop` is set, then finish the mails on the wire."""
        writing = asyncio.create_task(self._journal.run())
        sending = [asyncio.create_task(self._send_on()) for _ in range(self._connections)]
        try:
            while not stop.is_set():
                await self._rest(await self._look_after_editions(), stop)
        finally:
            await self._wind_up(sending)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            await self._journal.flush()

    async def _look_after_editions(self) -> float:
        """Fan out, claim and finish what there is; returns the seconds to rest before the next."""
        self._hungry.clear()
        try:
            editions = await deliveries.active_editions(self._database.write)
            self._active = frozenset(edition_id for edition_id, _, _ in editions)
            is_busy = False
            for edition in self._in_turn(editions):
                is_busy |= await self._look_after(*edition)
            await self._finish(editions)
            await self._progress.tell(editions)
        except Exception as error:  # noqa: BLE001  # the database is away, say: it comes back
            faults.report("editions_not_looked_after", error)
            return IDLE_POLL
        if is_busy:
            return 0
        return POLL if editions else IDLE_POLL

    def _in_turn(
        self, editions: Sequence[tuple[UUID, int, bool]]
    ) -> Sequence[tuple[UUID, int, bool]]:
        """Beginning behind the one that was served last: a short one need not wait for a long one.

        Mails are claimed only where there is room for them, which may be enough for one edition.
        """
        ids = [edition_id for edition_id, _, _ in editions]
        place = ids.index(self._served) + 1 if self._served in ids else 0
        return [*editions[place:], *editions[:place]]

    async def _look_after(self, edition_id: UUID, number: int, is_complete: bool) -> bool:  # noqa: FBT001  # a row of the editions
        """Fan out and claim; whether there is more at once. Its faults don't stop the others."""
        try:
            is_busy = not is_complete and await self._fan_out(edition_id)
            return await self._claim(edition_id, number) or is_busy
        except Exception as error:  # noqa: BLE001  # a statement that takes too long, say
            faults.report("edition_not_looked_after", error, edition=number)
            return False

    async def _rest(self, seconds: float, stop: asyncio.Event) -> None:
        """Until the queue runs low, if that is sooner."""
        if not seconds:
            return
        hungry, stopped = (asyncio.create_task(event.wait()) for event in (self._hungry, stop))
        try:
            await asyncio.wait(
                [hungry, stopped], timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            hungry.cancel()
            stopped.cancel()

    async def _fan_out(self, edition_id: UUID) -> bool:
        """Write one chunk of the ledger; whether there is more to write."""
        done = await fan_out.write_chunk(self._database.write, edition_id, now=datetime.now(UTC))
        if done is None:
            return False
        if done.is_first or done.is_complete:
            await fan_out.note_size(self._database.write)
        return not done.is_complete

    async def _claim(self, edition_id: UUID, number: int) -> bool:
        """Take more mails if there is room for them; whether there is more to take at once."""
        room = 2 * BATCH - self._queue.qsize()
        if room < BATCH or self._circuit.is_open:
            return False
        write, now = self._database.write, datetime.now(UTC)
        limited = await self._limited_domains()
        allowed = await self._allowance.take(BATCH, now)
        if not allowed:
            return False
        claims = await deliveries.claim(
            write, (edition_id, number), limit=allowed, now=now, lease=self._lease
        )
        ready = await self._whose_turn_it_is(claims, limited, now=now)
        for claim in ready:
            self._in_hand[edition_id] += 1
            self._queue.put_nowait(claim)
        if claims:
            self._served = edition_id
        # What this edition has no mails for would be lost to the others otherwise.
        await self._allowance.give_back(allowed - len(ready))
        # Behind those who wait for their domain's turn there may be others who need not.
        return len(claims) == BATCH or len(ready) < len(claims) == allowed

    async def _whose_turn_it_is(
        self, claims: Sequence[Claim], limited: Collection[str], *, now: datetime
    ) -> list[Claim]:
        """Those that may go now. For the others, their domain's limit has a later turn."""
        ready: list[Claim] = []
        waiting: dict[str, list[Claim]] = {}
        for claim in claims:
            must_wait = claim.domain in limited and not claim.has_slot
            (waiting.setdefault(claim.domain, []) if must_wait else ready).append(claim)
        for domain, group in waiting.items():
            turns = await self._turns(domain, len(group), now=now)
            for claim, turn in zip(group, turns, strict=True):
                if turn <= now + NEAR:
                    ready.append(claim)
                else:
                    is_given = mail_rates.is_given(turn, now)
                    later = delivery_outcomes.put_off(claim, turn, is_given=is_given, now=now)
                    self._journal.conclude(later)
        return ready

    async def _turns(self, domain: str, count: int, *, now: datetime) -> Sequence[datetime]:
        try:
            return await mail_rates.reserve(self._database.write, domain, count, now)
        except Exception as error:  # noqa: BLE001  # these are claimed, and must not be forgotten
            faults.report("turns_not_reserved", error)
            return [now + policy.TURN_ASKED_AGAIN + policy.TURNS_AHEAD] * count

    async def _limited_domains(self) -> frozenset[str]:
        if time.monotonic() - self._limits_read_at >= LIMITS_REFRESH:
            self._limits_read_at = time.monotonic()
            await mail_rates.recover(self._database.write, datetime.now(UTC))
            self._limited = frozenset(await mail_rates.limited_domains(self._database.write))
        return self._limited

    async def _finish(self, editions: Sequence[tuple[UUID, int, bool]]) -> None:
        """Close the editions of which nothing is left, here or anywhere."""
        now = time.monotonic()
        if now - self._finish_checked_at < FINISH_CHECK:
            return
        self._finish_checked_at = now
        for edition_id, _, is_complete in editions:
            if is_complete and not self._in_hand[edition_id]:
                async with self._database.transaction() as session:
                    await edition_states.finish_if_done(session, edition_id, now=datetime.now(UTC))

    async def _send_on(self) -> None:
        """What each connection does: one mail after the other."""
        while (claim := await self._queue.get()) is not None:
            if self._queue.qsize() < BATCH:
                self._hungry.set()
            if await self._may_begin(claim):
                result = await self._courier.attempt(claim)
            else:
                result = delivery_outcomes.given_back(claim, now=datetime.now(UTC))
            self._journal.conclude(result)
            self._in_hand[claim.edition_id] -= 1
            self._progress.count(result)
            try:
                await self._courier.follow_up(result)
            except Exception as error:  # noqa: BLE001  # the ledger has it; the next report counts
                faults.report("delivery_not_followed_up", error)

    async def _may_begin(self, claim: Claim) -> bool:
        """Not while its edition is paused, nor when its lease could end before the mail is out."""
        if not await self._circuit.passage():
            return False
        is_in_time = claim.leased_until - datetime.now(UTC) > self._lease / 2
        return is_in_time and claim.edition_id in self._active

    async def _wind_up(self, sending: "Sequence[asyncio.Task[None]]") -> None:
        """Give back what has not begun, and let the mails on the wire come to an end."""
        now = datetime.now(UTC)
        while not self._queue.empty():
            if claim := self._queue.get_nowait():
                self._journal.conclude(delivery_outcomes.given_back(claim, now=now))
        for _ in sending:
            self._queue.put_nowait(None)
        _, late = await asyncio.wait(sending, timeout=GRACE)
        for task in late:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*late, return_exceptions=True)
