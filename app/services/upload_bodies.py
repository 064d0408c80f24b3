"""Receiving the bytes of an upload: ahead of the store by one piece, and never more.

While a piece is on its way into the store the next one comes in; when that is full too, nothing is
read, and the client waits. What came before a cut is kept.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from app.errors import AppError
from app.services import policy, upload_progress
from app.services.auth import Transactions
from app.services.upload_progress import Lease, StoredPart, UploadLengthExceeded
from app.services.upload_records import UploadLocked


class ChecksumMismatch(AppError):
    """Nothing of the body is kept. The status is the protocol's own."""

    status, code, title = 460, "checksum_mismatch", "The bytes are not those of the checksum"


class Store(Protocol):
    """The part of adapters/upload_store.py that takes bytes."""

    @property
    def piece_bytes(self) -> int: ...
    @property
    def checkpoint_bytes(self) -> int: ...
    async def append(self, upload_id: UUID, offset: int, piece: bytearray) -> StoredPart | None: ...
    async def sync(self, upload_id: UUID) -> None: ...


@dataclass(frozen=True, slots=True)
class Progress:
    """Where an upload stands; `expires_at` is None once it is complete."""

    offset: int
    expires_at: datetime | None


async def transfer(inbox: "Inbox", writer: "Writer") -> Progress:
    """Put all that comes in into the store, until the end or until it breaks off.

    Raises what the body or the store raised, when all that had come in before is counted.
    """
    inbox.open()
    is_whole = False
    try:
        while not inbox.is_exhausted:
            await writer.write(await inbox.take(writer.seconds_until_due()))
        is_whole = inbox.error is None
    finally:
        await inbox.close()
        progress = await writer.close(is_whole=is_whole)
    if inbox.error is not None:
        raise inbox.error
    return progress


class Inbox:
    """What has come in and is not on its way into the store yet."""

    def __init__(self, chunks: AsyncIterator[bytes], *, piece: int, limit: int) -> None:
        # Why no more comes, unless the body simply ended.
        self.error: BaseException | None = None
        self._chunks, self._piece, self._limit = chunks, piece, limit
        self._pending = bytearray()
        self._received = 0
        self._ready = asyncio.Event()  # a piece is full, or no more comes
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._heard_at = 0.0
        self._filling: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to take what comes."""
        self._heard_at = asyncio.get_running_loop().time()
        self._filling = asyncio.create_task(self._fill())

    async def _fill(self) -> None:
        clock = asyncio.get_running_loop().time
        try:
            async for chunk in self._chunks:
                self._heard_at = clock()
                self._received += len(chunk)
                if self._received > self._limit:
                    raise UploadLengthExceeded  # noqa: TRY301  # it ends the body like a cut
                self._pending += chunk
                if len(self._pending) >= self._piece:
                    self._has_room.clear()
                    self._ready.set()
                    await self._has_room.wait()
        except asyncio.CancelledError:
            self.error = UploadLocked()
        except Exception as error:  # noqa: BLE001  # raised again when all that came is put away
            self.error = error
        finally:
            self._ready.set()

    async def take(self, longest: float) -> bytearray:
        """A full piece, or what came in within `longest` seconds: that may be nothing."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ready.wait(), longest)
        piece, self._pending = self._pending, bytearray()
        if not self._is_over:
            self._ready.clear()
        self._has_room.set()
        return piece

    @property
    def is_exhausted(self) -> bool:
        """Whether all that will ever come has been taken."""
        return self._is_over and not self._pending

    @property
    def _is_over(self) -> bool:
        return self._filling is not None and self._filling.done()

    async def is_silent(self) -> bool:
        """Whether nothing comes although we would take it; this waits a moment to find out."""
        received = self._received
        heard_until = self._heard_at + policy.UPLOAD_SILENCE.total_seconds()
        await asyncio.sleep(max(0.0, heard_until - asyncio.get_running_loop().time()))
        return received == self._received and self._has_room.is_set()

    async def close(self) -> None:
        """Take no more; what has come in can still be taken."""
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.wait([self._filling])


class Writer:
    """Puts pieces into the store, and counts them when they are durable."""

    def __init__(
        self,
        transactions: Transactions,
        store: Store,
        lease: Lease,
        checksum: tuple[str, bytes] | None,
        clock: Callable[[], datetime],
    ) -> None:
        self._transactions, self._store, self._clock = transactions, store, clock
        self._lease = lease
        algorithm, self._expected = checksum or (None, b"")
        self._digest = hashlib.new(algorithm, usedforsecurity=False) if algorithm else None
        self._offset = self._counted = lease.offset
        self._counted_at = clock()
        self._parts: list[StoredPart] = []

    def seconds_until_due(self) -> float:
        """How long what is written may still wait to be counted."""
        interval = policy.UPLOAD_FLUSH_INTERVAL
        due_at = self._counted_at + interval if self._may_count else self._clock() + interval
        return max(0.0, (due_at - self._clock()).total_seconds())

    @property
    def _may_count(self) -> bool:
        """Whether there is something to count before the end; a checksum is of the whole body."""
        return self._offset > self._counted and self._digest is None

    async def write(self, piece: bytearray) -> None:
        """Put a piece into the store, or nothing, and count what is there when it is time."""
        if piece:
            await self._store_piece(piece)
        elif not self._may_count:
            return  # or the lease of a client who is gone would never end
        is_due = self._clock() >= self._counted_at + policy.UPLOAD_FLUSH_INTERVAL
        if is_due or self._offset >= self._counted + self._store.checkpoint_bytes:
            await self._count(self._counted if self._digest else self._offset)

    async def _store_piece(self, piece: bytearray) -> None:
        if self._digest is not None:
            await asyncio.to_thread(self._digest.update, piece)
        part = await self._store.append(self._lease.upload_id, self._offset, piece)
        self._offset += len(piece)
        if part is not None:
            self._parts.append(part)

    async def close(self, *, is_whole: bool) -> Progress:
        """Count what may be counted, and let others append.

        A body with a checksum counts as a whole or not at all.
        """
        if self._lease.length == 0:  # nothing else will make the file
            await self._store.append(self._lease.upload_id, 0, bytearray())
        is_right = not self._digest or (is_whole and self._digest.digest() == self._expected)
        progress = await self._count(self._offset if is_right else self._counted, release=True)
        if is_whole and not is_right:
            raise ChecksumMismatch
        return progress

    async def _count(self, offset: int, *, release: bool = False) -> Progress:
        """Make durable and commit all up to `offset`; if that is nothing new, keep the lease."""
        is_new = offset > self._counted or self._lease.length == 0
        if is_new:
            await self._store.sync(self._lease.upload_id)
        expires_at = await upload_progress.count(
            self._transactions,
            self._lease,
            offset=offset,
            parts=self._parts if is_new else (),
            release=release,
            now=self._clock(),
        )
        if is_new:  # until then they are kept: the next attempt must name them, too
            self._parts.clear()
        self._counted, self._counted_at = offset, self._clock()
        return Progress(offset, expires_at)
