"""What the store keeps and what it loses: referenced objects never, others after a day."""

import asyncio
import hashlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError

from app.adapters.storage import ObjectMissing, ObjectStorage, StorageError
from app.db import Database
from app.jobs.stored_objects import Keeper
from app.models import Asset, CondemnedObject, Rendition, StoredObject
from app.services import stored_objects
from tests.factories import Published, publish_video
from tests.helpers import Clock, rows

DAY = timedelta(hours=24)
CONTENTS = b"an interview"
DIGEST = hashlib.sha256(CONTENTS).hexdigest()


@pytest.fixture
def storage(app: FastAPI) -> ObjectStorage:
    storage = app.state.storage
    assert isinstance(storage, ObjectStorage)
    return storage


@pytest.fixture
def keeper(database: Database, storage: ObjectStorage) -> Keeper:
    return Keeper(database, storage)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "interview.mp4"
    path.write_bytes(CONTENTS)
    return path


async def claim(database: Database, now: datetime, *, digest: str = DIGEST) -> str:
    async with database.transaction() as session:
        return await stored_objects.claim(session, sha256=digest, size_bytes=12, now=now)


async def put(database: Database, storage: ObjectStorage, path: Path, now: datetime) -> str:
    """An object as the worker stores it, which nothing refers to yet."""
    return await stored_objects.store_file(
        database.transaction,
        storage,
        path,
        sha256=DIGEST,
        size_bytes=len(CONTENTS),
        filename="a.mp4",
        media_type="video/mp4",
        now=now,
    )


async def refer(database: Database, video: Published, key: str) -> None:
    """Let a video refer to another object."""
    async with database.transaction() as session:
        of_video = update(Rendition).where(Rendition.asset_id == video.id)
        await session.execute(of_video.values(object_key=key))


async def is_stored(storage: ObjectStorage, key: str) -> bool:
    return await storage.has(key, size_bytes=len(CONTENTS))


# Claims


async def test_same_bytes_are_stored_once(
    database: Database, storage: ObjectStorage, path: Path, clock: Clock
) -> None:
    first = await put(database, storage, path, clock.now)
    assert first.startswith(f"renditions/{DIGEST[:2]}/{DIGEST}-")
    assert await is_stored(storage, first)
    assert await put(database, storage, path, clock.now) == first
    assert await claim(database, clock.now, digest="0" * 64) != first


async def test_file_is_put_again_where_an_earlier_put_was_cut_off(
    database: Database, storage: ObjectStorage, path: Path, clock: Clock
) -> None:
    key = await claim(database, clock.now)
    assert not await is_stored(storage, key)
    assert await put(database, storage, path, clock.now) == key
    assert await is_stored(storage, key)


async def test_key_is_never_used_again(
    database: Database, keeper: Keeper, path: Path, clock: Clock, storage: ObjectStorage
) -> None:
    first = await put(database, storage, path, clock.now)
    await keeper.collect(now=clock.now + DAY)
    assert await claim(database, clock.now + DAY) != first


# The collector


async def test_unreferenced_object_is_deleted_after_a_day(
    database: Database, keeper: Keeper, storage: ObjectStorage, path: Path, clock: Clock
) -> None:
    key = await put(database, storage, path, clock.now)
    assert await keeper.collect(now=clock.now + DAY - timedelta(microseconds=1)) == 0
    assert await is_stored(storage, key)
    assert await keeper.collect(now=clock.now + DAY) == 1
    assert not await is_stored(storage, key)
    assert await rows(database, StoredObject) == []
    assert await rows(database, CondemnedObject) == []


async def test_claim_keeps_an_object_for_another_day(
    database: Database, keeper: Keeper, storage: ObjectStorage, path: Path, clock: Clock
) -> None:
    key = await put(database, storage, path, clock.now)
    later = clock.now + timedelta(hours=23)
    assert await claim(database, later) == key
    await keeper.collect(now=later + DAY - timedelta(microseconds=1))
    assert await is_stored(storage, key)
    await keeper.collect(now=later + DAY)
    assert not await is_stored(storage, key)


async def test_referenced_object_is_never_deleted(
    app: FastAPI, database: Database, keeper: Keeper, storage: ObjectStorage, clock: Clock
) -> None:
    video = await publish_video(app, contents=CONTENTS)
    assert await keeper.collect(now=clock.now + 1000 * DAY) == 0
    assert await is_stored(storage, video.object_key)
    async with database.transaction() as session:
        await session.execute(delete(Asset).where(Asset.id == video.id))
    assert await keeper.collect(now=clock.now + 1000 * DAY) == 1
    assert not await is_stored(storage, video.object_key)


@pytest.mark.parametrize("window", [1, 2, 3])
async def test_every_window_of_keys_is_looked_at(
    app: FastAPI,
    database: Database,
    keeper: Keeper,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    window: int,
) -> None:
    monkeypatch.setattr(stored_objects, "WINDOW", window)
    await publish_video(app)
    for number in range(4):
        await claim(database, clock.now, digest=f"{number}" * 64)
    assert await keeper.collect(now=clock.now + 2 * DAY) == 4
    assert len(await rows(database, StoredObject)) == 1


@pytest.mark.parametrize("state", ["replaced", "failed"])
async def test_replaced_rendition_keeps_its_object_for_thirty_days(
    app: FastAPI,
    database: Database,
    keeper: Keeper,
    storage: ObjectStorage,
    clock: Clock,
    state: str,
) -> None:
    video = await publish_video(app, contents=CONTENTS)
    async with database.transaction() as session:
        await session.execute(update(Rendition).values(state=state))
    await keeper.collect(now=clock.now)
    await keeper.collect(now=clock.now + 30 * DAY - timedelta(microseconds=1))
    assert await is_stored(storage, video.object_key)
    await keeper.collect(now=clock.now + 30 * DAY)
    assert not await is_stored(storage, video.object_key)
    [rendition] = await rows(database, Rendition)
    assert (rendition.object_key, rendition.state) == (None, state)


