"""Lets saved searches look at what was published, and mails what they have found."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from app.crypto import Keyring
from app.db import Database
from app.jobs import faults
from app.services import saved_search_alerts, saved_search_mails
from app.services.context import Newsroom

log = structlog.get_logger(__name__)

# Accounts that are mailed before the searches look again.
BATCH = 1000


@dataclass(frozen=True)
class Alerter:
    database: Database
    newsroom: Newsroom
    keyring: Keyring = field(repr=False)

    async def sweep(self) -> None:
        """Look until all searches have seen everything, then mail whoever may be mailed."""
        await self._look()
        await self._mail()

    async def _look(self) -> None:
        looking = True
        while looking:
            async with self.database.transaction() as session:
                looking = await saved_search_alerts.look_further(session, now=datetime.now(UTC))

    async def _mail(self) -> None:
        """Each account in a transaction of its own, so that none waits for another's fault."""
        async with self.database.transaction() as session:
            now = datetime.now(UTC)
            due = await saved_search_mails.due_accounts(session, now=now, limit=BATCH)
        for account_id in due:
            try:
                async with self.database.transaction() as session:
                    await saved_search_mails.mail(
                        session,
                        account_id,
                        keyring=self.keyring,
                        newsroom=self.newsroom,
                        now=datetime.now(UTC),
                    )
            except Exception as error:  # noqa: BLE001  # its next time comes
                faults.report("saved_search_not_mailed", error)
