"""The files of an asset: how far they are, and the poster and preview that are made of them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from enum import IntEnum
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from app.adapters.storage import Storage
from app.crypto import InvalidToken
from app.deps import (
    ActingEditor,
    DeploymentDep,
    Now,
    OptionalCaller,
    ReaderDep,
    SessionDep,
    StorageDep,
    VersionCheckDep,
)
from app.errors import Forbidden, LoginRequired, NotFound, PreconditionFailed
from app.formats.file_names import content_disposition
from app.http.conditional import PreconditionRequired
from app.http.openapi import Responses, refusals
from app.http.ranges import RangeNotSatisfiable, ServedFile, file_response
from app.routers.assets import Reference
from app.routers.downloads import RenditionName, store_faults
from app.schemas.renditions import RenditionList, RenditionState
from app.services import derived_files, downloads, policy, renditions
from app.services.asset_editing import AssetPublished
from app.services.assets import AssetWithdrawn
from app.services.derived_files import ShownFile
from app.services.downloads import FileUnavailable

router = APIRouter(prefix="/v1/assets", tags=["renditions"])

# A withdrawn asset's page is gone at once and leads nobody to its pictures; those that a cache has
# kept are gone after so many seconds. A draft's pictures are kept by none.
KEPT_BY_CACHES = "public, max-age=300, no-transform"
CHECKED_BY_CACHES = "public, no-cache, no-transform"
KEPT_BY_NONE = "private, no-store"

BINARY = {"schema": {"type": "string", "format": "binary"}}


def _file(*media_types: str) -> Responses:
    content = dict.fromkeys(media_types, BINARY)
    return {
        200: {"description": "The file", "content": content},
        206: {"description": "The range that was asked for", "content": content},
        304: {"description": "The copy that the client has is still good"},
        **refusals(NotFound, AssetWithdrawn, RangeNotSatisfiable, FileUnavailable),
    }


@router.get("/{reference}/renditions", responses=refusals(InvalidToken, NotFound, AssetWithdrawn))
async def list_renditions(
    reference: Reference, caller: OptionalCaller, session: SessionDep, response: Response
) -> RenditionList:
    """The files that can be downloaded; editors see those in work and those that failed, too."""
    is_editor = caller is not None and caller.is_editor
    found = await renditions.list_renditions(session, reference, for_editor=is_editor)
    response.headers["Cache-Control"] = "public, no-cache" if caller is None else "no-store"
    return RenditionList(items=[RenditionState.model_validate(each) for each in found])


@router.delete(
    "/{reference}/renditions/{name}",
    status_code=204,
    responses=refusals(
        LoginRequired,
        InvalidToken,
        Forbidden,
        NotFound,
        PreconditionRequired,
        PreconditionFailed,
        AssetPublished,
    ),
)
async def remove_rendition(
    reference: Reference,
    name: RenditionName,
    editor: ActingEditor,
    check: VersionCheckDep,
    session: SessionDep,
    response: Response,
    now: Now,
) -> None:
    """Take a file out of an asset, with the poster and preview that were made of it."""
    await renditions.remove(session, reference, name, check=check, editor=editor, now=now)
    response.headers["Cache-Control"] = "no-store"


Find = Callable[..., Awaitable[ShownFile]]


async def _finder(
    reference: Reference,
    reader: ReaderDep,
    deployment: DeploymentDep,
    now: Now,
    signature: Annotated[
        str | None, Query(max_length=100, description="Part of a draft's address")
    ] = None,
) -> Find:
    return partial(
        derived_files.find_shown,
        reader,
        reference,
        signature=signature,
        keyring=deployment.keyring,
        now=now,
    )


class PosterWidth(IntEnum):
    SMALL = policy.SMALL_POSTER_WIDTH


FinderDep = Annotated[Find, Depends(_finder)]
Version = Annotated[str | None, Query(max_length=20, description="The asset's version")]
Width = Annotated[PosterWidth | None, Query(description="The small one, if there is one")]


@router.get(
    "/{reference}/poster.jpg",  # noqa: FAST003  # what finds it takes the reference
    response_class=Response,
    responses=_file("image/jpeg"),
)
@router.head("/{reference}/poster.jpg", response_class=Response, include_in_schema=False)
async def get_poster(
    request: Request, find: FinderDep, storage: StorageDep, v: Version = None, width: Width = None
) -> Response:
    """A still picture of the asset, at most 1280 pixels wide; the small one, at most 480."""
    shown = await find("poster", is_small=width is not None)
    return await _send(request, shown, storage, is_versioned=v is not None)


@router.get(
    "/{reference}/preview.mp4",  # noqa: FAST003  # the same
    response_class=Response,
    responses=_file("video/mp4", "audio/mp4"),
)
@router.head("/{reference}/preview.mp4", response_class=Response, include_in_schema=False)
async def get_preview(
    request: Request, find: FinderDep, storage: StorageDep, v: Version = None
) -> Response:
    """The asset for browsers: H.264 and AAC, at most 540 lines; of sound, AAC alone."""
    shown = await find("preview")
    return await _send(request, shown, storage, is_versioned=v is not None)


async def _send(
    request: Request, shown: ShownFile, storage: Storage, *, is_versioned: bool
) -> Response:
    """Through us also from S3: its own links would be of another origin, and outlive a draft's."""
    stored = shown.file
    with store_faults():
        await downloads.check_stored(storage, stored)
    kept = KEPT_BY_CACHES if is_versioned else CHECKED_BY_CACHES
    file = ServedFile(
        size=stored.size_bytes,
        media_type=stored.media_type,
        etag=f'"{stored.sha256}"',
        sha256=stored.sha256,
        content_disposition=content_disposition(stored.filename, inline=True),
        cache_control=kept if shown.is_public else KEPT_BY_NONE,
        path=storage.path_of(stored.object_key),
    )

    def read(start: int, end: int) -> AsyncIterator[bytes]:
        return storage.read(stored.object_key, start=start, end=end)

    return file_response(request.method, request.headers, file, read)
