"""Everybody's accounts, for admins."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.crypto import InvalidToken
from app.deps import CurrentAdmin, CurrentClient, Now, PageDep, SessionDep
from app.errors import Forbidden, LoginRequired, NotFound
from app.http.openapi import refusals
from app.http.paging import InvalidCursor
from app.http.strict_json import StrictJsonRoute
from app.schemas.account import Role
from app.schemas.accounts import AccountList, AccountPatch, ManagedAccount
from app.services import accounts

router = APIRouter(
    prefix="/v1/accounts",
    tags=["administration"],
    route_class=StrictJsonRoute,
    responses=refusals(LoginRequired, InvalidToken, Forbidden),
)


@router.get("", responses=refusals(InvalidCursor))
async def list_accounts(
    response: Response,
    _: CurrentAdmin,
    session: SessionDep,
    pager: PageDep,
    q: Annotated[str | None, Query(max_length=200)] = None,
    role: Role | None = None,
    suspended: bool | None = None,  # noqa: FBT001  # a query parameter, never positional
) -> AccountList:
    """Find accounts by address, name or organisation; newest first."""
    scope = f"accounts {q} {role} {suspended}"
    after = pager.after(scope)
    found = await accounts.search(
        session,
        text=q,
        role=role,
        suspended=suspended,
        before=UUID(str(after[0])) if after else None,
        limit=pager.read_limit,
    )
    items = [ManagedAccount.model_validate(account) for account in pager.shown(found)]
    last = [str(items[-1].id)] if items else []
    next_cursor = pager.next_cursor(response, scope, found, last)
    return AccountList(items=items, next_cursor=next_cursor)


@router.get("/{account_id}", responses=refusals(NotFound))
async def get_managed_account(
    account_id: UUID, _: CurrentAdmin, session: SessionDep
) -> ManagedAccount:
    return ManagedAccount.model_validate(await accounts.get(session, account_id))


@router.patch("/{account_id}", responses=refusals(NotFound, accounts.OwnAccount))
async def update_managed_account(
    account_id: UUID,
    body: AccountPatch,
    admin: CurrentAdmin,
    session: SessionDep,
    client: CurrentClient,
    now: Now,
) -> ManagedAccount:
    """Suspend, lift a suspension, or give a role. Whatever was open ends at once."""
    changed = await accounts.change(
        session,
        account_id,
        role=body.role,
        suspended=body.suspended,
        actor_id=admin.account_id,
        client=client,
        now=now,
    )
    return ManagedAccount.model_validate(changed)
