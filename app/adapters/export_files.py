"""The files of an export: plain, gzip and zstd, hashed and written side by side in one pass.

One thread writes the plain file, and one for each compressed file reads it again as it grows, from
the disk's cache. So the database is read at its own speed, however slow compression is, and no
more than a few pieces are in memory, whatever the size. All of these let go of the interpreter
while they hash, compress and write. Compression has a low priority (Linux: per thread): on a busy
host the reading, and all else that a worker does, comes first.
"""

import asyncio
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition, get_native_id
from types import MappingProxyType, TracebackType
from typing import Protocol, Self

from isal import isal_zlib
from zstandard import ZstdCompressor

from app.adapters.workspace import check_room, full_disk_told

PLAIN = "ndjson"
# Of what is handed from one thread to another.
PIECE_BYTES = 1024 * 1024
# The room on the disk is looked at so often, for the database may live on it too.
BYTES_BETWEEN_LOOKS = 64 * 1024 * 1024
# On assets of 5.6 kB, ISA-L's gzip at 2 gave 13.4 % at 870 MB/s, and at 3, its highest, 12.6 % at
# 390 MB/s, where zlib gave 13.1 % at 140 MB/s; zstd at 3 gave 5.6 % at 590 MB/s, at 5 5.0 % at 200.
GZIP_LEVEL = 2
ZSTD_LEVEL = 3
COMPRESSION_NICENESS = 10


class Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


def _gzip() -> Compressor:
    # 16 more asks for gzip's header. No time is in it: the same lines give the same file.
    return isal_zlib.compressobj(GZIP_LEVEL, isal_zlib.DEFLATED, 16 + isal_zlib.MAX_WBITS)


def _zstd() -> Compressor:
    return ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True).compressobj()


# By what their names end with.
COMPRESSORS: Mapping[str, Callable[[], Compressor]] = MappingProxyType(
    {f"{PLAIN}.gz": _gzip, f"{PLAIN}.zst": _zstd}
)


class Abandoned(Exception):
    """The plain file will not be completed."""


@dataclass(frozen=True, slots=True)
class WrittenFile:
    path: Path
    size_bytes: int
    sha256: str


class _HashedFile:
    """A file that is hashed while it is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._hash = hashlib.sha256()
        self._file = path.open("wb", buffering=0)

    def append(self, data: bytes) -> None:
        self._hash.update(data)
        rest = memoryview(data)
        while rest:  # Linux writes no more than 2 GiB at once
            rest = rest[self._file.write(rest) :]
        self.size += len(data)

    def close(self) -> WrittenFile:
        self._file.close()
        return WrittenFile(self.path, self.size, self._hash.hexdigest())


@dataclass(slots=True)
class _Growth:
    """How much of the plain file is there, for those who read it behind its writer."""

    size: int = 0
    is_complete: bool = False
    is_abandoned: bool = False
    changed: Condition = field(default_factory=Condition)

    def grow(self, size: int) -> None:
        with self.changed:
            self.size = size
            self.changed.notify_all()

    def end(self, *, complete: bool) -> None:
        with self.changed:
            self.is_complete, self.is_abandoned = complete, not complete
            self.changed.notify_all()

    def wait_beyond(self, position: int) -> int:
        """The size once it is more than `position`, or the file complete. Raises `Abandoned`."""
        with self.changed:
            self.changed.wait_for(
                lambda: self.size > position or self.is_complete or self.is_abandoned
            )
            if self.is_abandoned:
                raise Abandoned
            return self.size


class ExportFiles:
    """What `take` is given, in all formats: `async with` ends its threads, however it ends."""

    def __init__(self, folder: Path, *, name: str) -> None:
        self._folder, self._name = folder, name
        self._growth = _Growth()
        self._plain = _HashedFile(self._path(PLAIN))
        self._writer = ThreadPoolExecutor(1, "export")
        self._compressors = ThreadPoolExecutor(
            len(COMPRESSORS), "export", initializer=_lower_priority
        )
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._next_look = BYTES_BETWEEN_LOOKS
        self._writing: Future[None] | None = None
        self._compressing: dict[str, Future[WrittenFile]] = {}

    async def __aenter__(self) -> Self:
        self._compressing = {
            ending: self._compressors.submit(self._compress, ending, make())
            for ending, make in COMPRESSORS.items()
        }
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._growth.end(complete=False)
        for threads in (self._writer, self._compressors):
            await asyncio.to_thread(threads.shutdown)
        self._plain.close()

    @property
    def size_bytes(self) -> int:
        """Of the plain file, so far."""
        return self._growth.size

    async def take(self, data: bytes) -> None:
        """Append to the plain file. Raises `workspace.WorkspaceFull` before the disk is."""
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= PIECE_BYTES:
            await self._hand_over()

    async def finish(self) -> Mapping[str, WrittenFile]:
        """Once all is taken: the files, by what their names end with."""
        await self._hand_over()
        await self._let_write()
        self._growth.end(complete=True)
        compressed = {
            ending: await asyncio.wrap_future(file) for ending, file in self._compressing.items()
        }
        return {PLAIN: self._plain.close(), **compressed}

    async def _hand_over(self) -> None:
        """Let the thread write what has come, when it has written what came before."""
        await self._let_write()
        pieces, self._waiting, self._waiting_bytes = self._waiting, [], 0
        self._writing = self._writer.submit(self._write, pieces)

    async def _let_write(self) -> None:
        """Wait for the writer. Raises what it, or a compression, has failed by."""
        if self._writing is not None:
            await asyncio.wrap_future(self._writing)
        for file in self._compressing.values():
            if file.done():
                file.result()

    def _write(self, pieces: Sequence[bytes]) -> None:
        data = b"".join(pieces)
        with full_disk_told():
            self._plain.append(data)
        self._growth.grow(self._plain.size)
        if self._plain.size >= self._next_look:
            self._next_look = self._plain.size + BYTES_BETWEEN_LOOKS
            check_room(self._folder)

    def _compress(self, ending: str, compressor: Compressor) -> WrittenFile:
        file = _HashedFile(self._path(ending))
        try:
            with full_disk_told():
                for piece in self._pieces():
                    file.append(compressor.compress(piece))
                file.append(compressor.flush())
        finally:
            written = file.close()
        return written

    def _pieces(self) -> Iterator[bytes]:
        position = 0
        with self._path(PLAIN).open("rb", buffering=0) as plain:
            while (size := self._growth.wait_beyond(position)) > position:
                piece = plain.read(min(size - position, PIECE_BYTES))
                position += len(piece)
                yield piece

    def _path(self, ending: str) -> Path:
        return self._folder / f"{self._name}.{ending}"


def _lower_priority() -> None:
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, get_native_id(), COMPRESSION_NICENESS)
