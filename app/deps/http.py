"""From the head of a request: client, language, If-Match, page. For that of an answer: no-store."""

from functools import partial
from typing import Annotated

from babel import negotiate_locale
from fastapi import Depends, Query, Request, Response

from app.deps.application import DeploymentDep
from app.http.client_address import client_network
from app.http.conditional import check_if_match
from app.http.cookies import DEVICE_COOKIE
from app.http.pager import Pager
from app.http.paging import DEFAULT_LIMIT, MAX_LIMIT, Page
from app.services.asset_versions import VersionCheck
from app.services.context import Client
from app.services.languages import LOCALES

USER_AGENT_MAX_LENGTH = 300


async def get_client(request: Request) -> Client:
    user_agent = request.headers.get("user-agent")
    return Client(
        network=client_network(request.client.host) if request.client else "unknown",
        user_agent=user_agent[:USER_AGENT_MAX_LENGTH] if user_agent else None,
        request_id=request.scope.get("state", {}).get("request_id"),
        device_mark=request.cookies.get(DEVICE_COOKIE),
    )


CurrentClient = Annotated[Client, Depends(get_client)]


async def get_preferred_locale(request: Request) -> str:
    """The language of mails for somebody who named none, from Accept-Language."""
    accepted = request.headers.get("accept-language", "")
    tags = [part.partition(";")[0].strip() for part in accepted.split(",")[:10]]
    return negotiate_locale(tags, LOCALES, sep="-") or LOCALES[0]


PreferredLocale = Annotated[str, Depends(get_preferred_locale)]


async def get_version_check(request: Request) -> VersionCheck:
    """Compares If-Match with the version that the change is about to meet, under its lock."""
    return partial(check_if_match, request.headers.get("if-match"))


VersionCheckDep = Annotated[VersionCheck, Depends(get_version_check)]


async def get_optional_version_check(request: Request) -> VersionCheck:
    """The same for steps that must not wait for a reading, but heed If-Match where it is sent."""
    return partial(check_if_match, request.headers.get("if-match"), required=False)


OptionalVersionCheckDep = Annotated[VersionCheck, Depends(get_optional_version_check)]


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
