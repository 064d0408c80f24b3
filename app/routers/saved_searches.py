"""Searches that an account keeps, and is told of when something new matches."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.crypto import InvalidToken
from app.deps import (
    AssetReader,
    CurrentAccount,
    DeploymentDep,
    Now,
    PageDep,
    PublicReaderDep,
    SessionDep,
    Transactions,
)
from app.errors import LoginRequired, NotFound
from app.http.idempotency import IdempotencyDep
from app.http.openapi import refusals
from app.http.paging import InvalidCursor
from app.http.strict_json import StrictJsonRoute
from app.routers.asset_lists import public_list
from app.schemas.asset_lists import AssetListAnswer, AssetListView
from app.schemas.saved_searches import (
    SavedSearchAnswer,
    SavedSearchBody,
    SavedSearchList,
    SavedSearchPatch,
    list_query,
)
from app.services import saved_searches
from app.services.idempotency import IdempotencyKeyReused, IdempotencyKeyRunning
from app.services.saved_searches import TooManySavedSearches

router = APIRouter(
    prefix="/v1/saved-searches",
    tags=["broadcasters"],
    route_class=StrictJsonRoute,
    responses=refusals(LoginRequired, InvalidToken),
)


@router.post(
    "",
    status_code=201,
    responses=refusals(TooManySavedSearches, IdempotencyKeyReused, IdempotencyKeyRunning),
)
async def create_saved_search(
    body: SavedSearchBody,
    caller: CurrentAccount,
    transactions: Transactions,
    idempotency: IdempotencyDep,
    response: Response,
    now: Now,
) -> SavedSearchAnswer:
    """Keep a search, up to 50 of them.

    With an alert, the account is told of each asset that is published from now on and matches,
    once: by a mail for all its searches at most every 15 minutes, or by the webhook event
    `saved_search.matched`.
    """
    if replay := idempotency.replay:
        return replay  # type: ignore[return-value]  # FastAPI sends a response as it is
    async with transactions() as session:
        created = await saved_searches.create(
            session, body.sent(), account_id=caller.account_id, now=now
        )
        answer = SavedSearchAnswer.model_validate(created)
        await idempotency.remember(session, 201, answer)
    response.headers["Location"] = f"/v1/saved-searches/{answer.id}"
    return answer


@router.get("", responses=refusals(InvalidCursor))
async def list_saved_searches(
    response: Response, caller: AssetReader, session: SessionDep, pager: PageDep
) -> SavedSearchList:
    """The account's own, newest first."""
    scope = "saved-searches"
    after = pager.after(scope)
    found = await saved_searches.list_searches(
        session,
        account_id=caller.account_id,
        before=UUID(str(after[0])) if after else None,
        limit=pager.read_limit,
    )
    items = [SavedSearchAnswer.model_validate(search) for search in pager.shown(found)]
    last = [str(items[-1].id)] if items else []
    next_cursor = pager.next_cursor(response, scope, found, last)
    return SavedSearchList(items=items, next_cursor=next_cursor)


@router.get("/{saved_search_id}", responses=refusals(NotFound))
async def get_saved_search(
    saved_search_id: UUID, caller: AssetReader, session: SessionDep
) -> SavedSearchAnswer:
    """One of the account's own."""
    found = await saved_searches.get(session, saved_search_id, account_id=caller.account_id)
    return SavedSearchAnswer.model_validate(found)


@router.get(
    "/{saved_search_id}/assets",
    response_model=AssetListAnswer,
    responses=refusals(NotFound, InvalidCursor),
)
async def list_assets_of_saved_search(
    saved_search_id: UUID,
    request: Request,
    caller: AssetReader,
    transactions: Transactions,
    reader: PublicReaderDep,
    deployment: DeploymentDep,
    view: Annotated[AssetListView, Query()],
) -> Response:
    """What the search finds now, as `GET /v1/assets` answers."""
    async with transactions() as session:
        found = await saved_searches.get(session, saved_search_id, account_id=caller.account_id)
    response = await public_list(request, reader, deployment, list_query(found.query, view))
    response.headers["Cache-Control"] = "no-store"
    return response


@router.patch("/{saved_search_id}", responses=refusals(NotFound))
async def update_saved_search(
    saved_search_id: UUID,
    body: SavedSearchPatch,
    caller: CurrentAccount,
    session: SessionDep,
    now: Now,
) -> SavedSearchAnswer:
    """Change, pause or resume a search.

    With another query or alert, or resumed, it tells of what is published from then on.
    """
    changed = await saved_searches.change(
        session, saved_search_id, body.sent(), account_id=caller.account_id, now=now
    )
    return SavedSearchAnswer.model_validate(changed)


@router.delete("/{saved_search_id}", status_code=204, responses=refusals(NotFound))
async def delete_saved_search(
    saved_search_id: UUID, caller: CurrentAccount, session: SessionDep
) -> None:
    """Forget a search."""
    await saved_searches.remove(session, saved_search_id, account_id=caller.account_id)
