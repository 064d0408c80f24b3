"""Who writes exports, and that nothing gets between them and the truth: writers, kills, faults."""

import asyncio
import json
import random
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from errno import ENOSPC
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.testing import capture_logs

from app.adapters import export_files
from app.adapters.export_files import ExportFiles
from app.adapters.storage import ObjectStorage, open_storage
from app.adapters.workspace import WorkspaceFull
from app.db import Database
from app.jobs import exports as job
from app.jobs.exports import LOCK, Exporter, NotAlone
from app.jobs.stored_objects import Keeper
from app.models import Export
from app.services import asset_editing, publication
from app.services.context import WORKER
from tests.factories import any_version, create, publish, publish_story
from tests.helpers import rows
from tests.hurried_worker import eventually, working
from tests.programs import run_to_end

PROJECT = Path(job.__file__).parents[2]
WRITERS = 8
# As many as are needed for enough exports meanwhile, which a busy machine writes more slowly.
STEPS, MOST_STEPS = 25, 1000
ENOUGH = 5


@pytest.fixture
def storage(tmp_path: Path) -> ObjectStorage:
    return open_storage(None, default_folder=tmp_path / "objects")


def exporter_on(database: Database, storage: ObjectStorage, folder: Path) -> Exporter:
    return Exporter(Keeper(database, storage), database, folder / "tmp")


@pytest.fixture
def exporter(live_database: Database, storage: ObjectStorage, tmp_path: Path) -> Exporter:
    return exporter_on(live_database, storage, tmp_path)


async def lines_of(exporter: Exporter, export_id: UUID) -> dict[str, Any]:
    """The documents of an export, by their ids."""
    query = "SELECT object_key FROM export_file WHERE export_id = $1 AND format = 'ndjson'"
    row = await exporter.keeper.database.reader.fetchrow(query, export_id)
    assert row is not None
    path = exporter.keeper.storage.path_of(row["object_key"])
    assert path is not None
    documents = [json.loads(line) for line in path.read_bytes().splitlines()]
    return {document["id"]: document for document in documents}


def left_in(folder: Path) -> list[Path]:
    return list((folder / "tmp").iterdir()) if (folder / "tmp").exists() else []


def export_threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("export")]


async def lock_is_free(database: Database) -> bool:
    query = "SELECT pg_try_advisory_xact_lock($1) AS free"
    row = await database.reader.fetchrow(query, LOCK)
    return row is not None and bool(row["free"])


# Consistency


class Undone(Exception):
    """An editor's request has failed, and its transaction is rolled back."""


class Editor:
    """Publishes, corrects and withdraws, with pauses in transactions, a fifth of them undone."""

    def __init__(self, database: Database, number: int) -> None:
        self._database = database
        self._number = number
        self._chance = random.Random(number)  # noqa: S311  # guards nothing
        self._published: list[UUID] = []

    async def live(self, until: asyncio.Event) -> None:
        for step in range(MOST_STEPS):
            if step >= STEPS and until.is_set():
                break
            steps = [self._publish, self._correct, self._withdraw]
            take = self._chance.choice(steps) if self._published else self._publish
            with suppress(Undone):
                async with self._database.transaction() as session:
                    published = await take(session, step, datetime.now(UTC))
                    await self._linger()
                self._published = published

    async def _publish(self, session: AsyncSession, step: int, now: datetime) -> list[UUID]:
        asset = await create(session, f"w{self._number}-{step}", "story", fields={}, at=now)
        await publish(session, asset, at=now)
        return [*self._published, asset.id]

    async def _correct(self, session: AsyncSession, step: int, now: datetime) -> list[UUID]:
        await asset_editing.change(
            session,
            str(self._chance.choice(self._published)),
            {"title": f"Corrected {step}"},
            note=None,
            check=any_version,
            editor=WORKER,
            now=now,
        )
        return self._published

    async def _withdraw(self, session: AsyncSession, _: int, now: datetime) -> list[UUID]:
        gone = self._chance.choice(self._published)
        await withdraw(session, gone, now=now)
        return [each for each in self._published if each != gone]

    async def _linger(self) -> None:
        await asyncio.sleep(self._chance.random() * 0.02)
        if self._chance.random() < 0.2:
            raise Undone


