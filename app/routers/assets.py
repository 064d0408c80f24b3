"""The public catalogue. Documents go from the database to the socket as they are stored."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse

from app.crypto import InvalidToken
from app.deps import (
    PUBLIC_READ,
    AddressesDep,
    DeskViewDep,
    OptionalCaller,
    PublicReaderDep,
    Transactions,
)
from app.errors import NotFound
from app.http import conditional
from app.http.accept import NotAcceptable
from app.http.openapi import refusals
from app.http.public_answer import NOT_MODIFIED, page_answer, version_answer
from app.routers.format_answer import OTHER_FORMATS, VARY, format_answer, negotiated_format
from app.schemas.assets import AssetAnswer, EditorAsset, RelatedList
from app.services import assets
from app.services.assets import AssetWithdrawn, Document

router = APIRouter(
    prefix="/v1/assets",
    tags=["assets"],
    dependencies=[PUBLIC_READ],
    responses=refusals(InvalidToken),
)

Reference = Annotated[str, Path(max_length=200, description="The asset's id or slug")]


@router.get(
    "/{reference}",
    response_model=AssetAnswer | EditorAsset,
    responses={
        **OTHER_FORMATS,
        **NOT_MODIFIED,
        **refusals(NotFound, AssetWithdrawn, InvalidToken, NotAcceptable),
    },
)
async def get_asset(
    request: Request,
    caller: OptionalCaller,
    reader: PublicReaderDep,
    addresses: AddressesDep,
    transactions: Transactions,
    view: DeskViewDep,
    reference: Reference,
) -> Response:
    """One asset, by id or slug, in the format that Accept asks for.

    Editors see it in any state, with what only the desk is told.
    """
    if caller is not None and caller.is_editor:
        async with transactions() as session:
            document = await assets.get_for_editors(session, reference)
        headers = {"ETag": conditional.etag(document["version"]), "Cache-Control": "no-store"}
        return JSONResponse(view(document), headers=headers)
    wanted = negotiated_format(request)
    published = await assets.get_document(reader, reference)
    if wanted is not None:
        return await format_answer(request, published, wanted, addresses, headers=VARY)
    return document_answer(request, published)


@router.get("/{reference}/related", response_model=RelatedList, responses=refusals(NotFound))
async def list_related(request: Request, reader: PublicReaderDep, reference: Reference) -> Response:
    """Up to twenty assets: those an editor tied to it, then those of its series and events."""
    documents = await assets.list_related(reader, reference)
    body = f'{{"items":[{",".join(documents)}]}}'.encode()
    return page_answer(request, body, media_type="application/json")


def document_answer(request: Request, document: Document) -> Response:
    """A stored document as it is, or 304 for a client that has this version."""
    return version_answer(
        request,
        lambda: document.body,
        tag=conditional.etag(document.version),
        media_type="application/json",
        updated_at=document.updated_at,
        headers=VARY,
    )
