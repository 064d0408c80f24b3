"""One's own API keys. Only people manage them: a key can't make another."""

from datetime import timedelta
from uuid import UUID

from fastapi import APIRouter, Response

from app.crypto import HashingBusy, InvalidToken
from app.deps import (
    NO_STORE,
    CurrentAccount,
    CurrentClient,
    DeploymentDep,
    Now,
    PageDep,
    PasswordCheckDep,
    SessionDep,
    Transactions,
)
from app.errors import LoginRequired, NotFound
from app.http.idempotency import IdempotencyDep
from app.http.openapi import refusals
from app.http.paging import InvalidCursor
from app.http.strict_json import StrictJsonRoute
from app.schemas.api_keys import (
    ApiKeyAnswer,
    ApiKeyBody,
    ApiKeyList,
    ApiKeyPatch,
    NewApiKeyAnswer,
    Rotation,
    SecretAnswer,
    UsageToday,
)
from app.services import api_key_details, api_keys, reauthentication
from app.services.api_key_details import KeyDetails
from app.services.api_keys import ApiKeyEnded, NewSecret, TooManyApiKeys, Wish
from app.services.idempotency import (
    IdempotencyKeyReused,
    IdempotencyKeyRunning,
    IdempotencySecretShown,
)
from app.services.login_failures import TooManyFailedLogins
from app.services.reauthentication import ReauthenticationRequired, WrongPassword

router = APIRouter(
    prefix="/v1/api-keys",
    tags=["broadcasters"],
    route_class=StrictJsonRoute,
    dependencies=[NO_STORE],
    responses=refusals(LoginRequired, InvalidToken),
)
AT_SECRETS = (
    ReauthenticationRequired,
    WrongPassword,
    TooManyFailedLogins,
    HashingBusy,
    IdempotencySecretShown,
    IdempotencyKeyReused,
    IdempotencyKeyRunning,
)
DEFAULT_ROTATION = Rotation()


@router.post(
    "",
    status_code=201,
    responses=refusals(*AT_SECRETS, TooManyApiKeys),
)
async def create_api_key(
    body: ApiKeyBody,
    caller: CurrentAccount,
    check_password: PasswordCheckDep,
    transactions: Transactions,
    client: CurrentClient,
    deployment: DeploymentDep,
    idempotency: IdempotencyDep,
    now: Now,
) -> NewApiKeyAnswer:
    """Make a key; its secret is in this answer and never shown again. The owner gets a mail.

    The password must have been given in the past 15 minutes: at the log-in, with this request, or
    to `POST /v1/auth/reauthenticate`.
    """
    checked = await check_password.if_given(body.password)
    wish = Wish(body.name, body.scopes, body.expires_at)
    async with transactions() as session:
        account = await reauthentication.proven_account(session, caller, checked=checked, now=now)
        made = await api_keys.create(
            session, account, wish, client=client, deployment=deployment, now=now
        )
        await idempotency.remember_secret(session, 201)
    return _new_answer(made)


@router.get("", responses=refusals(InvalidCursor))
async def list_api_keys(
    response: Response, caller: CurrentAccount, session: SessionDep, pager: PageDep, now: Now
) -> ApiKeyList:
    """All keys of the account, the newest first; those that have ended too."""
    scope = f"api-keys {caller.account_id}"
    after = pager.after(scope)
    found = await api_key_details.list_keys(
        session,
        caller.account_id,
        before=UUID(str(after[0])) if after else None,
        limit=pager.read_limit,
        now=now,
    )
    items = [_answer(details) for details in pager.shown(found)]
    last = [str(items[-1].id)] if items else []
    return ApiKeyList(items=items, next_cursor=pager.next_cursor(response, scope, found, last))


@router.get("/{key_id}", responses=refusals(NotFound))
async def get_api_key(
    key_id: UUID, caller: CurrentAccount, session: SessionDep, now: Now
) -> ApiKeyAnswer:
    """One key. Its last use and today's figures are a second or two behind."""
    return _answer(await api_key_details.get(session, caller.account_id, key_id, now=now))


@router.patch("/{key_id}", responses=refusals(NotFound))
async def rename_api_key(
    key_id: UUID,
    body: ApiKeyPatch,
    caller: CurrentAccount,
    session: SessionDep,
    client: CurrentClient,
    now: Now,
) -> ApiKeyAnswer:
    """Give a key another name. Scopes and expiry stay as they are: make another key for others."""
    renamed = await api_keys.rename(
        session, caller.account_id, key_id, body.name, client=client, now=now
    )
    return _answer(renamed)


@router.post(
    "/{key_id}/rotate",
    responses=refusals(*AT_SECRETS, NotFound, ApiKeyEnded),
)
async def rotate_api_key(
    key_id: UUID,
    caller: CurrentAccount,
    check_password: PasswordCheckDep,
    transactions: Transactions,
    client: CurrentClient,
    deployment: DeploymentDep,
    idempotency: IdempotencyDep,
    now: Now,
    body: Rotation = DEFAULT_ROTATION,
) -> NewApiKeyAnswer:
    """Give a key a new secret, shown this once; the former works until the overlap has passed.

    The password is needed as for a new key, and the owner gets a mail. Access tokens that were
    got with the former secret live on for up to an hour; revoke the key to end them.
    """
    checked = await check_password.if_given(body.password)
    async with transactions() as session:
        account = await reauthentication.proven_account(session, caller, checked=checked, now=now)
        made = await api_keys.rotate(
            session,
            account,
            key_id,
            overlap=timedelta(seconds=body.overlap_seconds),
            client=client,
            deployment=deployment,
            now=now,
        )
        await idempotency.remember_secret(session, 200)
    return _new_answer(made)


@router.delete("/{key_id}", status_code=204, responses=refusals(NotFound))
async def revoke_api_key(
    key_id: UUID, caller: CurrentAccount, session: SessionDep, client: CurrentClient, now: Now
) -> None:
    """End a key, its access tokens and its download links, everywhere within a second."""
    await api_keys.revoke(session, caller.account_id, key_id, client=client, now=now)


def _answer(details: KeyDetails) -> ApiKeyAnswer:
    return ApiKeyAnswer.model_validate(_members(details))


def _new_answer(made: NewSecret) -> NewApiKeyAnswer:
    return NewApiKeyAnswer.model_validate({**_members(made.details), "key": made.secret})


def _members(details: KeyDetails) -> dict[str, object]:
    key = details.key
    return {
        "id": key.id,
        "name": key.name,
        "scopes": key.scopes,
        "state": details.state,
        "hint": details.secrets[0].hint,
        "secrets": [SecretAnswer.model_validate(secret) for secret in details.secrets],
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
        "usage_today": UsageToday.model_validate(details.usage or UsageToday()),
    }
