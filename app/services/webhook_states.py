"""When an endpoint may be sent to: proven by a challenge, paused, or given up."""

import json
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import crypto
from app.crypto import Keyring
from app.errors import AppError
from app.models import Account, WebhookDelivery, WebhookEndpoint
from app.services import audit_events, changes, mail_outbox, policy, webhook_messages
from app.services.context import Client, Deployment

DisabledReason = Literal["failing", "gone"]
# What a delivery says that no worker will try again, though its attempts are not spent.
SUPERSEDED, DISABLED = "superseded", "endpoint_disabled"


class WebhookNotProven(AppError):
    status, code = 409, "webhook_not_proven"
    title = "The endpoint has to answer its challenge first"


class WebhookProven(AppError):
    status, code, title = 409, "webhook_proven", "The endpoint has answered its challenge already"


class TooManyChallenges(AppError):
    status, code = 429, "too_many_challenges"
    title = f"At most {policy.WEBHOOK_CHALLENGES_PER_HOUR} challenges are sent in an hour"


async def send_challenge(
    session: AsyncSession,
    endpoint: WebhookEndpoint,
    *,
    client: Client | None,
    deployment: Deployment,
    now: datetime,
) -> None:
    """Ask the URL whether it wants our messages; until it has said so, it gets no other."""
    if deployment.limits_on:
        await _check_rate(session, endpoint.account_id, now=now)
    endpoint.state, endpoint.held_until = "pending", None
    challenges = (
        WebhookDelivery.endpoint_id == endpoint.id,
        WebhookDelivery.event == webhook_messages.CHALLENGE,
        WebhookDelivery.state == "pending",
    )
    failed = {"state": "failed", "error": SUPERSEDED, "leased_until": None}
    await session.execute(update(WebhookDelivery).where(*challenges).values(failed))
    data = {"challenge": crypto.new_token()}
    message = webhook_messages.compose(webhook_messages.CHALLENGE, data, at=now)
    await session.flush()
    await webhook_messages.add(session, [(endpoint.id, message)], now=now)
    await webhook_messages.wake(session)
    await record(session, "webhook.challenge_sent", endpoint, client=client, now=now)


def is_answered(payload: str, body: bytes) -> bool:
    """Whether an answer holds the challenge: as JSON with that member, or as all of the text."""
    challenge = str(json.loads(payload)["data"]["challenge"])
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return body.strip() == challenge.encode()
    given = answer.get("challenge") if isinstance(answer, dict) else answer
    return isinstance(given, str) and given == challenge


async def follow_answer(
    session: AsyncSession,
    endpoint_id: UUID,
    answer: Literal["proven", "gone"],
    *,
    keyring: Keyring,
    now: datetime,
) -> None:
    """Heed an answer that says something about the endpoint, which the caller has locked."""
    endpoint = await session.get(WebhookEndpoint, endpoint_id, populate_existing=True)
    if endpoint is None:
        return
    if answer == "proven" and endpoint.state == "pending":
        await activate(session, endpoint, now=now)
    elif answer == "gone" and endpoint.state == "active":
        await disable(session, endpoint, "gone", keyring=keyring, now=now)


async def activate(session: AsyncSession, endpoint: WebhookEndpoint, *, now: datetime) -> None:
    """Let a locked endpoint that was proven, or paused, get messages from now on."""
    head = await changes.last_sequence(session)
    # Nobody reads ten thousand hints at once; who was away for longer reads the feed, or replays.
    oldest = head if endpoint.disabled_reason else head - policy.WEBHOOK_CATCH_UP
    if endpoint.read_until < oldest:
        if endpoint.missed_after is None:
            endpoint.missed_after = endpoint.read_until
        endpoint.missed_until = oldest
        endpoint.read_until = oldest
    endpoint.state, endpoint.disabled_reason = "active", None
    endpoint.failing_since, endpoint.held_until = None, None
    endpoint.updated_at = now
    await webhook_messages.wake(session)


