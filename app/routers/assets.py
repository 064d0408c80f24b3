"""The public catalogue. Documents go from the database to the socket as they are stored."""

from datetime import datetime
from email.utils import format_datetime
from hashlib import sha256
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response

from app.deps import PageDep, ReaderDep
from app.errors import NotFound
from app.http import conditional
from app.http.openapi import Responses, refusals
from app.http.pager import Pager
from app.http.paging import InvalidCursor
from app.schemas.assets import AssetAnswer, AssetList, AssetType
from app.services import assets
from app.services.assets import AssetWithdrawn, DocumentPage

router = APIRouter(prefix="/v1/assets", tags=["assets"])

# Caches may keep it but must ask each time: a withdrawal has to reach everybody.
CACHE_CONTROL = "public, no-cache"
NOT_MODIFIED: Responses = {304: {"description": "The copy that the client has is still good"}}

Reference = Annotated[str, Path(max_length=200, description="The asset's id or slug")]


@router.get("", response_model=AssetList, responses={**NOT_MODIFIED, **refusals(InvalidCursor)})
async def list_assets(
    request: Request,
    reader: ReaderDep,
    pager: PageDep,
    type: AssetType | None = None,  # noqa: A002  # the contract's name
) -> Response:
    """Published assets, newest first."""
    scope = f"assets {type}"
    page = await assets.list_documents(
        reader, asset_type=type, after=_position(pager, scope), limit=pager.page.limit
    )
    cursor, headers = None, {}
    if page.updated_at is not None:
        headers["Last-Modified"] = format_datetime(page.updated_at, usegmt=True)
    if page.last is not None:
        published_at, asset_id = page.last
        cursor = pager.cursor(scope, [published_at.isoformat(), str(asset_id)])
        headers["Link"] = pager.link(cursor)
    return _answer(request, _join(page, cursor), headers)


@router.get(
    "/{reference}",
    response_model=AssetAnswer,
    responses={**NOT_MODIFIED, **refusals(NotFound, AssetWithdrawn)},
)
async def get_asset(request: Request, reader: ReaderDep, reference: Reference) -> Response:
    """One asset, by id or slug."""
    document = await assets.get_document(reader, reference)
    tag = conditional.etag(document.version)
    headers = {
        "ETag": tag,
        "Last-Modified": format_datetime(document.updated_at, usegmt=True),
        "Cache-Control": CACHE_CONTROL,
    }
    if conditional.not_modified(request.headers, tag, document.updated_at):
        return Response(status_code=304, headers=headers)
    return Response(document.body, media_type="application/json", headers=headers)


def _position(pager: Pager, scope: str) -> tuple[datetime, UUID] | None:
    after = pager.after(scope)
    return (datetime.fromisoformat(str(after[0])), UUID(str(after[1]))) if after else None


def _join(page: DocumentPage, next_cursor: str | None) -> bytes:
    """The answer's JSON around the stored documents, none of which is parsed."""
    cursor = f'"{next_cursor}"' if next_cursor else "null"
    relation = "eq" if page.total_is_exact else "gte"
    total = f'{{"value":{page.total},"relation":"{relation}"}}'
    items = ",".join(page.documents)
    return f'{{"items":[{items}],"next_cursor":{cursor},"total":{total}}}'.encode()


def _answer(request: Request, body: bytes, headers: dict[str, str]) -> Response:
    """The page, or 304 for a client that has just this one."""
    tag = conditional.etag(sha256(body).hexdigest()[:32])
    headers = {**headers, "ETag": tag, "Cache-Control": CACHE_CONTROL}
    if conditional.not_modified(request.headers, tag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)
