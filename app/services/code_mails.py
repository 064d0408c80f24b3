"""The mails of verification flows: a code, or a notice where an address must not get one."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Account, VerificationFlow
from app.services import mail_outbox
from app.services.context import Deployment
from app.services.mail_kinds import KINDS_WITH_CODE, MailKind
from app.services.one_time_codes import DrawnCode

_PAGES = {"registration": "verify", "password_reset": "reset"}


async def write(
    session: AsyncSession,
    flow: VerificationFlow,
    code_id: UUID,
    drawn: DrawnCode,
    *,
    deployment: Deployment,
    told_today: bool,
    now: datetime,
) -> None:
    """Mail the code, or a notice where this address must not get one.

    An account's mail goes to its stored address: two spellings may share a key (RFC 8264).
    """
    owner = (await session.execute(_OWNER, {"email_key": flow.email_key})).one_or_none()
    kind = _mail_kind(flow.purpose, has_account=owner is not None)
    if flow.purpose == "password_reset" and owner is not None:
        flow.account_id = owner.id  # who asked first and registered then resets all the same
    carries_code = kind in KINDS_WITH_CODE
    await mail_outbox.enqueue(
        session,
        kind=kind,
        to=owner.email if owner else flow.email,
        locale=owner.locale if owner else flow.locale,
        params=_params(flow, drawn, deployment) if carries_code else {"link": deployment.links_url},
        keyring=deployment.keyring,
        now=now,
        code_id=code_id if carries_code else None,
        account_id=owner.id if owner else None,
        suppressed=flow.completed_at is not None or (told_today and kind == "no_account"),
    )


def _params(flow: VerificationFlow, drawn: DrawnCode, deployment: Deployment) -> dict[str, str]:
    """A change of address is confirmed by its code alone, by the account itself: no link."""
    params = {"code": drawn.code, "link": deployment.links_url}
    if page := _PAGES.get(flow.purpose):
        params |= {"token": drawn.token, "link": f"{deployment.links_url}/{page}"}
    return params


_OWNER = select(Account.id, Account.email, Account.locale).where(
    Account.email_key == bindparam("email_key")
)


def _mail_kind(purpose: str, *, has_account: bool) -> MailKind:
    if purpose == "registration":
        return "account_exists" if has_account else "registration_code"
    if purpose == "password_reset":
        return "password_reset_code" if has_account else "no_account"
    return "email_taken" if has_account else "email_change_code"
