"""Objects: the files of the catalogue, in a local folder or in any S3-compatible store."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from errno import EXDEV
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, ObjectStore, S3Store

from app.formats.file_names import content_disposition

if TYPE_CHECKING:
    from obstore import Attributes

# A reader holds two pieces: one that is being used, and the next, on its way.
READ_BYTES = 4 * 1024 * 1024
# A writer holds so many parts at once. S3 takes no more parts of one object, and copies no larger
# object by itself.
PART_BYTES = 8 * 1024 * 1024
PARTS_AT_ONCE = 4
MAX_PARTS = 10_000
LARGEST_COPY_BYTES = 5 * 1024**3
CONNECT_TIMEOUT = "2s"
# Without a byte coming in; and in all, for S3 may take minutes to copy an object.
SILENCE_TIMEOUT = "30s"
REQUEST_TIMEOUT = "10m"
# obstore would try for three minutes.
RETRY_TIMEOUT = timedelta(seconds=10)
# A store that is away must not make the readiness of everything else wait.
CHECK_TIMEOUT = timedelta(seconds=2)


class StorageError(Exception):
    """The store does not answer, or its settings are wrong."""


class ObjectMissing(StorageError):
    """A row refers to an object that the store does not have."""


@dataclass(frozen=True, slots=True)
class ListedObject:
    key: str
    size_bytes: int
    stored_at: datetime


class Storage(Protocol):
    """What the rest needs of a store, whichever it is. Every call may raise `StorageError`."""

    @property
    def can_presign(self) -> bool: ...

    def path_of(self, key: str) -> Path | None: ...
    async def put_file(self, key: str, path: Path, *, filename: str, media_type: str) -> None: ...
    async def move_file(self, key: str, path: Path, *, filename: str, media_type: str) -> None: ...
    async def size(self, key: str) -> int: ...
    async def has(self, key: str, *, size_bytes: int) -> bool: ...
    async def presigned_url(self, key: str, *, lifetime: timedelta) -> str | None: ...
    def read(self, key: str, *, start: int, end: int) -> AsyncIterator[bytes]: ...
    async def copy(self, key: str, to: str) -> None: ...
    async def rename(self, key: str, to: str) -> None: ...
    async def delete(self, key: str) -> None: ...
    def list_objects(self, prefix: str) -> AsyncIterator[Sequence[ListedObject]]: ...
    async def check(self) -> None: ...


@dataclass(frozen=True)
class ObjectStorage:
    """A store reached by obstore."""

    store: ObjectStore

    @property
    def can_presign(self) -> bool:
        """Whether clients fetch from the store itself, by a URL that it honours for a while."""
        return isinstance(self.store, S3Store)

    def path_of(self, key: str) -> Path | None:
        """Where the object is on this machine; None for a store that is elsewhere."""
        if not isinstance(self.store, LocalStore) or self.store.prefix is None:
            return None
        return Path(self.store.prefix) / key

    async def put_file(self, key: str, path: Path, *, filename: str, media_type: str) -> None:
        """Store a file of any size; S3 serves it itself, so there its name and type go with it."""
        attributes: Attributes = {
            "Content-Type": media_type,
            "Content-Disposition": content_disposition(filename),
        }
        with _errors("storing an object", key):
            size = (await asyncio.to_thread(path.stat)).st_size
            await self._put(key, path, size, attributes if self.can_presign else None)

    async def move_file(self, key: str, path: Path, *, filename: str, media_type: str) -> None:
        """Store a file that nobody needs where it is: renamed, where that is all there is to it."""
        place = self.path_of(key)
        with _errors("storing an object", key):
            if place is not None and await asyncio.to_thread(_rename, path, place):
                return
        await self.put_file(key, path, filename=filename, media_type=media_type)
        await asyncio.to_thread(path.unlink)

    async def size(self, key: str) -> int:
        """Bytes; raises `ObjectMissing`."""
        with _errors("looking at an object", key):
            return (await obstore.head_async(self.store, key))["size"]

    async def has(self, key: str, *, size_bytes: int) -> bool:
        """Whether the object is there, all of it."""
        try:
            return await self.size(key) == size_bytes
        except ObjectMissing:
            return False

    async def presigned_url(self, key: str, *, lifetime: timedelta) -> str | None:
        """A URL that serves the object from the store itself; None where we serve it."""
        if not isinstance(self.store, S3Store):
            return None
        with _errors("signing a link", key):
            return await obstore.sign_async(self.store, "GET", key, lifetime)

    async def read(self, key: str, *, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to but not including `end`, in pieces.

        Each is asked for by itself, so that no time limit on a request is one on the whole, and
        is asked for while the one before it is being used.
        """
        coming = self._begin_piece(key, start, end)
        try:
            while coming is not None:
                piece = await coming
                start += len(piece)
                coming = self._begin_piece(key, start, end)
                yield piece
        finally:
            if coming is not None:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)

    async def copy(self, key: str, to: str) -> None:
        """A second object of the same bytes, name and type; repeated, it does no harm."""
        with _errors("copying an object", key):
            size = (await obstore.head_async(self.store, key))["size"]
            if self.can_presign and size > LARGEST_COPY_BYTES:
                found = await obstore.get_async(self.store, key, options={"range": (0, 1)})
                await self._put(to, self.read(key, start=0, end=size), size, found.attributes)
            else:
                await obstore.copy_async(self.store, key, to)

    async def rename(self, key: str, to: str) -> None:
        """Repeated after it was cut off, it goes on: a copy may be there with the original."""
        if self.can_presign:
            await self.copy(key, to)
            await self.delete(key)
            return
        with _errors("renaming an object", key):
            await obstore.rename_async(self.store, key, to)

    async def delete(self, key: str) -> None:
        """Does nothing where there is no such object."""
        try:
            with _errors("deleting an object", key):
                await obstore.delete_async(self.store, key)
        except ObjectMissing:
            return

    async def list_objects(self, prefix: str) -> AsyncIterator[Sequence[ListedObject]]:
        """All objects below a folder such as `renditions/`, by pages of a thousand."""
        with _errors("listing objects", prefix):
            async for page in obstore.list(self.store, prefix, chunk_size=1000):
                yield [
                    ListedObject(each["path"], each["size"], each["last_modified"]) for each in page
                ]

    async def check(self) -> None:
        """Raise `StorageError` unless the store answers."""
        try:
            with _errors("checking the store", "readiness"):
                async with asyncio.timeout(CHECK_TIMEOUT.total_seconds()):
                    await obstore.head_async(self.store, "readiness")
        except ObjectMissing:
            return

    async def _put(
        self,
        key: str,
        contents: Path | AsyncIterator[bytes],
        size: int,
        attributes: "Attributes | None",
    ) -> None:
        await obstore.put_async(
            self.store,
            key,
            contents,
            attributes=attributes,
            chunk_size=max(PART_BYTES, -(-size // MAX_PARTS)),
            max_concurrency=PARTS_AT_ONCE,
        )

    def _begin_piece(self, key: str, start: int, end: int) -> asyncio.Task[bytes] | None:
        if start >= end:
            return None
        return asyncio.create_task(self._read_piece(key, start, min(start + READ_BYTES, end)))

    async def _read_piece(self, key: str, start: int, end: int) -> bytes:
        with _errors("reading an object", key):
            piece = await obstore.get_range_async(self.store, key, start=start, end=end)
        if len(piece) != end - start:
            raise StorageError("an object is shorter than it was")
        return bytes(piece)


def open_storage(url: str | None, *, default_folder: Path) -> ObjectStorage:
    """The store of STORAGE_URL: `file:///folder`, or `s3://bucket?endpoint=…&region=…`."""
    if url is None:
        return _local(default_folder)
    parts = urlsplit(url)
    if parts.scheme == "file":
        return _local(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.hostname:
        return _s3(parts.hostname, dict(parse_qsl(parts.query)), prefix=parts.path.strip("/"))
    raise StorageError("STORAGE_URL must be file:///folder or s3://bucket?endpoint=…")


def _rename(path: Path, place: Path) -> bool:
    """Whether that was possible: both may be on different disks."""
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.rename(place)
    except OSError as error:
        if error.errno != EXDEV:
            raise
        return False
    return True


@contextmanager
def _errors(doing: str, key: str) -> Iterator[None]:
    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        raise ObjectMissing(key) from error
    except (BaseError, OSError) as error:
        raise StorageError(f"{type(error).__name__} while {doing}") from error


def _local(folder: Path) -> ObjectStorage:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder}: {error.strerror}") from error
    return ObjectStorage(LocalStore(folder))


def _s3(bucket: str, options: dict[str, str], *, prefix: str) -> ObjectStorage:
    """Credentials come from the query, or as usual from AWS_ACCESS_KEY_ID and its kin."""
    endpoint = options.pop("endpoint", None)
    config = {name: value for name, value in options.items() if name in _S3_OPTIONS}
    if unknown := options.keys() - _S3_OPTIONS:
        raise StorageError(f"STORAGE_URL has an unknown option: {', '.join(sorted(unknown))}")
    if endpoint:
        config["endpoint"] = endpoint
    store = S3Store(
        bucket,
        prefix=prefix or None,
        client_options={
            "allow_http": bool(endpoint and endpoint.startswith("http://")),
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": SILENCE_TIMEOUT,
            "timeout": REQUEST_TIMEOUT,
        },
        retry_config={"retry_timeout": RETRY_TIMEOUT},
        **config,  # type: ignore[arg-type]  # the names were checked above
    )
    return ObjectStorage(store)


_S3_OPTIONS = frozenset({"region", "access_key_id", "secret_access_key", "session_token"})
