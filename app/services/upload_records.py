"""The rows of uploads: who may send which file, and which are over."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import and_, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import AppError, FieldError, InvalidInput, NotFound
from app.models import Asset, Rendition, Upload
from app.services import asset_versions, policy
from app.services.upload_metadata import FileDescription

LOCK_RETRY_AFTER = timedelta(seconds=1)


class TooManyUploads(AppError):
    status, code = 429, "too_many_uploads"
    title = f"Finish or delete one of your {policy.MAX_OPEN_UPLOADS} open uploads first"


class UploadTooLarge(AppError):
    status, code, title = 413, "upload_too_large", "The file is larger than uploads may be"


class UploadQuotaExceeded(AppError):
    status, code, title = 413, "upload_quota_exceeded", "Your open uploads would be too large"


class AssetTakesNoFiles(AppError):
    """Withdrawn, perhaps since the upload began: that one has ended."""

    status, code = 409, "asset_takes_no_files"
    title = "The asset was withdrawn and takes no more files"
    keep_changes = True


class UploadExpired(AppError):
    status, code, title = 410, "upload_expired", "This upload was deleted or left alone too long"


class UploadComplete(AppError):
    status, code, title = 409, "upload_complete", "The upload is complete; its file is the asset's"


class UploadLocked(AppError):
    status, code, title = 423, "upload_locked", "Another request is sending this upload"

    def __init__(self) -> None:
        super().__init__(retry_after=LOCK_RETRY_AFTER)


async def create(
    session: AsyncSession,
    file: FileDescription,
    *,
    metadata_header: str,
    length: int,
    max_bytes: int,
    account_id: UUID,
    now: datetime,
) -> Upload:
    """Begin an upload of `length` bytes for an asset that is not withdrawn."""
    if length > max_bytes:
        raise UploadTooLarge(f"An upload has at most {max_bytes} bytes")
    asset = await _find_asset(session, file.asset_reference)
    await _check_quota(session, account_id, length)
    upload = Upload(
        account_id=account_id,
        asset_id=asset.id,
        rendition_name=file.rendition_name,
        purpose=file.purpose,
        filename=file.filename,
        metadata_header=metadata_header,
        expected_sha256=file.sha256,
        length_bytes=length,
        created_at=now,
        expires_at=now + policy.UPLOAD_LIFETIME,
    )
    session.add(upload)
    await session.flush()
    return upload


async def _find_asset(session: AsyncSession, reference: str) -> Asset:
    try:
        asset = await asset_versions.lock(session, reference)
    except NotFound:
        message = "No asset has this id or slug"
        pointer = "/upload-metadata/asset_id"
        error: FieldError = {"pointer": pointer, "code": "asset_unknown", "message": message}
        raise InvalidInput(errors=[error]) from None
    if asset.state == "withdrawn":
        raise AssetTakesNoFiles
    return asset


async def _check_quota(session: AsyncSession, account_id: UUID, length: int) -> None:
    """Count under a lock of the account's own: two requests at once see each other."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtext(str(account_id)))))
    query = select(func.count(), func.coalesce(func.sum(Upload.length_bytes), 0)).where(
        Upload.account_id == account_id, Upload.state == "open"
    )
    count, total = (await session.execute(query)).one()
    if count >= policy.MAX_OPEN_UPLOADS:
        raise TooManyUploads
    if total + length > policy.MAX_OPEN_UPLOAD_BYTES:
        raise UploadQuotaExceeded


async def find(
    session: AsyncSession, upload_id: UUID, *, account_id: UUID, now: datetime, lock: bool = False
) -> Upload:
    """One's own upload; those of others are not there."""
    upload = await session.get(Upload, upload_id, with_for_update=lock or None)
    if upload is None or upload.account_id != account_id:
        raise NotFound
    if upload.state == "ended" or policy.is_expired(upload.expires_at, now):
        raise UploadExpired
    return upload


def is_locked(upload: Upload, now: datetime) -> bool:
    return upload.locked_until is not None and not policy.is_expired(upload.locked_until, now)


async def end(session: AsyncSession, upload_id: UUID, *, account_id: UUID, now: datetime) -> None:
    """Give an upload up; the worker deletes what there is of it."""
    upload = await find(session, upload_id, account_id=account_id, now=now, lock=True)
    if is_locked(upload, now):
        raise UploadLocked
    if upload.state == "complete":
        raise UploadComplete
    upload.state = "ended"


async def abandon(session: AsyncSession, upload_id: UUID) -> None:
    """End an upload of which its client will never learn the address."""
    mine = update(Upload).where(Upload.id == upload_id, Upload.state == "open")
    await session.execute(mine.values(state="ended"))


async def claim_ended(session: AsyncSession, *, now: datetime, limit: int) -> Sequence[UUID]:
    """Uploads whose bytes nobody needs any more; from now on nobody can go on with them.

    One that is complete stays for as long as its client may ask whether it is, and as long as the
    worker needs it.
    """
    is_processed = ~exists().where(
        Rendition.id == Upload.rendition_id, Rendition.state.in_(("pending", "processing"))
    )
    is_free = or_(Upload.locked_until.is_(None), Upload.locked_until <= now)
    is_left = and_(Upload.expires_at <= now, is_free, is_processed)
    query = select(Upload).where(or_(Upload.state == "ended", is_left)).limit(limit)
    uploads = (await session.scalars(query.with_for_update(skip_locked=True))).all()
    for upload in uploads:
        upload.state = "ended"
    return [upload.id for upload in uploads]


async def forget(session: AsyncSession, upload_id: UUID) -> None:
    if upload := await session.get(Upload, upload_id):
        await session.delete(upload)


async def unknown_among(session: AsyncSession, upload_ids: Sequence[UUID]) -> Sequence[UUID]:
    """Those that have no row: their asset or account was deleted."""
    known = set(await session.scalars(select(Upload.id).where(Upload.id.in_(upload_ids))))
    return [upload_id for upload_id in upload_ids if upload_id not in known]
