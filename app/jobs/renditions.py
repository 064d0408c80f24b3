"""Looks at the files that have come in: hashes, probes and stores them, and shows what is in them.

The database waits for none of it, and neither does the store: what comes of a file is written in
one short transaction at the end. What a stranger's file can do, it does in a child process.
"""

import asyncio
import time
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Protocol
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.adapters import media_probe, workspace
from app.adapters.media_probe import ProbeError
from app.adapters.sandbox import Interrupted
from app.adapters.storage import StorageError
from app.adapters.upload_store import StoreFull
from app.adapters.workspace import WorkspaceFull
from app.db import Database
from app.jobs import faults
from app.jobs.derived_files import DerivedFileMaker
from app.jobs.incoming_files import IncomingFiles
from app.services import derived_files, policy, rendition_processing, rendition_rules
from app.services.rendition_processing import Arrival, Claim
from app.services.rendition_rules import FileRefused

log = structlog.get_logger(__name__)

# Seconds. Progress is shown so often, and the lease renewed several times before it ends.
PROGRESS_INTERVAL = 1.0
LEASE_INTERVAL = 15.0
# Hours of work need not be done again because the database was away when they ended.
RECORD_PATIENCE = 600.0
RECORD_PAUSE = 0.5
# Percent: reading the file back comes first, making the preview after it.
READ_SHARE = 20


class Conclude(Protocol):
    """What is to be written once the work on a file is over."""

    def __call__(
        self, session: AsyncSession, claim: Claim, *, now: datetime
    ) -> Awaitable[object]: ...


class ClaimLost(Exception):
    """The file was removed, or another worker has taken it up."""


@dataclass
class Progress:
    percent: int = 0
    shown: int = 0
    kept_at: float = field(default_factory=time.monotonic)

    def of_reading(self, part: float) -> None:
        self.percent = round(READ_SHARE * part)

    def of_preview(self, percent: int) -> None:
        self.percent = READ_SHARE + (99 - READ_SHARE) * percent // 100


