"""Giving the password again, before something grave."""

from fastapi import APIRouter

from app.crypto import HashingBusy, InvalidToken
from app.deps import CurrentAccount, PasswordCheckDep
from app.errors import LoginRequired
from app.http.openapi import refusals
from app.http.strict_json import StrictJsonRoute
from app.schemas.reauthentication import Reauthentication
from app.services import reauthentication
from app.services.login_failures import TooManyFailedLogins
from app.services.reauthentication import WrongPassword

router = APIRouter(prefix="/v1/auth", tags=["auth"], route_class=StrictJsonRoute)


@router.post(
    "/reauthenticate",
    status_code=204,
    responses=refusals(
        LoginRequired, InvalidToken, WrongPassword, TooManyFailedLogins, HashingBusy
    ),
)
async def reauthenticate(
    body: Reauthentication,
    caller: CurrentAccount,
    check_password: PasswordCheckDep,
) -> None:
    """Give the password again; for 15 minutes this session may then make keys and the like."""
    await reauthentication.prove(check_password, caller=caller, password=body.password)
