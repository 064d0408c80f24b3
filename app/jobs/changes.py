"""Keeps the change feed complete, whoever wrote to the catalogue."""

from uuid import UUID

import structlog

from app.db import Database
from app.errors import NotFound
from app.services import change_feed

log = structlog.get_logger(__name__)


class FeedKeeper:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._has_begun = False

    async def begin(self) -> None:
        """What a worker does first; to be called until it has succeeded once."""
        if not self._has_begun:
            await self.renew_if_moved()
            await self.reconcile()
            self._has_begun = True

    async def renew_if_moved(self) -> None:
        async with self._database.transaction() as session:
            epoch = await change_feed.reset_if_moved(session)
        if epoch is not None:
            log.warning("feed_reset", epoch=str(epoch))

    async def reconcile(self) -> int:
        """Record what the catalogue shows and the feed does not; gives how much that was."""
        after: UUID | None = None
        recorded = 0
        while True:
            async with self._database.transaction() as session:
                after, unrecorded = await change_feed.find_unrecorded(session, after=after)
            if after is None:
                break
            for asset_id in unrecorded:
                recorded += await self._record(asset_id)
        if recorded:
            log.warning("changes_recorded_late", count=recorded)
        return recorded

    async def _record(self, asset_id: UUID) -> bool:
        try:
            async with self._database.transaction() as session:
                return await change_feed.record_missing(session, asset_id)
        except NotFound:  # a draft again, and deleted
            return False
