"""What is deleted when; the terms are in policy.py and their reasons in docs/security.md."""

from datetime import UTC, datetime

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    delete,
    exists,
    inspect,
    or_,
    select,
    text,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.models import (
    ApiKey,
    ApiKeySecret,
    ApiKeyUsage,
    AuditEvent,
    Consent,
    Delivery,
    Edition,
    EmailChangeUndo,
    FailedCodes,
    IdempotencyKey,
    LoginFailures,
    OutboxMail,
    RevokedToken,
    SavedSearchMatch,
    Session,
    Signup,
    StoredSigningKey,
    Subscriber,
    VerificationCode,
    VerificationFlow,
    WebhookDelivery,
)
from app.models.base import Base
from app.services import policy

# Small enough that no transaction holds its locks for long.
BATCH = 1000


def _expired(now: datetime) -> dict[type[Base], ColumnElement[bool]]:
    return {
        # Codes go with their flows.
        VerificationFlow: _is_over(now),
        Session: (Session.expires_at < now - policy.KEEP_ENDED_SESSION)
        | (Session.ended_at < now - policy.KEEP_ENDED_SESSION)
        | (Session.last_used_at < now - policy.REFRESH_IDLE_LIFETIME - policy.KEEP_ENDED_SESSION),
        EmailChangeUndo: EmailChangeUndo.expires_at < now,
        OutboxMail: OutboxMail.finished_at < now - policy.KEEP_FINISHED_MAIL,
        FailedCodes: FailedCodes.day < (now - policy.KEEP_FAILED_CODE_COUNTS).date(),
        LoginFailures: LoginFailures.window_started_at < now - policy.KEEP_LOGIN_FAILURES,
        IdempotencyKey: IdempotencyKey.created_at < now - policy.KEEP_IDEMPOTENCY_KEY,
        AuditEvent: AuditEvent.occurred_at < now - policy.KEEP_AUDIT_EVENT,
        StoredSigningKey: StoredSigningKey.retires_at < now,
        # Its usage goes with it; what it has downloaded stays without its name.
        ApiKey: (ApiKey.revoked_at < now - policy.KEEP_ENDED_KEY)
        | (ApiKey.expires_at < now - policy.KEEP_ENDED_KEY),
        ApiKeySecret: ApiKeySecret.expires_at < now,
        ApiKeyUsage: ApiKeyUsage.day < (now - policy.KEEP_KEY_USAGE).date(),
        RevokedToken: RevokedToken.expires_at < now,
        Signup: Signup.expires_at < now,
        Consent: _has_ended(now),
        # One that was replayed, or is tried still, is young again by its next attempt.
        WebhookDelivery: (WebhookDelivery.created_at < now - policy.KEEP_WEBHOOK_DELIVERY)
        & (WebhookDelivery.next_at < now - policy.KEEP_WEBHOOK_DELIVERY),
        SavedSearchMatch: SavedSearchMatch.matched_at < now - policy.KEEP_SAVED_SEARCH_MATCH,
        Delivery: Delivery.edition_id.in_(
            select(Edition.id).where(Edition.finished_at < now - policy.KEEP_DELIVERY)
        ),
    }


def _is_over(now: datetime) -> ColumnElement[bool]:
    """A flow's term begins again with each code: its mail may wait, or its reset be under way."""
    since = now - policy.KEEP_PENDING_FLOW
    later_code = exists().where(
        VerificationCode.flow_id == VerificationFlow.id, VerificationCode.issued_at >= since
    )
    return (VerificationFlow.created_at < since) & ~later_code


def _has_ended(now: datetime) -> ColumnElement[bool]:
    """Evidence is needed while its subscription runs, and for a term after that and all of it."""
    since = now - policy.KEEP_CONSENT
    later = aliased(Consent)
    later_step = exists().where(
        later.subscriber_id == Consent.subscriber_id, later.occurred_at >= since
    )
    subscription = exists().where(
        Subscriber.id == Consent.subscriber_id,
        or_(Subscriber.state == "subscribed", Subscriber.ended_at >= since),
    )
    return (Consent.occurred_at < since) & ~later_step & ~subscription


Table = type[Base]
TABLES: tuple[Table, ...] = tuple(_expired(datetime.now(UTC)))


async def purge_batch(session: AsyncSession, table: type[Base], *, now: datetime) -> int:
    """Delete up to a thousand expired rows of one table; returns how many that were."""
    key = inspect(table).primary_key
    # A CTE that locks is computed once; a mere subquery might be, with its LIMIT, for each row.
    rows = select(*key).where(_expired(now)[table]).limit(BATCH).with_for_update(skip_locked=True)
    batch = rows.cte("batch")
    result = await session.execute(delete(table).where(tuple_(*key).in_(select(batch))))
    assert isinstance(result, CursorResult)  # noqa: S101  # a DELETE gives a row count
    return result.rowcount


async def purge_queue_log(session: AsyncSession, *, now: datetime) -> None:
    """PgQueuer keeps rows for each job and counts for each second, and never deletes any."""
    before = {"before": now - policy.KEEP_QUEUE_LOG}
    await session.execute(
        text("DELETE FROM pgqueuer_log WHERE created < :before AND aggregated"), before
    )
    await session.execute(text("DELETE FROM pgqueuer_statistics WHERE created < :before"), before)
