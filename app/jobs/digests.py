"""Makes digests when their hour has come, or as soon after it as a worker lives."""

from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from app.db import Database
from app.jobs import faults
from app.services import digests
from app.services.context import Newsroom

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Digester:
    database: Database
    newsroom: Newsroom

    async def make_due(self) -> None:
        """Each frequency in a transaction of its own, so that neither waits for the other."""
        for frequency in digests.FREQUENCIES:
            try:
                async with self.database.transaction() as session:
                    edition_id = await digests.make_due(
                        session, frequency, newsroom=self.newsroom, now=datetime.now(UTC)
                    )
            except Exception as error:  # noqa: BLE001  # whatever it is, the next minute comes
                faults.report("digest_not_made", error, frequency=frequency)
            else:
                if edition_id is not None:
                    log.info("digest_made", frequency=frequency, edition_id=str(edition_id))
