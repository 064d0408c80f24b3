"""Deletes the bytes of uploads that are over, and then the uploads.

The store is never spoken to inside a transaction, and every step may be repeated after a kill.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import structlog

from app.adapters.upload_store import UploadStore
from app.db import Database
from app.services import upload_records

log = structlog.get_logger(__name__)

BATCH = 100


@dataclass(frozen=True, slots=True)
class Cleaner:
    """Any number may clean up at once."""

    database: Database
    store: UploadStore

    async def remove_ended(self, *, now: datetime | None = None) -> int:
        """Remove what was given up or has expired; gives the number of uploads."""
        now = now or datetime.now(UTC)
        removed = 0
        while True:
            async with self.database.transaction() as session:
                upload_ids = await upload_records.claim_ended(session, now=now, limit=BATCH)
            for upload_id in upload_ids:
                await self.store.discard(upload_id)
                async with self.database.transaction() as session:
                    await upload_records.forget(session, upload_id)
            removed += len(upload_ids)
            if len(upload_ids) < BATCH:
                return removed

    async def remove_strays(self) -> int:
        """Remove the bytes of uploads whose rows went with their asset or account."""
        removed = 0
        async for upload_ids in _batches(self.store.stored_ids()):
            async with self.database.transaction() as session:
                strays = await upload_records.unknown_among(session, upload_ids)
            for upload_id in strays:
                await self.store.discard(upload_id)
                log.info("stray_upload_removed", upload_id=str(upload_id))
            removed += len(strays)
        return removed


async def _batches(upload_ids: AsyncIterator[UUID]) -> AsyncIterator[list[UUID]]:
    batch: list[UUID] = []
    async for upload_id in upload_ids:
        batch.append(upload_id)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
