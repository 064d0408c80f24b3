"""The worker with a real S3 server: files are copied to it, and nothing of them is left behind."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from app import deps
from app.adapters import poster, preview, workspace
from app.adapters import storage as adapter
from app.adapters.storage import ObjectStorage, open_storage
from app.adapters.upload_store import ObjectUploads
from app.jobs import renditions as jobs
from app.jobs.incoming_files import IncomingFiles
from app.jobs.renditions import RenditionProcessor
from tests import media_files
from tests.helpers import Mailbox, bearer, make_editor, sign_up
from tests.rendition_desk import Desk, Media, add_asset
from tests.s3_server import S3Server, s3_server
from tests.test_uploads_s3 import until_it_stores
from tests.tus_client import Tus

PIECE = 20_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
async def desk(
    server: S3Server,
    app: FastAPI,
    client: httpx.AsyncClient,
    mailbox: Mailbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Desk:
    """The app and the worker on S3, with uploads of many pieces."""
    monkeypatch.setattr(jobs, "PROGRESS_INTERVAL", 60)
    storage = open_storage(server.storage_url, default_folder=tmp_path)
    await until_it_stores(storage)
    uploads = ObjectUploads(storage, piece_bytes=PIECE)

    async def get_uploads() -> ObjectUploads:
        return uploads

    app.state.storage = storage
    app.dependency_overrides[deps.get_upload_store] = get_uploads
    await add_asset(app, "harbour")
    session = bearer(await sign_up(client, mailbox, "editor@example.org"))
    await make_editor(mailbox.database, "editor@example.org")
    files = IncomingFiles(storage, uploads)
    processor = RenditionProcessor(app.state.database, files, tmp_path / "tmp")
    return Desk(Tus(client, session), app.state.database, processor)


def storage_of(desk: Desk) -> ObjectStorage:
    storage = desk.processor.files.storage
    assert isinstance(storage, ObjectStorage)
    return storage


async def stored(desk: Desk, key: str | None) -> bytes:
    storage = storage_of(desk)
    size = await storage.size(str(key))
    return b"".join([piece async for piece in storage.read(str(key), start=0, end=size)])


async def names(desk: Desk, prefix: str) -> list[str]:
    pages = storage_of(desk).list_objects(prefix)
    return [listed.key async for page in pages for listed in page]


def entries(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_file_is_offered_as_it_was_and_copied_nowhere_else(
    desk: Desk, tmp_path: Path
) -> None:
    path = media_files.write_video(tmp_path / "a.mp4", sound=[("aac", "stereo")])
    contents = await asyncio.to_thread(path.read_bytes)

    rendition = await desk.add(contents)

    assert (rendition.state, rendition.failure) == ("ready", None)
    assert await stored(desk, rendition.object_key) == contents
    assert await names(desk, "uploads/") == []
    assert entries(tmp_path / "tmp") == []
    shown = await desk.get("harbour/preview.mp4", Range="bytes=4-7")
    assert (shown.status_code, shown.content) == (206, b"ftyp")


@pytest.mark.slow
async def test_work_goes_on_from_what_the_store_has(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: object, **__: object) -> None:
        raise asyncio.CancelledError

    path = media_files.write_video(tmp_path / "a.mp4", pictures=5)
    rendition_id = await desk.upload(await asyncio.to_thread(path.read_bytes))
    with monkeypatch.context() as killed:
        killed.setattr(preview, "make_preview", die)
        with pytest.raises(asyncio.CancelledError):
            await desk.process(rendition_id)
    assert entries(tmp_path / "tmp") == []

    await desk.due_now(rendition_id)
    assert (await desk.process(rendition_id)).state == "ready"


async def test_store_that_is_away_is_waited_for(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = Media()
    monkeypatch.setattr("app.adapters.media_probe.probe", media.probe)
    monkeypatch.setattr(poster, "poster", media.poster)
    monkeypatch.setattr(preview, "make_preview", media.preview)
    rendition_id = await desk.upload()
    reachable = desk.processor
    monkeypatch.setattr(adapter, "RETRY_TIMEOUT", adapter.RETRY_TIMEOUT / 10)
    with socket.socket() as silent:  # nobody listens, and nobody else can begin to
        silent.bind(("127.0.0.1", 0))
        away = f"s3://media?endpoint=http://127.0.0.1:{silent.getsockname()[1]}"
        storage = open_storage(
            f"{away}&access_key_id=a&secret_access_key=b", default_folder=tmp_path
        )
        files = IncomingFiles(storage, ObjectUploads(storage))
        desk.processor = RenditionProcessor(desk.database, files, tmp_path / "tmp")
        waiting = await desk.process(rendition_id)

    assert (waiting.state, waiting.failure) == ("processing", "storage_unavailable")
    desk.processor = reachable
    await desk.due_now(rendition_id)
    assert (await desk.process(rendition_id)).state == "ready"


async def test_file_for_which_there_is_no_room_waits(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace, "_RESERVE", 2**62)

    rendition = await desk.add()

    assert (rendition.state, rendition.failure) == ("processing", "storage_full")
