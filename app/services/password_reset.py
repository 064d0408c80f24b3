"""A forgotten password in three steps: ask for a code, prove the mailbox, set a new one."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import crypto
from app.crypto import Keyring, PasswordHasher
from app.errors import AppError
from app.models import Account, VerificationFlow
from app.services import (
    audit_events,
    login_failures,
    passwords,
    policy,
    sessions,
    verification_flows,
)
from app.services.auth import Transactions
from app.services.context import Client, Deployment
from app.services.emails import EmailAddress
from app.services.one_time_codes import CodeRefused
from app.services.verification_flows import IssuedCode, address_hash


class ResetTokenRefused(AppError):
    status, code = 422, "reset_token_refused"
    title = "This password reset is over. Ask for a new code."


@dataclass(frozen=True, slots=True)
class ResetGrant:
    """The right to set a new password, once and for 15 minutes."""

    reset_token: str
    expires_at: datetime


async def request(
    session: AsyncSession,
    *,
    email: EmailAddress,
    locale: str,
    return_to: str | None,
    deployment: Deployment,
    now: datetime,
) -> IssuedCode:
    """Mail a code to the account's owner, or "no account here" to an unknown address."""
    query = select(Account.id).where(Account.email_key == email.key)
    return await verification_flows.start(
        session,
        "password_reset",
        email,
        locale=locale,
        deployment=deployment,
        now=now,
        account_id=await session.scalar(query),
        return_to=return_to,
    )


async def grant(flow: VerificationFlow, *, keyring: Keyring, now: datetime) -> ResetGrant:
    """Hand out the reset token for a flow whose code was just entered."""
    if flow.account_id is None:
        raise CodeRefused
    token = crypto.new_token()
    flow.reset_token_hash = _token_hash(token, keyring)
    flow.reset_token_expires_at = now + policy.RESET_TOKEN_LIFETIME
    return ResetGrant(token, flow.reset_token_expires_at)


async def reset(
    transactions: Transactions,
    hasher: PasswordHasher,
    *,
    token: str,
    new_password: str,
    client: Client,
    deployment: Deployment,
    now: datetime,
) -> str | None:
    """Set the new password and end everything the old one had opened. Gives back return_to."""
    async with transactions() as session:
        _, account = await _find(session, token, keyring=deployment.keyring, now=now)
    # A password that breaks the rules leaves the token usable for the next try.
    passwords.check(new_password, email=account.email, pointer="/new_password")
    password_hash = await hasher.hash(new_password)
    async with transactions() as session:
        flow, account = await _find(session, token, keyring=deployment.keyring, now=now)
        await passwords.set_password(
            session, account, password_hash, deployment=deployment, now=now
        )
        await sessions.end_sessions(session, account.id, now=now)
        hashed = address_hash(account.email_key, deployment.keyring)
        await login_failures.forgive(session, hashed, client.network)
        # Also a change of address, which whoever had the old password may have begun. Links to
        # undo a finished one stay good: the reset may be a thief's.
        await verification_flows.conclude_all(session, account.id, now=now)
        await audit_events.record(
            session, "password_reset", account_id=account.id, client=client, now=now
        )
        return flow.return_to


async def _find(
    session: AsyncSession, token: str, *, keyring: Keyring, now: datetime
) -> tuple[VerificationFlow, Account]:
    """The flow and the account of a token, locked: the account first, as everywhere."""
    by_token = VerificationFlow.reset_token_hash == _token_hash(token, keyring)
    account_id = await session.scalar(select(VerificationFlow.account_id).where(by_token))
    if account_id is None:
        raise ResetTokenRefused
    account = await session.get(Account, account_id, with_for_update=True)
    flow = await session.scalar(select(VerificationFlow).where(by_token).with_for_update())
    if account is None or flow is None:
        raise ResetTokenRefused
    expires_at = flow.reset_token_expires_at
    if expires_at is None or policy.is_expired(expires_at, now):
        raise ResetTokenRefused
    return flow, account


def _token_hash(token: str, keyring: Keyring) -> bytes:
    return keyring.digest("reset-token", token)
