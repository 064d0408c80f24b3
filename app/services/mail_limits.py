"""The limits of how fast editions leave, as admins see and set them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import InvalidInput, NotFound
from app.models import MailRate
from app.services import audit_events, policy
from app.services.context import Client
from app.services.emails import InvalidEmail, parse_email
from app.services.mail_rates import DOMAIN_PREFIX, SENDER


class InvalidScope(InvalidInput):
    code, title = "invalid_scope", "A limit is of the sender, or of a domain: domain:example.org"


async def list_limits(
    session: AsyncSession, *, after: str | None, limit: int
) -> Sequence[MailRate]:
    """Limits by scope; `after` is the scope that the page before ended with."""
    query = select(MailRate).order_by(MailRate.scope).limit(limit)
    if after is not None:
        query = query.where(MailRate.scope > after)
    return (await session.scalars(query)).all()


async def set_limit(
    session: AsyncSession,
    scope: str,
    per_second: float,
    *,
    admin_id: UUID,
    client: Client,
    now: datetime,
) -> MailRate:
    """Allow so many mails a second, all workers together. Raises `InvalidScope`.

    Where a server has asked for less, that holds until it has recovered to here.
    """
    scope = canonical_scope(scope)
    new = {"allowed": per_second, "updated_at": now}
    statement = insert(MailRate).values(scope=scope, given_until=now, **new)
    # A slow limit gives turns far ahead, for which nobody need wait any more.
    soon = func.least(MailRate.given_until, now + policy.TURNS_AHEAD)
    statement = statement.on_conflict_do_update(
        constraint="pk_newsletter_rate", set_={"given_until": soon, "asked_until": None, **new}
    )
    rate = (await session.scalars(statement.returning(MailRate))).one()
    details = {"scope": scope, "per_second": per_second}
    await audit_events.record(
        session, "mail_rate.set", account_id=admin_id, client=client, details=details, now=now
    )
    return rate


async def remove_limit(
    session: AsyncSession, scope: str, *, admin_id: UUID, client: Client, now: datetime
) -> None:
    """Let mails leave as fast as they can, also where a server had asked for less."""
    scope = canonical_scope(scope)
    removed = delete(MailRate).where(MailRate.scope == scope).returning(MailRate.scope)
    if await session.scalar(removed) is None:
        raise NotFound
    await audit_events.record(
        session,
        "mail_rate.removed",
        account_id=admin_id,
        client=client,
        details={"scope": scope},
        now=now,
    )


def canonical_scope(scope: str) -> str:
    """The scope with its domain as in the keys of addresses: lower case, in IDNA's ASCII form."""
    if scope == SENDER:
        return scope
    prefix, _, domain = scope.partition(":")
    if f"{prefix}:" != DOMAIN_PREFIX:
        raise InvalidScope
    try:
        key = parse_email(f"postmaster@{domain}").key
    except InvalidEmail:
        raise InvalidScope from None
    return DOMAIN_PREFIX + key.rpartition("@")[2]