# Strays: objects without a row


async def test_object_without_a_row_is_deleted_after_a_day(
    app: FastAPI, database: Database, keeper: Keeper, storage: ObjectStorage, path: Path
) -> None:
    stray = "renditions/00/stray"
    video = await publish_video(app, contents=CONTENTS)
    for key in (stray, "uploads/unfinished"):
        await storage.put_file(key, path, filename="a", media_type="video/mp4")
    [listed] = [page async for page in storage.list_objects("renditions/")]
    stored_at = next(each.stored_at for each in listed if each.key == stray)
    assert await keeper.collect_strays(now=stored_at + DAY - timedelta(seconds=1)) == 0
    assert await keeper.collect_strays(now=stored_at + 2 * DAY) == 1
    assert not await is_stored(storage, stray)
    assert await is_stored(storage, "uploads/unfinished")
    assert await is_stored(storage, video.object_key)
    assert await rows(database, CondemnedObject) == []


# Kills and races


class Killed(Exception):
    pass


class KilledAt:
    """A store whose worker dies at the first deletion, before or after it."""

    def __init__(self, storage: ObjectStorage, *, is_deleted: bool) -> None:
        self.storage, self.is_deleted = storage, is_deleted

    def __getattr__(self, name: str) -> Any:
        return getattr(self.storage, name)

    async def delete(self, key: str) -> None:
        if self.is_deleted:
            await self.storage.delete(key)
        raise Killed


@pytest.mark.parametrize("is_deleted", [True, False])
async def test_killed_collector_is_finished_by_the_next_sweep(
    database: Database,
    keeper: Keeper,
    storage: ObjectStorage,
    path: Path,
    clock: Clock,
    *,
    is_deleted: bool,
) -> None:
    key = await put(database, storage, path, clock.now)
    killed = Keeper(database, KilledAt(storage, is_deleted=is_deleted))
    with pytest.raises(Killed):
        await killed.collect(now=clock.now + DAY)
    again = await put(database, storage, path, clock.now + DAY)
    assert again != key
    await keeper.sweep()
    assert not await is_stored(storage, key)
    assert await is_stored(storage, again)
    assert await rows(database, CondemnedObject) == []


@pytest.fixture
async def live_video(live_app: FastAPI) -> Published:
    return await publish_video(live_app)


@pytest.fixture
async def waiting(live_database: Database, clock: Clock) -> str:
    """The key of an object that nothing has referred to for a day."""
    return await claim(live_database, clock.now - DAY)


async def condemn(database: Database, now: datetime) -> int:
    async with database.transaction() as session:
        _, count = await stored_objects.condemn_unreferenced(session, after="", now=now)
    return count


async def test_collector_passes_over_what_is_being_referred_to(
    live_database: Database, live_video: Published, waiting: str, clock: Clock
) -> None:
    async with live_database.transaction() as session:
        of_video = update(Rendition).where(Rendition.asset_id == live_video.id)
        await session.execute(of_video.values(object_key=waiting))
        async with asyncio.timeout(60):  # it does not wait for that transaction
            await condemn(live_database, clock.now)
    keys = {row.key for row in await rows(live_database, StoredObject)}
    assert waiting in keys


async def test_nobody_can_refer_to_an_object_while_it_is_condemned_or_later(
    live_database: Database, live_video: Published, waiting: str, clock: Clock
) -> None:
    async with live_database.transaction() as session:
        await stored_objects.condemn_unreferenced(session, after="", now=clock.now)
        late = asyncio.create_task(refer(live_database, live_video, waiting))
        await asyncio.sleep(0.1)
        assert not late.done()
    with pytest.raises(IntegrityError):
        await late
    [rendition] = await rows(live_database, Rendition)
    assert rendition.object_key == live_video.object_key
    assert await claim(live_database, clock.now) != waiting


async def test_claim_and_collector_at_once_agree(
    live_database: Database, live_video: Published, waiting: str, clock: Clock
) -> None:
    ends = set()
    for _ in range(20):
        key, count = await asyncio.gather(
            claim(live_database, clock.now), condemn(live_database, clock.now)
        )
        await refer(live_database, live_video, key)  # the foreign key would refuse a lost one
        ends.add((key == waiting, count))
        await refer(live_database, live_video, live_video.object_key)
        async with live_database.transaction() as session:
            await session.execute(delete(StoredObject).where(StoredObject.sha256 == DIGEST))
        waiting = await claim(live_database, clock.now - DAY)
    assert ends <= {(True, 0), (False, 1)}


# The store itself


async def test_local_store_copies_renames_and_deletes(storage: ObjectStorage, path: Path) -> None:
    await storage.put_file("a/1", path, filename="a", media_type="video/mp4")
    await storage.copy("a/1", "b/1")
    await storage.rename("b/1", "c/1")
    assert [await is_stored(storage, key) for key in ("a/1", "b/1", "c/1")] == [True, False, True]
    for _ in range(2):
        await storage.delete("a/1")
    assert not await is_stored(storage, "a/1")
    for failing in (storage.copy("a/1", "d"), storage.rename("a/1", "d"), storage.size("a/1")):
        with pytest.raises(ObjectMissing):
            await failing


async def test_reader_is_given_no_bytes_of_an_object_that_shrank(
    storage: ObjectStorage, path: Path
) -> None:
    await storage.put_file("a", path, filename="a", media_type="video/mp4")
    with pytest.raises(StorageError):
        [piece async for piece in storage.read("a", start=0, end=len(CONTENTS) + 1)]