async def withdraw(session: AsyncSession, asset_id: UUID, *, now: datetime) -> None:
    await publication.withdraw(
        session, str(asset_id), reason="wrong", check=any_version, editor=WORKER, now=now
    )


async def state_at(database: Database, sequence: int) -> dict[str, int]:
    """What was public after so many changes: each asset's version."""
    query = """
        SELECT asset_id, version FROM (
            SELECT DISTINCT ON (asset_id) asset_id, kind, version FROM change
             WHERE sequence <= $1 ORDER BY asset_id, sequence DESC
        ) AS latest WHERE kind <> 'withdrawn'
    """
    found = await database.reader.fetch(query, sequence)
    return {str(row["asset_id"]): row["version"] for row in found}


async def test_export_and_later_changes_are_the_catalogue_whatever_is_written_meanwhile(
    live_database: Database, exporter: Exporter
) -> None:
    editors = [Editor(live_database, number) for number in range(WRITERS)]
    are_taken = asyncio.Event()
    writing = asyncio.gather(*(editor.live(are_taken) for editor in editors))
    taken: list[tuple[int, dict[str, Any]]] = []
    try:
        while not writing.done():
            export_id = await exporter.write()
            [export] = [each for each in await rows(live_database, Export) if each.id == export_id]
            taken.append((export.sequence, await lines_of(exporter, export_id)))
            if len({sequence for sequence, _ in taken}) >= ENOUGH:
                are_taken.set()
    finally:
        are_taken.set()
        await writing
    catalogue = await catalogue_of(live_database)
    sequences = [sequence for sequence, _ in taken]
    assert sequences == sorted(sequences)
    assert len(set(sequences)) >= ENOUGH, "the exports were not taken while others wrote"
    for sequence, lines in taken:
        versions = {asset_id: document["version"] for asset_id, document in lines.items()}
        assert versions == await state_at(live_database, sequence)
        assert await replayed(live_database, lines, sequence, catalogue) == catalogue


async def catalogue_of(database: Database) -> dict[str, Any]:
    found = await database.reader.fetch("SELECT document FROM asset WHERE state = 'published'")
    documents = [json.loads(row["document"]) for row in found]
    return {document["id"]: document for document in documents}


async def replayed(
    database: Database, lines: dict[str, Any], sequence: int, catalogue: dict[str, Any]
) -> dict[str, Any]:
    """What a mirror has that began with these lines and followed the feed."""
    mirror = dict(lines)
    query = "SELECT asset_id, kind FROM change WHERE sequence > $1 ORDER BY sequence"
    for change in await database.reader.fetch(query, sequence):
        asset_id = str(change["asset_id"])
        if change["kind"] == "withdrawn":
            mirror.pop(asset_id, None)
        elif asset_id in catalogue:  # else its withdrawal is still to come
            mirror[asset_id] = catalogue[asset_id]
    return mirror


# Any number of workers


async def test_of_many_workers_one_writes(
    live_database: Database, storage: ObjectStorage, tmp_path: Path
) -> None:
    workers = [exporter_on(live_database, storage, tmp_path) for _ in range(8)]
    with capture_logs() as logs:
        await asyncio.gather(*(each.sweep() for each in workers))
        await asyncio.gather(*(each.sweep() for each in workers))
    assert len(await rows(live_database, Export)) == 1
    assert [each["event"] for each in logs] == ["export_written"]


