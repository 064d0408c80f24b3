"""Webhook endpoints: what an account wants to be told, where, and signed by which keys."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import AppError, NotFound
from app.models import WebhookEndpoint
from app.services import (
    changes,
    mail_outbox,
    policy,
    reauthentication,
    webhook_messages,
    webhook_secrets,
    webhook_states,
    webhook_urls,
)
from app.services.auth import Caller
from app.services.context import Client, Deployment
from app.services.webhook_messages import Event
from app.services.webhook_states import WebhookNotProven, WebhookProven


class TooManyWebhooks(AppError):
    status, code = 409, "too_many_webhooks"
    title = f"An account has at most {policy.MAX_WEBHOOKS_PER_ACCOUNT} webhooks; delete one first"


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for a change, and under which rules and at which time it is made."""

    caller: Caller
    client: Client
    deployment: Deployment
    # Whether this installation may send to its own host: in development.
    loopback: bool
    now: datetime


async def create(
    session: AsyncSession, sent: Mapping[str, Any], *, asked: Asked
) -> tuple[WebhookEndpoint, str]:
    """Make an endpoint and send it its challenge; with the secret, which is shown once."""
    url = webhook_urls.checked(sent["url"], loopback=asked.loopback)
    await reauthentication.require_recent_password(session, asked.caller, now=asked.now)
    account = await reauthentication.own_account(session, asked.caller.account_id)
    mine = WebhookEndpoint.account_id == account.id
    count = await session.scalar(select(func.count()).select_from(WebhookEndpoint).where(mine))
    if (count or 0) >= policy.MAX_WEBHOOKS_PER_ACCOUNT:
        raise TooManyWebhooks
    keyring = asked.deployment.keyring
    secret, sealed_secret = webhook_secrets.new_secret(keyring)
    public_key, sealed_signing_key = webhook_secrets.new_signing_key(keyring)
    endpoint = WebhookEndpoint(
        account_id=account.id,
        url=url,
        description=sent.get("description"),
        events=sent["events"],
        sealed_secret=sealed_secret,
        sealed_signing_key=sealed_signing_key,
        public_key=public_key,
        read_until=await changes.last_sequence(session),
        created_at=asked.now,
        updated_at=asked.now,
    )
    session.add(endpoint)
    await session.flush()
    await _record("webhook.created", session, endpoint, asked)
    await _challenge(session, endpoint, asked)
    await _notify(session, endpoint, asked)
    return endpoint, secret


async def list_own(session: AsyncSession, account_id: UUID) -> Sequence[WebhookEndpoint]:
    """Oldest first; there are few."""
    query = select(WebhookEndpoint).where(WebhookEndpoint.account_id == account_id)
    return (await session.scalars(query.order_by(WebhookEndpoint.id))).all()


async def find_own(
    session: AsyncSession, webhook_id: UUID, account_id: UUID, *, lock: bool = False
) -> WebhookEndpoint:
    """One's own endpoint; another's is not found."""
    query = select(WebhookEndpoint).where(
        WebhookEndpoint.id == webhook_id, WebhookEndpoint.account_id == account_id
    )
    if lock:
        query = query.with_for_update(key_share=True)
    endpoint = (await session.scalars(query)).one_or_none()
    if endpoint is None:
        raise NotFound
    return endpoint


async def change(
    session: AsyncSession, webhook_id: UUID, sent: Mapping[str, Any], *, asked: Asked
) -> WebhookEndpoint:
    """Apply a merge patch (RFC 7396). A new URL has to be proven as the first one had."""
    if "url" in sent:
        # Before the endpoint, as who erases the account does; a mail will refer to it.
        await reauthentication.own_account(session, asked.caller.account_id)
    endpoint = await find_own(session, webhook_id, asked.caller.account_id, lock=True)
    url = webhook_urls.checked(sent.get("url", endpoint.url), loopback=asked.loopback)
    is_moved = url != endpoint.url
    if is_moved:
        await reauthentication.require_recent_password(session, asked.caller, now=asked.now)
        endpoint.url = url
        await _challenge(session, endpoint, asked)
        await _notify(session, endpoint, asked)
    endpoint.events = sent.get("events", endpoint.events)
    endpoint.description = sent.get("description", endpoint.description)
    wanted = sent.get("state", endpoint.state)
    if wanted != endpoint.state and not (is_moved and wanted == "active"):
        await _go_to(session, endpoint, wanted, asked)
    endpoint.updated_at = asked.now
    await _record("webhook.changed", session, endpoint, asked, fields=sorted(sent))
    return endpoint


