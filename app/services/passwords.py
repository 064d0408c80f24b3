"""Setting and changing passwords."""

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import FieldError, InvalidInput
from app.models import Account
from app.services import (
    api_key_details,
    audit_events,
    mail_outbox,
    password_rules,
    policy,
    reauthentication,
    sessions,
)
from app.services.auth import LoggedIn, Transactions
from app.services.context import Client, Deployment
from app.services.reauthentication import PasswordCheck


class PasswordPolicy(InvalidInput):
    code, title = "password_policy", "The password does not follow the rules"


def check(password: str, *, email: str, pointer: str = "/password") -> None:
    """Raise `PasswordPolicy` with one entry for each rule that the password breaks."""
    problems = password_rules.problems(password, email=email)
    if problems:
        raise PasswordPolicy(errors=[_at(pointer, problem) for problem in problems])


def rules() -> dict[str, Any]:
    """The password policy as data, for clients that tick the rules off while one types."""
    return {
        "min_length": policy.PASSWORD_MIN_LENGTH,
        "max_length": policy.PASSWORD_MAX_LENGTH,
        "max_bytes": policy.PASSWORD_MAX_BYTES,
        "spaces_allowed": False,
        "needs": ["uppercase", "lowercase", "number", "symbol"],
        "rules": [
            {"code": code, "message": message}
            for code, message in password_rules.PASSWORD_RULES.items()
        ],
    }


async def change(
    transactions: Transactions,
    check_password: PasswordCheck,
    *,
    caller: LoggedIn,
    current_password: str,
    new_password: str,
    client: Client,
    deployment: Deployment,
    now: datetime,
) -> None:
    """Replace the password, end all other sessions and tell the owner."""
    check(new_password, email=caller.account["email"], pointer="/new_password")
    checked = await check_password(current_password, pointer="/current_password")
    password_hash = await check_password.hasher.hash(new_password)
    async with transactions() as session:
        account = await reauthentication.own_account(session, caller.account_id, checked=checked)
        await set_password(session, account, password_hash, deployment=deployment, now=now)
        await sessions.end_sessions(session, account.id, now=now, keep=caller.session_id)
        await audit_events.record(
            session, "password_changed", account_id=account.id, client=client, now=now
        )


async def set_password(
    session: AsyncSession,
    account: Account,
    password_hash: str,
    *,
    deployment: Deployment,
    now: datetime,
) -> None:
    """Store a new password and mail the notice that ASVS 6.3.7 asks for.

    API keys stay as they are, for programs depend on them; so the notice names those that live.
    """
    account.password_hash = password_hash
    account.updated_at = now
    keys = await api_key_details.describe_live(session, account.id, now=now)
    params = {"api_keys": keys} if keys else {}
    await mail_outbox.notify(
        session, account, "password_changed", deployment=deployment, now=now, params=params
    )


def _at(pointer: str, problem: FieldError) -> FieldError:
    return {**problem, "pointer": pointer}
