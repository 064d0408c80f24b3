"""Deletes objects that nothing refers to, and moves those that must not be found any more.

The store is never spoken to inside a transaction, and every step may be repeated after a kill.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import structlog

from app.adapters.storage import ObjectMissing, Storage
from app.db import Database
from app.jobs import faults
from app.services import policy, stored_objects
from app.services.stored_objects import ENTRYPOINT

__all__ = ["ENTRYPOINT", "Keeper"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Keeper:
    """Looks after the store. Any number may do so at once."""

    database: Database
    storage: Storage

    async def collect(self, *, now: datetime | None = None) -> int:
        """Delete what nothing has referred to for a day; gives the number of objects."""
        now = now or datetime.now(UTC)
        async with self.database.transaction() as session:
            await stored_objects.release_unused(session, now=now)
        after: str | None = ""
        total = 0
        while after is not None:
            async with self.database.transaction() as session:
                after, count = await stored_objects.condemn_unreferenced(
                    session, after=after, now=now
                )
            total += count
        await self.delete_condemned()
        log.info("objects_collected", count=total)
        return total

    async def collect_strays(self, *, now: datetime | None = None) -> int:
        """Delete old objects that no row knows: their maker died before it could write one."""
        now = now or datetime.now(UTC)
        since = now - policy.KEEP_UNREFERENCED_OBJECT
        total = 0
        for prefix in stored_objects.PREFIXES:
            async for page in self.storage.list_objects(prefix):
                old = [listed.key for listed in page if listed.stored_at <= since]
                async with self.database.transaction() as session:
                    total += await stored_objects.condemn_strays(session, old, now=now)
        await self.delete_condemned()
        if total:
            log.warning("stray_objects_collected", count=total)
        return total

    async def delete_condemned(self) -> None:
        while True:
            async with self.database.transaction() as session:
                keys = await stored_objects.condemned(session)
            if not keys:
                return
            for key in keys:
                await self.storage.delete(key)
            async with self.database.transaction() as session:
                await stored_objects.forget(session, keys)

    async def move(self, payload: bytes, *, now: datetime | None = None) -> None:
        """Let links to a withdrawn asset die that the store itself would go on to honour.

        An object that other assets share is moved for them too: they go on from its copy. Our own
        links need none of this, for each request asks whether the asset is still public.
        """
        if not self.storage.can_presign:
            return
        now = now or datetime.now(UTC)
        async with self.database.transaction() as session:
            moves = await stored_objects.begin_moves(session, UUID(payload.decode()), now=now)
        for key, next_key in moves.items():
            try:
                await self.storage.copy(key, next_key)
            except ObjectMissing as error:
                faults.report("object_missing", error, key=key)
                continue
            async with self.database.transaction() as session:
                await stored_objects.replace(session, key, next_key, now=now)
        await self.delete_condemned()

    async def sweep(self) -> None:
        """Take up what a lost job or a killed worker has left."""
        if self.storage.can_presign:
            async with self.database.transaction() as session:
                await stored_objects.enqueue_lost_withdrawals(session, now=datetime.now(UTC))
        await self.delete_condemned()
