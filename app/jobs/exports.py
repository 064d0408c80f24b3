"""Writes exports: hourly, soon after a withdrawal, and whenever there is none.

Any number of workers may want to; the one that has the advisory lock does. The lock ends with its
connection, and so with its process.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import structlog

from app.adapters import workspace
from app.adapters.export_files import ExportFiles, WrittenFile
from app.adapters.storage import StorageError
from app.adapters.workspace import WorkspaceFull
from app.clock import utc_now
from app.db import Database
from app.jobs import faults
from app.jobs.stored_objects import Keeper
from app.services import exports, stored_objects
from app.services.exports import MEDIA_TYPES, OfferedFile, Snapshot

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

log = structlog.get_logger(__name__)

FILENAME = "assets"
FOLDER_PREFIX = "export-"
LOCK = 7_301_944_881_207
# Of one read of the catalogue, and of a server that sends nothing more of it.
LONGEST_READ = timedelta(hours=2)
STALL = timedelta(minutes=1)
# Who fails tries again after a while, and later each time.
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=10), timedelta(minutes=5)

# Time limits of requests are not for this. Planned with a sort, it would copy the whole catalogue
# to the disk before its first row. And where this host vanishes, the server lets go of its lock.
_SETTINGS = """
    SET statement_timeout = 0;
    SET enable_sort = off;
    SET tcp_keepalives_idle = 10;
    SET tcp_keepalives_interval = 5;
    SET tcp_keepalives_count = 3
