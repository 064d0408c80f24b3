"""Proving a mailbox: flows, the mails that carry their codes, and how often those may be sent.

Whoever counts or decides takes the address's advisory lock first, so that requests that race for
one address pass one after the other, and no two of them can deadlock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row, bindparam, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.crypto import Keyring
from app.errors import AppError, NotFound
from app.models import VerificationCode, VerificationFlow
from app.services import code_mails, one_time_codes, policy
from app.services.context import Deployment
from app.services.emails import EmailAddress
from app.services.one_time_codes import CodeRefused

Purpose = Literal["registration", "password_reset", "email_change"]


class CodeCooldown(AppError):
    status, code = 429, "code_cooldown"
    title = "A code was sent a short while ago. Wait before you ask for another."


class FlowNotFound(NotFound):
    code, title = "flow_not_found", "This request for a code is over or never was; start again"


@dataclass(frozen=True, slots=True)
class IssuedCode:
    """What the person who asked for a code may know of it."""

    flow_id: UUID
    email: str
    code_expires_at: datetime
    resend_available_at: datetime


async def start(  # noqa: PLR0913  # one row, each of its columns by name
    session: AsyncSession,
    purpose: Purpose,
    email: EmailAddress,
    *,
    locale: str,
    deployment: Deployment,
    now: datetime,
    account_id: UUID | None = None,
    password_hash: str | None = None,
    profile: dict[str, Any] | None = None,
    return_to: str | None = None,
) -> IssuedCode:
    """Open a flow for this address and mail its first code."""
    flow = VerificationFlow(
        purpose=purpose,
        email=email.typed,
        email_key=email.key,
        address_hash=address_hash(email.key, deployment.keyring),
        account_id=account_id,
        password_hash=password_hash,
        profile=profile or {},
        locale=locale,
        return_to=return_to,
        created_at=now,
    )
    await lock_address(session, flow.address_hash)
    session.add(flow)
    await session.flush()
    return await _send_code(session, flow, deployment=deployment, now=now)


async def resend(
    session: AsyncSession, flow_id: UUID, *, deployment: Deployment, now: datetime
) -> IssuedCode:
    """Mail a new code for a flow; the older one is dead from then on.

    A flow that is over answers alike and mails nothing, or whoever began it in a stranger's name
    would learn that the stranger went on.
    """
    flow = await _locked_flow(session, flow_id)
    if flow is None:
        raise FlowNotFound
    return await _send_code(session, flow, deployment=deployment, now=now)


async def lock(session: AsyncSession, flow_id: UUID) -> VerificationFlow:
    """An open flow that nobody else can use up meanwhile, or `CodeRefused`."""
    flow = await _locked_flow(session, flow_id)
    if flow is None or flow.completed_at is not None:
        raise CodeRefused
    return flow


async def find_by_token(
    session: AsyncSession, token: str, *, keyring: Keyring
) -> VerificationFlow | None:
    """The open flow that a link token belongs to, without using the token up."""
    query = (
        select(VerificationFlow)
        .join(VerificationCode, VerificationCode.flow_id == VerificationFlow.id)
        .where(VerificationCode.token_hash == one_time_codes.token_hash(token, keyring))
        .where(VerificationFlow.completed_at.is_(None))
    )
    return await session.scalar(query)


async def drop_rivals(session: AsyncSession, flow: VerificationFlow, *, now: datetime) -> None:
    """End other pending flows of the same address and purpose: this one proved the mailbox.

    What was pending in them is wiped; the bare flows stay until they are purged, so that who
    began one sees no difference.
    """
    await session.execute(
        update(VerificationFlow)
        .where(
            VerificationFlow.email_key == flow.email_key,
            VerificationFlow.purpose == flow.purpose,
            VerificationFlow.completed_at.is_(None),
        )
        .values(completed_at=now, password_hash=None, profile={})
    )


async def conclude_all(session: AsyncSession, account_id: UUID, *, now: datetime) -> None:
    """End an account's pending flows, and the resets whose code was entered already.

    They are not deleted: their codes must go on counting, or whoever has an account could mail
    any number of codes to other people's addresses.
    """
    await session.execute(
        update(VerificationFlow)
        .where(VerificationFlow.account_id == account_id)
        .values(
            completed_at=func.coalesce(VerificationFlow.completed_at, now),
            reset_token_hash=None,
            reset_token_expires_at=None,
        )
    )


def address_hash(email_key: str, keyring: Keyring) -> bytes:
    """What counters know an address by, whether or not it has an account."""
    return keyring.digest("address", email_key)


async def lock_address(session: AsyncSession, hashed: bytes) -> None:
    """Let requests for one address pass one after the other, until this transaction ends."""
    await session.execute(_LOCK, {"key": int.from_bytes(hashed[:8], signed=True)})


_LOCK = text("SELECT pg_advisory_xact_lock(:key)")


async def _locked_flow(session: AsyncSession, flow_id: UUID) -> VerificationFlow | None:
    """A flow under its address's lock; read again once the lock is ours."""
    query = select(VerificationFlow.address_hash).where(VerificationFlow.id == flow_id)
    hashed = await session.scalar(query)
    if hashed is None:
        return None
    await lock_address(session, hashed)
    return await session.get(VerificationFlow, flow_id, populate_existing=True)


async def _send_code(
    session: AsyncSession, flow: VerificationFlow, *, deployment: Deployment, now: datetime
) -> IssuedCode:
    """Replace the flow's code and mail it, within the limits.

    Known and unknown addresses take the same path with the same work: who asks learns nothing.
    """
    sent = await _sent_codes(session, flow, now)
    if deployment.limits_on:
        _refuse_too_soon(flow, sent, now)
    if any(each.flow_id == flow.id for each in sent):
        await session.execute(_CLOSE, {"of_flow": flow.id, "now": now})
    code, drawn = await one_time_codes.issue(session, flow, keyring=deployment.keyring, now=now)
    told_today = bool(sent) and deployment.limits_on
    await code_mails.write(
        session, flow, code.id, drawn, deployment=deployment, told_today=told_today, now=now
    )
    return IssuedCode(flow.id, flow.email, code.expires_at, now + policy.CODE_COOLDOWN)


_CLOSE = text("""
    UPDATE verification_code SET closed_at = :now WHERE flow_id = :of_flow AND closed_at IS NULL
""")


async def _sent_codes(
    session: AsyncSession, flow: VerificationFlow, now: datetime
) -> Sequence[Row[UUID, datetime]]:
    """The past day's codes for this address and purpose, of whichever flow, oldest first."""
    values = {
        "address_hash": flow.address_hash,
        "purpose": flow.purpose,
        "since": now - timedelta(days=1),
    }
    return (await session.execute(_SENT, values)).all()


_SENT = (
    select(VerificationCode.flow_id, VerificationCode.issued_at)
    .where(VerificationCode.address_hash == bindparam("address_hash"))
    .where(VerificationCode.purpose == bindparam("purpose"))
    .where(VerificationCode.issued_at > bindparam("since"))
    .order_by(VerificationCode.issued_at)
)


def _refuse_too_soon(
    flow: VerificationFlow, sent: Sequence[Row[UUID, datetime]], now: datetime
) -> None:
    allowed_at = policy.next_code_mail_at([each.issued_at for each in sent], now)
    of_flow = [each.issued_at for each in sent if each.flow_id == flow.id]
    if of_flow:
        allowed_at = max(allowed_at, of_flow[-1] + policy.CODE_COOLDOWN)
    if allowed_at > now:
        raise CodeCooldown(retry_after=allowed_at - now)
