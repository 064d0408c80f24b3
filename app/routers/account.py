"""One's own account."""

from typing import Any

from fastapi import APIRouter, Response
from pydantic_core import to_jsonable_python

from app.crypto import HashingBusy, InvalidToken
from app.deps import (
    NO_STORE,
    CurrentAccount,
    CurrentClient,
    DeploymentDep,
    Now,
    PasswordCheckDep,
    SessionDep,
    Transactions,
)
from app.errors import LoginRequired
from app.http.openapi import refusals
from app.http.strict_json import StrictJsonRoute
from app.schemas.account import (
    AccountAnswer,
    AccountDeletion,
    EmailChange,
    EmailChangeCode,
    PasswordChange,
    ProfilePatch,
    UndoToken,
)
from app.schemas.auth import IssuedCodeAnswer
from app.schemas.verification_codes import ResetGrantAnswer
from app.services import account as accounts
from app.services import email_change, passwords
from app.services.emails import InvalidEmail, parse_email
from app.services.login_failures import TooManyFailedLogins
from app.services.one_time_codes import CodeRefused
from app.services.reauthentication import WrongPassword
from app.services.verification_flows import CodeCooldown

router = APIRouter(
    prefix="/v1/account",
    tags=["account"],
    route_class=StrictJsonRoute,
)
NEEDS_LOGIN = refusals(LoginRequired, InvalidToken)
NEEDS_PASSWORD = refusals(
    LoginRequired, InvalidToken, WrongPassword, TooManyFailedLogins, HashingBusy
)


@router.get("", response_model=AccountAnswer, responses=NEEDS_LOGIN)
async def get_account(caller: CurrentAccount) -> Response:
    """Who am I? The token's check has read the account already; the answer is rendered once."""
    answer = AccountAnswer.model_construct(**caller.account)
    return Response(answer.__pydantic_serializer__.to_json(answer), media_type="application/json")


@router.patch("", responses=NEEDS_LOGIN)
async def update_account(
    body: ProfilePatch,
    caller: CurrentAccount,
    session: SessionDep,
    client: CurrentClient,
    now: Now,
) -> AccountAnswer:
    """Change the profile; a field left out stays as it is."""
    changed = await accounts.update_profile(
        session,
        caller.account_id,
        body.model_dump(exclude_unset=True),
        client=client,
        now=now,
    )
    return AccountAnswer.model_validate(changed)


@router.delete("", status_code=204, responses=NEEDS_PASSWORD)
async def delete_account(
    body: AccountDeletion,
    caller: CurrentAccount,
    transactions: Transactions,
    check_password: PasswordCheckDep,
    client: CurrentClient,
    deployment: DeploymentDep,
    now: Now,
) -> None:
    """Erase the account and everything tied to it, now. A mail confirms it."""
    await accounts.erase(
        transactions,
        check_password,
        caller=caller,
        password=body.password,
        client=client,
        deployment=deployment,
        now=now,
    )


@router.get("/export", responses=NEEDS_LOGIN)
async def export_account(
    caller: CurrentAccount, session: SessionDep, deployment: DeploymentDep
) -> dict[str, Any]:
    """Everything that is held about the person, as one JSON document."""
    document = await accounts.export(session, caller.account_id, keyring=deployment.keyring)
    exported: dict[str, Any] = to_jsonable_python(document)
    return exported


@router.post(
    "/password",
    status_code=204,
    responses={**NEEDS_PASSWORD, **refusals(passwords.PasswordPolicy)},
)
async def change_password(
    body: PasswordChange,
    caller: CurrentAccount,
    transactions: Transactions,
    check_password: PasswordCheckDep,
    client: CurrentClient,
    deployment: DeploymentDep,
    now: Now,
) -> None:
    """Change the password; all other sessions end and the owner is told by mail."""
    await passwords.change(
        transactions,
        check_password,
        caller=caller,
        current_password=body.current_password,
        new_password=body.new_password,
        client=client,
        deployment=deployment,
        now=now,
    )


@router.post(
    "/email",
    status_code=202,
    responses={**NEEDS_PASSWORD, **refusals(InvalidEmail, CodeCooldown)},
)
async def request_email_change(
    body: EmailChange,
    caller: CurrentAccount,
    transactions: Transactions,
    check_password: PasswordCheckDep,
    deployment: DeploymentDep,
    now: Now,
) -> IssuedCodeAnswer:
    """Ask for a new address. The code goes there; until it is entered nothing changes."""
    issued = await email_change.request(
        transactions,
        check_password,
        caller=caller,
        new_email=parse_email(body.new_email, pointer="/new_email"),
        password=body.password,
        deployment=deployment,
        now=now,
    )
    return IssuedCodeAnswer.model_validate(issued)


@router.post("/email/verify", responses={**NEEDS_LOGIN, **refusals(CodeRefused)})
async def verify_email_change(
    body: EmailChangeCode,
    caller: CurrentAccount,
    session: SessionDep,
    client: CurrentClient,
    deployment: DeploymentDep,
    now: Now,
) -> AccountAnswer:
    """Enter the code from the new mailbox; the old one gets a notice with a way back."""
    changed = await email_change.verify(
        session,
        caller=caller,
        code=body.code,
        client=client,
        deployment=deployment,
        now=now,
    )
    return AccountAnswer.model_validate(changed)


@router.post(
    "/email/undo",
    responses=refusals(email_change.UndoRefused),
    dependencies=[NO_STORE],
)
async def undo_email_change(
    body: UndoToken,
    session: SessionDep,
    client: CurrentClient,
    deployment: DeploymentDep,
    now: Now,
) -> ResetGrantAnswer:
    """Give the account back to its old mailbox; the answer lets its owner set a new password."""
    granted = await email_change.undo(
        session, body.token, client=client, deployment=deployment, now=now
    )
    return ResetGrantAnswer.model_validate(granted)
