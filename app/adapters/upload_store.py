"""Where the bytes of unfinished uploads lie, and how they become an object of the store.

In a folder an upload is one file, which is renamed in the end. In S3 it is a row of pieces, each
an object of its own: an S3 multipart upload would keep the last 5 MiB in our memory, which a
restart loses, and the store's clients give no way to go on with one.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import Protocol
from uuid import UUID, uuid4

import obstore
from obstore.exceptions import BaseError, NotFoundError

from app.adapters.storage import (
    MAX_PARTS,
    PART_BYTES,
    ObjectMissing,
    ObjectStorage,
    StorageError,
)
from app.formats.file_names import content_disposition

MIB = 1024 * 1024
_PREFIX = "uploads"


class StoreFull(StorageError):
    """There is no room for more."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of an upload that is an object of its own."""

    start_bytes: int
    size_bytes: int
    object_key: str


class UploadStore(Protocol):
    """What uploads need of a store. Every call may raise `StorageError`.

    `piece_bytes` is how much to hand over at once, `checkpoint_bytes` after how much to `sync`.
    """

    @property
    def piece_bytes(self) -> int: ...
    @property
    def checkpoint_bytes(self) -> int: ...

    async def append(self, upload_id: UUID, offset: int, piece: bytearray) -> Part | None:
        """Write at `offset`, over whatever an interrupted call left there.

        Gives the part that it made, if pieces are kept apart. Durable only after `sync`.
        """

    async def sync(self, upload_id: UUID) -> None:
        """Return when all that was appended would survive a loss of power."""

    def open_path(self, upload_id: UUID) -> Path | None:
        """The file that holds the upload, for programs that read files; None where none does."""

    def read(self, upload_id: UUID, parts: Sequence[Part]) -> AsyncIterator[bytes]:
        """All bytes of a complete upload, in order; `parts` sorted by their start."""

    async def publish(
        self, upload_id: UUID, parts: Sequence[Part], key: str, *, filename: str, media_type: str
    ) -> None:
        """Make a complete upload the object `key`, in place of one that is there.

        In a folder this moves it, and a second call for one that was moved does nothing.
        """

    async def discard(self, upload_id: UUID) -> None:
        """Delete whatever there is of an upload, also what no row tells of."""

    def stored_ids(self) -> AsyncIterator[UUID]:
        """The uploads of which something is stored."""


def open_upload_store(storage: ObjectStorage) -> UploadStore:
    """The uploads' place in a store."""
    folder = storage.path_of(_PREFIX)
    return FolderUploads(folder) if folder is not None else ObjectUploads(storage)


@dataclass(frozen=True, slots=True)
class FolderUploads:
    """Uploads in a folder of the local store, on the same disk as the objects."""

    folder: Path
    piece_bytes: int = MIB
    # Many syncs would halve the speed; this much must be sent again after a loss of power.
    checkpoint_bytes: int = 64 * MIB

    async def append(self, upload_id: UUID, offset: int, piece: bytearray) -> None:
        with _errors("writing an upload"):
            await asyncio.to_thread(_write_at, self._path(upload_id), offset, piece)

    async def sync(self, upload_id: UUID) -> None:
        with _errors("writing an upload"):
            await asyncio.to_thread(_sync_file, self._path(upload_id))

    def open_path(self, upload_id: UUID) -> Path:
        return self._path(upload_id)

    async def read(self, upload_id: UUID, _: Sequence[Part]) -> AsyncIterator[bytes]:
        with _errors("reading an upload"), self._path(upload_id).open("rb", buffering=0) as file:
            while chunk := await asyncio.to_thread(file.read, MIB):
                yield chunk

    async def publish(
        self,
        upload_id: UUID,
        _: Sequence[Part],
        key: str,
        *,
        filename: str,  # noqa: ARG002  # our own server says the name and the type
        media_type: str,  # noqa: ARG002
    ) -> None:
        with _errors("publishing an upload"):
            await asyncio.to_thread(_move, self._path(upload_id), self.folder.parent / key)

    async def discard(self, upload_id: UUID) -> None:
        with _errors("discarding an upload"):
            await asyncio.to_thread(self._path(upload_id).unlink, missing_ok=True)

    async def stored_ids(self) -> AsyncIterator[UUID]:
        with _errors("listing uploads"):
            names = await asyncio.to_thread(_names_in, self.folder)
        for name in names:
            yield UUID(name)

    def _path(self, upload_id: UUID) -> Path:
        return self.folder / str(upload_id)


