"""Logging in and out, and telling at each request who is asking."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import bindparam, exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import crypto
from app.crypto import AccessClaims, InvalidToken, Keyring, PasswordHasher
from app.errors import AppError
from app.models import Account, Session
from app.services import audit_events, login_failures, sessions
from app.services.context import Client, Deployment, Device
from app.services.emails import EmailAddress
from app.services.sessions import OpenedSession
from app.services.verification_flows import address_hash

Transactions = Callable[[], AbstractAsyncContextManager[AsyncSession]]

SCOPES = {
    "member": "account assets:download",
    "editor": "account assets:download assets:write",
    "admin": "account assets:download assets:write accounts:manage",
}


# What an account can let an API key do; whoever is logged in may do all of it.
KEY_SCOPES = ("assets:read", "assets:download", "changes:read", "webhooks:manage")
ALL_KEY_SCOPES = frozenset(KEY_SCOPES)


class InvalidCredentials(AppError):
    """An unknown address and a wrong password, all alike."""

    status, code, title = 401, "invalid_credentials", "Email or password is wrong"
    keep_changes = True


class AccountSuspended(AppError):
    status, code, title = 403, "account_suspended", "This account is suspended"
    keep_changes = True


class Reader(Protocol):
    async def fetchrow(self, query: str, *args: Any) -> Any: ...


class InsufficientScope(AppError):
    """An API key that is good, but not for this (RFC 6750, section 3.1)."""

    status, code = 403, "insufficient_scope"
    title = "An API key needs another scope for this, or may not do it at all"

    def __init__(self, scope: str) -> None:
        field = f'Bearer error="insufficient_scope", scope="{scope}"'
        super().__init__(headers={"WWW-Authenticate": field})


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever asks: an account that is logged in, or one of its API keys (services/api_keys)."""

    account: Any
    session_id: UUID | None
    key_id: UUID | None
    # Of those that a key can have.
    scopes: frozenset[str]

    @property
    def account_id(self) -> UUID:
        return self.account["id"]  # type: ignore[no-any-return]

    @property
    def role(self) -> str:
        return self.account["role"]  # type: ignore[no-any-return]

    @property
    def is_editor(self) -> bool:
        """Admins may do what editors may; a key of theirs may not."""
        return self.key_id is None and self.role in {"editor", "admin"}


@dataclass(frozen=True, slots=True)
class LoggedIn(Caller):
    """The account behind a valid access token, read in the same query that checked it."""

    session_id: UUID


async def login(
    transactions: Transactions,
    hasher: PasswordHasher,
    *,
    email: EmailAddress,
    password: str,
    device: Device,
    deployment: Deployment,
    now: datetime,
) -> OpenedSession:
    """Check a password and open a session; no connection is held while the password is hashed."""
    client = device.client
    hashed = address_hash(email.key, deployment.keyring)
    async with transactions() as session:
        account = await session.scalar(_BY_ADDRESS, {"email_key": email.key})
        if deployment.limits_on:
            await _pass_throttle(session, account, hashed, client, deployment, now)
    stored = account.password_hash if account else None
    async with counted(transactions, hashed, client):
        matches = await hasher.verify(password, stored)
    rehashed = None
    if account and matches and hasher.needs_rehash(account.password_hash):
        rehashed = await hasher.hash(password)
    async with transactions() as session:
        if account is None or not matches:
            account_id = account.id if account else None
            await login_failures.record_failure(
                session, hashed, client, account_id=account_id, now=now
            )
            raise InvalidCredentials
        if deployment.limits_on:
            await login_failures.take_back(session, hashed, client.network)
        account = await _read_again(session, account, rehashed=rehashed)
        return await open_session(
            session, account, device=device, keyring=deployment.keyring, now=now
        )


@asynccontextmanager
async def counted(transactions: Transactions, hashed: bytes, client: Client) -> AsyncIterator[None]:
    """Uncount an attempt whose password was not even checked: busy, cancelled or timed out."""
    try:
        yield
    except BaseException:
        async with transactions() as session:
            await login_failures.take_back(session, hashed, client.network)
        raise


