"""Files on their way in: what a client may ask for, and how a newer request passes an older one.

upload_records.py decides who may send what, upload_progress.py counts the bytes, upload_bodies.py
receives them.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from app.models import Upload
from app.services import upload_bodies, upload_progress, upload_records
from app.services.auth import Transactions
from app.services.upload_bodies import Inbox, Progress, Store, Writer
from app.services.upload_metadata import FileDescription
from app.services.upload_records import UploadLocked

# Seconds in which an older request must have put away what it has.
_TIME_TO_GIVE_WAY = 5
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Who asks, and what it takes to serve them; `clock` because a body may take hours."""

    account_id: UUID
    transactions: Transactions
    store: Store
    running: "RunningUploads"
    clock: Callable[[], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A request's bytes, and what its headers say of them.

    `announced` is 0 where the length is not known; `checksum` has an algorithm and its result.
    """

    chunks: AsyncIterator[bytes]
    offset: int
    announced: int
    checksum: tuple[str, bytes] | None = None


async def create(
    desk: Desk,
    file: FileDescription,
    *,
    metadata_header: str,
    length: int,
    max_bytes: int,
    body: Body | None,
) -> tuple[UUID, Progress]:
    """Begin an upload; where its first bytes come with it and fail, there is none."""
    async with desk.transactions() as session:
        upload = await upload_records.create(
            session,
            file,
            metadata_header=metadata_header,
            length=length,
            max_bytes=max_bytes,
            account_id=desk.account_id,
            now=desk.clock(),
        )
    if body is None:
        return upload.id, Progress(0, upload.expires_at)
    try:
        return upload.id, await append(desk, upload.id, body)
    except BaseException:
        async with desk.transactions() as session:
            await upload_records.abandon(session, upload.id)
        raise


async def append(desk: Desk, upload_id: UUID, body: Body) -> Progress:
    """Append a body to an upload; what comes of one that breaks off is kept."""

    async def acquire() -> upload_progress.Lease:
        return await upload_progress.acquire(
            desk.transactions,
            upload_id,
            account_id=desk.account_id,
            offset=body.offset,
            announced=body.announced,
            now=desk.clock(),
        )

    lease = await _past_silent(desk, upload_id, acquire)
    limit = lease.length - lease.offset
    inbox = Inbox(body.chunks, piece=desk.store.piece_bytes, limit=limit)
    writer = Writer(desk.transactions, desk.store, lease, body.checksum, desk.clock)
    with desk.running.noted(upload_id, inbox):
        return await upload_bodies.transfer(inbox, writer)


async def look_up(desk: Desk, upload_id: UUID) -> Upload:
    """One's own upload, with all that came over a connection which has fallen silent."""

    async def look() -> Upload:
        async with desk.transactions() as session:
            return await upload_records.find(
                session, upload_id, account_id=desk.account_id, now=desk.clock()
            )

    upload = await look()
    is_locked = upload_records.is_locked(upload, desk.clock())
    return await look() if is_locked and await desk.running.make_way(upload_id) else upload


async def end(desk: Desk, upload_id: UUID) -> None:
    """Give an upload up."""

    async def end_it() -> None:
        async with desk.transactions() as session:
            await upload_records.end(
                session, upload_id, account_id=desk.account_id, now=desk.clock()
            )

    await _past_silent(desk, upload_id, end_it)


async def _past_silent(
    desk: Desk, upload_id: UUID, attempt: Callable[[], Awaitable[Result]]
) -> Result:
    """Try, and once more if only a silent request is in the way."""
    try:
        return await attempt()
    except UploadLocked:
        if not await desk.running.make_way(upload_id):
            raise
        return await attempt()


class RunningUploads:
    """The bodies that come in to this process, by their uploads."""

    def __init__(self) -> None:
        self._running: dict[UUID, tuple[Inbox, asyncio.Event]] = {}

    @contextmanager
    def noted(self, upload_id: UUID, inbox: Inbox) -> Iterator[None]:
        over = asyncio.Event()
        self._running[upload_id] = mine = (inbox, over)
        try:
            yield
        finally:
            over.set()
            if self._running.get(upload_id) is mine:
                del self._running[upload_id]

    async def make_way(self, upload_id: UUID) -> bool:
        """End a request for this upload whose client is silent; False if there is none.

        Somebody whose network has changed need not wait until the old connection is given up.
        """
        if upload_id not in self._running:
            return False
        inbox, over = self._running[upload_id]
        if not await inbox.is_silent():
            return False
        await inbox.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), _TIME_TO_GIVE_WAY)
        return True