@dataclass(frozen=True, slots=True)
class ObjectUploads:
    """Uploads in S3. A piece is durable when the store has acknowledged it."""

    storage: ObjectStorage
    piece_bytes: int = 8 * MIB
    checkpoint_bytes: int = 0

    async def append(self, upload_id: UUID, offset: int, piece: bytearray) -> Part:
        # A name of its own for each try: a late write of a dead request replaces no other.
        key = f"{_PREFIX}/{upload_id}/{offset:020d}-{uuid4().hex[:8]}"
        with _errors("writing an upload"):
            await obstore.put_async(self.storage.store, key, piece, use_multipart=False)
        return Part(offset, len(piece), key)

    async def sync(self, upload_id: UUID) -> None:
        """Each piece is durable already."""

    def open_path(self, _: UUID) -> Path | None:
        return None

    async def read(self, _: UUID, parts: Sequence[Part]) -> AsyncIterator[bytes]:
        end = 0
        for part in parts:
            if part.start_bytes != end:
                raise ObjectMissing(f"{_PREFIX}/{part.object_key}, from byte {end} on")
            end += part.size_bytes
            async for piece in self.storage.read(part.object_key, start=0, end=part.size_bytes):
                yield piece

    async def publish(
        self, upload_id: UUID, parts: Sequence[Part], key: str, *, filename: str, media_type: str
    ) -> None:
        size = sum(part.size_bytes for part in parts)
        with _errors("publishing an upload"):
            await obstore.put_async(
                self.storage.store,
                key,
                self.read(upload_id, parts),
                attributes={
                    "Content-Type": media_type,
                    "Content-Disposition": content_disposition(filename),
                },
                chunk_size=max(PART_BYTES, -(-size // MAX_PARTS)),
                max_concurrency=2,  # each holds a chunk
            )

    async def discard(self, upload_id: UUID) -> None:
        with _errors("discarding an upload"):
            async for objects in self.storage.list_objects(f"{_PREFIX}/{upload_id}/"):
                await obstore.delete_async(self.storage.store, [each.key for each in objects])

    async def stored_ids(self) -> AsyncIterator[UUID]:
        latest = ""
        async for objects in self.storage.list_objects(f"{_PREFIX}/"):
            for each in objects:
                name = each.key.removeprefix(f"{_PREFIX}/").partition("/")[0]
                if name != latest:  # keys come in order
                    yield UUID(name)
                latest = name


@contextmanager
def _errors(doing: str) -> Iterator[None]:
    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        raise ObjectMissing(f"something is missing while {doing}") from error
    except OSError as error:
        kind = StoreFull if error.errno in {ENOSPC, EDQUOT} else StorageError
        raise kind(f"{type(error).__name__} while {doing}") from error
    except BaseError as error:
        raise StorageError(f"{type(error).__name__} while {doing}") from error


def _write_at(path: Path, offset: int, piece: bytearray) -> None:
    if not path.exists():
        _make_folder(path.parent)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        rest = memoryview(piece)
        while rest:
            written = os.pwrite(descriptor, rest, offset)
            rest, offset = rest[written:], offset + written
    finally:
        os.close(descriptor)


def _sync_file(path: Path) -> None:
    """The file's contents, and its name in the folder."""
    _sync(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _move(path: Path, target: Path) -> None:
    if target.exists() and not path.exists():
        return
    _make_folder(target.parent)
    path.replace(target)
    _sync(target.parent)
    _sync(path.parent)


def _make_folder(folder: Path) -> None:
    """Make a folder that is still there after a loss of power."""
    if not folder.exists():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def _names_in(folder: Path) -> list[str]:
    with suppress(FileNotFoundError):
        return [entry.name for entry in folder.iterdir()]
    return []
