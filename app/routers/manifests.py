"""Manifests: all files of an asset or a collection with their hashes, for tools."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response
from fastapi.responses import PlainTextResponse

from app.crypto import InvalidToken
from app.deps import NO_STORE, Downloader, PageDep, SessionDep, SettingsDep
from app.errors import LoginRequired, NotFound
from app.formats import manifests as texts
from app.formats.file_names import safe_name
from app.formats.manifests import ListedFile
from app.http.openapi import refusals
from app.http.pager import Pager
from app.http.paging import InvalidCursor
from app.routers.assets import Reference
from app.schemas.manifests import Manifest, ManifestItem
from app.services import manifests
from app.services.assets import AssetWithdrawn
from app.services.manifests import OfferedFile, Place

router = APIRouter(
    tags=["downloads"],
    dependencies=[NO_STORE],
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        **refusals(LoginRequired, InvalidToken, InvalidCursor, NotFound),
    },
)

Format = Annotated[
    Literal["json", "aria2", "sha256sum"],
    Query(alias="format", description="JSON, or a text for `aria2c -i` or `sha256sum -c`"),
]


@router.get(
    "/v1/assets/{reference}/manifest",
    response_model=Manifest,
    responses=refusals(AssetWithdrawn),
)
async def get_asset_manifest(
    response: Response,
    reference: Reference,
    _: Downloader,
    session: SessionDep,
    settings: SettingsDep,
    pager: PageDep,
    file_format: Format = "json",
) -> Manifest | Response:
    """All files of an asset."""
    scope = f"asset-manifest {reference}"
    after = _place(pager, scope)
    found = await manifests.of_asset(session, reference, after=after, limit=pager.read_limit)
    return _answer(response, pager, scope, found, settings.base_url, file_format)


@router.get("/v1/collections/{reference}/manifest", response_model=Manifest)
async def get_collection_manifest(
    response: Response,
    reference: Reference,
    _: Downloader,
    session: SessionDep,
    settings: SettingsDep,
    pager: PageDep,
    file_format: Format = "json",
) -> Manifest | Response:
    """All files of a collection's assets, a page at a time."""
    scope = f"collection-manifest {reference}"
    after = _place(pager, scope)
    found = await manifests.of_collection(session, reference, after=after, limit=pager.read_limit)
    return _answer(response, pager, scope, found, settings.base_url, file_format)


def _place(pager: Pager, scope: str) -> Place | None:
    after = pager.after(scope)
    return (UUID(str(after[0])), UUID(str(after[1]))) if after else None


_TEXTS: Mapping[str, Callable[[Sequence[ListedFile]], str]] = {
    "aria2": texts.aria2,
    "sha256sum": texts.sha256sum,
}


def _answer(
    response: Response,
    pager: Pager,
    scope: str,
    found: Sequence[OfferedFile],
    base_url: str,
    file_format: str,
) -> Manifest | Response:
    shown = pager.shown(found)
    items = [_item(file, base_url) for file in shown]
    last = [str(shown[-1].asset_id), str(shown[-1].rendition_id)] if shown else []
    next_cursor = pager.next_cursor(response, scope, found, last)
    if file_format not in _TEXTS:
        return Manifest(items=items, next_cursor=next_cursor)
    listed = [ListedFile(item.download, item.path, item.sha256) for item in items]
    text = _TEXTS[file_format](listed)
    return PlainTextResponse(text, headers=dict(response.headers))


def _item(file: OfferedFile, base_url: str) -> ManifestItem:
    return ManifestItem(
        **asdict(file),
        path=f"{file.slug}/{file.name}/{safe_name(file.filename)}",
        download=f"{base_url}/v1/assets/{file.asset_id}/renditions/{file.name}/download",
    )