"""
DOCUMENTS = "SELECT document FROM asset WHERE state = 'published' ORDER BY id"
# As CSV with signs that no JSON text holds, each row is the line that it is to be.
_QUOTE = "\x01"
AS_LINES: Any = MappingProxyType({"format": "csv", "delimiter": "\x02", "quote": _QUOTE})


class NotAlone(Exception):
    """Another process is writing an export."""


class BrokenDocument(ValueError):
    """A document is not JSON in one line, so no reader could tell where it ends."""


@dataclass
class Exporter:
    keeper: Keeper
    # Not through a pooler, which would give each transaction another connection.
    direct: Database
    # Where the folders for work on large files are.
    workspaces: Path
    now: Callable[[], datetime] = utc_now
    _pause: timedelta = FIRST_PAUSE
    _not_before: float = 0.0

    async def sweep(self) -> None:
        """Write an export if one is due, and delete those that may no longer be given out."""
        await self._remove_unwanted()
        if time.monotonic() < self._not_before or not await self._is_due():
            return
        try:
            with suppress(NotAlone):
                await self.write_due()
        except Exception as error:  # noqa: BLE001  # the disk is full, the store is away: later
            self._not_before = time.monotonic() + self._pause.total_seconds()
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            _report(error)
        else:
            self._pause = FIRST_PAUSE

    async def write_due(self) -> UUID | None:
        """Write an export, unless none is due any more or nothing has changed since the last."""
        async with self._only_writer():
            if not await self._is_due() or await self._is_unchanged():
                return None
            return await self._write()

    async def write(self) -> UUID:
        """Write an export in any case, if need be after another process has written its own."""
        async with self._only_writer(patient=True):
            return await self._write()

    async def _write(self) -> UUID:
        began = time.monotonic()
        async with self._folder() as folder:
            async with ExportFiles(folder, name=FILENAME) as files:
                snapshot = await self._read(files)
                read = time.monotonic() - began
                written = await files.finish()
            offered = [await self._store(name, file) for name, file in written.items()]
        async with self.keeper.database.transaction() as session:
            export_id = await exports.add(session, snapshot, offered, now=self.now())
        seconds = time.monotonic() - began
        log.info(
            "export_written",
            export_id=str(export_id),
            sequence=snapshot.sequence,
            assets=snapshot.assets,
            bytes={file.format: file.size_bytes for file in offered},
            read_seconds=round(read, 2),
            seconds=round(seconds, 2),
            assets_per_second=round(snapshot.assets / seconds),
        )
        await self.keeper.delete_condemned()
        return export_id

    async def _store(self, file_format: str, file: WrittenFile) -> OfferedFile:
        size, digest = file.size_bytes, file.sha256
        async with self.keeper.database.transaction() as session:
            key = await stored_objects.claim(
                session,
                sha256=digest,
                size_bytes=size,
                now=self.now(),
                prefix=stored_objects.EXPORTS,
            )
        if not await self.keeper.storage.has(key, size_bytes=size):
            await self.keeper.storage.move_file(
                key, file.path, filename=file.path.name, media_type=MEDIA_TYPES[file_format]
            )
        return OfferedFile(file_format, key, size, digest)

    @asynccontextmanager
    async def _folder(self) -> AsyncIterator[Path]:
        """An empty folder; deleting a file of some gigabytes takes seconds, so a thread does it."""
        stack = ExitStack()
        made = workspace.workspace(self.workspaces, only=FOLDER_PREFIX)
        try:
            yield await asyncio.to_thread(stack.enter_context, made)
        finally:
            await asyncio.to_thread(stack.close)

    async def _is_due(self) -> bool:
        async with self.keeper.database.transaction() as session:
            return await exports.is_due(session, now=self.now())

    async def _is_unchanged(self) -> bool:
        """Whether the last one still says it all, and is all there."""
        async with self.keeper.database.transaction() as session:
            files = await exports.confirm(session, now=self.now())
        has = self.keeper.storage.has
        found = [await has(each.object_key, size_bytes=each.size_bytes) for each in files]
        return bool(found) and all(found)

    async def _remove_unwanted(self) -> None:
        async with self.keeper.database.transaction() as session:
            await exports.remove_unwanted(session, now=self.now())

    @asynccontextmanager
    async def _only_writer(self, *, patient: bool = False) -> AsyncIterator[None]:
        async with self._connection() as connection:
            if patient:
                patience = LONGEST_READ.total_seconds()
                await connection.execute("SELECT pg_advisory_lock($1)", LOCK, timeout=patience)
            elif not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):
                raise NotAlone
            yield
            # Cut off, it would be noticed a moment after the next one has asked for the lock.
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await connection.close()

    async def _read(self, files: ExportFiles) -> Snapshot:
        """The catalogue and the place in the feed that it goes with, of one moment."""
        taken_at = self.now()
        async with self._connection() as connection:
            # Ended with the connection: asyncpg could not end it after a COPY that has failed.
            await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            feed = await connection.fetchrow("SELECT epoch, last_sequence FROM change_feed")
            assert feed is not None  # noqa: S101  # the table has one row, always
            assets = await _copy(connection, files)
        return Snapshot(feed["epoch"], feed["last_sequence"], taken_at, assets)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        connection = await self.direct.connect()
        try:
            await connection.execute(_SETTINGS)
            yield connection
        finally:
            connection.terminate()


async def _copy(connection: Connection, files: ExportFiles) -> int:
    """Give all documents to the files, one a line; returns how many there are."""

    async def take(data: bytes) -> None:
        if _QUOTE.encode() in data:
            raise BrokenDocument("a document is not one line")
        await files.take(data)

    lost = asyncio.Event()
    connection.add_termination_listener(lambda _: lost.set())
    copying = asyncio.create_task(
        connection.copy_from_query(
            DOCUMENTS,
            output=take,
            timeout=LONGEST_READ.total_seconds(),
            **AS_LINES,
        )
    )
    watching = asyncio.create_task(_until_stalled(files, lost))
    try:
        await asyncio.wait({copying, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not copying.done():
            raise ConnectionAbortedError("the database sends no more of the catalogue")
        return int((await copying).split()[-1])
    finally:
        for task in (copying, watching):
            task.cancel()
        await asyncio.gather(copying, watching, return_exceptions=True)


async def _until_stalled(files: ExportFiles, lost: asyncio.Event) -> None:
    """Return when the connection is lost, or nothing has come for a minute."""
    seen = -1
    while files.size_bytes != seen:
        seen = files.size_bytes
        with suppress(TimeoutError):
            await asyncio.wait_for(lost.wait(), STALL.total_seconds())
            return


def _report(error: Exception) -> None:
    if isinstance(error, WorkspaceFull | StorageError | BrokenDocument):
        log.error("export_not_written", error=type(error).__name__, reason=str(error))
    else:
        faults.report("export_not_written", error)
