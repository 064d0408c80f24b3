"""The editors' desk: creating, changing, publishing and withdrawing assets."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from app.crypto import InvalidToken
from app.deps import (
    NO_STORE,
    ActingEditor,
    CurrentEditor,
    DeskViewDep,
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
from app.http.strict_json import StrictJsonRoute
from app.schemas.asset_editing import AssetBody, AssetPatch, PublishBody, WithdrawBody
from app.schemas.assets import EditorAsset, VersionAnswer, VersionList
from app.services import asset_editing, asset_rendering, asset_versions, publication
from app.services.asset_editing import AssetPublished, SlugTaken
from app.services.idempotency import IdempotencyKeyReused, IdempotencyKeyRunning
from app.services.publication import NotPublished

router = APIRouter(
    prefix="/v1/assets", tags=["assets"], route_class=StrictJsonRoute, dependencies=[NO_STORE]
)

Reference = Annotated[str, Path(max_length=200, description="The asset's id or slug")]
DESK = (LoginRequired, InvalidToken, Forbidden)
CHANGES = (*DESK, NotFound, PreconditionRequired, PreconditionFailed, AssetPublished)


@router.post(
    "",
    status_code=201,
    responses=refusals(*DESK, SlugTaken, IdempotencyKeyReused, IdempotencyKeyRunning),
)
async def create_asset(
    body: AssetBody,
    editor: ActingEditor,
    transactions: Transactions,
    idempotency: IdempotencyDep,
    response: Response,
    now: Now,
) -> EditorAsset:
    """A draft. Only its type and title must be known."""
    if replay := idempotency.replay:
        return replay  # type: ignore[return-value]  # FastAPI sends a response as it is
    async with transactions() as session:
        asset = await asset_editing.create(session, body.type, body.sent(), editor=editor, now=now)
        answer = EditorAsset.model_validate(await asset_rendering.for_editors(session, asset))
        await idempotency.remember(session, 201, answer)
    response.headers["Location"] = f"/v1/assets/{answer.id}"
    response.headers["ETag"] = conditional.etag(answer.version)
    return answer


@router.patch("/{reference}", responses=refusals(*CHANGES, SlugTaken))
async def update_asset(
    reference: Reference,
    body: AssetPatch,
    editor: ActingEditor,
    check: VersionCheckDep,
    session: SessionDep,
    response: Response,
    view: DeskViewDep,
    now: Now,
) -> EditorAsset:
    """Change fields by a merge patch; of a published asset that is a correction, with a `note`."""
    asset = await asset_editing.change(
        session, reference, body.sent(), check=check, note=body.note, editor=editor, now=now
    )
    return _answer(response, view(await asset_rendering.for_editors(session, asset)))


@router.delete("/{reference}", status_code=204, responses=refusals(*CHANGES))
async def delete_asset(
    reference: Reference,
    editor: ActingEditor,
    check: VersionCheckDep,
    session: SessionDep,
    now: Now,
) -> None:
    """Delete what never was public; anything else is withdrawn instead."""
    await asset_editing.delete_draft(session, reference, check=check, editor=editor, now=now)


@router.post("/{reference}/publish", responses=refusals(*CHANGES))
async def publish_asset(
    reference: Reference,
    editor: ActingEditor,
    check: VersionCheckDep,
    session: SessionDep,
    response: Response,
    view: DeskViewDep,
    now: Now,
    body: PublishBody | None = None,
) -> EditorAsset:
    """Publish at once, or under embargo: then it is `scheduled` until `publish_at`."""
    body = body or PublishBody()
    asset = await publication.publish(
        session,
        reference,
        publish_at=body.publish_at,
        note=body.note,
        check=check,
        editor=editor,
        now=now,
    )
    return _answer(response, view(await asset_rendering.for_editors(session, asset)))


@router.post("/{reference}/withdraw", responses=refusals(*CHANGES, NotPublished))
async def withdraw_asset(
    reference: Reference,
    body: WithdrawBody,
    editor: ActingEditor,
    check: VersionCheckDep,
    session: SessionDep,
    response: Response,
    view: DeskViewDep,
    now: Now,
) -> EditorAsset:
    """Take it back for good; its address answers 410 with the reason from now on."""
    asset = await publication.withdraw(
        session, reference, reason=body.reason, check=check, editor=editor, now=now
    )
    return _answer(response, view(await asset_rendering.for_editors(session, asset)))


@router.get("/{reference}/versions", responses=refusals(*DESK, NotFound, InvalidCursor))
async def list_versions(
    reference: Reference,
    _: CurrentEditor,
    session: SessionDep,
    pager: PageDep,
    response: Response,
) -> VersionList:
    """Who changed what, when and why; newest first."""
    scope = f"versions {reference}"
    after = pager.after(scope)
    found = await asset_versions.list_versions(
        session, reference, before=int(str(after[0])) if after else None, limit=pager.read_limit
    )
    items = [VersionAnswer.model_validate(version) for version in pager.shown(found)]
    last = [items[-1].version] if items else []
    next_cursor = pager.next_cursor(response, scope, found, last)
    return VersionList(items=items, next_cursor=next_cursor)


def _answer(response: Response, document: dict[str, Any]) -> EditorAsset:
    response.headers["ETag"] = conditional.etag(document["version"])
    return EditorAsset.model_validate(document)
