"""Past downloads: one's own, and for editors the counts of an asset."""

from uuid import UUID

from fastapi import APIRouter, Response

from app.crypto import InvalidToken
from app.deps import NO_STORE, CurrentAccount, CurrentEditor, Now, PageDep, ReaderDep
from app.errors import Forbidden, LoginRequired, NotFound
from app.http.openapi import refusals
from app.http.paging import InvalidCursor
from app.routers.assets import Reference
from app.schemas.downloads import DownloadCounts, PastDownload, PastDownloadList
from app.services import download_history

router = APIRouter(
    tags=["downloads"],
    dependencies=[NO_STORE],
    responses=refusals(LoginRequired, InvalidToken),
)


@router.get("/v1/account/downloads", responses=refusals(InvalidCursor))
async def list_own_downloads(
    response: Response, caller: CurrentAccount, reader: ReaderDep, pager: PageDep
) -> PastDownloadList:
    """What this account has downloaded, newest first."""
    scope = f"own-downloads {caller.account_id}"
    after = pager.after(scope)
    found = await download_history.list_own(
        reader,
        caller.account_id,
        before=UUID(str(after[0])) if after else None,
        limit=pager.read_limit,
    )
    items = [PastDownload.model_validate(row) for row in pager.shown(found)]
    last = [str(items[-1].id)] if items else []
    next_cursor = pager.next_cursor(response, scope, found, last)
    return PastDownloadList(items=items, next_cursor=next_cursor)


@router.get("/v1/assets/{reference}/downloads", responses=refusals(Forbidden, NotFound))
async def count_downloads(
    reference: Reference, _: CurrentEditor, reader: ReaderDep, now: Now
) -> DownloadCounts:
    """How often an asset was downloaded: each account or key, rendition and UTC day counts once."""
    return DownloadCounts.model_validate(await download_history.count(reader, reference, now=now))
