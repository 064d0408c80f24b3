"""Who asks: a person with a session, or a key; and whether the password was proven just now."""

from datetime import datetime
from typing import Annotated, cast

from fastapi import Depends, Request

from app.crypto import InvalidToken
from app.deps.application import DeploymentDep, HasherDep
from app.deps.clock import Now
from app.deps.database import Transactions
from app.deps.http import CurrentClient
from app.errors import LoginRequired
from app.http.keyed_requests import KEY
from app.http.openapi_security import for_keys_with, for_people
from app.http.shown_keys import shown_token
from app.services import auth
from app.services.auth import Caller, InsufficientScope, LoggedIn
from app.services.reauthentication import PasswordCheck

_CALLER = "caller"


async def get_caller(request: Request, now: Now) -> Caller:
    """Whoever sends `Authorization: Bearer`: a session, looked up at every request, or a key.

    On the way of every request, so it asks the application itself: each dependency of its own
    would cost as much as the token's check. Several of a request's dependencies may ask; at
    another time, such as that of a long answer, the answer is looked up again.
    """
    state = request.scope.setdefault("state", {})
    asked_at, caller = state.get(_CALLER, (None, None))
    if asked_at != now:
        if KEY not in state:
            caller = await _logged_in(request, now)
        elif asked_at is None:  # just looked up, before routing
            caller = state[KEY]
        else:
            caller = await request.app.state.keys.identify(shown_token(request.scope) or "")
        state[_CALLER] = (now, caller)
    return cast("Caller", caller)


async def _logged_in(request: Request, now: datetime) -> LoggedIn:
    headers = request.headers.getlist("authorization")
    if not headers:
        raise LoginRequired
    scheme, _, token = headers[0].partition(" ")
    if len(headers) > 1 or scheme.lower() != "bearer":
        raise InvalidToken
    state = request.app.state
    claims = state.access_tokens.verify(token, now=now)
    return await auth.authenticate(state.database.reader, claims, now=now)


# Whoever it is; another dependency says who may.
KnownCaller = Annotated[Caller, Depends(get_caller)]


async def get_any_caller(caller: KnownCaller) -> Caller:
    return caller


# Also a key without any particular scope.
AnyCaller = Annotated[Caller, Depends(for_keys_with(None, get_any_caller))]


async def get_account(request: Request, now: Now) -> LoggedIn:
    """The account that is logged in: what concerns it is done by people and never by a key."""
    caller = await get_caller(request, now)
    if not isinstance(caller, LoggedIn):
        raise InsufficientScope("account")
    return caller


CurrentAccount = Annotated[LoggedIn, Depends(for_people(get_account))]


async def get_password_check(
    caller: CurrentAccount,
    transactions: Transactions,
    hasher: HasherDep,
    client: CurrentClient,
    deployment: DeploymentDep,
    now: Now,
) -> PasswordCheck:
    """For what needs a recent proof of the password."""
    return PasswordCheck(transactions, hasher, caller.account_id, client, deployment, now)


PasswordCheckDep = Annotated[PasswordCheck, Depends(get_password_check)]
