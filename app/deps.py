"""What a router may ask for. Routers get everything from here, and nothing from app.db.

All are coroutines: FastAPI would run a plain function in a thread, for a hundred microseconds.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Annotated, cast

from babel import negotiate_locale
from fastapi import Depends, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.adapters.storage import Storage
from app.crypto import AccessTokens, InvalidToken, PasswordHasher
from app.db import Reader, get_session
from app.errors import Forbidden, LoginRequired
from app.http.client_address import client_network
from app.http.cookies import DEVICE_COOKIE
from app.http.pager import Pager
from app.http.paging import DEFAULT_LIMIT, MAX_LIMIT, Page
from app.services import auth
from app.services.auth import Caller
from app.services.context import Client, Deployment
from app.settings import Settings

LOCALES = ("en", "fr")
USER_AGENT_MAX_LENGTH = 300

# scope="function": FastAPI commits before it sends the response, not after. A second, plain
# Depends(get_session) would open a second session in the same request.
SessionDep = Annotated[AsyncSession, Depends(get_session, scope="function")]


async def get_transactions(
    request: Request,
) -> Callable[[], AbstractAsyncContextManager[AsyncSession]]:
    """For whoever must hold no connection while it waits for the hash pool or the network."""
    return cast(
        "Callable[[], AbstractAsyncContextManager[AsyncSession]]",
        request.app.state.database.transaction,
    )


async def get_reader(request: Request) -> Reader:
    return cast("Reader", request.app.state.database.reader)


async def get_settings(request: Request) -> Settings:
    return cast("Settings", request.app.state.settings)


async def get_deployment(request: Request) -> Deployment:
    return cast("Deployment", request.app.state.deployment)


async def get_hasher(request: Request) -> PasswordHasher:
    return cast("PasswordHasher", request.app.state.hasher)


async def get_access_tokens(request: Request) -> AccessTokens:
    return cast("AccessTokens", request.app.state.access_tokens)


async def get_storage(request: Request) -> Storage:
    return cast("Storage", request.app.state.storage)


async def utc_now() -> datetime:
    """The time of this request. Tests move the clock by overriding this function."""
    return datetime.now(UTC)


Transactions = Annotated[
    Callable[[], AbstractAsyncContextManager[AsyncSession]], Depends(get_transactions)
]
ReaderDep = Annotated[Reader, Depends(get_reader)]
SettingsDep = Annotated[Settings, Depends(get_settings)]
DeploymentDep = Annotated[Deployment, Depends(get_deployment)]
HasherDep = Annotated[PasswordHasher, Depends(get_hasher)]
AccessTokensDep = Annotated[AccessTokens, Depends(get_access_tokens)]
StorageDep = Annotated[Storage, Depends(get_storage)]
Now = Annotated[datetime, Depends(utc_now)]


async def get_client(request: Request) -> Client:
    user_agent = request.headers.get("user-agent")
    return Client(
        network=client_network(request.client.host) if request.client else "unknown",
        user_agent=user_agent[:USER_AGENT_MAX_LENGTH] if user_agent else None,
        request_id=request.scope.get("state", {}).get("request_id"),
        device_mark=request.cookies.get(DEVICE_COOKIE),
    )


CurrentClient = Annotated[Client, Depends(get_client)]


async def get_account(request: Request, now: Now) -> Caller:
    """The account that sends `Authorization: Bearer`; its session is checked at every request.

    On the way of every request, so it asks the application itself: each dependency of its own
    would cost as much as the token's check.
    """
    state = request.app.state
    headers = request.headers.getlist("authorization")
    if not headers:
        raise LoginRequired
    scheme, _, token = headers[0].partition(" ")
    if len(headers) > 1 or scheme.lower() != "bearer":
        raise InvalidToken
    claims = state.access_tokens.verify(token, now=now)
    return await auth.authenticate(state.database.reader, claims, now=now)


CurrentAccount = Annotated[Caller, Depends(get_account)]


async def get_admin(caller: CurrentAccount) -> Caller:
    if caller.role != "admin":
        raise Forbidden
    return caller


CurrentAdmin = Annotated[Caller, Depends(get_admin)]


async def get_preferred_locale(request: Request) -> str:
    """The language of mails for somebody who named none, from Accept-Language."""
    accepted = request.headers.get("accept-language", "")
    tags = [part.partition(";")[0].strip() for part in accepted.split(",")[:10]]
    return negotiate_locale(tags, LOCALES, sep="-") or LOCALES[0]


PreferredLocale = Annotated[str, Depends(get_preferred_locale)]


async def get_pager(
    request: Request,
    deployment: DeploymentDep,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    cursor: str | None = None,  # of any length: a bad one is a bad cursor, whatever is bad in it
) -> Pager:
    query = request.url.query
    target = f"{request.scope['path']}?{query}" if query else request.scope["path"]
    return Pager(Page(limit, cursor), deployment.keyring.key("cursor"), target)


PageDep = Annotated[Pager, Depends(get_pager)]


async def forbid_caching(response: Response) -> None:
    """For routers whose answers are personal or hold a secret; a route may say otherwise."""
    response.headers["Cache-Control"] = "no-store"


NO_STORE = Depends(forbid_caching)
