"""What an account sees of the deliveries to its webhooks, and sending them again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import AppError, FieldError, InvalidInput, NotFound
from app.models import WebhookDelivery, WebhookEndpoint
from app.services import changes, policy, webhook_messages, webhook_states, webhooks
from app.services.auth import Transactions
from app.services.webhook_messages import CHALLENGE
from app.services.webhook_states import WebhookNotProven
from app.services.webhooks import Asked

DeliveryState = Literal["pending", "delivered", "failed"]
# Deleted in one transaction.
DELETE_CHUNK = 20_000


class ChallengeNotReplayable(AppError):
    status, code = 409, "challenge_not_replayable"
    title = "Ask for a new challenge instead"


@dataclass(frozen=True, slots=True)
class Range:
    """Changes after a number or since a time, and up to another or the latest."""

    after_sequence: int | None = None
    since: datetime | None = None
    until_sequence: int | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Replay:
    """How far a range was replayed: up to `last_sequence`, with so many deliveries."""

    after_sequence: int
    last_sequence: int
    deliveries: int
    is_complete: bool


async def list_deliveries(
    session: AsyncSession,
    endpoint: WebhookEndpoint,
    *,
    state: DeliveryState | None,
    before: UUID | None,
    limit: int,
) -> Sequence[WebhookDelivery]:
    """Newest first; `before` is the id that the previous page ended with."""
    query = select(WebhookDelivery).where(WebhookDelivery.endpoint_id == endpoint.id)
    if state is not None:
        query = query.where(WebhookDelivery.state == state)
    if before is not None:
        query = query.where(WebhookDelivery.id < before)
    return (await session.scalars(query.order_by(WebhookDelivery.id.desc()).limit(limit))).all()


async def get_delivery(
    session: AsyncSession, endpoint: WebhookEndpoint, delivery_id: UUID
) -> WebhookDelivery:
    delivery = await session.get(WebhookDelivery, delivery_id, populate_existing=True)
    if delivery is None or delivery.endpoint_id != endpoint.id:
        raise NotFound
    return delivery


async def send_test(session: AsyncSession, webhook_id: UUID, *, asked: Asked) -> WebhookDelivery:
    """Send a message that means nothing, to see it arrive: after a pause, where there is one."""
    endpoint = await _proven(session, webhook_id, asked)
    message = webhook_messages.compose(
        webhook_messages.TEST, {"id": str(endpoint.id)}, at=asked.now
    )
    [delivery_id] = await webhook_messages.add(session, [(endpoint.id, message)], now=asked.now)
    await webhook_messages.wake(session)
    return await session.get_one(WebhookDelivery, delivery_id)


async def replay(
    session: AsyncSession, webhook_id: UUID, delivery_id: UUID, *, asked: Asked
) -> WebhookDelivery:
    """Let a delivery begin anew, with all its attempts; one that waits goes at once."""
    endpoint = await _proven(session, webhook_id, asked)
    delivery = await get_delivery(session, endpoint, delivery_id)
    if delivery.event == CHALLENGE:
        raise ChallengeNotReplayable
    if delivery.leased_until is None or delivery.state != "pending":
        delivery.state, delivery.attempts, delivery.leased_until = "pending", 0, None
        delivery.next_at = asked.now
    await webhook_messages.wake(session)
    return delivery


async def replay_range(
    session: AsyncSession, webhook_id: UUID, wanted: Range, *, api_url: str, asked: Asked
) -> Replay:
    """Send the changes of a range that the endpoint wants, whether it has had them or not.

    At most ten thousand changes at a time: go on after `last_sequence` where it is not complete.
    """
    endpoint = await _proven(session, webhook_id, asked)
    first, last = await _limits(session, wanted)
    reached = min(last, first + policy.WEBHOOK_REPLAY_MAX)
    part, deliveries = policy.WEBHOOK_FAN_OUT_ROWS, 0
    for begin in range(first, reached, part):
        end = min(begin + part, reached)
        deliveries += await _replay_part(
            session, endpoint, begin, end, api_url=api_url, now=asked.now
        )
    _note_made_up(endpoint, first, reached)
    await webhook_messages.wake(session)
    details = {"after_sequence": first, "last_sequence": reached, "deliveries": deliveries}
    await webhook_states.record(
        session,
        "webhook.replayed",
        endpoint,
        client=asked.client,
        now=asked.now,
        details=details,
    )
    return Replay(first, reached, deliveries, reached == last)


async def delete_ledger(
    transactions: Transactions, account_id: UUID, *, webhook_id: UUID | None = None
) -> None:
    """Delete deliveries of one or all endpoints of an account, a part at a time.

    Before the endpoints themselves: of millions, one statement would take too long. Those are
    locked first, as by everybody who changes deliveries: a worker may be about to claim these.
    """
    mine = select(WebhookEndpoint.id).where(WebhookEndpoint.account_id == account_id)
    if webhook_id is not None:
        mine = mine.where(WebhookEndpoint.id == webhook_id)
    locked = mine.order_by(WebhookEndpoint.id).with_for_update(key_share=True)
    part = (
        select(WebhookDelivery.id).where(WebhookDelivery.endpoint_id.in_(mine)).limit(DELETE_CHUNK)
    )
    statement = delete(WebhookDelivery).where(WebhookDelivery.id.in_(part.scalar_subquery()))
    while True:
        async with transactions() as session:
            await session.execute(locked)
            gone = await session.execute(statement.returning(WebhookDelivery.id))
            count = len(gone.all())
        if count < DELETE_CHUNK:
            return


async def _proven(session: AsyncSession, webhook_id: UUID, asked: Asked) -> WebhookEndpoint:
    """One's own endpoint, locked, if it gets messages, or will after a pause."""
    endpoint = await webhooks.find_own(session, webhook_id, asked.caller.account_id, lock=True)
    if endpoint.state not in {"active", "paused"}:
        raise WebhookNotProven
    return endpoint


async def _limits(session: AsyncSession, wanted: Range) -> tuple[int, int]:
    """The numbers that a range begins after and ends with, within what there is."""
    last = await changes.last_sequence(session)
    if wanted.until_sequence is not None:
        last = min(last, wanted.until_sequence)
    if wanted.until is not None:
        last = min(last, await changes.last_before(session, wanted.until))
    if wanted.since is not None:
        first = await changes.last_before(session, wanted.since)
    else:
        first = wanted.after_sequence or 0
    if first > last:
        message = "There is no change in this range"
        raise InvalidInput(errors=[FieldError(pointer="", code="empty_range", message=message)])
    return first, last


async def _replay_part(
    session: AsyncSession,
    endpoint: WebhookEndpoint,
    first: int,
    last: int,
    *,
    api_url: str,
    now: datetime,
) -> int:
    """So few changes that others are answered in between; returns how many deliveries wait."""
    found = await changes.list_after(session, first, up_to=last, limit=last - first)
    messages = [webhook_messages.about_change(each, api_url=api_url) for each in found]
    wanted = [(endpoint.id, each) for each in messages if each.event in endpoint.events]
    return len(await webhook_messages.add_again(session, wanted, now=now))


def _note_made_up(endpoint: WebhookEndpoint, first: int, reached: int) -> None:
    """Take from what the endpoint has missed what is on its way now."""
    if endpoint.missed_after is None or endpoint.missed_until is None:
        return
    if first <= endpoint.missed_after <= reached:
        endpoint.missed_after = reached
    if endpoint.missed_after >= endpoint.missed_until:
        endpoint.missed_after = endpoint.missed_until = None
