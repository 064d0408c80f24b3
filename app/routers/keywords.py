"""The vocabulary of keywords: public to read, for editors to extend."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.crypto import InvalidToken
from app.deps import (
    ActingEditor,
    Now,
    OptionalCaller,
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
from app.http.public_answer import NOT_MODIFIED, page_answer
from app.http.strict_json import StrictJsonRoute
from app.schemas.keywords import KeywordAnswer, KeywordBody, KeywordList, KeywordPatch
from app.services import keywords
from app.services.idempotency import IdempotencyKeyReused, IdempotencyKeyRunning
from app.services.keywords import Counted, KeywordExists, Sort

router = APIRouter(prefix="/v1/keywords", tags=["keywords"], route_class=StrictJsonRoute)

DESK = (LoginRequired, InvalidToken, Forbidden)


@router.get(
    "",
    response_model=KeywordList,
    responses={**NOT_MODIFIED, **refusals(InvalidCursor, InvalidToken)},
)
async def list_keywords(
    request: Request,
    caller: OptionalCaller,
    session: SessionDep,
    pager: PageDep,
    q: Annotated[str | None, Query(max_length=100)] = None,
    sort: Sort = "name",
) -> Response:
    """Keywords of public assets with their number; editors see all. `q` is how they begin."""
    with_unused = caller is not None and caller.is_editor
    scope = f"keywords {with_unused} {sort} {q}"
    found = await keywords.list_keywords(
        session,
        prefix=q,
        sort=sort,
        with_unused=with_unused,
        after=pager.after(scope),
        limit=pager.read_limit,
    )
    items = [_answer(counted) for counted in pager.shown(found)]
    cursor, headers = None, {}
    if len(found) > len(items):
        cursor = pager.cursor(scope, keywords.position(found[len(items) - 1], sort))
        headers["Link"] = pager.link(cursor)
    page = KeywordList(items=items, next_cursor=cursor).model_dump_json()
    answer = page_answer(request, page.encode(), media_type="application/json", headers=headers)
    if caller is not None:
        answer.headers["Cache-Control"] = "no-store"
    return answer


@router.post(
    "",
    status_code=201,
    responses=refusals(*DESK, KeywordExists, IdempotencyKeyReused, IdempotencyKeyRunning),
)
async def create_keyword(
    body: KeywordBody,
    editor: ActingEditor,
    transactions: Transactions,
    idempotency: IdempotencyDep,
    response: Response,
    now: Now,
) -> KeywordAnswer:
    """Add a keyword. One that differs from it in case or accents alone is the same."""
    if replay := idempotency.replay:
        return replay  # type: ignore[return-value]  # FastAPI sends a response as it is
    async with transactions() as session:
        created = await keywords.create(
            session,
            body.name,
            body.labels,
            account_id=editor.account_id,
            client=editor.client,
            now=now,
        )
        answer = KeywordAnswer.model_validate(created)
        await idempotency.remember(session, 201, answer)
    response.headers["ETag"] = conditional.etag(answer.version)
    return answer


@router.patch(
    "/{keyword_id}",
    responses=refusals(*DESK, NotFound, PreconditionRequired, PreconditionFailed),
)
async def update_keyword(
    keyword_id: UUID,
    body: KeywordPatch,
    editor: ActingEditor,
    check: VersionCheckDep,
    session: SessionDep,
    response: Response,
    now: Now,
) -> KeywordAnswer:
    """Change its labels in other languages. If-Match takes `"v{version}"` of the list."""
    changed = await keywords.change_labels(
        session,
        keyword_id,
        body.labels,
        check=check,
        account_id=editor.account_id,
        client=editor.client,
        now=now,
    )
    response.headers["ETag"] = conditional.etag(changed[0].version)
    return _answer(changed)


def _answer(counted: Counted) -> KeywordAnswer:
    keyword, assets = counted
    return KeywordAnswer.model_validate(keyword).model_copy(update={"count": assets})
