"""Series, events and other collections: public to read, for editors to make."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from app.crypto import InvalidToken
from app.deps import (
    PUBLIC_READ,
    ActingEditor,
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
from app.http.public_answer import NOT_MODIFIED, page_answer, version_answer
from app.http.strict_json import StrictJsonRoute
from app.schemas.collections import (
    CollectionAnswer,
    CollectionBody,
    CollectionList,
    CollectionPatch,
    Kind,
)
from app.services import collection_desk, collections
from app.services.asset_editing import AssetPublished
from app.services.collections import Counted, SlugTaken, Sort
from app.services.idempotency import IdempotencyKeyReused, IdempotencyKeyRunning

router = APIRouter(
    prefix="/v1/collections",
    tags=["collections"],
    route_class=StrictJsonRoute,
    dependencies=[PUBLIC_READ],
    responses=refusals(InvalidToken),
)

Reference = Annotated[str, Path(max_length=200, description="The collection's id or slug")]
AssetReference = Annotated[str, Path(max_length=200, description="The asset's id or slug")]
JSON = "application/json"
DESK = (LoginRequired, InvalidToken, Forbidden)
CHANGES = (*DESK, NotFound, PreconditionRequired, PreconditionFailed)


@router.get(
    "", response_model=CollectionList, responses={**NOT_MODIFIED, **refusals(InvalidCursor)}
)
async def list_collections(
    request: Request,
    session: SessionDep,
    pager: PageDep,
    kind: Kind | None = None,
    q: Annotated[str | None, Query(max_length=200)] = None,
    sort: Sort = "-created_at",
) -> Response:
    """Newest first, or by title; `q` is a part of the title."""
    scope = f"collections {kind} {sort} {q}"
    after = pager.after(scope)
    found = await collections.list_collections(
        session,
        kind=kind,
        title=q,
        sort=sort,
        after=[str(key) for key in after] if after else None,
        limit=pager.read_limit,
    )
    items = [_answer(counted) for counted in pager.shown(found)]
    cursor, headers = None, {}
    if len(found) > len(items):
        cursor = pager.cursor(scope, collections.position(found[len(items) - 1][0], sort))
        headers["Link"] = pager.link(cursor)
    page = CollectionList(items=items, next_cursor=cursor).model_dump_json()
    return page_answer(request, page.encode(), media_type=JSON, headers=headers)


@router.get(
    "/{reference}",
    response_model=CollectionAnswer,
    responses={**NOT_MODIFIED, **refusals(NotFound)},
)
async def get_collection(request: Request, session: SessionDep, reference: Reference) -> Response:
    """One collection. Its assets are `GET /v1/assets?collection=…`."""
    answer = _answer(await collections.get(session, reference))
    return version_answer(
        request,
        answer.model_dump_json,
        tag=_tag(answer),
        media_type=JSON,
        updated_at=answer.updated_at,
    )


@router.post(
    "",
    status_code=201,
    responses=refusals(*DESK, SlugTaken, IdempotencyKeyReused, IdempotencyKeyRunning),
)
async def create_collection(
    body: CollectionBody,
    editor: ActingEditor,
    transactions: Transactions,
    idempotency: IdempotencyDep,
    response: Response,
    now: Now,
) -> CollectionAnswer:
    """Make a series, an event or another collection."""
    if replay := idempotency.replay:
        return replay  # type: ignore[return-value]  # FastAPI sends a response as it is
    async with transactions() as session:
        created = await collections.create(
            session, body.sent(), account_id=editor.account_id, client=editor.client, now=now
        )
        answer = CollectionAnswer.model_validate(created)
        await idempotency.remember(session, 201, answer)
    response.headers["Location"] = f"/v1/collections/{answer.id}"
    response.headers["ETag"] = _tag(answer)
    return answer


@router.patch("/{reference}", responses=refusals(*CHANGES))
async def update_collection(
    reference: Reference,
    body: CollectionPatch,
    editor: ActingEditor,
    check: VersionCheckDep,
    session: SessionDep,
    response: Response,
    now: Now,
) -> CollectionAnswer:
    """Change fields by a merge patch. Its slug is its address and stays."""
    changed = await collections.change(
        session,
        reference,
        body.sent(),
        check=check,
        account_id=editor.account_id,
        client=editor.client,
        now=now,
    )
    answer = _answer(changed)
    response.headers["ETag"] = _tag(answer)
    return answer


@router.delete("/{reference}", status_code=204, responses=refusals(*CHANGES))
async def delete_collection(
    reference: Reference,
    editor: ActingEditor,
    check: VersionCheckDep,
    session: SessionDep,
    now: Now,
) -> None:
    """Take a collection away; its assets stay."""
    await collections.delete_collection(
        session,
        reference,
        check=check,
        account_id=editor.account_id,
        client=editor.client,
        now=now,
    )


ITEM = "/{reference}/assets/{asset_reference}"


@router.put(ITEM, status_code=204, responses=refusals(*DESK, NotFound, AssetPublished))
async def add_to_collection(
    reference: Reference,
    asset_reference: AssetReference,
    editor: ActingEditor,
    session: SessionDep,
    now: Now,
) -> None:
    """Put an asset into a collection; it may be in it already."""
    await collection_desk.add(session, reference, asset_reference, editor=editor, now=now)


@router.delete(ITEM, status_code=204, responses=refusals(*DESK, NotFound, AssetPublished))
async def remove_from_collection(
    reference: Reference,
    asset_reference: AssetReference,
    editor: ActingEditor,
    session: SessionDep,
    now: Now,
) -> None:
    """Take an asset out of a collection; it may be out of it already."""
    await collection_desk.remove(session, reference, asset_reference, editor=editor, now=now)


def _answer(counted: Counted) -> CollectionAnswer:
    collection, assets = counted
    return CollectionAnswer.model_validate(collection).model_copy(update={"asset_count": assets})


def _tag(answer: CollectionAnswer) -> str:
    """The version, and the count that changes without one; an edit names either (If-Match)."""
    if answer.asset_count == 0:
        return conditional.etag(answer.version)
    return conditional.etag(f"{answer.version}+{answer.asset_count}")
