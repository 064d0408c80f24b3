"""Uploads into a real S3 server, which goes away and comes back."""

import asyncio
import hashlib
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import obstore
import pytest
from fastapi import FastAPI

from app import deps
from app.adapters import storage as adapter
from app.adapters.storage import ObjectMissing, ObjectStorage, StorageError, open_storage
from app.adapters.upload_store import MIB, ObjectUploads, Part, open_upload_store
from app.db import Database
from app.jobs.uploads import Cleaner
from app.models import Rendition, Upload, UploadPart
from app.services import upload_progress
from tests.factories import add_draft
from tests.helpers import Clock, Mailbox, bearer, make_editor, rows, sign_up
from tests.s3_server import S3Server, s3_server
from tests.tus_client import Tus

FILE = hashlib.shake_128(b"a master").digest(1_000_000)
PIECE = 100_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
async def storage(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ObjectStorage:
    monkeypatch.setattr(adapter, "RETRY_TIMEOUT", adapter.RETRY_TIMEOUT / 10)
    storage = open_storage(server.storage_url, default_folder=tmp_path)
    await until_it_stores(storage)
    return storage


async def until_it_stores(storage: ObjectStorage) -> None:
    """The server answers before it can store."""
    deadline = time.monotonic() + 120
    while True:
        try:
            await obstore.put_async(storage.store, "first", b"first")
        except (obstore.exceptions.BaseError, OSError):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
        else:
            return


@pytest.fixture
def store(app: FastAPI, storage: ObjectStorage) -> ObjectUploads:
    app.state.storage = storage
    small = ObjectUploads(storage, piece_bytes=PIECE)

    async def get_small_store() -> ObjectUploads:
        return small

    app.dependency_overrides[deps.get_upload_store] = get_small_store
    return small


@pytest.fixture
async def tus(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox, store: ObjectUploads
) -> Tus:
    assert store.storage is app.state.storage
    await add_draft(app)
    session = bearer(await sign_up(client, mailbox))
    await make_editor(mailbox.database, "jane@example.org")
    return Tus(client, session)


def chunks(body: bytes) -> list[bytes]:
    return [body[start : start + 8192] for start in range(0, len(body), 8192)]


def id_of(path: str) -> UUID:
    return UUID(path.rpartition("/")[2])


async def parts_of(database: Database, path: str) -> list[Part]:
    found = [each for each in await rows(database, UploadPart) if each.upload_id == id_of(path)]
    return [
        Part(each.start_bytes, each.size_bytes, each.object_key)
        for each in sorted(found, key=lambda part: part.start_bytes)
    ]


async def read(store: ObjectUploads, database: Database, path: str) -> bytes:
    parts = await parts_of(database, path)
    return b"".join([piece async for piece in store.read(id_of(path), parts)])


async def test_interrupted_upload_is_the_same_file_in_the_end(
    app: FastAPI, tus: Tus, store: ObjectUploads, database: Database
) -> None:
    path = await tus.begin(len(FILE))
    for cut in (1, PIECE, PIECE + 8192, 5 * PIECE, 5 * PIECE + 1):
        offset = await tus.offset(path)
        await tus.send_and_vanish(app, path, offset, chunks(FILE[offset:cut]))
        assert await tus.offset(path) == cut
    offset = await tus.offset(path)
    assert (await tus.patch(path, offset, FILE[offset:])).status_code == 204
    assert await read(store, database, path) == FILE
    [rendition] = await rows(database, Rendition)
    assert rendition.state == "processing"


async def test_store_that_goes_away_in_the_middle_is_a_503_and_the_upload_goes_on_later(
    tus: Tus,
    store: ObjectUploads,
    database: Database,
    server: S3Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refusing = socket.socket()
    refusing.bind(("127.0.0.1", 0))  # so that nobody else listens there
    closed = f"http://127.0.0.1:{refusing.getsockname()[1]}"
    away = server.storage_url.replace(server.endpoint, closed)
    put, taken = obstore.put_async, 0

    async def put_two_pieces(storage: Any, key: str, piece: bytes, **options: Any) -> Any:
        nonlocal taken
        taken += 1
        there = storage if taken <= 2 else open_storage(away, default_folder=Path()).store
        return await put(there, key, piece, **options)

    path = await tus.begin(len(FILE))
    with refusing, monkeypatch.context() as dying:
        dying.setattr(obstore, "put_async", put_two_pieces)
        response = await tus.patch(path, 0, iterate(chunks(FILE)))
    assert response.status_code == 503
    assert response.json()["code"] == "upload_store_unavailable"
    assert response.headers["retry-after"] == "5"
    offset = await tus.offset(path)
    assert 2 * PIECE <= offset <= 2 * (PIECE + 8192)
    assert (await tus.patch(path, offset, FILE[offset:])).status_code == 204
    assert await read(store, database, path) == FILE


async def iterate(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@pytest.mark.slow
async def test_upload_goes_on_when_the_server_has_been_started_again(
    app: FastAPI, tus: Tus, store: ObjectUploads, database: Database, server: S3Server
) -> None:
    path = await tus.begin(len(FILE))
    await tus.send_and_vanish(app, path, 0, chunks(FILE[: 3 * PIECE]))
    server.stop()
    response = await tus.patch(path, 3 * PIECE, FILE[3 * PIECE :])
    assert response.status_code == 503
    assert response.json()["code"] == "upload_store_unavailable"
    assert response.headers["retry-after"] == "5"
    assert await tus.offset(path) == 3 * PIECE
    server.start()
    await until_it_stores(store.storage)
    assert (await tus.patch(path, 3 * PIECE, FILE[3 * PIECE :])).status_code == 204
    assert await read(store, database, path) == FILE


@pytest.mark.parametrize("is_committed", [False, True])
async def test_piece_is_not_forgotten_when_the_database_is_away_for_a_moment(
    tus: Tus,
    store: ObjectUploads,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_committed: bool,
) -> None:
    """Before the commit, or between it and the answer: then nobody knows that it was."""
    count, calls = upload_progress.count, 0

    async def count_unsteadily(*arguments: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls != 2:
            return await count(*arguments, **more)
        if is_committed:
            await count(*arguments, **more)
        raise ConnectionError

    path = await tus.begin(len(FILE))
    with monkeypatch.context() as unsteady:
        unsteady.setattr(upload_progress, "count", count_unsteadily)
        assert (await tus.patch(path, 0, iterate(chunks(FILE)))).status_code == 503
    assert calls == 3
    offset = await tus.offset(path)
    assert 2 * PIECE <= offset <= 2 * (PIECE + 8192)
    assert (await tus.patch(path, offset, FILE[offset:])).status_code == 204
    assert await read(store, database, path) == FILE


async def test_wrong_checksum_counts_no_piece(
    tus: Tus, store: ObjectUploads, database: Database
) -> None:
    path = await tus.begin(len(FILE))
    wrong = {"Upload-Checksum": "md5 AAAAAAAAAAAAAAAAAAAAAA=="}
    assert (await tus.patch(path, 0, FILE, wrong)).status_code == 460
    assert await tus.offset(path) == 0
    assert await parts_of(database, path) == []
    assert (await tus.patch(path, 0, FILE)).status_code == 204
    assert await read(store, database, path) == FILE


async def test_pieces_become_one_object_with_its_name_and_type(
    tus: Tus, store: ObjectUploads, database: Database
) -> None:
    path = await tus.begin(len(FILE))
    await tus.patch(path, 0, iterate(chunks(FILE)))
    parts = await parts_of(database, path)
    assert len(parts) > 5
    await store.publish(id_of(path), parts, "joined", filename="é.mxf", media_type="a/b")
    found = await obstore.get_async(store.storage.store, "joined")
    assert found.attributes["Content-Type"] == "a/b"
    assert "filename*=UTF-8''%C3%A9.mxf" in str(found.attributes["Content-Disposition"])
    assert bytes(await found.bytes_async()) == FILE
    with pytest.raises(StorageError):
        await store.publish(id_of(path), parts[1:], "gap", filename="x", media_type="a/b")
    with pytest.raises(ObjectMissing):
        await store.storage.size("gap")


async def test_terminated_upload_leaves_no_object_behind(
    app: FastAPI, tus: Tus, store: ObjectUploads, database: Database, clock: Clock
) -> None:
    kept = await tus.begin(len(FILE))
    ended = await tus.begin(len(FILE))
    for path in (kept, ended):
        await tus.send_and_vanish(app, path, 0, chunks(FILE[: 2 * PIECE]))
    await tus.delete(ended)
    assert {id_of(kept), id_of(ended)} <= {each async for each in store.stored_ids()}
    assert await Cleaner(database, store).remove_ended(now=clock.now) == 1
    await Cleaner(database, store).remove_strays()
    assert [each async for each in store.stored_ids()] == [id_of(kept)]
    assert [upload.id for upload in await rows(database, Upload)] == [id_of(kept)]
    await store.discard(id_of(kept))
    with pytest.raises(ObjectMissing):
        await read(store, database, kept)


async def test_empty_upload_is_complete_at_once(
    tus: Tus, store: ObjectUploads, database: Database
) -> None:
    assert await read(store, database, await tus.begin(0)) == b""


async def test_store_takes_the_full_size_of_a_piece_by_itself(storage: ObjectStorage) -> None:
    store = open_upload_store(storage)
    assert isinstance(store, ObjectUploads)
    assert (store.piece_bytes, store.checkpoint_bytes) == (8 * MIB, 0)
    upload_id = UUID("0190b3a1-7d3c-7000-8000-3a1f0c2d4e5f")
    first = await store.append(upload_id, 0, bytearray(8 * MIB))
    again = await store.append(upload_id, 0, bytearray(b"late"))
    assert first.object_key != again.object_key
    pieces = [piece async for piece in store.read(upload_id, [first])]
    assert b"".join(pieces) == bytes(8 * MIB)
    assert store.open_path(upload_id) is None
    await store.discard(upload_id)


@pytest.mark.slow
async def test_store_with_wrong_credentials_is_unavailable(
    server: S3Server, tmp_path: Path
) -> None:
    url = server.storage_url.replace("secret-of-tests", "another")
    store = open_upload_store(open_storage(url, default_folder=tmp_path))
    with pytest.raises(StorageError):
        await store.append(UUID(int=0), 0, bytearray(b"x"))
