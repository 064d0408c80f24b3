"""The whole catalogue in one stream: files that the worker writes, and where to go on from."""

from collections.abc import AsyncIterator
from dataclasses import asdict
from email.utils import format_datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import RedirectResponse

from app.adapters.storage import Storage
from app.crypto import InvalidToken
from app.deps import NO_STORE, AssetReader, Now, ReaderDep, SettingsDep, StorageDep
from app.errors import LoginRequired
from app.formats.file_names import content_disposition
from app.http.conditional import not_modified
from app.http.openapi import Responses, refusals
from app.http.ranges import RangeNotSatisfiable, ServedFile, file_response, handed_over
from app.routers.downloads import store_faults
from app.schemas.exports import ExportAnswer, ExportList
from app.services import downloads, exports, policy
from app.services.downloads import FileUnavailable
from app.services.exports import (
    MEDIA_TYPES,
    ExportNotKept,
    ExportNotReady,
    Format,
    OfferedExport,
    OfferedFile,
)
from app.settings import Settings

router = APIRouter(
    prefix="/v1/exports",
    tags=["broadcasters"],
    responses=refusals(LoginRequired, InvalidToken),
)

FileFormat = Annotated[
    Format, Path(description="Plain lines, or the same compressed by gzip or by zstd")
]
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_HEADERS = {
    name: {"schema": {"type": "string"}, "description": description}
    for name, description in {
        "ETag": "The file's SHA-256",
        "Last-Modified": "When it was taken",
        "Content-Location": "The address of this very file, for as long as it is kept",
        "X-Next-After": "The cursor to go on with in `GET /v1/changes`",
        "Link": 'The same as an address: `rel="next"`',
        "Repr-Digest": "The file's SHA-256 (RFC 9530)",
    }.items()
}
FILE_RESPONSES: Responses = {
    200: {
        "description": "The file: one asset a line, as `GET /v1/assets/{id}` gives it",
        "content": dict.fromkeys(MEDIA_TYPES.values(), _BINARY),
        "headers": _HEADERS,
    },
    206: {
        "description": "The range that was asked for",
        "content": dict.fromkeys(MEDIA_TYPES.values(), _BINARY),
        "headers": _HEADERS,
    },
    302: {
        "description": "Where the store itself serves it, for 15 minutes; headers as with 200",
        "headers": {"Location": {"schema": {"type": "string", "format": "uri"}}, **_HEADERS},
    },
    304: {"description": "The copy that the client has is still the newest"},
    **refusals(RangeNotSatisfiable, FileUnavailable),
}


@router.get("", dependencies=[NO_STORE])
async def list_exports(
    _: AssetReader, reader: ReaderDep, settings: SettingsDep, now: Now
) -> ExportList:
    """The exports that are kept, newest first: take a file of the first, then its `next_after`.

    The worker writes one every hour, and one soon after a withdrawal, which ends all older ones.
    """
    offered = await exports.list_offered(reader, now=now)
    return ExportList(items=[_answer(each, settings.base_url) for each in offered])


@router.get(
    "/assets.{file_format}",
    response_class=Response,
    responses={**FILE_RESPONSES, **refusals(FileUnavailable, ExportNotReady)},
)
@router.head("/assets.{file_format}", response_class=Response, include_in_schema=False)
async def get_newest_export(
    request: Request,
    file_format: FileFormat,
    _: AssetReader,
    reader: ReaderDep,
    storage: StorageDep,
    settings: SettingsDep,
    now: Now,
) -> Response:
    """The whole catalogue as of one moment: the newest export.

    Take it, then ask `GET /v1/changes` with `X-Next-After`: nothing is missed and nothing comes
    twice. With `If-Range`, a download that was cut off goes on only in the same file; the address
    in `Content-Location` leads to no other.
    """
    export = await exports.newest(reader, now=now)
    return await _send(request, export, export.file(file_format), storage, settings)


@router.get(
    "/{export_id}/assets.{file_format}",
    response_class=Response,
    responses={**FILE_RESPONSES, **refusals(ExportNotKept)},
)
@router.head("/{export_id}/assets.{file_format}", response_class=Response, include_in_schema=False)
async def get_export(
    request: Request,
    export_id: UUID,
    file_format: FileFormat,
    _: AssetReader,
    reader: ReaderDep,
    storage: StorageDep,
    settings: SettingsDep,
    now: Now,
) -> Response:
    """A certain export: the last three are kept, and none that holds what was withdrawn since."""
    export = await exports.get(reader, export_id, now=now)
    return await _send(request, export, export.file(file_format), storage, settings)


async def _send(
    request: Request,
    export: OfferedExport,
    stored: OfferedFile,
    storage: Storage,
    settings: Settings,
) -> Response:
    """From the local store, or where the store serves it itself."""
    file = _served(export, stored, storage)
    with store_faults():
        await downloads.check_stored(storage, stored)
        if storage.can_presign and request.method == "GET":
            if not_modified(request.headers, file.etag):
                return Response(status_code=304, headers={"ETag": file.etag, **file.headers})
            lifetime = policy.DOWNLOAD_URL_LIFETIME
            url = await storage.presigned_url(stored.object_key, lifetime=lifetime)
            headers = {"Cache-Control": "no-store", **file.headers}
            return RedirectResponse(str(url), 302, headers=headers)
    if file.path is not None and settings.x_accel_prefix:
        return handed_over(f"{settings.x_accel_prefix.rstrip('/')}/{stored.object_key}", file)

    def read(start: int, end: int) -> AsyncIterator[bytes]:
        return storage.read(stored.object_key, start=start, end=end)

    return file_response(request.method, request.headers, file, read)


def _served(export: OfferedExport, stored: OfferedFile, storage: Storage) -> ServedFile:
    return ServedFile(
        size=stored.size_bytes,
        media_type=MEDIA_TYPES[stored.format],
        etag=f'"{stored.sha256}"',
        sha256=stored.sha256,
        content_disposition=content_disposition(f"assets.{stored.format}"),
        path=storage.path_of(stored.object_key),
        headers={
            "Last-Modified": format_datetime(export.taken_at, usegmt=True),
            "Content-Location": _path(export, stored),
            "X-Next-After": export.next_after,
            "Link": f'</v1/changes?after={export.next_after}>; rel="next"',
        },
    )


def _answer(export: OfferedExport, base_url: str) -> ExportAnswer:
    files = [{**asdict(file), "url": f"{base_url}{_path(export, file)}"} for file in export.files]
    return ExportAnswer.model_validate({**asdict(export), "files": files})


def _path(export: OfferedExport, file: OfferedFile) -> str:
    return f"/v1/exports/{export.id}/assets.{file.format}"
