"""Exports in a real S3 store, which serves them itself."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi import FastAPI

from app.adapters.storage import StorageError, open_storage
from app.db import Database
from app.jobs.exports import Exporter
from app.jobs.stored_objects import Keeper
from app.services import publication
from app.services.context import WORKER
from tests.factories import any_version, publish_story, store
from tests.helpers import Clock, Mailbox, bearer, sign_up
from tests.s3_server import s3_server


@pytest.fixture(scope="module")
def storage_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server.storage_url


@pytest.fixture
async def exporter(
    live_app: FastAPI, live_database: Database, storage_url: str, tmp_path: Path, clock: Clock
) -> Exporter:
    live_app.state.storage = storage = open_storage(storage_url, default_folder=tmp_path)
    deadline = time.monotonic() + 90
    while True:  # the server answers before it can store
        try:
            await store(live_app, "first", b"first")
        except StorageError:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
        else:
            break
    keeper = Keeper(live_database, storage)
    return Exporter(keeper, live_database, tmp_path / "tmp", now=lambda: clock.now)


@pytest.fixture
async def browser() -> AsyncIterator[httpx.AsyncClient]:
    """A client of the S3 server itself."""
    async with httpx.AsyncClient(timeout=60) as client:
        yield client


async def test_export_leads_to_the_store_until_it_is_withdrawn(
    live_app: FastAPI,
    live_client: httpx.AsyncClient,
    live_mailbox: Mailbox,
    browser: httpx.AsyncClient,
    exporter: Exporter,
    tmp_path: Path,
    clock: Clock,
) -> None:
    live_client.headers.update(bearer(await sign_up(live_client, live_mailbox)))
    asset_id = await publish_story(live_app, "story", body="An error of law " * 1000)
    await exporter.write()
    assert list((tmp_path / "tmp").iterdir()) == []
    [export] = (await live_client.get("/v1/exports")).json()["items"]
    urls = []
    for file in export["files"]:
        redirect = await live_client.get(file["url"])
        assert redirect.status_code == 302
        assert redirect.headers["cache-control"] == "no-store"
        assert redirect.headers["x-next-after"] == export["next_after"]
        url = redirect.headers["location"]
        assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == ["900"]
        content = await browser.get(url, headers={"Range": "bytes=0-"})
        assert content.status_code == 206
        assert hashlib.sha256(content.content).hexdigest() == file["sha256"]
        name = f"assets.{file['format']}"
        assert content.headers["content-disposition"].startswith(f'attachment; filename="{name}"')
        urls.append(url)
        head = await live_client.head(file["url"])
        assert head.headers["content-length"] == str(file["size_bytes"])
        known = {"If-None-Match": head.headers["etag"]}
        assert (await live_client.get(file["url"], headers=known)).status_code == 304
    async with live_app.state.database.transaction() as session:
        await publication.withdraw(
            session,
            str(asset_id),
            reason="a legal claim",
            check=any_version,
            editor=WORKER,
            now=clock.now,
        )
    clock.now += timedelta(seconds=10)
    await exporter.sweep()
    for url in urls:
        assert (await browser.get(url)).status_code == 404
    redirect = await live_client.get("/v1/exports/assets.ndjson")
    assert (await browser.get(redirect.headers["location"])).content == b""
