"""What all who wait for changes in one process share: the head of the feed, and each page once.

Whoever waits holds no connection to the database. The head is learnt from NOTIFY; where that may
have failed, from one query a second for everybody.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import structlog

from app.errors import AppError
from app.services import changes, policy
from app.services.change_pages import KeptPages
from app.services.change_watch import Watch, wake_each
from app.services.changes import Ask, Page, Position, Reader

log = structlog.get_logger(__name__)

# The API has other readers too, and a pool of ten connections for all of them.
_READS_AT_ONCE = 4
# Whoever is not at the head comes back: the database reads while the page before is on its way.
_PAGES_AHEAD = 2


class ChangeHub:
    """The feed as one process knows it.

    It is sure of the head while somebody vouches that every announcement is heard, and only of one
    that was read since then.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._trusted_until = float("-inf")
        self._head: Position | None = None
        self._is_sure = False
        # One more with whatever may be news: what was read before it is not given after it.
        self._generation = 0
        self._reads: dict[Ask, asyncio.Task[Page]] = {}
        self._kept = KeptPages()
        self._watches: set[Watch] = set()
        self._reader: Reader | None = None
        self._poller: asyncio.Task[None] | None = None
        self._room = asyncio.Semaphore(_READS_AT_ONCE)

    # Told by the listener and after the process's own commits

    def hear(self, payload: str) -> None:
        """A change has been committed; empty where its number is not known."""
        sequence = int(payload) if payload.isdecimal() else None
        if sequence is None:
            self._is_sure = False
        elif self._head is not None:
            if sequence <= self._head.sequence:
                return  # it was read before it was heard of
            self._head = Position(self._head.epoch, sequence)
        self._wake_all()

    def forget_pages(self) -> None:
        """A document reads otherwise without a change of its asset: a collection has a new name."""
        self._new_generation()

    def vouch(self, seconds: float) -> None:
        """Trust for so long that all changes until now have been heard."""
        self._trusted_until = self._clock() + seconds

    def distrust(self) -> None:
        """Changes may have gone unheard."""
        self._trusted_until = float("-inf")
        self._is_sure = False
        self._head = None
        self._new_generation()

    # Asked by whoever answers

    async def read(self, reader: Reader, ask: Ask) -> Page:
        """A page; of those who ask for the same one before the next change, only the first reads.

        Raises `FeedReset`.
        """
        if ask.after is not None and self._is_head(ask.after):
            return Page(ask.after.epoch, ask.after.sequence, ask.after.sequence)
        page = self._kept.get(ask)
        if page is None:
            page = await asyncio.shield(self._reading(reader, ask))
        if page.end < page.head:
            self._kept.drop(ask)
            if self._is_sure and ask.after is not None:
                self._read_ahead(reader, ask, page, _PAGES_AHEAD)
        return page

    async def next_page(
        self, reader: Reader, ask: Ask, *, seconds: float, watch: Watch
    ) -> Page | None:
        """The first page that is not empty; None when the time or the watch has ended before.

        A database that goes away is waited for. Raises `FeedReset`, and what the watch was ended
        with.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        page = None
        while page is None and not watch.has_ended:
            watch.expect()
            page = await self._read_if_possible(reader, ask, watch)
            if page is None:
                await watch.wait(until)
                if loop.time() >= until:
                    break
        if watch.refusal is not None:
            raise watch.refusal
        return page

    async def _read_if_possible(self, reader: Reader, ask: Ask, watch: Watch) -> Page | None:
        """A page with items, if there is one."""
        try:
            page = await self.read(reader, ask)
        except AppError:
            raise
        except Exception as error:  # noqa: BLE001  # drivers raise far more than they document
            log.warning("changes_not_read", error=type(error).__name__)
            # Its return may be all that is new.
            interval = policy.CHANGES_POLL_INTERVAL.total_seconds()
            asyncio.get_running_loop().call_later(interval, watch.wake)
            return None
        return page if page.items else None

    async def head(self, reader: Reader) -> Position:
        """The end of the feed."""
        if self._head is not None and self._is_head(self._head):
            return self._head
        return await changes.read_head(reader)

    @contextmanager
    def watching(self, reader: Reader) -> Iterator[Watch]:
        """Be told of changes for as long as the block runs."""
        watch = Watch()
        self._watches.add(watch)
        self._reader = reader
        if self._poller is None:
            self._poller = asyncio.create_task(self._poll())
        try:
            yield watch
        finally:
            self._watches.discard(watch)
            if not self._watches and self._poller is not None:
                self._poller.cancel()
                self._poller = None

    def _is_trusted(self) -> bool:
        return self._clock() < self._trusted_until

    def _is_head(self, place: Position) -> bool:
        if self._is_sure and not self._is_trusted():
            self.distrust()
        return self._is_sure and place == self._head

    def _reading(self, reader: Reader, ask: Ask, *, ahead: int = 0) -> "asyncio.Task[Page]":
        """The reading of a page, which others may have begun, and of so many behind it."""
        reading = self._reads.get(ask)
        if reading is None:
            reading = asyncio.create_task(self._read(reader, ask, ahead))
            reading.add_done_callback(_take_error)
            self._reads[ask] = reading
        return reading

    def _read_ahead(self, reader: Reader, ask: Ask, page: Page, count: int) -> None:
        """See that so many pages behind this one are there or on their way."""
        known: Page | None = page
        while known is not None and known.end < known.head and count > 0:
            ask, count = replace(ask, after=known.next_after), count - 1
            known = self._kept.get(ask)
            if known is None:
                self._reading(reader, ask, ahead=count)

    async def _read(self, reader: Reader, ask: Ask, ahead: int) -> Page:
        reads = self._reads
        try:
            async with self._room:
                began = self._begin()
                page = await changes.read_page(reader, ask)
            if self._learn(Position(page.epoch, page.head), began):
                self._kept.keep(ask, page)
                self._read_ahead(reader, ask, page, ahead)
            return page
        finally:
            reads.pop(ask, None)

    def _begin(self) -> tuple[int, bool]:
        """What must still be so when a query is over, for its answer to be the newest."""
        return self._generation, self._is_trusted()

    def _learn(self, head: Position, began: tuple[int, bool]) -> bool:
        """Take note of a head that was read; gives whether it is sure to be the newest."""
        generation, was_trusted = began
        is_newest = generation == self._generation
        known = self._head
        # Of an earlier moment, it may still tell of more than is known, but not of another feed.
        is_later = (
            known is not None and head.epoch == known.epoch and head.sequence > known.sequence
        )
        if is_later or (is_newest and head != known):
            self._head = head
            if known is not None:
                self._wake_all()
        if is_newest and self._head == head:
            self._is_sure = was_trusted and self._is_trusted()
        return is_newest and self._is_sure

    async def _poll(self) -> None:
        """Ask for the head once a second, while it is not sure and somebody waits."""
        while True:
            await asyncio.sleep(policy.CHANGES_POLL_INTERVAL.total_seconds())
            if self._is_sure and self._is_trusted():
                continue
            assert self._reader is not None  # noqa: S101  # given by whoever waits
            with suppress(Exception):  # the database is away; the next time comes
                began = self._begin()
                before = self._head
                head = await changes.read_head(self._reader)
                self._learn(head, began)
                if before is None:  # what came since the last certain moment may be news
                    self._wake_all()

    def _new_generation(self) -> None:
        self._generation += 1
        self._reads = {}
        self._kept.clear()

    def _wake_all(self) -> None:
        self._new_generation()
        wake_each(iter(list(self._watches)))


def _take_error(reading: "asyncio.Task[Page]") -> None:
    """Look at it, for whoever asked may have left: asyncio would complain of an unseen error."""
    if not reading.cancelled():
        reading.exception()