async def test_worker_writes_the_first_export_at_once_and_one_after_a_withdrawal(
    live_app: FastAPI,
    live_database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.services.policy.WITHDRAWAL_EXPORT_DELAY", timedelta(seconds=1))
    asset_id = await publish_story(live_app, "story")

    async def newest_has(assets: int) -> bool:
        found = await rows(live_database, Export)
        return bool(found) and max(found, key=lambda each: each.id).assets == assets

    async with working(live_database, "smtp://127.0.0.1:9"):
        await eventually(lambda: newest_has(1))
        async with live_database.transaction() as session:
            await withdraw(session, asset_id, now=datetime.now(UTC))
        await eventually(lambda: newest_has(0))
    assert len(await rows(live_database, Export)) == 1


KILLED = """
import asyncio, sys
from pathlib import Path
from app import db
from app.adapters.export_files import ExportFiles
from app.adapters.storage import open_storage
from app.db import Database
from app.jobs.exports import Exporter
from app.jobs.stored_objects import Keeper

async def stay(self):
    print("under way", flush=True)
    await asyncio.sleep(60)

async def main():
    database, folder = Database(sys.argv[1]), Path(sys.argv[2])
    storage = open_storage(None, default_folder=folder / "objects")
    await Exporter(Keeper(database, storage), database, folder / "tmp").write_due()

ExportFiles.finish = stay
db.CONNECT_TIMEOUT = db.STATEMENT_TIMEOUT = 300  # a busy machine is no fault
asyncio.run(main())
"""


async def test_after_a_worker_was_killed_the_next_one_writes_and_clears_up(
    live_app: FastAPI, live_database: Database, exporter: Exporter, tmp_path: Path
) -> None:
    await publish_story(live_app, "story")
    killed = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        KILLED,
        live_database._url,
        str(tmp_path),
        cwd=PROJECT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert killed.stdout is not None
    assert await killed.stdout.readline() == b"under way\n"
    with pytest.raises(NotAlone):
        await exporter.write_due()
    assert len(left_in(tmp_path)) == 1
    killed.send_signal(signal.SIGKILL)
    await killed.wait()

    async def is_written() -> bool:
        await exporter.sweep()
        return len(await rows(live_database, Export)) == 1

    await eventually(is_written)
    assert left_in(tmp_path) == []


# Faults


class Held:
    """A reading of the catalogue that waits until it may go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.may_go_on = asyncio.Event(), asyncio.Event()
        take = ExportFiles.take

        async def wait_and_take(files: ExportFiles, data: bytes) -> None:
            self.begun.set()
            await self.may_go_on.wait()
            await take(files, data)

        monkeypatch.setattr(ExportFiles, "take", wait_and_take)


@pytest.fixture
async def large_catalogue(live_app: FastAPI, live_database: Database) -> None:
    """More than all that is on the way between the database and us."""
    for number in range(10):
        await publish_story(live_app, f"story-{number}")
    query = (
        "UPDATE asset SET document ="
        " jsonb_set(document::jsonb, '{body}', to_jsonb(repeat('harbour ', 200000)))::text"
        " RETURNING id"
    )
    await live_database.write(query)


async def terminate_readers(database: Database) -> None:
    query = """
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND query LIKE 'COPY%' AND pid <> pg_backend_pid()
    """
    assert await database.reader.fetch(query)


async def assert_undone_and_repeatable(exporter: Exporter, folder: Path, *, assets: int) -> None:
    """Nothing is left of the attempt, and the next one succeeds."""
    database = exporter.keeper.database
    assert left_in(folder) == []
    assert await rows(database, Export) == []
    await eventually(lambda: lock_is_free(database))
    assert export_threads() == []
    assert len(await lines_of(exporter, await exporter.write())) == assets


@pytest.mark.usefixtures("large_catalogue")
async def test_lost_connection_ends_the_attempt_and_nothing_else(
    live_database: Database, exporter: Exporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched, capture_logs() as logs:
        held = Held(patched)
        sweeping = asyncio.create_task(exporter.sweep())
        await held.begun.wait()
        await terminate_readers(live_database)
        held.may_go_on.set()
        await asyncio.wait_for(sweeping, 60)
    assert [each["event"] for each in logs] == ["export_not_written"]
    await assert_undone_and_repeatable(exporter, tmp_path, assets=10)


@pytest.mark.usefixtures("large_catalogue")
async def test_database_that_falls_silent_is_not_waited_for(
    exporter: Exporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert timedelta(minutes=1) == job.STALL
    with monkeypatch.context() as patched:
        patched.setattr(job, "STALL", timedelta(seconds=0.2))
        Held(patched)
        with pytest.raises(ConnectionAbortedError):
            await asyncio.wait_for(exporter.write(), 60)
    await assert_undone_and_repeatable(exporter, tmp_path, assets=10)


@pytest.mark.usefixtures("large_catalogue")
async def test_worker_that_is_told_to_stop_stops_in_the_middle(
    exporter: Exporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        held = Held(patched)
        writing = asyncio.create_task(exporter.write())
        await held.begun.wait()
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(writing, 60)
    await assert_undone_and_repeatable(exporter, tmp_path, assets=10)


@pytest.mark.usefixtures("large_catalogue")
async def test_full_disk_ends_the_attempt_before_the_database_suffers(
    exporter: Exporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    def find_none(_: Path) -> None:
        nonlocal looks
        looks += 1
        raise WorkspaceFull("0 bytes are free")

    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(export_files, "check_room", find_none)
        patched.setattr(export_files, "BYTES_BETWEEN_LOOKS", 2 * 1024 * 1024)
        await exporter.sweep()
        await exporter.sweep()  # which does not try again at once
    assert looks == 1
    assert [each["event"] for each in logs] == ["export_not_written"]
    assert logs[0]["reason"] == "0 bytes are free"
    await assert_undone_and_repeatable(exporter, tmp_path, assets=10)


@pytest.mark.usefixtures("large_catalogue")
async def test_compression_that_fails_ends_the_attempt(
    exporter: Exporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing:
        def compress(self, _: bytes, /) -> bytes:
            raise OSError(ENOSPC, "No space left on device")

        def flush(self) -> bytes:
            return b""

    with monkeypatch.context() as patched:
        patched.setattr(export_files, "COMPRESSORS", {"ndjson.gz": Failing})
        with pytest.raises(WorkspaceFull):
            await exporter.write()
    await assert_undone_and_repeatable(exporter, tmp_path, assets=10)


async def test_store_that_is_away_leaves_the_last_export(
    live_app: FastAPI,
    live_database: Database,
    exporter: Exporter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = await exporter.write()
    await publish_story(live_app, "story")

    def fail(*_: Any) -> bool:
        raise PermissionError

    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr("app.adapters.storage._rename", fail)
        exporter.now = lambda: datetime.now(UTC) + timedelta(hours=1)
        await exporter.sweep()
    assert [each["event"] for each in logs] == ["export_not_written"]
    assert [each.id for each in await rows(live_database, Export)] == [first]
    assert left_in(tmp_path) == []


async def test_file_goes_to_a_store_on_another_disk_too(
    live_app: FastAPI, exporter: Exporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish_story(live_app, "story")
    no_rename: Callable[..., bool] = lambda *_: False  # noqa: E731
    monkeypatch.setattr("app.adapters.storage._rename", no_rename)
    assert len(await lines_of(exporter, await exporter.write())) == 1
    assert left_in(tmp_path) == []


# The command


@pytest.mark.slow
async def test_command_writes_one_now(
    live_app: FastAPI, live_database: Database, tmp_path: Path
) -> None:
    await publish_story(live_app, "story")
    given = {"DATABASE_URL": live_database._url, "SECRET_KEY": "x" * 48}
    first, said_first = await asyncio.to_thread(run_to_end, tmp_path, "export", **given)
    second, said = await asyncio.to_thread(run_to_end, tmp_path, "export", **given)
    assert (first, second) == (0, 0), said_first + said
    written = await rows(live_database, Export)
    assert [each.assets for each in written] == [1, 1]
    assert all(f"export {each.id} is written" in said for each in written)  # in one log
    given["STORAGE_URL"] = "s3://media?endpoint=http://127.0.0.1:9&region=x"
    given |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    status, said = await asyncio.to_thread(run_to_end, tmp_path, "export", **given)
    assert status == 1
    assert said.splitlines()[-1].startswith("multimedia-account: no export was written: ")
    assert "Traceback" not in said


async def test_same_lines_give_the_same_files(live_app: FastAPI, exporter: Exporter) -> None:
    """So a mirror that has them already is told so by their hashes."""
    await publish_story(live_app, "story")
    hashes = set()
    for _ in range(2):
        export_id = await exporter.write()
        query = "SELECT format, sha256 FROM export_file WHERE export_id = $1"
        found = await exporter.keeper.database.reader.fetch(query, export_id)
        hashes |= {(row["format"], row["sha256"]) for row in found}
    assert len(hashes) == 3


async def test_objects_that_exports_refer_to_can_not_be_deleted(
    live_database: Database, exporter: Exporter
) -> None:
    await exporter.write()
    with pytest.raises(IntegrityError):
        async with live_database.transaction() as session:
            await session.execute(text("DELETE FROM stored_object"))
