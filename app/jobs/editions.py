"""Starts editions at their time."""

from datetime import UTC, datetime

import structlog

from app.db import Database
from app.services import edition_states
from app.services.context import Newsroom

log = structlog.get_logger(__name__)


async def start_due(database: Database, newsroom: Newsroom) -> None:
    """Start all whose time has come, each in a transaction of its own."""
    while True:
        async with database.transaction() as session:
            edition_id = await edition_states.start_due(
                session, newsroom=newsroom, now=datetime.now(UTC)
            )
        if edition_id is None:
            return
        log.info("edition_due", edition_id=str(edition_id))
