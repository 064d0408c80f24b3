"""The audit trail: what happened to whose account, appended in the transaction of the deed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Table, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from app.crypto import Keyring
from app.models import AuditEvent
from app.services.context import Client


async def record(
    session: AsyncSession,
    action: str,
    *,
    account_id: UUID | None,
    client: Client | None,
    now: datetime,
    actor_id: UUID | None = None,
    details: dict[str, Any] | None = None,
) -> None:
    """Append an event. `actor_id` is whoever did it where that is not the account itself."""
    values = {
        "id": uuid7(),
        "occurred_at": now,
        "action": action,
        "subject": str(account_id) if account_id else None,
        "actor_id": actor_id,
        "network": client.network if client else None,
        "request_id": client.request_id if client else None,
        "details": details or {},
    }
    await session.execute(_APPEND, values)


# Into the bare table: the ORM would spend as long as the database on a row that nobody reads back.
_APPEND = insert(cast("Table", AuditEvent.__table__))


async def pseudonymise(session: AsyncSession, account_id: UUID, *, keyring: Keyring) -> None:
    """Keep an erased account's events, tied together but no longer to a person."""
    pseudonym = f"erased:{keyring.digest('audit-pseudonym', account_id.bytes).hex()[:24]}"
    mine = AuditEvent.subject == str(account_id)
    await session.execute(
        update(AuditEvent).where(mine).values(subject=pseudonym, network=None, details={})
    )
    await session.execute(
        update(AuditEvent)
        .where(AuditEvent.actor_id == account_id)
        .values(actor_id=None, network=None)
    )


async def list_events(
    session: AsyncSession,
    *,
    subject: str | None,
    action: str | None,
    before: UUID | None,
    limit: int,
) -> Sequence[AuditEvent]:
    """Newest first; `before` is the id that the previous page ended with."""
    query = select(AuditEvent).order_by(AuditEvent.id.desc()).limit(limit)
    if subject is not None:
        query = query.where(AuditEvent.subject == subject)
    if action is not None:
        query = query.where(AuditEvent.action == action)
    if before is not None:
        query = query.where(AuditEvent.id < before)
    return (await session.scalars(query)).all()


async def list_since(
    session: AsyncSession, action: str, *, since: datetime
) -> Sequence[AuditEvent]:
    """Everything of one kind that happened after `since`, oldest first."""
    query = select(AuditEvent).where(AuditEvent.action == action, AuditEvent.occurred_at > since)
    return (await session.scalars(query.order_by(AuditEvent.id))).all()


async def times_since(
    session: AsyncSession, action: str, *, account_id: UUID, since: datetime
) -> Sequence[datetime]:
    """When one kind of event happened to an account after `since`, oldest first."""
    mine = (AuditEvent.subject == str(account_id), AuditEvent.action == action)
    query = select(AuditEvent.occurred_at).where(*mine, AuditEvent.occurred_at > since)
    return (await session.scalars(query.order_by(AuditEvent.id))).all()
