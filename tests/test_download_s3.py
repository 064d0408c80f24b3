"""Downloads from a real S3 server, which clients fetch from directly."""

import asyncio
import hashlib
import socket
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import obstore
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.adapters import storage as adapter
from app.adapters.storage import ObjectMissing, ObjectStorage, StorageError, open_storage
from app.db import Database
from app.jobs.stored_objects import Keeper
from app.models import CondemnedObject, Download, Rendition, StoredObject
from app.services import stored_objects
from tests.factories import (
    PUBLISHED_AT,
    Published,
    add_file,
    create,
    publish,
    publish_video,
    store,
    withdraw,
)
from tests.helpers import Mailbox, bearer, rows, sign_up
from tests.programs import PATIENCE
from tests.s3_server import s3_server

CONTENTS = hashlib.shake_128(b"video").digest(300_000)


@pytest.fixture(scope="module")
def storage_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """STORAGE_URL of a bucket on a SeaweedFS server of our own."""
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server.storage_url


@pytest.fixture
async def video(app: FastAPI, storage_url: str, tmp_path: Path) -> Published:
    app.state.storage = open_storage(storage_url, default_folder=tmp_path)
    deadline = time.monotonic() + PATIENCE
    while True:  # the server answers before it can store
        try:
            await store(app, "first", b"first")
        except StorageError:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
        else:
            break
    return await publish_video(
        app, contents=CONTENTS, filename='Übung "Hafen".mp4', age=timedelta(hours=1)
    )


@pytest.fixture
async def session(client: httpx.AsyncClient, mailbox: Mailbox) -> dict[str, str]:
    return bearer(await sign_up(client, mailbox))


@pytest.fixture
async def browser() -> AsyncIterator[httpx.AsyncClient]:
    """A client of the S3 server itself."""
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        yield client


async def test_link_leads_to_the_store_which_serves_the_very_file(
    client: httpx.AsyncClient,
    browser: httpx.AsyncClient,
    video: Published,
    session: dict[str, str],
    database: Database,
) -> None:
    answer = (await client.post(video.downloads, headers=session)).json()
    assert answer["expires_at"] == "2026-11-23T12:15:00Z"
    assert parse_qs(urlsplit(answer["url"]).query)["X-Amz-Expires"] == ["900"]
    assert "secret-of-tests" not in answer["url"]
    file = await browser.get(answer["url"])
    assert file.status_code == 200
    assert len(file.content) == answer["size_bytes"]
    assert hashlib.sha256(file.content).hexdigest() == answer["sha256"]
    assert file.headers["content-type"] == "video/mp4"
    disposition = file.headers["content-disposition"]
    assert disposition.startswith("attachment; ")
    assert "filename*=UTF-8''%C3%9Cbung%20%22Hafen%22.mp4" in disposition
    assert len(await rows(database, Download)) == 1


async def test_store_serves_ranges(
    client: httpx.AsyncClient,
    browser: httpx.AsyncClient,
    video: Published,
    session: dict[str, str],
) -> None:
    url = (await client.post(video.downloads, headers=session)).json()["url"]
    part = await browser.get(url, headers={"Range": "bytes=1000-1999"})
    assert (part.status_code, part.content) == (206, CONTENTS[1000:2000])
    behind = await browser.get(url, headers={"Range": "bytes=300000-"})
    assert behind.status_code == 416


async def test_redirect_leads_to_the_store(
    client: httpx.AsyncClient,
    browser: httpx.AsyncClient,
    video: Published,
    session: dict[str, str],
) -> None:
    response = await client.get(video.downloads.removesuffix("s"), headers=session)
    assert response.status_code == 302
    assert (await browser.get(response.headers["location"])).content == CONTENTS


async def test_store_refuses_a_link_to_another_object(
    client: httpx.AsyncClient,
    browser: httpx.AsyncClient,
    video: Published,
    session: dict[str, str],
) -> None:
    url = (await client.post(video.downloads, headers=session)).json()["url"]
    assert (await browser.get(url.replace(video.sha256, "0" * 64))).status_code == 403
    assert (await browser.get(url.partition("?")[0])).status_code == 403
    assert (await browser.put(url, content=b"x")).status_code == 403


