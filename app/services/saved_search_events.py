"""The webhook event of a saved search."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.services import policy, webhooks
from app.services.webhook_messages import Event

EVENT: Event = "saved_search.matched"


async def announce(
    session: AsyncSession, account_id: UUID, data: Mapping[str, Any], *, now: datetime
) -> None:
    """Tell the account's endpoints of new matches; leaves with the caller's commit.

    Many matches are told by several messages, since each must stay small.
    """
    asset_ids = data["asset_ids"]
    for start in range(0, len(asset_ids), policy.WEBHOOK_MATCHES_PER_MESSAGE):
        part = asset_ids[start : start + policy.WEBHOOK_MATCHES_PER_MESSAGE]
        told = {**data, "asset_ids": part}
        await webhooks.enqueue(session, account_id, EVENT, told, now=now)
