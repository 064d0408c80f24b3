"""Registering, logging in, keeping a session alive, and setting a new password."""

from typing import Annotated

from fastapi import APIRouter, Cookie, Request, Response

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
from app.errors import LoginRequired
from app.http import cookies
from app.http.openapi import refusals
from app.http.strict_json import StrictJsonRoute
from app.routers.token_answer import token_answer
from app.schemas.auth import (
    IssuedCodeAnswer,
    Login,
    PasswordPolicyAnswer,
    PasswordReset,
    PasswordResetAnswer,
    Registration,
    TokenAnswer,
    TokenRefresh,
)
from app.services import auth, password_reset, passwords, registration, sessions
from app.services.context import Device
from app.services.emails import InvalidEmail, parse_email
from app.services.login_failures import TooManyFailedLogins
from app.services.refresh_tokens import InvalidRefreshToken
from app.services.return_to import ReturnToNotAllowed, check_return_to
from app.services.verification_flows import CodeCooldown

router = APIRouter(
    prefix="/v1/auth",
    tags=["auth"],
    route_class=StrictJsonRoute,
    dependencies=[NO_STORE],
)

# With the cookie transport there is nothing to say in a body.
NO_TOKEN = TokenRefresh()
RefreshCookie = Annotated[str | None, Cookie(alias=cookies.REFRESH_COOKIE, include_in_schema=False)]


@router.post(
    "/register",
    status_code=202,
    responses=refusals(
        InvalidEmail, passwords.PasswordPolicy, ReturnToNotAllowed, CodeCooldown, HashingBusy
    ),
)
async def register(
    body: Registration,
    transactions: Transactions,
    hasher: HasherDep,
    deployment: DeploymentDep,
    preferred_locale: PreferredLocale,
    now: Now,
) -> IssuedCodeAnswer:
    """Ask for an account. A code comes by mail; the answer is the same for every address."""
    applicant = registration.Applicant(
        email=parse_email(body.email),
        password=body.password,
        locale=body.locale or preferred_locale,
        full_name=body.full_name,
        organisation=body.organisation,
        country=body.country,
    )
    issued = await registration.register(
        transactions,
        hasher,
        applicant,
        return_to=check_return_to(body.return_to, origins=deployment.return_to_origins),
        deployment=deployment,
        now=now,
    )
    return IssuedCodeAnswer.model_validate(issued)


@router.post(
    "/login",
    responses=refusals(
        auth.InvalidCredentials,
        auth.AccountSuspended,
        cookies.OriginNotAllowed,
        TooManyFailedLogins,
        HashingBusy,
    ),
)
async def login(
    body: Login,
    request: Request,
    response: Response,
    transactions: Transactions,
    hasher: HasherDep,
    tokens: AccessTokensDep,
    client: CurrentClient,
    settings: SettingsDep,
    deployment: DeploymentDep,
    now: Now,
) -> TokenAnswer:
    """Open a session with email and password."""
    if body.transport == "cookie":
        cookies.check_origin(request, settings.browser_origins)
    opened = await auth.login(
        transactions,
        hasher,
        email=parse_email(body.email),
        password=body.password,
        device=Device(body.transport, body.device_name, client),
        deployment=deployment,
        now=now,
    )
    return token_answer(opened, response, tokens=tokens, deployment=deployment, now=now)


@router.post(
    "/refresh",
    responses=refusals(
        InvalidRefreshToken,
        sessions.RefreshTokenReused,
        LoginRequired,
        cookies.OriginNotAllowed,
    ),
)
async def refresh(
    request: Request,
    response: Response,
    session: SessionDep,
    tokens: AccessTokensDep,
    client: CurrentClient,
    settings: SettingsDep,
    deployment: DeploymentDep,
    now: Now,
    body: TokenRefresh = NO_TOKEN,
    cookie: RefreshCookie = None,
) -> TokenAnswer:
    """Exchange a refresh token, from the body or the cookie, for a new pair."""
    token = body.refresh_token
    if token is None and cookie is not None:
        cookies.check_origin(request, settings.browser_origins)
        token = cookie
    if token is None:
        raise LoginRequired
    renewed = await sessions.refresh(session, token, client=client, deployment=deployment, now=now)
    return token_answer(renewed, response, tokens=tokens, deployment=deployment, now=now)


@router.post("/logout", status_code=204, responses=refusals(cookies.OriginNotAllowed))
async def logout(
    request: Request,
    response: Response,
    session: SessionDep,
    client: CurrentClient,
    settings: SettingsDep,
    deployment: DeploymentDep,
    now: Now,
    body: TokenRefresh = NO_TOKEN,
    cookie: RefreshCookie = None,
) -> None:
    """End the session of a refresh token, from the body or the cookie. Repeating it is fine."""
    token = body.refresh_token
    if token is None and cookie is not None:
        cookies.check_origin(request, settings.browser_origins)
        cookies.clear_refresh_cookie(response)
        token = cookie
    if token is not None:
        await sessions.log_out(session, token, client=client, keyring=deployment.keyring, now=now)


@router.post(
    "/password-reset",
    responses=refusals(password_reset.ResetTokenRefused, passwords.PasswordPolicy, HashingBusy),
)
async def reset_password(
    body: PasswordReset,
    transactions: Transactions,
    hasher: HasherDep,
    client: CurrentClient,
    deployment: DeploymentDep,
    now: Now,
) -> PasswordResetAnswer:
    """Set a new password; every session ends. The answer says which page the user was on."""
    return_to = await password_reset.reset(
        transactions,
        hasher,
        token=body.reset_token,
        new_password=body.new_password,
        client=client,
        deployment=deployment,
        now=now,
    )
    return PasswordResetAnswer(return_to=return_to)


@router.get("/password-policy")
async def get_password_policy(response: Response) -> PasswordPolicyAnswer:
    """The rules as data, so that clients can tick them off while somebody types."""
    response.headers["Cache-Control"] = "public, max-age=3600"
    return PasswordPolicyAnswer.model_validate(passwords.rules())
