"""How far uploads have come, and the moment in which one becomes a file of its asset."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID, uuid4

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import AppError
from app.models import Asset, Upload, UploadPart
from app.services import asset_versions, policy, renditions, upload_records
from app.services.auth import Transactions
from app.services.upload_records import AssetTakesNoFiles, UploadExpired, UploadLocked


class UploadOffsetConflict(AppError):
    status, code, title = 409, "upload_offset_conflict", "The upload stands at another offset"

    def __init__(self, offset: int) -> None:
        super().__init__(headers={"Upload-Offset": str(offset)})


class UploadLengthExceeded(AppError):
    status, code, title = 413, "upload_length_exceeded", "That is more than the upload's length"


class StoredPart(Protocol):
    """A piece that the store keeps apart (adapters/upload_store.py)."""

    @property
    def start_bytes(self) -> int: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def object_key(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to append to an upload from `offset` on, until somebody else has it."""

    upload_id: UUID
    asset_id: UUID
    lock_id: UUID
    offset: int
    length: int


async def acquire(
    transactions: Transactions,
    upload_id: UUID,
    *,
    account_id: UUID,
    offset: int,
    announced: int,
    now: datetime,
) -> Lease:
    """Take the right to append at `offset`; `announced` bytes, or 0 where that is not known."""
    async with transactions() as session:
        upload = await upload_records.find(
            session, upload_id, account_id=account_id, now=now, lock=True
        )
        if upload_records.is_locked(upload, now):
            raise UploadLocked
        if offset != upload.offset_bytes:
            raise UploadOffsetConflict(upload.offset_bytes)
        if offset + announced > upload.length_bytes:
            raise UploadLengthExceeded
        upload.lock_id = uuid4()
        upload.locked_until = now + policy.UPLOAD_LEASE
        return Lease(upload_id, upload.asset_id, upload.lock_id, offset, upload.length_bytes)


async def count(
    transactions: Transactions,
    lease: Lease,
    *,
    offset: int,
    parts: Sequence[StoredPart],
    release: bool,
    now: datetime,
) -> datetime | None:
    """Count all up to `offset`, which is durable by now; the last byte makes it a rendition.

    Gives the time at which the upload expires, or None once it is complete. Raises `UploadLocked`
    if somebody else appends meanwhile, and `AssetTakesNoFiles`.
    """
    is_whole = offset == lease.length
    async with transactions() as session:
        # First the asset, as everybody does who locks both.
        asset = await asset_versions.lock(session, lease.asset_id) if is_whole else None
        upload = await _still_leased(session, lease)
        upload.offset_bytes = offset
        upload.expires_at = now + policy.UPLOAD_LIFETIME
        upload.locked_until = None if release else now + policy.UPLOAD_LEASE
        if parts:
            await _note(session, upload.id, parts)
        if asset is not None and upload.state == "open":
            await _complete(session, upload, asset, now)
        return None if upload.state == "complete" else upload.expires_at


async def _still_leased(session: AsyncSession, lease: Lease) -> Upload:
    upload = await session.get(Upload, lease.upload_id, with_for_update=True)
    if upload is None or upload.state == "ended":
        raise UploadExpired
    if upload.lock_id != lease.lock_id:
        raise UploadLocked
    return upload


async def _note(session: AsyncSession, upload_id: UUID, parts: Sequence[StoredPart]) -> None:
    """Add rows; those are there already whose commit was not confirmed because of a fault."""
    rows = [
        {
            "upload_id": upload_id,
            "start_bytes": part.start_bytes,
            "size_bytes": part.size_bytes,
            "object_key": part.object_key,
        }
        for part in parts
    ]
    await session.execute(insert(UploadPart).values(rows).on_conflict_do_nothing())


async def _complete(session: AsyncSession, upload: Upload, asset: Asset, now: datetime) -> None:
    if asset.state == "withdrawn":
        upload.state = "ended"
        raise AssetTakesNoFiles
    rendition = await renditions.begin(
        session,
        asset_id=upload.asset_id,
        name=upload.rendition_name,
        purpose=upload.purpose,
        filename=upload.filename,
        size_bytes=upload.length_bytes,
        account_id=upload.account_id,
        now=now,
    )
    upload.state, upload.rendition_id = "complete", rendition.id