_BY_ADDRESS = select(Account).where(Account.email_key == bindparam("email_key"))


async def open_session(
    session: AsyncSession,
    account: Account,
    *,
    device: Device,
    keyring: Keyring,
    now: datetime,
) -> OpenedSession:
    """Log an account in whose owner has just proven to be its owner."""
    opened = await sessions.open_session(session, account, device=device, keyring=keyring, now=now)
    await audit_events.record(
        session, "login", account_id=account.id, client=device.client, now=now
    )
    return opened


CALLER_COLUMNS = """account.id, account.email, account.full_name, account.organisation,
    account.country, account.locale, account.role, account.created_at, account.updated_at"""
# One round trip: the token's session must be live and its account not suspended, so that both
# take effect at once and not when the token expires.
_AUTHENTICATE = f"""
    SELECT {CALLER_COLUMNS}
      FROM session JOIN account ON account.id = session.account_id
     WHERE session.id = $1 AND session.account_id = $2 AND session.ended_at IS NULL
       AND session.expires_at > $3 AND account.suspended_at IS NULL
"""  # noqa: S608  # the names of our own columns


async def authenticate(reader: Reader, claims: AccessClaims, *, now: datetime) -> LoggedIn:
    """The caller of a request, or `InvalidToken` when the session or the account has ended."""
    row = await reader.fetchrow(_AUTHENTICATE, claims.session_id, claims.account_id, now)
    if row is None:
        raise InvalidToken
    return LoggedIn(row, claims.session_id, None, ALL_KEY_SCOPES)


def device_mark(account_id: UUID, keyring: Keyring) -> str:
    """What a browser keeps from its first log-in on, to be known again; worth nothing else."""
    return crypto.base64url(keyring.digest("known-device", account_id.bytes))


async def _read_again(session: AsyncSession, checked: Account, *, rehashed: str | None) -> Account:
    """The account once its password was found right, and still is the account's.

    While it was being checked, it may have been reset (and every session ended), or the account
    erased. Locked for a change from the start: two that share a lock can't both write under it.
    """
    query = _BY_ADDRESS_TO_CHANGE if rehashed else _BY_ADDRESS_TO_READ
    account = await session.scalar(query, {"email_key": checked.email_key})
    if account is None or _was_reset(checked, account):
        raise InvalidCredentials
    if account.suspended_at is not None:
        raise AccountSuspended
    if rehashed is not None:
        account.password_hash = rehashed
    return account


_BY_ADDRESS_TO_READ = _BY_ADDRESS.with_for_update(read=True)
_BY_ADDRESS_TO_CHANGE = _BY_ADDRESS.with_for_update()


def _was_reset(before: Account, after: Account) -> bool:
    """A log-in at the same moment may have renewed the hash; only a reset changes both."""
    is_other_hash = after.password_hash != before.password_hash
    return is_other_hash and after.updated_at != before.updated_at


async def _pass_throttle(
    session: AsyncSession,
    account: Account | None,
    hashed: bytes,
    client: Client,
    deployment: Deployment,
    now: datetime,
) -> None:
    attempt = await login_failures.begin_attempt(session, hashed, client.network, now=now)
    if not attempt.delay:
        return
    if account is None or not await _is_known_device(session, account, client, deployment):
        login_failures.hold_back(attempt, now)


async def _is_known_device(
    session: AsyncSession, account: Account, client: Client, deployment: Deployment
) -> bool:
    """Whether this browser, or this client network, has logged in to the account before."""
    expected = device_mark(account.id, deployment.keyring)
    if client.device_mark and crypto.equal(client.device_mark.encode(), expected.encode()):
        return True
    earlier = exists().where(Session.account_id == account.id, Session.network == client.network)
    return bool(await session.scalar(select(earlier)))
