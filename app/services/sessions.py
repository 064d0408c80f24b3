"""Sessions: one per log-in and device, kept alive by rotating refresh tokens.

The nth refresh token of a session is derived from the session's secret and n, so none is stored
and a successor can be given out again to a phone that lost the answer in a tunnel.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, CursorResult, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from app import crypto
from app.crypto import Keyring
from app.errors import AppError, NotFound
from app.models import Account, Session
from app.services import audit_events, mail_outbox, policy, refresh_tokens
from app.services.context import Client, Deployment, Device, Transport
from app.services.refresh_tokens import InvalidRefreshToken

SECRET_BYTES = 32


class RefreshTokenReused(AppError):
    """Somebody else may hold a copy, so the whole family ends (RFC 9700, section 4.14.2)."""

    status, code = 401, "refresh_token_reused"
    title = "This refresh token was used before, so its session was ended; log in again"
    keep_changes = True


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A session with its newest refresh token, which is shown once."""

    id: UUID
    account: Account
    transport: Transport
    refresh_token: str = field(repr=False)
    expires_at: datetime


async def open_session(
    session: AsyncSession,
    account: Account,
    *,
    device: Device,
    keyring: Keyring,
    now: datetime,
) -> OpenedSession:
    """Start a session. Past 50 sessions of an account the oldest ends (ASVS 7.1.2)."""
    secret = crypto.random_bytes(SECRET_BYTES)
    session_id = uuid7()
    expires_at = now + policy.REFRESH_ABSOLUTE_LIFETIME
    values = {
        "id": session_id,
        "account_id": account.id,
        "secret": secret,
        "transport": device.transport,
        "device_name": device.name,
        "user_agent": device.client.user_agent,
        "network": device.client.network,
        "now": now,
        "expires_at": expires_at,
        "others": policy.MAX_SESSIONS_PER_ACCOUNT - 1,
    }
    await session.execute(_OPEN, values)
    token = refresh_tokens.derive(session_id, secret, 0, keyring)
    return OpenedSession(session_id, account, device.transport, token, expires_at)


# One round trip, and no expression to build: the password's hash shall be what a log-in costs.
_OPEN = text("""
    WITH surplus AS (
        UPDATE session SET ended_at = :now WHERE id IN (
            SELECT id FROM session WHERE account_id = :account_id AND ended_at IS NULL
             ORDER BY last_used_at DESC OFFSET :others
        )
    )
    INSERT INTO session (id, account_id, secret, counter, rotated_at, transport, device_name,
                         user_agent, network, created_at, last_used_at, expires_at)
    VALUES (:id, :account_id, :secret, 0, :now, :transport, :device_name,
            :user_agent, :network, :now, :now, :expires_at)
""")


async def refresh(
    session: AsyncSession, token: str, *, client: Client, deployment: Deployment, now: datetime
) -> OpenedSession:
    """Exchange a refresh token for its successor.

    The newest token rotates. Its parent is given the same successor again, until that successor
    is first used and for 30 s longer. Anything older means that there are two holders.
    """
    family, presented = await _find_family(session, token, deployment.keyring)
    if family.ended_at is not None or policy.is_expired(expiry(family), now):
        raise InvalidRefreshToken
    in_grace = now < family.rotated_at + policy.REFRESH_GRACE
    behind = family.counter - presented
    if behind == 0:
        family.counter += 1
        family.rotated_at = now
    elif behind > 2 or (behind == 2 and not in_grace):  # noqa: PLR2004  # parent's parent
        await _end_reused(session, family, client=client, deployment=deployment, now=now)
        raise RefreshTokenReused
    family.last_used_at = now
    account = await session.get_one(Account, family.account_id)
    if account.suspended_at is not None:
        raise InvalidRefreshToken
    transport: Transport = "cookie" if family.transport == "cookie" else "bearer"
    successor = refresh_tokens.derive(family.id, family.secret, presented + 1, deployment.keyring)
    return OpenedSession(family.id, account, transport, successor, family.expires_at)


async def list_sessions(
    session: AsyncSession, account_id: UUID, *, now: datetime
) -> Sequence[Session]:
    """The account's live sessions, the most recently used first."""
    query = select(Session).where(*_live(account_id, now)).order_by(Session.last_used_at.desc())
    return (await session.scalars(query)).all()


