"""From the change feed to the ledger: a delivery for every change and every endpoint that wants it.

The feed is the outbox: its rows are written in the transaction of their cause and numbered without
gaps, and an endpoint's `read_until` moves on in the transaction that writes its deliveries. So
nothing is lost and nothing comes twice, whoever dies in between.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Account, WebhookEndpoint
from app.services import changes, policy, webhook_messages

ENDPOINTS_AT_ONCE = 100


async def read_on(
    session: AsyncSession, *, api_url: str, now: datetime, farthest_first: bool = True
) -> bool:
    """Read changes for a group of endpoints; False when every endpoint has read all.

    Any number of workers may do it at once: an endpoint that another reads for is left to it.
    """
    order = WebhookEndpoint.read_until
    endpoints = await _lock_behind(session, order.desc() if farthest_first else order.asc())
    if not endpoints:
        return False
    limit = max(1, policy.WEBHOOK_FAN_OUT_ROWS // len(endpoints))
    group = _together(endpoints, limit)
    found = await changes.list_after(session, min(each.read_until for each in group), limit=limit)
    messages = [webhook_messages.about_change(each, api_url=api_url) for each in found]
    wanted = [
        (endpoint.id, message)
        for message in messages
        for endpoint in group
        if (message.sequence or 0) > endpoint.read_until and message.event in endpoint.events
    ]
    await webhook_messages.add(session, wanted, now=now)
    last = max((message.sequence or 0 for message in messages), default=0)
    for endpoint in group:
        endpoint.read_until = max(endpoint.read_until, last)
    await session.flush()
    return True


async def _lock_behind(
    session: AsyncSession, order: ColumnElement[int]
) -> Sequence[WebhookEndpoint]:
    query = (
        select(WebhookEndpoint)
        .join(Account, Account.id == WebhookEndpoint.account_id)
        .where(
            WebhookEndpoint.state == "active",
            WebhookEndpoint.read_until < await changes.last_sequence(session),
            Account.suspended_at.is_(None),
        )
        .order_by(order)
        .limit(ENDPOINTS_AT_ONCE)
        .with_for_update(of=WebhookEndpoint, key_share=True, skip_locked=True)
    )
    return (await session.scalars(query)).all()


def _together(endpoints: Sequence[WebhookEndpoint], limit: int) -> Sequence[WebhookEndpoint]:
    """Those that the next changes concern; who is far behind has a turn of its own."""
    first = endpoints[0].read_until
    return [each for each in endpoints if abs(each.read_until - first) < limit]