async def test_store_is_read_by_us_too(
    app: FastAPI, video: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "CHECK_TIMEOUT", timedelta(seconds=PATIENCE))
    storage = app.state.storage
    await storage.check()
    assert await storage.size(video.object_key) == len(CONTENTS)
    pieces = [piece async for piece in storage.read(video.object_key, start=10, end=200_010)]
    assert b"".join(pieces) == CONTENTS[10:200_010]
    with pytest.raises(ObjectMissing):
        await storage.size("renditions/not/there")


async def test_wrong_credentials_degrade_the_readiness(
    app: FastAPI, client: httpx.AsyncClient, storage_url: str, tmp_path: Path
) -> None:
    wrong = storage_url.replace("secret-of-tests", "another-secret")
    app.state.storage = open_storage(wrong, default_folder=tmp_path)
    response = await client.get("/readyz")
    assert response.status_code == 200
    assert response.json()["status"] == "degraded"
    assert response.json()["parts"]["storage"] == {"status": "degraded"}


@pytest.mark.parametrize("listens", [True, False])
async def test_store_that_is_silent_or_away_degrades_the_readiness_in_time(
    app: FastAPI,
    client: httpx.AsyncClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    listens: bool,
) -> None:
    assert adapter.CHECK_TIMEOUT.total_seconds() == 2
    monkeypatch.setattr(adapter, "CHECK_TIMEOUT", timedelta(seconds=0.2))
    monkeypatch.setattr(adapter, "RETRY_TIMEOUT", timedelta(minutes=10))
    silent = socket.create_server(("127.0.0.1", 0))
    port = silent.getsockname()[1]
    if not listens:
        silent.close()
    url = (
        f"s3://media?endpoint=http://127.0.0.1:{port}&region=x&access_key_id=a&secret_access_key=b"
    )
    app.state.storage = open_storage(url, default_folder=tmp_path)
    async with asyncio.timeout(PATIENCE):  # far less than the store itself would try for
        response = await client.get("/readyz")
    silent.close()
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    assert (await client.get("/v1/assets")).status_code == 200


# Withdrawals: links that the store would go on to honour


@pytest.fixture
def keeper(app: FastAPI, database: Database) -> Keeper:
    return Keeper(database, app.state.storage)


async def share(app: FastAPI, video: Published) -> str:
    """Publish another asset with the same file; gives the path of its downloads."""
    async with app.state.database.transaction() as writing:
        asset = await create(writing, "same-file", fields={})
        await add_file(writing, asset, contents=video.contents)
        await publish(writing, asset)
    return f"/v1/assets/{asset.id}/renditions/hd/downloads"


async def test_links_die_with_the_withdrawal_and_the_object_is_kept(
    app: FastAPI,
    client: httpx.AsyncClient,
    browser: httpx.AsyncClient,
    video: Published,
    session: dict[str, str],
    database: Database,
    keeper: Keeper,
) -> None:
    others = await share(app, video)
    url = (await client.post(video.downloads, headers=session)).json()["url"]
    await withdraw(app, video.id, "a legal claim")
    assert (await browser.get(url)).status_code == 200
    await keeper.move(str(video.id).encode())
    assert (await browser.get(url)).status_code == 404
    keys = {rendition.object_key for rendition in await rows(database, Rendition)}
    [key] = keys
    assert key != video.object_key
    assert [row.key for row in await rows(database, StoredObject)] == [key]
    answer = (await client.post(others, headers=session)).json()
    file = await browser.get(answer["url"])
    assert file.content == CONTENTS
    assert file.headers["content-type"] == "video/mp4"
    assert "Hafen" in file.headers["content-disposition"]
    await keeper.move(str(video.id).encode())  # again: there is nothing left to move
    assert {rendition.object_key for rendition in await rows(database, Rendition)} == {key}