async def end_session(
    session: AsyncSession, account_id: UUID, session_id: UUID, *, client: Client, now: datetime
) -> None:
    """End one session; its access tokens stop with it."""
    ended = await _end(session, Session.id == session_id, account_id=account_id, now=now)
    if not ended:
        raise NotFound
    details = {"session_id": str(session_id)}
    await audit_events.record(
        session, "session_ended", account_id=account_id, client=client, now=now, details=details
    )


async def end_other_sessions(
    session: AsyncSession, account_id: UUID, current: UUID, *, client: Client, now: datetime
) -> None:
    """Log out everywhere but here."""
    details = {"count": await end_sessions(session, account_id, now=now, keep=current)}
    await audit_events.record(
        session,
        "other_sessions_ended",
        account_id=account_id,
        client=client,
        now=now,
        details=details,
    )


async def end_sessions(
    session: AsyncSession, account_id: UUID, *, now: datetime, keep: UUID | None = None
) -> int:
    """End all sessions of an account, or all but one. Returns how many that were."""
    condition = Session.id != keep if keep else Session.id.is_not(None)
    return await _end(session, condition, account_id=account_id, now=now)


async def note_password(session: AsyncSession, session_id: UUID, *, now: datetime) -> None:
    """Remember that whoever is logged in has just given the password again."""
    mine = update(Session).where(Session.id == session_id)
    await session.execute(mine.values(password_proven_at=now))


async def password_proven_at(session: AsyncSession, session_id: UUID) -> datetime | None:
    """When the password was last given: at the log-in, or since. None without such a session."""
    latest = func.greatest(Session.created_at, Session.password_proven_at)
    found: datetime | None = await session.scalar(select(latest).where(Session.id == session_id))
    return found


async def log_out(
    session: AsyncSession, token: str, *, client: Client, keyring: Keyring, now: datetime
) -> None:
    """End the session of a refresh token; an unknown or ended one is as good as logged out."""
    try:
        family, _ = await _find_family(session, token, keyring)
    except InvalidRefreshToken:
        return
    if family.ended_at is None:
        family.ended_at = now
        await audit_events.record(
            session, "logout", account_id=family.account_id, client=client, now=now
        )


def expiry(entry: Session) -> datetime:
    """When the session ends by itself unless it is used: 30 days idle, 180 in all."""
    return min(entry.expires_at, entry.last_used_at + policy.REFRESH_IDLE_LIFETIME)


async def _find_family(session: AsyncSession, token: str, keyring: Keyring) -> tuple[Session, int]:
    """The session of a genuine token, locked, and the token's number in it."""
    session_id, counter = refresh_tokens.parse(token)
    query = select(Session).where(Session.id == session_id).with_for_update()
    family = await session.scalar(query.execution_options(populate_existing=True))
    if family is None or counter > family.counter:
        raise InvalidRefreshToken
    expected = refresh_tokens.derive(family.id, family.secret, counter, keyring)
    if not crypto.equal(token.encode(), expected.encode()):
        raise InvalidRefreshToken
    return family, counter


def _live(account_id: UUID, now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        Session.account_id == account_id,
        Session.ended_at.is_(None),
        Session.expires_at > now,
        Session.last_used_at > now - policy.REFRESH_IDLE_LIFETIME,
    )


async def _end(
    session: AsyncSession, condition: ColumnElement[bool], *, account_id: UUID, now: datetime
) -> int:
    mine = (Session.account_id == account_id, Session.ended_at.is_(None), condition)
    result = await session.execute(update(Session).where(*mine).values(ended_at=now))
    assert isinstance(result, CursorResult)  # noqa: S101  # an UPDATE gives a row count
    return result.rowcount


async def _end_reused(
    session: AsyncSession,
    family: Session,
    *,
    client: Client,
    deployment: Deployment,
    now: datetime,
) -> None:
    family.ended_at = now
    account = await session.get_one(Account, family.account_id)
    details = {"session_id": str(family.id)}
    await audit_events.record(
        session,
        "refresh_token_reused",
        account_id=account.id,
        client=client,
        now=now,
        details=details,
    )
    await mail_outbox.notify(session, account, "sessions_ended", deployment=deployment, now=now)
