"""One-time codes and link tokens: drawn, kept only as HMAC, used once, renewed, budgeted."""

import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import crypto
from app.crypto import Keyring
from app.errors import AppError
from app.models import FailedCodes, VerificationCode, VerificationFlow
from app.services import policy
from app.services.context import Deployment

LINK_TOKEN_BYTES = 16
_EVERYBODY = b""
# Digits may be grouped; nothing but ASCII digits is one (Arabic or full-width ones are refused).
_GROUPING = re.compile(r"[ -]")
_CODE = re.compile(rf"[0-9]{{{policy.CODE_DIGITS}}}")


class CodeRefused(AppError):
    """Unknown, wrong, expired, used, replaced and worn-out codes look the same to a caller."""

    status, code = 422, "code_refused"
    title = "That code is wrong or has expired. Check it, or ask for a new one."
    keep_changes = True  # a wrong guess counts, although the request fails


class CodeSuperseded(Exception):
    """The code that a mail carries was used or replaced, so the mail must not leave."""


@dataclass(frozen=True, slots=True)
class DrawnCode:
    """A code and the link token of the same mail, in the clear: for the mail alone."""

    code: str
    token: str


async def issue(
    session: AsyncSession, flow: VerificationFlow, *, keyring: Keyring, now: datetime
) -> tuple[VerificationCode, DrawnCode]:
    """Write a new code for a flow. The plain one goes into its mail and nowhere else."""
    drawn = _draw()
    code = VerificationCode(
        flow_id=flow.id,
        purpose=flow.purpose,
        address_hash=flow.address_hash,
        code_hash=_code_hash(flow.id, drawn.code, keyring),
        token_hash=token_hash(drawn.token, keyring),
        issued_at=now,
        expires_at=now + policy.CODE_LIFETIME,
    )
    session.add(code)
    await session.flush()
    return code, drawn


async def redeem_code(
    session: AsyncSession,
    flow: VerificationFlow,
    text: str,
    *,
    deployment: Deployment,
    now: datetime,
) -> None:
    """Use up a locked flow's code, or count a wrong guess and raise `CodeRefused`."""
    code = await _live_code(session, flow, now)
    if code.failed_attempts >= policy.CODE_MAX_ATTEMPTS:
        raise CodeRefused
    if deployment.limits_on and await _budget_is_spent(session, flow.address_hash, now):
        raise CodeRefused
    entered = _GROUPING.sub("", text)
    expected = _code_hash(flow.id, entered, deployment.keyring)
    if not _CODE.fullmatch(entered) or not crypto.equal(code.code_hash, expected):
        await _count_failure(session, code, now)
        raise CodeRefused
    code.closed_at = flow.completed_at = now


async def redeem_token(
    session: AsyncSession, flow: VerificationFlow, token: str, *, keyring: Keyring, now: datetime
) -> None:
    """Use up the link token of a flow's newest mail; spent tries and budgets don't matter here."""
    code = await _live_code(session, flow, now)
    if not crypto.equal(code.token_hash, token_hash(token, keyring)):
        raise CodeRefused
    code.closed_at = flow.completed_at = now


async def renew_for_sending(
    session: AsyncSession, code_id: UUID, *, keyring: Keyring, now: datetime
) -> DrawnCode | None:
    """Give a code mail that waited too long a fresh code; None while the first is still fresh.

    Raises `CodeSuperseded` when a newer code of the flow exists or the flow is over.
    """
    query = (
        select(VerificationCode, VerificationFlow.completed_at)
        .join(VerificationFlow, VerificationCode.flow_id == VerificationFlow.id)
        .where(VerificationCode.id == code_id)
        .with_for_update(of=VerificationCode)
    )
    row = (await session.execute(query)).one_or_none()
    if row is None or row.completed_at is not None or row.VerificationCode.closed_at is not None:
        raise CodeSuperseded
    code = row.VerificationCode
    if now - code.issued_at < policy.CODE_FRESH_AT_SENDING:
        return None
    renewed = _draw()
    code.code_hash = _code_hash(code.flow_id, renewed.code, keyring)
    code.token_hash = token_hash(renewed.token, keyring)
    code.issued_at, code.expires_at = now, now + policy.CODE_LIFETIME
    code.failed_attempts = 0
    return renewed


def token_hash(token: str, keyring: Keyring) -> bytes:
    return keyring.digest("verification-token", token)


async def _live_code(
    session: AsyncSession, flow: VerificationFlow, now: datetime
) -> VerificationCode:
    query = (
        select(VerificationCode)
        .where(VerificationCode.flow_id == flow.id, VerificationCode.closed_at.is_(None))
        .order_by(VerificationCode.id.desc())
        .limit(1)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    code = await session.scalar(query)
    if code is None or policy.is_expired(code.expires_at, now):
        raise CodeRefused
    return code


def _draw() -> DrawnCode:
    number = secrets.randbelow(10**policy.CODE_DIGITS)
    return DrawnCode(f"{number:0{policy.CODE_DIGITS}}", secrets.token_urlsafe(LINK_TOKEN_BYTES))


def _code_hash(flow_id: UUID, code: str, keyring: Keyring) -> bytes:
    return keyring.digest("verification-code", flow_id.bytes, code)


async def _budget_is_spent(session: AsyncSession, hashed: bytes, now: datetime) -> bool:
    """Whether today's wrong guesses, for this address or for all, leave only the link."""
    query = select(FailedCodes.scope, FailedCodes.failures).where(
        FailedCodes.day == now.date(), FailedCodes.scope.in_([hashed, _EVERYBODY])
    )
    rows = await session.execute(query)
    failures: dict[bytes, int] = {row.scope: row.failures for row in rows}
    return (
        failures.get(hashed, 0) >= policy.FAILED_CODES_PER_ADDRESS_AND_DAY
        or failures.get(_EVERYBODY, 0) >= policy.FAILED_CODES_PER_DAY
    )


async def _count_failure(session: AsyncSession, code: VerificationCode, now: datetime) -> None:
    code.failed_attempts += 1
    # The address's row before everybody's, in every transaction: no deadlock.
    for scope in (code.address_hash, _EVERYBODY):
        row = insert(FailedCodes).values(day=now.date(), scope=scope, failures=1)
        await session.execute(
            row.on_conflict_do_update(
                index_elements=["day", "scope"], set_={"failures": FailedCodes.failures + 1}
            )
        )
