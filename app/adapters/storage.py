"""Objects: the files of the catalogue, in a local folder or in any S3-compatible store."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, ObjectStore, S3Store

if TYPE_CHECKING:
    from obstore import Attributes

# Large enough that a download costs few steps, small enough that a thousand fit in memory.
CHUNK_BYTES = 256 * 1024
CONNECT_TIMEOUT = "2s"
REQUEST_TIMEOUT = "30s"
# obstore would try for three minutes.
RETRY_TIMEOUT = timedelta(seconds=10)
# A store that is away must not make the readiness of everything else wait.
CHECK_TIMEOUT = timedelta(seconds=2)


class StorageError(Exception):
    """The store does not answer, or its settings are wrong."""


class ObjectMissing(StorageError):
    """A row refers to an object that the store does not have."""


class Storage(Protocol):
    """What the rest needs of a store, whichever it is."""

    async def put_file(self, key: str, path: Path, *, filename: str, media_type: str) -> None: ...
    async def size(self, key: str) -> int: ...
    async def presigned_url(self, key: str, *, lifetime: timedelta) -> str | None: ...
    def read(self, key: str, *, start: int, end: int) -> AsyncIterator[bytes]: ...
    async def check(self) -> None: ...


@dataclass(frozen=True)
class ObjectStorage:
    """A store reached by obstore. `can_presign` says whether clients may fetch from it directly."""

    store: ObjectStore
    can_presign: bool

    async def put_file(self, key: str, path: Path, *, filename: str, media_type: str) -> None:
        """Store a file; S3 serves it itself, so there its name and type are stored with it."""
        headers: Attributes = {
            "Content-Type": media_type,
            "Content-Disposition": content_disposition(filename),
        }
        try:
            attributes = headers if self.can_presign else None
            await obstore.put_async(self.store, key, path, attributes=attributes)
        except (BaseError, OSError) as error:
            raise StorageError(f"{type(error).__name__} while storing an object") from error

    async def size(self, key: str) -> int:
        """Bytes; raises `ObjectMissing`."""
        try:
            return (await obstore.head_async(self.store, key))["size"]
        except (NotFoundError, FileNotFoundError) as error:
            raise ObjectMissing(key) from error
        except (BaseError, OSError) as error:
            raise StorageError(f"{type(error).__name__} while looking at an object") from error

    async def presigned_url(self, key: str, *, lifetime: timedelta) -> str | None:
        """A URL that serves the object from the store itself; None where we serve it."""
        if not self.can_presign or not isinstance(self.store, S3Store):
            return None
        try:
            return await obstore.sign_async(self.store, "GET", key, lifetime)
        except (BaseError, OSError) as error:
            raise StorageError(f"{type(error).__name__} while signing a link") from error

    async def read(self, key: str, *, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to but not including `end`, in pieces."""
        if start == end:
            return
        try:
            result = await obstore.get_async(self.store, key, options={"range": (start, end)})
            async for chunk in result.stream(min_chunk_size=CHUNK_BYTES):
                yield bytes(chunk)
        except (NotFoundError, FileNotFoundError) as error:
            raise ObjectMissing(key) from error
        except (BaseError, OSError) as error:
            raise StorageError(f"{type(error).__name__} while reading an object") from error

    async def check(self) -> None:
        """Raise `StorageError` unless the store answers."""
        try:
            async with asyncio.timeout(CHECK_TIMEOUT.total_seconds()):
                await obstore.head_async(self.store, "readiness")
        except (NotFoundError, FileNotFoundError):
            return
        except (BaseError, OSError) as error:
            raise StorageError(f"{type(error).__name__}: the store does not answer") from error


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


def content_key(sha256: str) -> str:
    """Where a file lies: by its hash, so that the same file is stored once."""
    return f"renditions/{sha256[:2]}/{sha256}"


def _local(folder: Path) -> ObjectStorage:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder}: {error.strerror}") from error
    return ObjectStorage(LocalStore(folder), can_presign=False)


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
            "timeout": REQUEST_TIMEOUT,
        },
        retry_config={"retry_timeout": RETRY_TIMEOUT},
        **config,  # type: ignore[arg-type]  # the names were checked above
    )
    return ObjectStorage(store, can_presign=True)


_S3_OPTIONS = frozenset({"region", "access_key_id", "secret_access_key", "session_token"})


def content_disposition(filename: str) -> str:
    """Save under this name (RFC 6266), in ASCII for old clients and in UTF-8 for all others.

    Without the folders that it may name: some clients would save the file there.
    """
    filename = filename.replace("\\", "/").rpartition("/")[2].lstrip(".") or "file"
    ascii_name = "".join(
        char if char.isascii() and (char.isalnum() or char in "-_. ") else "_" for char in filename
    )
    return f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(filename, safe='')}"
