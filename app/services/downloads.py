"""Handing out downloads: signed links that expire, and a record of each."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from urllib.parse import quote
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.crypto import Keyring
from app.errors import NotFound, ServiceUnavailable
from app.models import Asset, Download, Rendition
from app.services import download_tickets, key_usage, policy
from app.services.asset_documents import parse_id
from app.services.assets import RIGHTS_ENDED, AssetWithdrawn
from app.services.auth import Caller, Transactions
from app.services.download_tickets import LinkExpired, Ticket


class FileUnavailable(ServiceUnavailable):
    code, title = "file_unavailable", "The file can't be read at this moment; try again later"

    def __init__(self) -> None:
        super().__init__(retry_after=timedelta(seconds=30))


class FileLost(FileUnavailable):
    """The store does not have the object, or has it in another size. For clients it is the same."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key


class Store(Protocol):
    """The part of a store that can hand out its own links (adapters/storage.py)."""

    async def presigned_url(self, key: str, *, lifetime: timedelta) -> str | None: ...
    async def has(self, key: str, *, size_bytes: int) -> bool: ...


class Reader(Protocol):
    async def fetchrow(self, query: str, *args: Any) -> Any: ...


class InStore(Protocol):
    """Where the bytes of something are, and how many they must be."""

    @property
    def object_key(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...


@dataclass(frozen=True, slots=True)
class DownloadLink:
    url: str
    expires_at: datetime
    filename: str
    size_bytes: int
    sha256: str
    rendition_id: UUID


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What is needed to serve a rendition."""

    rendition_id: UUID
    object_key: str
    filename: str
    media_type: str
    size_bytes: int
    sha256: str


async def prepare(
    transactions: Transactions,
    reference: str,
    name: str,
    *,
    caller: Caller,
    store: Store,
    base_url: str,
    keyring: Keyring,
    now: datetime,
) -> DownloadLink:
    """A link that may start requests for 15 minutes: the store's own, or ours.

    The store is asked outside of any transaction. Raises `FileLost`.
    """
    async with transactions() as session:
        file = await _find(session, reference, name, now=now)
    lifetime = policy.DOWNLOAD_URL_LIFETIME
    expires_at = (now + lifetime).replace(microsecond=0)
    url = await store.presigned_url(file.object_key, lifetime=lifetime)
    await check_stored(store, file)
    if url is None:
        said = Ticket(file.rendition_id, caller.account_id, caller.key_id, expires_at)
        ticket = download_tickets.write(said, keyring)
        url = f"{base_url}/v1/files/{ticket}/{_url_name(file.filename)}"
    return DownloadLink(
        url=url,
        expires_at=expires_at,
        filename=file.filename,
        size_bytes=file.size_bytes,
        sha256=file.sha256,
        rendition_id=file.rendition_id,
    )


async def record(
    session: AsyncSession, link: DownloadLink, *, caller: Caller, now: datetime
) -> None:
    """Note who was given which file; counts are distinct by account or key, rendition, UTC day."""
    key_id = caller.key_id
    values = {
        "account_id": caller.account_id,
        "key_id": key_id,
        "by_key": key_id is not None,
        "rendition_id": link.rendition_id,
        "day": now.astimezone(UTC).date(),
        "occurred_at": now,
    }
    first = insert(Download).values(**values, is_counted=True).on_conflict_do_nothing()
    if await session.scalar(first.returning(Download.id)) is None:
        await session.execute(insert(Download).values(**values))
    elif key_id is not None:
        await key_usage.add_download(session, key_id, size=link.size_bytes, now=now)


# Asset, account and key are looked at again at each request: when one of them ends, it is over.
_FILE = """
    SELECT rendition.id AS rendition_id, object_key, filename, media_type, size_bytes, sha256
      FROM rendition JOIN asset ON asset.id = rendition.asset_id
     WHERE rendition.id = $1 AND rendition.state = 'ready' AND asset.state = 'published'
       AND (asset.available_until IS NULL OR asset.available_until > $4)
       AND EXISTS (SELECT FROM account WHERE id = $2 AND suspended_at IS NULL)
       AND ($3::uuid IS NULL OR EXISTS (
               SELECT FROM api_key WHERE id = $3 AND account_id = $2 AND revoked_at IS NULL
                  AND (expires_at IS NULL OR expires_at > $4)))
"""


async def open_ticket(
    reader: Reader, ticket: str, *, keyring: Keyring, now: datetime
) -> StoredFile:
    """The file of one of our own links, or `LinkExpired`."""
    read = download_tickets.read(ticket, keyring)
    if policy.is_expired(read.expires_at, now):
        raise LinkExpired
    row = await reader.fetchrow(_FILE, read.rendition_id, read.account_id, read.key_id, now)
    if row is None:
        raise LinkExpired
    return StoredFile(**row)


async def check_stored(store: Store, file: InStore) -> None:
    """Never begin a 200 that can't be finished: the object must be there, in its full size."""
    if not await store.has(file.object_key, size_bytes=file.size_bytes):
        raise FileLost(file.object_key)


async def _find(session: AsyncSession, reference: str, name: str, *, now: datetime) -> StoredFile:
    """A rendition that may be downloaded, of an asset given by id or slug.

    A right ends at its time, also when no worker is there to withdraw the asset.
    """
    asset_id = parse_id(reference)
    query = (
        select(*_FILE_COLUMNS, Asset.state, Asset.withdrawal_reason, Asset.available_until)
        .join(Asset, Asset.id == Rendition.asset_id)
        .where(Asset.id == asset_id if asset_id else Asset.slug == reference)
        .where(Rendition.name == name, Rendition.state == "ready")
    )
    row = (await session.execute(query)).mappings().one_or_none()
    if row is not None and row["state"] == "withdrawn":
        raise AssetWithdrawn(row["withdrawal_reason"])
    if row is None or row["state"] != "published":
        raise NotFound
    if row["available_until"] is not None and policy.is_expired(row["available_until"], now):
        raise AssetWithdrawn(RIGHTS_ENDED)
    return StoredFile(**{column.key: row[column.key] for column in _FILE_COLUMNS})


_FILE_COLUMNS = (
    Rendition.id.label("rendition_id"),
    Rendition.object_key,
    Rendition.filename,
    Rendition.media_type,
    Rendition.size_bytes,
    Rendition.sha256,
)


def _url_name(filename: str) -> str:
    """The end of the address, for people alone: one segment, which clients leave as it is."""
    return quote(filename.replace("/", "_").lstrip(".") or "file", safe="")
