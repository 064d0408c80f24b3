"""Uploads that go on after a cut: tus 1.0.0 (docs/uploads.md)."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

import structlog
from fastapi import APIRouter, Depends, Request, Response

from app.adapters.storage import StorageError
from app.adapters.upload_store import StoreFull
from app.crypto import InvalidToken
from app.deps import Clock, CurrentEditor, SettingsDep, Transactions, UploadStoreDep
from app.errors import (
    AppError,
    Forbidden,
    InvalidInput,
    LoginRequired,
    NotFound,
    ServiceUnavailable,
)
from app.http import tus
from app.http.headers import has_body, request_fields
from app.http.openapi import answer_in_headers, refusals
from app.services import policy, uploads
from app.services.upload_bodies import ChecksumMismatch
from app.services.upload_metadata import describe
from app.services.upload_progress import UploadLengthExceeded, UploadOffsetConflict
from app.services.upload_records import (
    AssetTakesNoFiles,
    TooManyUploads,
    UploadComplete,
    UploadExpired,
    UploadLocked,
    UploadQuotaExceeded,
    UploadTooLarge,
)
from app.services.uploads import Body, Desk

log = structlog.get_logger(__name__)
router = APIRouter(prefix="/v1/uploads", tags=["uploads"])

STORE_RETRY_AFTER = timedelta(seconds=5)
FULL_RETRY_AFTER = timedelta(minutes=1)
NO_STORE = {"Cache-Control": "no-store"}


class UploadStoreUnavailable(ServiceUnavailable):
    code, title = "upload_store_unavailable", "The store does not answer; go on a little later"


class UploadStoreFull(AppError):
    status, code, title = 507, "upload_store_full", "There is no room at this moment"


async def get_desk(
    request: Request,
    caller: CurrentEditor,
    transactions: Transactions,
    store: UploadStoreDep,
    clock: Clock,
    tus_resumable: tus.TusResumable = None,
) -> Desk:
    tus.check_version(tus_resumable)
    return Desk(
        account_id=caller.account_id,
        transactions=transactions,
        store=store,
        running=request.app.state.running_uploads,
        clock=clock,
    )


DeskDep = Annotated[Desk, Depends(get_desk)]

REFUSALS = (LoginRequired, InvalidToken, Forbidden, tus.UnsupportedTusVersion)
OF_ONE = (*REFUSALS, NotFound, UploadExpired)
OF_A_BODY = (
    *(tus.NotAnUpload, tus.UnsupportedChecksum, ChecksumMismatch, UploadLengthExceeded),
    *(AssetTakesNoFiles, UploadStoreFull, UploadStoreUnavailable),
)
OF_A_NEW_ONE = (InvalidInput, TooManyUploads, UploadTooLarge, UploadQuotaExceeded)
A_BODY: dict[str, Any] = {
    "requestBody": {"content": {tus.MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}}
}


@router.options("", status_code=204, response_class=Response)
async def describe_uploads(settings: SettingsDep) -> Response:
    """Which version and extensions of tus there are, and how large a file may be."""
    headers = {**tus.capabilities(policy.largest_upload(settings.max_upload_bytes)), **NO_STORE}
    return Response(status_code=204, headers=headers)


@router.post(
    "",
    status_code=201,
    response_class=Response,
    openapi_extra=A_BODY,
    responses={
        **answer_in_headers(
            201, "The upload is there", "Location", "Upload-Offset", "Upload-Expires"
        ),
        **refusals(*REFUSALS, *OF_A_NEW_ONE, *OF_A_BODY),
    },
)
async def create_upload(
    request: Request,
    desk: DeskDep,
    settings: SettingsDep,
    upload_length: tus.UploadLength,
    upload_metadata: tus.UploadMetadata = "",
    upload_checksum: tus.UploadChecksum = None,
) -> Response:
    """Begin an upload for an asset; the body may hold its first bytes, or all."""
    file = describe(tus.parse_metadata(upload_metadata))
    is_with_bytes = has_body(request_fields(request.scope))
    if is_with_bytes:
        tus.check_media_type(request.headers.get("content-type"))
    is_begun_now = is_with_bytes or upload_length == 0
    with _store_faults():
        upload_id, progress = await uploads.create(
            desk,
            file,
            metadata_header=upload_metadata,
            length=upload_length,
            max_bytes=policy.largest_upload(settings.max_upload_bytes),
            body=_body(request, 0, upload_checksum) if is_begun_now else None,
        )
    headers = tus.progress(progress.offset, progress.expires_at)
    return Response(status_code=201, headers={"Location": f"/v1/uploads/{upload_id}", **headers})


@router.head(
    "/{upload_id}",
    response_class=Response,
    responses={
        **answer_in_headers(
            200, "Where it stands", "Upload-Offset", "Upload-Length", "Upload-Metadata"
        ),
        **refusals(*OF_ONE),
    },
)
async def get_upload(upload_id: UUID, desk: DeskDep) -> Response:
    """How many bytes are safe: go on from there."""
    upload = await uploads.look_up(desk, upload_id)
    headers = {
        **tus.progress(upload.offset_bytes, upload.expires_at if upload.state == "open" else None),
        "Upload-Length": str(upload.length_bytes),
        "Upload-Metadata": upload.metadata_header,
    }
    return Response(headers=headers)


@router.patch(
    "/{upload_id}",
    status_code=204,
    response_class=Response,
    openapi_extra=A_BODY,
    responses={
        **answer_in_headers(204, "The bytes are safe", "Upload-Offset", "Upload-Expires"),
        **refusals(*OF_ONE, *OF_A_BODY, UploadOffsetConflict, UploadLocked),
    },
)
async def append_to_upload(
    request: Request,
    upload_id: UUID,
    desk: DeskDep,
    upload_offset: tus.UploadOffset,
    upload_checksum: tus.UploadChecksum = None,
) -> Response:
    """Send on from the offset; what comes before a cut is kept."""
    tus.check_media_type(request.headers.get("content-type"))
    with _store_faults():
        body = _body(request, upload_offset, upload_checksum)
        progress = await uploads.append(desk, upload_id, body)
    headers = tus.progress(progress.offset, progress.expires_at)
    return Response(status_code=204, headers=headers)


@router.delete(
    "/{upload_id}",
    status_code=204,
    response_class=Response,
    responses=refusals(*OF_ONE, UploadLocked, UploadComplete),
)
async def end_upload(upload_id: UUID, desk: DeskDep) -> Response:
    """Give an upload up; the space is free again a little later."""
    await uploads.end(desk, upload_id)
    return Response(status_code=204, headers=NO_STORE)


def _body(request: Request, offset: int, checksum: str | None) -> Body:
    length = request.headers.get("content-length", "")
    return Body(
        chunks=request.stream(),
        offset=offset,
        announced=int(length) if length.isdigit() else 0,
        checksum=tus.parse_checksum(checksum),
    )


@contextmanager
def _store_faults() -> Iterator[None]:
    """Answer for a store that fails; all that it has taken before stays counted."""
    try:
        yield
    except StoreFull as error:
        log.error("upload_store_full", error=str(error))  # noqa: TRY400  # expected, no traceback
        raise UploadStoreFull(retry_after=FULL_RETRY_AFTER) from None
    except StorageError as error:
        log.error("upload_store_unavailable", error=str(error))  # noqa: TRY400  # expected, too
        raise UploadStoreUnavailable(retry_after=STORE_RETRY_AFTER) from None
