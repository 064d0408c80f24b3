"""Downloads: a link that expires, and our own serving of it where the store is a folder."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated

import structlog
from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import RedirectResponse

from app.adapters.storage import Storage, StorageError
from app.crypto import InvalidToken
from app.deps import (
    DeploymentDep,
    Downloader,
    Now,
    ReaderDep,
    SettingsDep,
    StorageDep,
    Transactions,
)
from app.errors import LoginRequired, NotFound
from app.formats.file_names import content_disposition
from app.http.idempotency import IdempotencyDep
from app.http.metrics import missing_objects
from app.http.openapi import refusals
from app.http.ranges import ServedFile, file_response, handed_over
from app.http.strict_json import StrictJsonRoute
from app.routers.assets import Reference
from app.schemas.downloads import DownloadAnswer
from app.services import downloads
from app.services.assets import AssetWithdrawn
from app.services.auth import Caller
from app.services.context import Deployment
from app.services.downloads import DownloadLink, FileLost, FileUnavailable
from app.services.idempotency import IdempotencyKeyReused, IdempotencyKeyRunning
from app.settings import Settings

log = structlog.get_logger(__name__)
router = APIRouter(tags=["downloads"], route_class=StrictJsonRoute)

RenditionName = Annotated[str, Path(max_length=100)]
REFUSALS = (LoginRequired, InvalidToken, NotFound, AssetWithdrawn, FileUnavailable)


@router.post(
    "/v1/assets/{reference}/renditions/{name}/downloads",
    status_code=201,
    response_model=DownloadAnswer,
    responses=refusals(*REFUSALS, IdempotencyKeyReused, IdempotencyKeyRunning),
)
async def create_download(
    reference: Reference,
    name: RenditionName,
    caller: Downloader,
    transactions: Transactions,
    storage: StorageDep,
    settings: SettingsDep,
    deployment: DeploymentDep,
    idempotency: IdempotencyDep,
    now: Now,
) -> DownloadAnswer | Response:
    """A link to the file, good for 15 minutes; a download that has begun may take longer."""
    if replay := idempotency.replay:
        return replay
    link = await _prepare(transactions, reference, name, caller, storage, settings, deployment, now)
    answer = DownloadAnswer.model_validate(link)
    async with transactions() as session:
        await downloads.record(session, link, caller=caller, now=now)
        await idempotency.remember(session, 201, answer)
    return answer


@router.get(
    "/v1/assets/{reference}/renditions/{name}/download",
    status_code=302,
    response_class=RedirectResponse,
    responses=refusals(*REFUSALS),
)
async def redirect_to_download(
    reference: Reference,
    name: RenditionName,
    caller: Downloader,
    transactions: Transactions,
    storage: StorageDep,
    settings: SettingsDep,
    deployment: DeploymentDep,
    now: Now,
) -> RedirectResponse:
    """The same as a redirect, for players and curl."""
    link = await _prepare(transactions, reference, name, caller, storage, settings, deployment, now)
    async with transactions() as session:
        await downloads.record(session, link, caller=caller, now=now)
    return RedirectResponse(link.url, 302, headers={"Cache-Control": "no-store"})


async def _prepare(
    transactions: Transactions,
    reference: str,
    name: str,
    caller: Caller,
    storage: Storage,
    settings: Settings,
    deployment: Deployment,
    now: datetime,
) -> DownloadLink:
    with store_faults():
        return await downloads.prepare(
            transactions,
            reference,
            name,
            caller=caller,
            store=storage,
            base_url=settings.base_url,
            keyring=deployment.keyring,
            now=now,
        )


@router.api_route(
    "/v1/files/{ticket}/{filename}",
    methods=["GET", "HEAD"],
    response_class=Response,
    include_in_schema=False,  # clients get this address whole and never build it
)
async def get_file(
    request: Request,
    ticket: Annotated[str, Path(max_length=200)],
    reader: ReaderDep,
    storage: StorageDep,
    settings: SettingsDep,
    deployment: DeploymentDep,
    now: Now,
) -> Response:
    """Serve a file of the local store, whole or in ranges."""
    stored = await downloads.open_ticket(reader, ticket, keyring=deployment.keyring, now=now)
    with store_faults():
        await downloads.check_stored(storage, stored)
    file = ServedFile(
        size=stored.size_bytes,
        media_type=stored.media_type,
        etag=f'"{stored.sha256}"',
        sha256=stored.sha256,
        content_disposition=content_disposition(stored.filename),
        path=storage.path_of(stored.object_key),
    )
    if file.path is not None and settings.x_accel_prefix:
        return handed_over(f"{settings.x_accel_prefix.rstrip('/')}/{stored.object_key}", file)

    def read(start: int, end: int) -> AsyncIterator[bytes]:
        return storage.read(stored.object_key, start=start, end=end)

    return file_response(request.method, request.headers, file, read)


@contextmanager
def store_faults() -> Iterator[None]:
    """Log and count them for whoever runs the store; clients are told to come back."""
    try:
        yield
    except FileLost as error:
        missing_objects.inc()
        log.error("object_missing", key=error.key)  # noqa: TRY400  # expected, no traceback
        raise
    except StorageError as error:
        log.error("store_unavailable", error=str(error))  # noqa: TRY400  # the same
        raise FileUnavailable from None
