"""From "Create an account" to an account: nothing is one until the mailbox is proven."""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.crypto import PasswordHasher
from app.errors import constraint_name
from app.models import Account, VerificationFlow
from app.services import audit_events, auth, passwords, verification_flows
from app.services.auth import Transactions
from app.services.context import Deployment, Device
from app.services.emails import EmailAddress
from app.services.one_time_codes import CodeRefused
from app.services.sessions import OpenedSession
from app.services.verification_flows import IssuedCode

EMAIL_CONSTRAINT = "uq_account_email_key"
PROFILE_FIELDS = ("full_name", "organisation", "country")


@dataclass(frozen=True, slots=True)
class Applicant:
    """Whoever registers, as typed and checked; the profile is optional."""

    email: EmailAddress
    password: str = field(repr=False)
    locale: str
    full_name: str | None = None
    organisation: str | None = None
    country: str | None = None


async def register(
    transactions: Transactions,
    hasher: PasswordHasher,
    applicant: Applicant,
    *,
    return_to: str | None,
    deployment: Deployment,
    now: datetime,
) -> IssuedCode:
    """Keep a pending registration with its flow and mail the code.

    An address that has an account gets the same answer after the same work; its owner is told by
    mail. The password is hashed in either case.
    """
    passwords.check(applicant.password, email=applicant.email.key)
    password_hash = await hasher.hash(applicant.password)
    async with transactions() as session:
        return await verification_flows.start(
            session,
            "registration",
            applicant.email,
            locale=applicant.locale,
            deployment=deployment,
            now=now,
            password_hash=password_hash,
            profile={name: getattr(applicant, name) for name in PROFILE_FIELDS},
            return_to=return_to,
        )


async def activate(
    session: AsyncSession,
    flow: VerificationFlow,
    *,
    device: Device,
    deployment: Deployment,
    now: datetime,
) -> OpenedSession:
    """Make the account whose mailbox was just proven, and log it in."""
    account = Account(
        email=flow.email,
        email_key=flow.email_key,
        password_hash=flow.password_hash,
        locale=flow.locale,
        created_at=now,
        updated_at=now,
        **flow.profile,
    )
    try:
        async with session.begin_nested():
            session.add(account)
    except IntegrityError as error:
        if constraint_name(error) != EMAIL_CONSTRAINT:
            raise
        raise CodeRefused from None  # the address has had an account since before this flow
    await verification_flows.drop_rivals(session, flow, now=now)
    # The pending password and profile have moved to the account.
    flow.password_hash, flow.profile, flow.account_id = None, {}, account.id
    await audit_events.record(
        session, "registered", account_id=account.id, client=device.client, now=now
    )
    return await auth.open_session(
        session, account, device=device, keyring=deployment.keyring, now=now
    )
