"""Entering a code or following the link of its mail, whatever it was asked for."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.crypto import PasswordHasher
from app.errors import FieldError, InvalidInput
from app.models import VerificationFlow
from app.services import one_time_codes, password_reset, registration, verification_flows
from app.services.auth import Transactions
from app.services.context import Deployment, Device
from app.services.one_time_codes import CodeRefused
from app.services.password_reset import ResetGrant
from app.services.sessions import OpenedSession


class PasswordRequired(InvalidInput):
    """The link's token proves the mailbox, not who chose the pending password."""

    code, title = "password_required", "Enter the password that you registered with"


@dataclass(frozen=True, slots=True)
class Proof:
    """What a client has: a flow with a code or token, or a token with or without a password."""

    flow_id: UUID | None = None
    code: str | None = None
    token: str | None = None
    password: str | None = None


async def verify(
    transactions: Transactions,
    hasher: PasswordHasher,
    proof: Proof,
    *,
    device: Device,
    deployment: Deployment,
    now: datetime,
) -> OpenedSession | ResetGrant:
    """Use up a code or token; a registration then is an account, a reset may go on."""
    flow_id = proof.flow_id or await _flow_of_link(
        transactions, hasher, proof, deployment=deployment
    )
    async with transactions() as session:
        flow = await verification_flows.lock(session, flow_id)
        if flow.purpose == "email_change":  # the account itself confirms that, logged in
            raise CodeRefused
        if proof.code is not None:
            await one_time_codes.redeem_code(
                session, flow, proof.code, deployment=deployment, now=now
            )
        else:
            await one_time_codes.redeem_token(
                session, flow, proof.token or "", keyring=deployment.keyring, now=now
            )
        return await _fulfil(session, flow, device=device, deployment=deployment, now=now)


async def _fulfil(
    session: AsyncSession,
    flow: VerificationFlow,
    *,
    device: Device,
    deployment: Deployment,
    now: datetime,
) -> OpenedSession | ResetGrant:
    if flow.purpose == "registration":
        return await registration.activate(
            session, flow, device=device, deployment=deployment, now=now
        )
    return await password_reset.grant(flow, keyring=deployment.keyring, now=now)


async def _flow_of_link(
    transactions: Transactions, hasher: PasswordHasher, proof: Proof, *, deployment: Deployment
) -> UUID:
    """The flow of a link that was opened on another device than the one that registered."""
    async with transactions() as session:
        flow = await verification_flows.find_by_token(
            session, proof.token or "", keyring=deployment.keyring
        )
    if flow is None:
        raise CodeRefused
    if flow.purpose == "registration":
        if proof.password is None:
            missing = FieldError(
                pointer="/password", code="missing", message=PasswordRequired.title
            )
            raise PasswordRequired(errors=[missing])
        if not await hasher.verify(proof.password, flow.password_hash):
            raise CodeRefused
    return flow.id
