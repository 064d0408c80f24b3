"""Changing the address: a code to the new mailbox, a notice with a way back to the old one."""

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app import crypto
from app.crypto import Keyring
from app.errors import AppError, constraint_name
from app.models import Account, EmailChangeUndo, VerificationFlow
from app.services import (
    account_newsletter,
    audit_events,
    mail_outbox,
    one_time_codes,
    password_reset,
    policy,
    reauthentication,
    sessions,
    verification_flows,
)
from app.services.auth import Caller, Transactions
from app.services.context import Client, Deployment
from app.services.emails import EmailAddress
from app.services.one_time_codes import CodeRefused
from app.services.password_reset import ResetGrant
from app.services.reauthentication import PasswordCheck
from app.services.registration import EMAIL_CONSTRAINT
from app.services.verification_flows import IssuedCode

# No hash has this form, so no password matches until a new one is set.
NO_PASSWORD = "none"  # noqa: S105  # the absence of one


class AddressTaken(Exception):
    """The address has become another account's since the code or link was mailed."""


class UndoRefused(AppError):
    status, code, title = 422, "undo_refused", "This change of address can't be undone any more"


async def request(
    transactions: Transactions,
    check_password: PasswordCheck,
    *,
    caller: Caller,
    new_email: EmailAddress,
    password: str,
    deployment: Deployment,
    now: datetime,
) -> IssuedCode:
    """Mail a code to the new address; whether that has an account already stays unsaid."""
    checked = await check_password(password)
    async with transactions() as session:
        hashed = verification_flows.address_hash(new_email.key, deployment.keyring)
        await verification_flows.lock_address(session, hashed)  # before the account, as in verify
        await reauthentication.own_account(session, caller.account_id, checked=checked)
        return await verification_flows.start(
            session,
            "email_change",
            new_email,
            locale=caller.account["locale"],
            deployment=deployment,
            now=now,
            account_id=caller.account_id,
        )


async def verify(
    session: AsyncSession,
    *,
    caller: Caller,
    code: str,
    client: Client,
    deployment: Deployment,
    now: datetime,
) -> Account:
    """Take the new address on, and mail the old one a notice with a link to undo it."""
    flow = await _newest_flow(session, caller)
    # The account before the flow, as everywhere: a reset at the same moment waits, and wins.
    account = await reauthentication.own_account(session, caller.account_id)
    await session.refresh(flow, with_for_update=True)
    if flow.completed_at is not None:
        raise CodeRefused
    await one_time_codes.redeem_code(session, flow, code, deployment=deployment, now=now)
    old, new = _address(account), _address(flow)
    try:
        async with session.begin_nested():  # no notice of a change that did not happen
            await _notify_old_address(session, account, deployment=deployment, now=now)
            await _take_address(session, account, flow.email, flow.email_key, now=now)
    except AddressTaken:
        raise CodeRefused from None
    await account_newsletter.move(
        session, old, new, client=client, keyring=deployment.keyring, now=now
    )
    await audit_events.record(
        session, "email_changed", account_id=account.id, client=client, now=now
    )
    return account


async def undo(
    session: AsyncSession, token: str, *, client: Client, deployment: Deployment, now: datetime
) -> ResetGrant:
    """Give the account back to the old mailbox.

    Whoever changed the address knew the password, so all sessions end, the password is void, and
    the answer holds the right to set a new one. Links that later changes sent to other mailboxes
    are void too, or the thief could undo the undoing; the links of earlier ones stay good.
    """
    account, entry = await _find_undo(session, token, keyring=deployment.keyring, now=now)
    entry.used_at = now
    given_up = _address(account)
    try:
        await _take_address(session, account, entry.email, entry.email_key, now=now)
    except AddressTaken:
        raise UndoRefused from None
    await account_newsletter.move_back(
        session, given_up, _address(entry), client=client, keyring=deployment.keyring, now=now
    )
    await _void_later_links(session, entry)
    account.password_hash = NO_PASSWORD
    await sessions.end_sessions(session, account.id, now=now)
    flow = _proven_reset(account, keyring=deployment.keyring, now=now)
    session.add(flow)
    await audit_events.record(
        session, "email_change_undone", account_id=account.id, client=client, now=now
    )
    return await password_reset.grant(flow, keyring=deployment.keyring, now=now)


async def _newest_flow(session: AsyncSession, caller: Caller) -> VerificationFlow:
    query = (
        select(VerificationFlow.id)
        .where(VerificationFlow.account_id == caller.account_id)
        .where(VerificationFlow.purpose == "email_change")
        .order_by(VerificationFlow.id.desc())
        .limit(1)
    )
    flow_id = await session.scalar(query)
    if flow_id is None:
        raise CodeRefused
    return await verification_flows.lock(session, flow_id)


async def _notify_old_address(
    session: AsyncSession, account: Account, *, deployment: Deployment, now: datetime
) -> None:
    token = crypto.new_token()
    session.add(
        EmailChangeUndo(
            account_id=account.id,
            email=account.email,
            email_key=account.email_key,
            token_hash=_token_hash(token, deployment.keyring),
            expires_at=now + policy.EMAIL_CHANGE_UNDO_LIFETIME,
        )
    )
    params = {"link": f"{deployment.links_url}/undo", "token": token}
    await mail_outbox.notify(
        session, account, "email_changed", deployment=deployment, now=now, params=params
    )


async def _take_address(
    session: AsyncSession, account: Account, email: str, email_key: str, *, now: datetime
) -> None:
    """Set the address, or raise `AddressTaken`: the constraint decides.

    Codes and resets on their way to the address that is no longer this account's end here.
    """
    try:
        async with session.begin_nested():
            account.email, account.email_key, account.updated_at = email, email_key, now
    except IntegrityError as error:
        if constraint_name(error) != EMAIL_CONSTRAINT:
            raise
        raise AddressTaken from None
    await verification_flows.conclude_all(session, account.id, now=now)


async def _find_undo(
    session: AsyncSession, token: str, *, keyring: Keyring, now: datetime
) -> tuple[Account, EmailChangeUndo]:
    """The account and the undo of a token, locked in this order."""
    by_token = EmailChangeUndo.token_hash == _token_hash(token, keyring)
    account_id = await session.scalar(select(EmailChangeUndo.account_id).where(by_token))
    if account_id is None:
        raise UndoRefused
    account = await session.get(Account, account_id, with_for_update=True)
    query = select(EmailChangeUndo).where(by_token, EmailChangeUndo.used_at.is_(None))
    entry = await session.scalar(query.with_for_update())
    if account is None or entry is None or policy.is_expired(entry.expires_at, now):
        raise UndoRefused
    return account, entry


def _proven_reset(account: Account, *, keyring: Keyring, now: datetime) -> VerificationFlow:
    """The link has proven the mailbox, as a code would have."""
    return VerificationFlow(
        purpose="password_reset",
        email=account.email,
        email_key=account.email_key,
        address_hash=verification_flows.address_hash(account.email_key, keyring),
        account_id=account.id,
        locale=account.locale,
        created_at=now,
        completed_at=now,
    )


def _address(row: Account | VerificationFlow | EmailChangeUndo) -> EmailAddress:
    return EmailAddress(row.email, row.email_key)


async def _void_later_links(session: AsyncSession, entry: EmailChangeUndo) -> None:
    later = (EmailChangeUndo.account_id == entry.account_id, EmailChangeUndo.id > entry.id)
    await session.execute(delete(EmailChangeUndo).where(*later))


def _token_hash(token: str, keyring: Keyring) -> bytes:
    return keyring.digest("undo-token", token)
