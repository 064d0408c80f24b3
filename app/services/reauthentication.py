"""Asking for the password again before something grave (ASVS 7.5.1)."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.crypto import InvalidToken, PasswordHasher
from app.errors import AppError, FieldError
from app.models import Account
from app.services import login_failures, policy, sessions
from app.services.auth import Caller, LoggedIn, Transactions, counted
from app.services.context import Client, Deployment
from app.services.verification_flows import address_hash


class WrongPassword(AppError):
    status, code, title = 403, "wrong_password", "The current password is wrong"
    keep_changes = True


class ReauthenticationRequired(AppError):
    status, code = 403, "reauthentication_required"
    title = "Give the password again: POST /v1/auth/reauthenticate"


@dataclass(frozen=True, slots=True)
class PasswordCheck:
    """Asks whoever makes a request for the password again; wrong ones count like failed log-ins.

    Gives the account as it was, by which `own_account` tells whether that still holds.
    """

    transactions: Transactions
    hasher: PasswordHasher
    account_id: UUID
    client: Client
    deployment: Deployment
    now: datetime

    async def __call__(self, password: str, *, pointer: str = "/password") -> Account:
        """Raises `WrongPassword`, which names the field at `pointer`, and `TooManyFailedLogins`."""
        client, limits_on = self.client, self.deployment.limits_on
        async with self.transactions() as session:
            account = await session.get(Account, self.account_id)
            if account is None:
                raise InvalidToken
            hashed = address_hash(account.email_key, self.deployment.keyring)
            if limits_on:
                await login_failures.begin_attempt(session, hashed, client.network, now=self.now)
        async with counted(self.transactions, hashed, client):
            matches = await self.hasher.verify(password, account.password_hash)
        async with self.transactions() as session:
            if not matches:
                await login_failures.record_failure(
                    session, hashed, client, account_id=self.account_id, now=self.now
                )
                wrong = FieldError(pointer=pointer, code="wrong", message=WrongPassword.title)
                raise WrongPassword(errors=[wrong])
            if limits_on:
                await login_failures.take_back(session, hashed, client.network)
        return account

    async def if_given(self, password: str | None) -> Account | None:
        """The same of a password that need not come with the request (see `proven_account`)."""
        return None if password is None else await self(password)


async def prove(check_password: PasswordCheck, *, caller: LoggedIn, password: str) -> None:
    """Check the password, and let it vouch for this session for 15 minutes."""
    checked = await check_password(password)
    async with check_password.transactions() as session:
        await own_account(session, caller.account_id, checked=checked)
        await sessions.note_password(session, caller.session_id, now=check_password.now)


async def require_recent_password(session: AsyncSession, caller: Caller, *, now: datetime) -> None:
    """Raise `ReauthenticationRequired` unless the password was given in the past 15 minutes.

    By an API key it never was.
    """
    session_id = caller.session_id
    proven_at = await sessions.password_proven_at(session, session_id) if session_id else None
    if proven_at is None or policy.is_expired(proven_at + policy.RECENT_PASSWORD, now):
        raise ReauthenticationRequired


async def proven_account(
    session: AsyncSession, caller: LoggedIn, *, checked: Account | None, now: datetime
) -> Account:
    """The account, locked, of a caller who gave the password with this request or a while ago."""
    if checked is None:
        await require_recent_password(session, caller, now=now)
    return await own_account(session, caller.account_id, checked=checked)


async def own_account(
    session: AsyncSession, account_id: UUID, *, checked: Account | None = None
) -> Account:
    """The caller's account, locked: it may have been erased, or its password reset, meanwhile."""
    account = await session.get(Account, account_id, with_for_update=True)
    if account is None:
        raise InvalidToken
    if checked is not None and account.password_hash != checked.password_hash:
        raise WrongPassword
    return account
