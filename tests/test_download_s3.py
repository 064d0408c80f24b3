"""Downloads from a real S3 server, which clients fetch from directly."""

import asyncio
import hashlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi import FastAPI

from app.adapters.storage import ObjectMissing, StorageError, open_storage
from app.db import Database
from app.models import Download
from tests.factories import Published, publish_video, store
from tests.helpers import Mailbox, bearer, rows, sign_up
from tests.programs import free_ports

WEED = Path(sys.executable).parent / "weed"
IDENTITY = {
    "name": "tests",
    "credentials": [{"accessKey": "tests", "secretKey": "secret-of-tests"}],
    "actions": ["Admin", "Read", "Write", "List"],
}
CONTENTS = hashlib.shake_128(b"video").digest(300_000)


@pytest.fixture(scope="module")
def storage_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """STORAGE_URL of a bucket on a SeaweedFS server of our own."""
    folder = tmp_path_factory.mktemp("s3")
    (folder / "s3.json").write_text(json.dumps({"identities": [IDENTITY]}))
    parts = ("master.port", "volume.port", "filer.port", "s3.port")
    names = [*parts, *(f"{part}.grpc" for part in parts)]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    command = [
        *(str(WEED), f"-logdir={folder}", "server", f"-dir={folder}"),
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", f"-s3.config={folder}/s3.json"),
        *(
            "-volume.max=4",
            "-master.volumeSizeLimitMB=64",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
        ),
        *(f"-{name}={port}" for name, port in ports.items()),
    ]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as server:
        try:
            endpoint = f"http://127.0.0.1:{ports['s3.port']}"
            wait_until_it_answers(endpoint)
            credentials = "access_key_id=tests&secret_access_key=secret-of-tests"
            yield f"s3://media?endpoint={endpoint}&region=us-east-1&{credentials}"
        finally:
            server.kill()  # it would take its time to leave


def wait_until_it_answers(endpoint: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            httpx.get(endpoint, timeout=1)
        except httpx.TransportError:
            assert time.monotonic() < deadline, "the S3 server does not start"
            time.sleep(0.05)
        else:
            return


@pytest.fixture
async def video(app: FastAPI, storage_url: str, tmp_path: Path) -> Published:
    app.state.storage = open_storage(storage_url, default_folder=tmp_path)
    deadline = time.monotonic() + 30
    while True:  # the server answers before it can store
        try:
            await store(app, "first", b"first")
        except StorageError:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
        else:
            break
    return await publish_video(app, contents=CONTENTS, filename='Übung "Hafen".mp4')


@pytest.fixture
async def session(client: httpx.AsyncClient, mailbox: Mailbox) -> dict[str, str]:
    return bearer(await sign_up(client, mailbox))


@pytest.fixture
async def browser() -> AsyncIterator[httpx.AsyncClient]:
    """A client of the S3 server itself."""
    async with httpx.AsyncClient() as client:
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


async def test_store_is_read_by_us_too(app: FastAPI, video: Published) -> None:
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
    app: FastAPI, client: httpx.AsyncClient, tmp_path: Path, *, listens: bool
) -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    port = silent.getsockname()[1]
    if not listens:
        silent.close()
    url = (
        f"s3://media?endpoint=http://127.0.0.1:{port}&region=x&access_key_id=a&secret_access_key=b"
    )
    app.state.storage = open_storage(url, default_folder=tmp_path)
    started = time.monotonic()
    response = await client.get("/readyz")
    assert time.monotonic() - started < 4
    silent.close()
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    assert (await client.get("/v1/assets")).status_code == 200
