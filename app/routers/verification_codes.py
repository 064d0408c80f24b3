"""Codes by mail: ask for one, ask again, enter it."""

from fastapi import APIRouter, Request, Response

from app.crypto import HashingBusy
from app.deps import (
    NO_STORE,
    AccessTokensDep,
    CurrentClient,
    DeploymentDep,
    HasherDep,
    Now,
    PreferredLocale,
    SessionDep,
    SettingsDep,
    Transactions,
)
from app.http import cookies
from app.http.openapi import refusals
from app.http.strict_json import StrictJsonRoute
from app.routers.token_answer import token_answer
from app.schemas.account import AccountAnswer
from app.schemas.auth import IssuedCodeAnswer
from app.schemas.verification_codes import (
    CodeProof,
    CodeRequest,
    ResetGrantAnswer,
    VerifiedRegistration,
)
from app.services import password_reset, verification_codes, verification_flows
from app.services.context import Device
from app.services.emails import InvalidEmail, parse_email
from app.services.one_time_codes import CodeRefused
from app.services.password_reset import ResetGrant
from app.services.return_to import ReturnToNotAllowed, check_return_to
from app.services.verification_flows import CodeCooldown, FlowNotFound

router = APIRouter(
    prefix="/v1/verification-codes",
    tags=["verification codes"],
    route_class=StrictJsonRoute,
    dependencies=[NO_STORE],
)


@router.post(
    "",
    status_code=202,
    responses=refusals(FlowNotFound, InvalidEmail, ReturnToNotAllowed, CodeCooldown),
)
async def request_code(
    body: CodeRequest,
    session: SessionDep,
    deployment: DeploymentDep,
    preferred_locale: PreferredLocale,
    now: Now,
) -> IssuedCodeAnswer:
    """Send a new code for a flow, which kills its older one, or start a password reset."""
    if body.flow_id is not None:
        issued = await verification_flows.resend(
            session, body.flow_id, deployment=deployment, now=now
        )
    else:
        issued = await password_reset.request(
            session,
            email=parse_email(body.email or ""),
            locale=body.locale or preferred_locale,
            return_to=check_return_to(body.return_to, origins=deployment.return_to_origins),
            deployment=deployment,
            now=now,
        )
    return IssuedCodeAnswer.model_validate(issued)


@router.post(
    "/verify",
    responses=refusals(
        CodeRefused,
        verification_codes.PasswordRequired,
        cookies.OriginNotAllowed,
        HashingBusy,
    ),
)
async def verify_code(
    body: CodeProof,
    request: Request,
    response: Response,
    transactions: Transactions,
    hasher: HasherDep,
    tokens: AccessTokensDep,
    client: CurrentClient,
    settings: SettingsDep,
    deployment: DeploymentDep,
    now: Now,
) -> VerifiedRegistration | ResetGrantAnswer:
    """Enter a code, or use the link of the same mail. A registration is logged in at once."""
    if body.transport == "cookie":
        cookies.check_origin(request, settings.browser_origins)
    outcome = await verification_codes.verify(
        transactions,
        hasher,
        verification_codes.Proof(body.flow_id, body.code, body.token, body.password),
        device=Device(body.transport, body.device_name, client),
        deployment=deployment,
        now=now,
    )
    if isinstance(outcome, ResetGrant):
        return ResetGrantAnswer.model_validate(outcome)
    return VerifiedRegistration(
        account=AccountAnswer.model_validate(outcome.account),
        session=token_answer(outcome, response, tokens=tokens, deployment=deployment, now=now),
    )
