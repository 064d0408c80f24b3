"""Other people's accounts, for admins: find, suspend, give a role. Never a password."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from app.errors import AppError, NotFound
from app.models import Account
from app.services import audit_events, key_events, sessions
from app.services.context import Client
from app.services.emails import EmailAddress


class OwnAccount(AppError):
    """An admin who locks itself out may be the last one."""

    status, code, title = 409, "own_account", "Change your own role or state through another admin"


async def search(
    session: AsyncSession,
    *,
    text: str | None,
    role: str | None,
    suspended: bool | None,
    before: UUID | None,
    limit: int,
) -> Sequence[Account]:
    """Newest first; `text` is looked for in address, name and organisation."""
    query = select(Account).order_by(Account.id.desc()).limit(limit)
    if text:
        columns = (Account.email_key, Account.full_name, Account.organisation)
        query = query.where(or_(*(column.icontains(text, autoescape=True) for column in columns)))
    if role is not None:
        query = query.where(Account.role == role)
    if suspended is not None:
        is_suspended = Account.suspended_at.is_not(None)
        query = query.where(is_suspended if suspended else ~is_suspended)
    if before is not None:
        query = query.where(Account.id < before)
    return (await session.scalars(query)).all()


async def get(session: AsyncSession, account_id: UUID, *, lock: bool = False) -> Account:
    """Locked, it is not erased meanwhile; rows that refer to it may be added all the same."""
    for_update = {"key_share": True} if lock else None
    account = await session.get(Account, account_id, with_for_update=for_update)
    if account is None:
        raise NotFound
    return account


async def change(
    session: AsyncSession,
    account_id: UUID,
    *,
    role: str | None,
    suspended: bool | None,
    actor_id: UUID,
    client: Client,
    now: datetime,
) -> Account:
    """Give a role, suspend or lift a suspension. Suspending ends every session at once."""
    if account_id == actor_id:
        raise OwnAccount
    account = await session.get(Account, account_id, with_for_update=True)
    if account is None:
        raise NotFound
    changes: dict[str, str | bool] = {}
    if role is not None and role != account.role:
        changes["role"] = account.role = role
    if suspended is not None and suspended != (account.suspended_at is not None):
        changes["suspended"] = suspended
        account.suspended_at = now if suspended else None
    if changes:
        account.updated_at = now
        # A new role needs new scopes, and a suspension leaves nothing open.
        await sessions.end_sessions(session, account_id, now=now)
        await key_events.announce(session, account_id)
        await audit_events.record(
            session,
            "account_changed_by_admin",
            account_id=account_id,
            actor_id=actor_id,
            client=client,
            now=now,
            details=changes,
        )
    return account


async def create_admin(
    session: AsyncSession, email: EmailAddress, password_hash: str, *, locale: str, now: datetime
) -> bool:
    """Make an admin account, or make an existing account an admin with this password.

    Whoever runs this on the server vouches for the address. Returns whether it is a new account.
    """
    values = {"password_hash": password_hash, "role": "admin", "updated_at": now}
    new_id = uuid7()
    statement = insert(Account).values(
        id=new_id,
        email=email.typed,
        email_key=email.key,
        locale=locale,
        created_at=now,
        **values,
    )
    statement = statement.on_conflict_do_update(constraint="uq_account_email_key", set_=values)
    account_id = (await session.execute(statement.returning(Account.id))).scalar_one()
    await sessions.end_sessions(session, account_id, now=now)
    await audit_events.record(session, "admin_created", account_id=account_id, client=None, now=now)
    return account_id == new_id
