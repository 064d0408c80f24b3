"""Editions of the newsletter at the editors' desk: drafts, and what became of them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.crypto import InvalidToken
from app.deps import (
    NO_STORE,
    ActingEditor,
    CurrentEditor,
    NewsroomDep,
    Now,
    PageDep,
    SessionDep,
    Transactions,
    VersionCheckDep,
)
from app.errors import Forbidden, LoginRequired, NotFound, PreconditionFailed
from app.http import conditional
from app.http.conditional import PreconditionRequired
from app.http.idempotency import IdempotencyDep
from app.http.openapi import refusals
from app.http.paging import InvalidCursor
from app.http.public_answer import NOT_MODIFIED
from app.http.strict_json import StrictJsonRoute
from app.routers.edition_answer import edition_answer
from app.schemas.editions import (
    EditionAnswer,
    EditionBody,
    EditionList,
    EditionPatch,
    EditionSummary,
    State,
)
from app.services import editions
from app.services.editions import EditionStarted, EditionState
from app.services.idempotency import IdempotencyKeyReused, IdempotencyKeyRunning
from app.services.subscriptions import UnknownTopic

router = APIRouter(
    prefix="/v1/newsletter/editions",
    tags=["newsletter"],
    route_class=StrictJsonRoute,
    responses=refusals(LoginRequired, InvalidToken, Forbidden),
    dependencies=[NO_STORE],
)

CHANGES = (NotFound, PreconditionRequired, PreconditionFailed)


@router.post(
    "",
    status_code=201,
    responses=refusals(UnknownTopic, IdempotencyKeyReused, IdempotencyKeyRunning),
)
async def create_edition(
    body: EditionBody,
    editor: ActingEditor,
    transactions: Transactions,
    idempotency: IdempotencyDep,
    response: Response,
    now: Now,
) -> EditionAnswer:
    """A draft. Only its name among editors must be known."""
    if replay := idempotency.replay:
        return replay  # type: ignore[return-value]  # FastAPI sends a response as it is
    async with transactions() as session:
        edition = await editions.create(session, body.sent(), editor=editor, now=now)
        answer = edition_answer(response, edition)
        await idempotency.remember(session, 201, answer)
    response.headers["Location"] = f"/v1/newsletter/editions/{answer.id}"
    return answer


@router.get("", responses=refusals(InvalidCursor))
async def list_editions(
    response: Response,
    _: CurrentEditor,
    session: SessionDep,
    pager: PageDep,
    state: Annotated[State | None, Query()] = None,
) -> EditionList:
    """All editions and digests, newest first, without their texts."""
    scope = f"editions {state}"
    after = pager.after(scope)
    found = await editions.list_editions(
        session,
        state=state,
        before=UUID(str(after[0])) if after else None,
        limit=pager.read_limit,
    )
    items = [
        EditionSummary.model_validate(edition).model_copy(update={"subject": subject})
        for edition, subject in pager.shown(found)
    ]
    last = [str(items[-1].id)] if items else []
    next_cursor = pager.next_cursor(response, scope, found, last)
    return EditionList(items=items, next_cursor=next_cursor)


@router.get(
    "/{edition_id}",
    response_model=EditionAnswer,
    responses={**NOT_MODIFIED, **refusals(NotFound)},
)
async def get_edition(
    request: Request,
    edition_id: UUID,
    _: CurrentEditor,
    session: SessionDep,
    response: Response,
) -> EditionAnswer | Response:
    """One edition with its texts. Its tag is what changes and steps name in If-Match."""
    answer = edition_answer(response, await editions.get(session, edition_id))
    # By the tag alone: recipients are counted without a new time of change.
    if conditional.not_modified(request.headers, response.headers["ETag"]):
        return Response(status_code=304, headers=response.headers)
    return answer


@router.patch("/{edition_id}", responses=refusals(*CHANGES, EditionStarted, UnknownTopic))
async def update_edition(
    edition_id: UUID,
    body: EditionPatch,
    editor: ActingEditor,
    check: VersionCheckDep,
    newsroom: NewsroomDep,
    session: SessionDep,
    response: Response,
    now: Now,
) -> EditionAnswer:
    """Change fields by a merge patch, until the edition starts."""
    edition = await editions.change(
        session, edition_id, body.sent(), check=check, newsroom=newsroom, editor=editor, now=now
    )
    return edition_answer(response, edition)


@router.delete("/{edition_id}", status_code=204, responses=refusals(*CHANGES, EditionState))
async def delete_edition(
    edition_id: UUID,
    editor: ActingEditor,
    check: VersionCheckDep,
    session: SessionDep,
    now: Now,
) -> None:
    """Delete a draft. A scheduled edition is cancelled first; what has started stays."""
    await editions.delete_draft(session, edition_id, check=check, editor=editor, now=now)
