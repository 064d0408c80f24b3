"""What a router may ask for. Routers get everything from here, and nothing from app.db.

All are coroutines: FastAPI would run a plain function in a thread, for a hundred microseconds.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic
from typing import Annotated, cast

from babel import negotiate_locale
from fastapi import Depends, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.adapters.storage import Storage
from app.adapters.upload_store import UploadStore, open_upload_store
from app.crypto import AccessTokens, InvalidToken, PasswordHasher
from app.db import Reader, get_session
from app.errors import Forbidden, LoginRequired, RateLimited
from app.formats.addresses import Addresses
from app.http.client_address import client_network
from app.http.conditional import check_if_match
from app.http.cookies import DEVICE_COOKIE
from app.http.ending import call_at_end
from app.http.key_gate import KeyGate
from app.http.keyed_requests import KEY
from app.http.openapi_security import for_keys_with, for_people
from app.http.page_cache import FILLING
from app.http.pager import Pager
from app.http.paging import DEFAULT_LIMIT, MAX_LIMIT, Page
from app.http.shown_keys import shown_token
from app.models import Account
from app.services import auth, derived_files, policy, reauthentication
from app.services.asset_versions import VersionCheck
from app.services.auth import Caller, InsufficientScope, LoggedIn
from app.services.change_hub import ChangeHub
from app.services.change_watch import Watch
from app.services.context import Client, Deployment, Editor, Newsroom
from app.services.derived_files import DeskView
from app.services.key_records import KeyCaller
from app.services.languages import LOCALES
from app.settings import Settings

USER_AGENT_MAX_LENGTH = 300

ChangesWatching = Callable[[], AbstractContextManager[Watch]]

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


async def get_public_reader(request: Request) -> Reader:
    """For what anybody may read: a replica, except for an answer that is kept for everybody."""
    database = request.app.state.database
    is_kept = request.scope.get("state", {}).get(FILLING, False)
    return cast("Reader", database.reader if is_kept else database.replica)


async def get_settings(request: Request) -> Settings:
    return cast("Settings", request.app.state.settings)


async def get_deployment(request: Request) -> Deployment:
    return cast("Deployment", request.app.state.deployment)


async def get_hasher(request: Request) -> PasswordHasher:
    return cast("PasswordHasher", request.app.state.hasher)


async def get_access_tokens(request: Request) -> AccessTokens:
    return cast("AccessTokens", request.app.state.access_tokens)


async def get_key_gate(request: Request) -> KeyGate:
    return cast("KeyGate", request.app.state.keys)


async def get_storage(request: Request) -> Storage:
    return cast("Storage", request.app.state.storage)


async def get_upload_store(request: Request) -> UploadStore:
    return open_upload_store(request.app.state.storage)


async def get_addresses(request: Request) -> Addresses:
    state = request.app.state
    return Addresses(api=state.settings.base_url, pages=state.deployment.links_url)


async def utc_now() -> datetime:
    """The time of this request. Tests move the clock by overriding this function."""
    return datetime.now(UTC)


Transactions = Annotated[
    Callable[[], AbstractAsyncContextManager[AsyncSession]], Depends(get_transactions)
]
ReaderDep = Annotated[Reader, Depends(get_reader)]
PublicReaderDep = Annotated[Reader, Depends(get_public_reader)]
SettingsDep = Annotated[Settings, Depends(get_settings)]
DeploymentDep = Annotated[Deployment, Depends(get_deployment)]
HasherDep = Annotated[PasswordHasher, Depends(get_hasher)]
AccessTokensDep = Annotated[AccessTokens, Depends(get_access_tokens)]
KeyGateDep = Annotated[KeyGate, Depends(get_key_gate)]
StorageDep = Annotated[Storage, Depends(get_storage)]
UploadStoreDep = Annotated[UploadStore, Depends(get_upload_store)]
AddressesDep = Annotated[Addresses, Depends(get_addresses)]
Now = Annotated[datetime, Depends(utc_now)]


async def get_newsroom(settings: SettingsDep) -> Newsroom:
    return Newsroom(
        sender=settings.newsletter_sender,
        api_url=settings.base_url,
        pages_url=settings.links_url,
        bounce_domain=settings.bounce_domain,
    )


NewsroomDep = Annotated[Newsroom, Depends(get_newsroom)]


async def get_frame_ancestors(settings: SettingsDep) -> str:
    """Who may show a page in a frame, as a Content-Security-Policy says it: the browser app."""
    return " ".join(("frame-ancestors 'self'", *sorted(settings.browser_origins)))


FrameAncestors = Annotated[str, Depends(get_frame_ancestors)]


async def get_clock(now: Now) -> Callable[[], datetime]:
    """The time as it goes on, for a request that may take hours."""
    started = monotonic()
    return lambda: now + timedelta(seconds=monotonic() - started)


Clock = Annotated[Callable[[], datetime], Depends(get_clock)]


async def get_client(request: Request) -> Client:
    user_agent = request.headers.get("user-agent")
    return Client(
        network=client_network(request.client.host) if request.client else "unknown",
        user_agent=user_agent[:USER_AGENT_MAX_LENGTH] if user_agent else None,
        request_id=request.scope.get("state", {}).get("request_id"),
        device_mark=request.cookies.get(DEVICE_COOKIE),
    )


CurrentClient = Annotated[Client, Depends(get_client)]
# The account as it was, if the password was given and right (reauthentication.proven_account).
Proof = Callable[[str | None], Awaitable[Account | None]]


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


async def get_change_hub(request: Request) -> ChangeHub:
    return cast("ChangeHub", request.app.state.changes)


ChangeHubDep = Annotated[ChangeHub, Depends(get_change_hub)]


async def get_changes_watcher(request: Request, clock: Clock) -> ChangesWatching:
    """For who waits for changes: it is told of them, and when nobody may or wants to have more."""
    state = request.app.state

    async def check() -> None:
        await may_read_changes(request, clock())

    @contextmanager
    def watching() -> Iterator[Watch]:
        credential = request.headers["authorization"]
        with (
            state.changes.watching(state.database.reader) as watch,
            state.access_checks.watching(credential, check, watch.end),
        ):
            call_at_end(request.scope, watch.end)
            yield watch

    return watching


ChangesWatcher = Annotated[ChangesWatching, Depends(get_changes_watcher)]


async def get_room_to_wait(request: Request, deployment: DeploymentDep) -> Callable[[], None]:
    """Refuses one more wait of a credential that already has many open connections."""

    def check() -> None:
        open_waits = request.app.state.access_checks.count(request.headers["authorization"])
        if deployment.limits_on and open_waits >= policy.WAITS_PER_CREDENTIAL:
            raise RateLimited(retry_after=policy.WAIT_RETRY_AFTER)

    return check


RoomToWait = Annotated[Callable[[], None], Depends(get_room_to_wait)]


async def get_optional_caller(request: Request, now: Now) -> Caller | None:
    """Who asks, where anybody may; a token that is sent must be a good one."""
    if "authorization" not in request.headers:
        return None
    await check_public_reader(request)
    return await get_caller(request, now)


OptionalCaller = Annotated[
    Caller | None, Depends(for_keys_with("assets:read", get_optional_caller))
]


async def get_proof(
    caller: CurrentAccount,
    transactions: Transactions,
    hasher: HasherDep,
    client: CurrentClient,
    deployment: DeploymentDep,
    now: Now,
) -> Proof:
    """Checks a password that came with a request which needs a recent proof of it."""

    async def check(password: str | None) -> Account | None:
        if password is None:
            return None
        return await reauthentication.check_password(
            transactions,
            hasher,
            account_id=caller.account_id,
            password=password,
            client=client,
            deployment=deployment,
            now=now,
        )

    return check


ProofDep = Annotated[Proof, Depends(get_proof)]


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


async def get_version_check(request: Request) -> VersionCheck:
    """Compares If-Match with the version that the change is about to meet, under its lock."""
    return partial(check_if_match, request.headers.get("if-match"))


VersionCheckDep = Annotated[VersionCheck, Depends(get_version_check)]


async def get_optional_version_check(request: Request) -> VersionCheck:
    """The same for steps that must not wait for a reading, but heed If-Match where it is sent."""
    return partial(check_if_match, request.headers.get("if-match"), required=False)


OptionalVersionCheckDep = Annotated[VersionCheck, Depends(get_optional_version_check)]


async def get_desk_view(deployment: DeploymentDep, now: Now) -> DeskView:
    """What makes an editor's document of a rendered one, for the desk of this minute."""
    return partial(derived_files.with_signed_addresses, keyring=deployment.keyring, now=now)


DeskViewDep = Annotated[DeskView, Depends(get_desk_view)]


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
