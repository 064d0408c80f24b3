"""What happens to assets at its time: embargoes lift, rights end, documents are renewed."""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import Database
from app.jobs import faults
from app.services import asset_relations, publication

log = structlog.get_logger(__name__)

# So many documents are rendered again before anything else that is due is looked at.
BATCH = 200
# How long a job waits for a database that is away, and how often it tries again.
PATIENCE = timedelta(minutes=10)
PAUSE = timedelta(seconds=1)


class Step(Protocol):
    """Does what is due for one asset; None when there is none."""

    def __call__(self, session: AsyncSession, *, now: datetime) -> Awaitable[UUID | None]: ...


@dataclass(frozen=True)
class Publisher:
    database: Database

    async def sweep(self) -> None:
        """Publish and withdraw all that is due, each asset in a transaction of its own."""
        await self._repeat("asset_published", publication.publish_due)
        await self._repeat("asset_rights_ended", publication.end_due)
        await self._render_outdated()

    async def render_referrers(self, payload: bytes) -> None:
        """Job: an asset has appeared, vanished or changed, so what names it must say so."""
        patience_ends = time.monotonic() + PATIENCE.total_seconds()
        while True:
            try:
                async with self.database.transaction() as session:
                    found = await asset_relations.referrers(session, UUID(payload.decode()))
                for asset_id in found:
                    await self._render(asset_id)
            except Exception as error:
                faults.report("referrers_not_rendered", error)
                if time.monotonic() > patience_ends:
                    raise
                await asyncio.sleep(PAUSE.total_seconds())
            else:
                return

    async def _repeat(self, event: str, step: Step) -> None:
        while True:
            async with self.database.transaction() as session:
                asset_id = await step(session, now=datetime.now(UTC))
            if asset_id is None:
                return
            log.info(event, asset_id=str(asset_id))

    async def _render_outdated(self) -> None:
        async with self.database.transaction() as session:
            outdated = await publication.outdated(session, limit=BATCH)
        for asset_id in outdated:
            await self._render(asset_id)

    async def _render(self, asset_id: UUID) -> None:
        async with self.database.transaction() as session:
            await publication.render_again(session, asset_id, now=datetime.now(UTC))
