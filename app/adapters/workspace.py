"""A folder for work on large files, gone when the work is over, however it ends."""

import asyncio
import fcntl
import os
import shutil
import time
from collections.abc import AsyncIterable, Iterator
from contextlib import contextmanager, suppress
from errno import ENOSPC
from pathlib import Path
from tempfile import mkdtemp

# Left to the database and to everybody else on the disk. Bytes.
_RESERVE = 2**30
# A folder that is younger may belong to somebody who has not locked it yet. Seconds.
_UNLOCKED_AT_MOST = 60


class WorkspaceFull(Exception):
    """There is no room for a file of that size."""


@contextmanager
def workspace(parent: Path, *, only: str | None = None) -> Iterator[Path]:
    """An empty folder. Those of processes that were killed are cleared away before.

    Of the kind that `only` names no two are made at the same time: whatever is left of it is
    cleared at once.
    """
    parent.mkdir(parents=True, exist_ok=True)
    _clear(parent, only)
    folder = Path(mkdtemp(prefix=only, dir=parent))
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


async def save(chunks: AsyncIterable[bytes], path: Path, *, size_bytes: int) -> None:
    """Write a file of a known size, or raise `WorkspaceFull` before the disk is."""
    await asyncio.to_thread(check_room, path.parent, size_bytes=size_bytes)
    with full_disk_told():
        await _write(chunks, path)


def check_room(folder: Path, *, size_bytes: int = 0) -> None:
    """Raise `WorkspaceFull` unless so much can be added, and others still have room."""
    free = shutil.disk_usage(folder).free
    if free < size_bytes + _RESERVE:
        raise WorkspaceFull(f"{size_bytes} bytes are needed, {free} are free")


@contextmanager
def full_disk_told() -> Iterator[None]:
    """Raise `WorkspaceFull` for what the system says of a full disk."""
    try:
        yield
    except OSError as error:
        raise WorkspaceFull(str(error)) if error.errno == ENOSPC else error from error


async def _write(chunks: AsyncIterable[bytes], path: Path) -> None:
    file = await asyncio.to_thread(path.open, "wb")
    try:
        async for chunk in chunks:
            await asyncio.to_thread(file.write, chunk)
    finally:
        await asyncio.to_thread(file.close)


def _clear(parent: Path, only: str | None) -> None:
    """The lock of a process ends with it, so a folder that can be locked has lost its owner."""
    for folder in parent.iterdir():
        with suppress(OSError):
            is_left = only is not None and folder.name.startswith(only)
            if not is_left and time.time() - folder.stat().st_mtime < _UNLOCKED_AT_MOST:
                continue
            lock = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            finally:
                os.close(lock)