@pytest.mark.parametrize("step", ["copy", "delete"])
async def test_move_that_was_killed_is_finished_by_the_next(
    app: FastAPI,
    video: Published,
    database: Database,
    keeper: Keeper,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    await withdraw(app, video.id, "a legal claim")

    async def die(_storage: ObjectStorage, *_keys: str) -> None:
        raise StorageError

    with monkeypatch.context() as killed:
        killed.setattr(ObjectStorage, step, die)
        with pytest.raises(StorageError):
            await keeper.move(str(video.id).encode())
    await keeper.move(str(video.id).encode())
    assert not await app.state.storage.has(video.object_key, size_bytes=len(CONTENTS))
    [rendition] = await rows(database, Rendition)
    assert rendition.object_key is not None
    assert await app.state.storage.has(rendition.object_key, size_bytes=len(CONTENTS))
    assert await rows(database, CondemnedObject) == []


async def test_sweep_takes_up_the_withdrawals_of_the_last_fifteen_minutes(
    app: FastAPI, video: Published, database: Database
) -> None:
    await withdraw(app, video.id, "a legal claim")
    async with database.transaction() as writing:
        await writing.execute(text("DELETE FROM pgqueuer"))
    for late, jobs in ((900, 0), (899, 1), (0, 1)):
        async with database.transaction() as writing:
            now = PUBLISHED_AT + timedelta(seconds=late)
            await stored_objects.enqueue_lost_withdrawals(writing, now=now)
            query = text("SELECT count(*) FROM pgqueuer WHERE entrypoint = 'stored_objects.move'")
            assert await writing.scalar(query) == jobs


# The store itself


async def test_large_objects_are_stored_and_copied_in_parts(
    app: FastAPI, video: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 copies nothing above 5 GiB by itself, and takes no more than 10,000 parts."""
    assert adapter.LARGEST_COPY_BYTES == 5 * 1024**3
    assert adapter.MAX_PARTS == 10_000
    monkeypatch.setattr(adapter, "LARGEST_COPY_BYTES", 1_000_000)
    monkeypatch.setattr(adapter, "MAX_PARTS", 2)
    contents = hashlib.shake_128(b"large").digest(17_000_001)
    await store(app, "large/1", contents, filename="large.mp4")
    storage = app.state.storage
    await storage.copy("large/1", "large/2")
    await storage.rename("large/2", "large/3")
    pieces = [piece async for piece in storage.read("large/3", start=1, end=len(contents))]
    assert b"".join(pieces) == contents[1:]
    assert max(map(len, pieces)) <= 4 * 1024 * 1024
    listed = [each.key async for page in storage.list_objects("large/") for each in page]
    assert sorted(listed) == ["large/1", "large/3"]
    copied = await obstore.get_async(storage.store, "large/3")
    assert copied.attributes["Content-Type"] == "video/mp4"
    assert 'filename="large.mp4"' in copied.attributes["Content-Disposition"]
    assert await storage.has(video.object_key, size_bytes=len(CONTENTS))
    for _ in range(2):
        await storage.delete("large/1")
    assert not await storage.has("large/1", size_bytes=len(contents))


async def test_lost_object_is_a_clear_503_and_no_link(
    app: FastAPI, client: httpx.AsyncClient, video: Published, session: dict[str, str]
) -> None:
    await app.state.storage.delete(video.object_key)
    response = await client.post(video.downloads, headers=session)
    assert (response.status_code, response.json()["code"]) == (503, "file_unavailable")


async def test_store_that_is_away_is_a_503_and_counts_no_download(
    app: FastAPI,
    client: httpx.AsyncClient,
    session: dict[str, str],
    video: Published,
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(adapter, "RETRY_TIMEOUT", timedelta(0))
    url = "s3://media?endpoint=http://127.0.0.1:9&region=x&access_key_id=a&secret_access_key=b"
    app.state.storage = open_storage(url, default_folder=tmp_path)
    response = await client.post(video.downloads, headers=session)
    assert (response.status_code, response.json()["code"]) == (503, "file_unavailable")
    assert response.headers["retry-after"] == "30"
    assert await rows(database, Download) == []