@dataclass(frozen=True, slots=True)
class RenditionProcessor:
    database: Database
    files: IncomingFiles
    # Where the folders for work on large files are.
    workspaces: Path

    async def handle(self, payload: bytes) -> None:
        """Run a job. What fails here is left to the sweep, so no error gets out."""
        try:
            await self.process(UUID(bytes=payload))
        except Exception as error:  # noqa: BLE001  # see above
            faults.report("rendition_job_failed", error)

    async def sweep(self) -> None:
        """Enqueue what is due and has no job: after a retry's pause, a lost job, a dead worker."""
        async with self.database.transaction() as session:
            await rendition_processing.enqueue_due(session, now=datetime.now(UTC))

    async def process(self, rendition_id: UUID) -> None:
        """Try once to make a file ready, unless it is concluded or another worker has it."""
        async with self.database.transaction() as session:
            claim = await rendition_processing.claim(session, rendition_id, now=datetime.now(UTC))
        if claim is None:
            return
        with suppress(ClaimLost):
            await self._record(await self._attempt(claim), claim)

    async def _attempt(self, claim: Claim) -> Conclude:
        """The file's faults are final, ours never are."""
        try:
            with workspace.workspace(self.workspaces) as folder:
                return await self._work_and_keep(claim, folder)
        except FileRefused as refusal:
            return _refusal(claim, refusal)
        except ClaimLost:
            raise
        except (WorkspaceFull, StorageError) as error:
            return _postponement(claim, error)
        except Interrupted as error:
            if claim.attempts >= policy.MAX_INTERRUPTIONS:
                return _refusal(claim, FileRefused("parser_failed"))
            return _postponement(claim, error)
        except Exception as error:  # noqa: BLE001  # the database is away, say
            faults.report("rendition_not_processed", error, rendition_id=str(claim.id))
            return _postponement(claim, error)

    async def _work_and_keep(self, claim: Claim, folder: Path) -> Conclude:
        """Work, and show every second that this goes on, and how far it has come."""
        progress = Progress()
        work = asyncio.create_task(self._work(claim, folder, progress))
        try:
            while not (await asyncio.wait({work}, timeout=PROGRESS_INTERVAL))[0]:
                await self._keep(claim, progress)
            return work.result()
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def _keep(self, claim: Claim, progress: Progress) -> None:
        now = time.monotonic()
        if progress.percent == progress.shown and now - progress.kept_at < LEASE_INTERVAL:
            return
        try:
            async with self.database.transaction() as session:
                kept = await rendition_processing.keep(
                    session, claim, progress=progress.percent, now=datetime.now(UTC)
                )
        except Exception as error:  # noqa: BLE001  # work goes on; its next time comes
            faults.report("claim_not_renewed", error)
            return
        if not kept:
            raise ClaimLost
        progress.shown, progress.kept_at = progress.percent, now

    async def _work(self, claim: Claim, folder: Path, progress: Progress) -> Conclude:
        async with self.database.transaction() as session:
            arrival = await rendition_processing.arrival(session, claim)
        if claim.object_key is None:
            claim = await self._accept(claim, arrival, folder, progress)
        path = await self.files.store(claim, arrival, folder)
        async with self.database.transaction() as session:
            wanted = await derived_files.wanted(
                session, claim.asset_id, name=claim.name, purpose=claim.purpose
            )
        maker = DerivedFileMaker(self.database.transaction, self.files.storage)
        derived = await maker.make(
            path,
            claim.technical,
            wanted=wanted,
            stem=Path(claim.filename).stem,
            folder=folder,
            on_progress=progress.of_preview,
        )
        note = None if derived.is_complete else "preview_failed"
        return partial(rendition_processing.finish, derived=derived.files, note=note)

    async def _accept(
        self, claim: Claim, arrival: Arrival | None, folder: Path, progress: Progress
    ) -> Claim:
        """Find out what the file is, and where it is to be kept."""
        if arrival is None:
            raise FileRefused("upload_lost")
        path, digest = await self.files.read_back(
            claim, arrival, folder, on_part=progress.of_reading
        )
        if arrival.expected_sha256 not in {None, digest}:
            raise FileRefused("checksum_mismatch")
        try:
            technical = asdict(await media_probe.probe(path))
        except ProbeError as error:
            raise FileRefused(error.reason) from error
        rendition_rules.check_file(technical, asset_type=claim.asset_type, purpose=claim.purpose)
        async with self.database.transaction() as session:
            key = await rendition_processing.accept(
                session, claim, sha256=digest, technical=technical, now=datetime.now(UTC)
            )
        if key is None:
            raise ClaimLost
        media_type = technical["mime_type"]
        return replace(claim, object_key=key, media_type=media_type, technical=technical)

    async def _record(self, conclude: Conclude, claim: Claim) -> None:
        """Note the result, also through a restart of the database."""
        patience_ends = time.monotonic() + RECORD_PATIENCE
        while True:
            try:
                async with self.database.transaction() as session:
                    await conclude(session, claim, now=datetime.now(UTC))
            except Exception as error:
                if time.monotonic() > patience_ends:
                    raise
                faults.report("rendition_result_waits", error, rendition_id=str(claim.id))
                await asyncio.sleep(RECORD_PAUSE)
            else:
                return


def _refusal(claim: Claim, refusal: FileRefused) -> Conclude:
    log.warning("file_refused", rendition_id=str(claim.id), code=refusal.code)
    return partial(rendition_processing.fail, refusal=refusal)


def _postponement(claim: Claim, error: Exception) -> Conclude:
    is_full = isinstance(error, WorkspaceFull | StoreFull)
    is_away = isinstance(error, StorageError)
    reason = "storage_full" if is_full else "storage_unavailable" if is_away else "interrupted"
    kind = type(error).__name__
    log.warning("file_postponed", rendition_id=str(claim.id), reason=reason, error=kind)
    return partial(rendition_processing.postpone, reason=reason)
