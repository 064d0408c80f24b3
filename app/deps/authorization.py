"""Who may: keys by their scopes, people by their roles."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request

from app.deps.authentication import CurrentAccount, get_caller
from app.deps.clock import Now
from app.deps.http import CurrentClient
from app.errors import Forbidden
from app.http.keyed_requests import KEY
from app.http.openapi_security import for_keys_with
from app.services.auth import Caller, InsufficientScope, LoggedIn
from app.services.context import Editor
from app.services.key_records import KeyCaller


def allowed(scope: str) -> Callable[[Request, datetime], Awaitable[Caller]]:
    """Who asks where scopes count; a logged-in account has all that it could give to a key."""

    async def get_allowed(request: Request, now: Now) -> Caller:
        caller = await get_caller(request, now)
        if scope not in caller.scopes:
            raise InsufficientScope(scope)
        return caller

    return for_keys_with(scope, get_allowed)


AssetReader = Annotated[Caller, Depends(allowed("assets:read"))]
Downloader = Annotated[Caller, Depends(allowed("assets:download"))]
may_read_changes = allowed("changes:read")
ChangesReader = Annotated[Caller, Depends(may_read_changes)]
WebhooksManager = Annotated[Caller, Depends(allowed("webhooks:manage"))]


async def check_public_reader(request: Request) -> None:
    """What anybody may read, a key may read that is meant for reading."""
    key: KeyCaller | None = request.scope.get("state", {}).get(KEY)
    if key is not None and "assets:read" not in key.scopes:
        raise InsufficientScope("assets:read")


PUBLIC_READ = Depends(for_keys_with("assets:read", check_public_reader))


async def get_optional_caller(request: Request, now: Now) -> Caller | None:
    """Who asks, where anybody may; a token that is sent must be a good one."""
    if "authorization" not in request.headers:
        return None
    await check_public_reader(request)
    return await get_caller(request, now)


OptionalCaller = Annotated[
    Caller | None, Depends(for_keys_with("assets:read", get_optional_caller))
]


async def get_editor(caller: CurrentAccount) -> LoggedIn:
    if not caller.is_editor:
        raise Forbidden
    return caller


CurrentEditor = Annotated[LoggedIn, Depends(get_editor)]


async def get_acting_editor(caller: CurrentEditor, client: CurrentClient) -> Editor:
    return Editor(caller.account_id, client)


ActingEditor = Annotated[Editor, Depends(get_acting_editor)]


async def get_admin(caller: CurrentAccount) -> LoggedIn:
    if caller.role != "admin":
        raise Forbidden
    return caller


CurrentAdmin = Annotated[LoggedIn, Depends(get_admin)]