async def disable(
    session: AsyncSession,
    endpoint: WebhookEndpoint,
    reason: DisabledReason,
    *,
    keyring: Keyring,
    now: datetime,
) -> None:
    """Give a locked endpoint up and tell its owner; what waits for it will not be sent."""
    last_taken = await _last_delivered_before(session, endpoint)
    if last_taken < endpoint.read_until:
        earlier = endpoint.missed_after
        endpoint.missed_after = last_taken if earlier is None else min(earlier, last_taken)
        endpoint.missed_until = endpoint.read_until
    endpoint.state, endpoint.disabled_reason, endpoint.updated_at = "disabled", reason, now
    waiting = (WebhookDelivery.endpoint_id == endpoint.id, WebhookDelivery.state == "pending")
    failed = {"state": "failed", "error": DISABLED, "leased_until": None}
    await session.execute(update(WebhookDelivery).where(*waiting).values(failed))
    await record(
        session, "webhook.disabled", endpoint, client=None, now=now, details={"reason": reason}
    )
    account = await session.get_one(Account, endpoint.account_id)
    params = {"host": host_of(endpoint.url), "reason": reason}
    await mail_outbox.enqueue(
        session,
        kind="webhook_disabled",
        to=account.email,
        locale=account.locale,
        params=params,
        keyring=keyring,
        now=now,
        account_id=account.id,
    )


async def disable_next(session: AsyncSession, *, keyring: Keyring, now: datetime) -> UUID | None:
    """Give up one endpoint that has failed for five days; None when there is none."""
    since = now - policy.WEBHOOK_DISABLED_AFTER
    query = select(WebhookEndpoint).where(
        WebhookEndpoint.state == "active", WebhookEndpoint.failing_since <= since
    )
    failing = query.order_by(WebhookEndpoint.failing_since).limit(1)
    locked = failing.with_for_update(skip_locked=True, key_share=True)
    endpoint = (await session.scalars(locked)).one_or_none()
    if endpoint is None:
        return None
    await disable(session, endpoint, "failing", keyring=keyring, now=now)
    return endpoint.id


def host_of(url: str) -> str:
    """What mails and the audit trail name of a URL, whose path may be secret."""
    return urlsplit(url).hostname or ""


async def record(
    session: AsyncSession,
    action: str,
    endpoint: WebhookEndpoint,
    *,
    client: Client | None,
    now: datetime,
    details: dict[str, Any] | None = None,
) -> None:
    """Note in the audit trail what was done with an endpoint."""
    named = {"webhook_id": str(endpoint.id), "host": host_of(endpoint.url), **(details or {})}
    await audit_events.record(
        session, action, account_id=endpoint.account_id, client=client, now=now, details=named
    )


async def _check_rate(session: AsyncSession, account_id: UUID, *, now: datetime) -> None:
    """Nobody shall use us to keep a stranger's server busy."""
    hour_ago = now - timedelta(hours=1)
    sent = await audit_events.times_since(
        session, "webhook.challenge_sent", account_id=account_id, since=hour_ago
    )
    if len(sent) >= policy.WEBHOOK_CHALLENGES_PER_HOUR:
        oldest_counted = sent[-policy.WEBHOOK_CHALLENGES_PER_HOUR]
        raise TooManyChallenges(retry_after=oldest_counted - hour_ago)


async def _last_delivered_before(session: AsyncSession, endpoint: WebhookEndpoint) -> int:
    """The number before the first change that this endpoint has not taken since it fails."""
    not_taken = (
        WebhookDelivery.endpoint_id == endpoint.id,
        or_(
            WebhookDelivery.state == "pending",
            (WebhookDelivery.state == "failed")
            & (WebhookDelivery.last_attempt_at >= endpoint.failing_since),
        ),
    )
    first = await session.scalar(select(func.min(WebhookDelivery.sequence)).where(*not_taken))
    return endpoint.read_until if first is None else first - 1