async def delete(session: AsyncSession, webhook_id: UUID, *, asked: Asked) -> None:
    """Take an endpoint away, with the ledger of its deliveries."""
    endpoint = await find_own(session, webhook_id, asked.caller.account_id, lock=True)
    await _record("webhook.deleted", session, endpoint, asked)
    await session.delete(endpoint)


async def challenge(session: AsyncSession, webhook_id: UUID, *, asked: Asked) -> WebhookEndpoint:
    """Send another challenge; one that still waits for its answer counts no more."""
    endpoint = await find_own(session, webhook_id, asked.caller.account_id, lock=True)
    if endpoint.state in {"active", "paused"}:
        raise WebhookProven
    await _challenge(session, endpoint, asked)
    return endpoint


async def rotate_secret(
    session: AsyncSession, webhook_id: UUID, *, asked: Asked
) -> tuple[WebhookEndpoint, str]:
    """Give a new secret; for a day, messages are signed by the one before as well."""
    endpoint = await find_own(session, webhook_id, asked.caller.account_id, lock=True)
    secret, sealed = webhook_secrets.new_secret(asked.deployment.keyring)
    endpoint.sealed_previous_secret = endpoint.sealed_secret
    endpoint.previous_secret_ends_at = asked.now + policy.WEBHOOK_SECRET_OVERLAP
    endpoint.sealed_secret = sealed
    endpoint.updated_at = asked.now
    await _record("webhook.secret_rotated", session, endpoint, asked)
    return endpoint, secret


async def enqueue(
    session: AsyncSession,
    account_id: UUID,
    event: Event,
    data: Mapping[str, Any],
    *,
    now: datetime,
    endpoint_ids: Collection[UUID] | None = None,
) -> int:
    """Tell an account's endpoints of an event, in the transaction of its cause.

    Only those that are active or paused and want such events, and of these only the ones named, if
    any are. Returns how many that are. `ValueError` where the data is too large for a message.
    """
    query = select(WebhookEndpoint.id).where(
        WebhookEndpoint.account_id == account_id,
        WebhookEndpoint.state.in_(["active", "paused"]),
        WebhookEndpoint.events.contains([event]),
    )
    if endpoint_ids is not None:
        query = query.where(WebhookEndpoint.id.in_(endpoint_ids))
    ordered = query.order_by(WebhookEndpoint.id)
    found = (await session.scalars(ordered.with_for_update(key_share=True, read=True))).all()
    message = webhook_messages.compose(event, data, at=now)
    await webhook_messages.add(session, [(each, message) for each in found], now=now)
    if found:
        await webhook_messages.wake(session)
    return len(found)


async def _go_to(
    session: AsyncSession, endpoint: WebhookEndpoint, wanted: str, asked: Asked
) -> None:
    """Pause, go on after a pause, or ask an endpoint that was given up whether it is back."""
    if endpoint.state == "active" and wanted == "paused":
        endpoint.state = "paused"
    elif endpoint.state == "paused" and wanted == "active":
        await webhook_states.activate(session, endpoint, now=asked.now)
    elif endpoint.state == "disabled" and wanted == "active":
        await _challenge(session, endpoint, asked)
    else:
        raise WebhookNotProven


async def _challenge(session: AsyncSession, endpoint: WebhookEndpoint, asked: Asked) -> None:
    await webhook_states.send_challenge(
        session, endpoint, client=asked.client, deployment=asked.deployment, now=asked.now
    )


async def _notify(session: AsyncSession, endpoint: WebhookEndpoint, asked: Asked) -> None:
    account = await reauthentication.own_account(session, endpoint.account_id)
    params = {"host": webhook_states.host_of(endpoint.url)}
    await mail_outbox.notify(
        session,
        account,
        "webhook_created",
        deployment=asked.deployment,
        now=asked.now,
        params=params,
    )


async def _record(
    action: str, session: AsyncSession, endpoint: WebhookEndpoint, asked: Asked, **details: Any
) -> None:
    await webhook_states.record(
        session, action, endpoint, client=asked.client, now=asked.now, details=details
    )
