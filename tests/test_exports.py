"""The whole catalogue as files: what is in them, how they are served, and what ends them."""

import gzip
import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime
from typing import Any
from uuid import UUID

import httpx
import pytest
import zstandard
from fastapi import FastAPI
from sqlalchemy import update

from app.crypto import base64url_decode
from app.db import Database
from app.jobs.exports import Exporter
from app.jobs.stored_objects import Keeper
from app.models import Asset, Export, ExportFile, StoredObject
from app.services import asset_editing, publication
from app.services.context import WORKER
from app.settings import Settings
from tests.factories import (
    add_draft,
    any_version,
    create,
    publish,
    publish_story,
    publish_video,
)
from tests.helpers import Api, Clock, Mailbox, bearer, rows, sign_up

NEWEST = "/v1/exports/assets.ndjson"
FORMATS = {
    "ndjson": "application/x-ndjson",
    "ndjson.gz": "application/gzip",
    "ndjson.zst": "application/zstd",
}


@pytest.fixture
def exporter(live_app: FastAPI, live_database: Database, clock: Clock) -> Exporter:
    keeper = Keeper(live_database, live_app.state.storage)
    workspaces = live_app.state.settings.data_dir / "tmp"
    return Exporter(keeper, live_database, workspaces, now=lambda: clock.now)


@pytest.fixture
async def reader(live_client: httpx.AsyncClient, live_mailbox: Mailbox) -> httpx.AsyncClient:
    """A client that is logged in."""
    live_client.headers.update(bearer(await sign_up(live_client, live_mailbox)))
    return live_client


async def withdraw(app: FastAPI, asset_id: UUID, clock: Clock) -> None:
    async with app.state.database.transaction() as session:
        await publication.withdraw(
            session,
            str(asset_id),
            reason="a legal claim",
            check=any_version,
            editor=WORKER,
            now=clock.now,
        )


async def correct(app: FastAPI, asset_id: UUID, clock: Clock, **fields: Any) -> None:
    async with app.state.database.transaction() as session:
        await asset_editing.change(
            session,
            str(asset_id),
            fields,
            note=None,
            check=any_version,
            editor=WORKER,
            now=clock.now,
        )


def lines(content: bytes) -> list[dict[str, Any]]:
    """As any reader of NDJSON splits them: at line feeds alone."""
    assert not content or content.endswith(b"\n")
    return [json.loads(line) for line in content.split(b"\n")[:-1]]


def code_of(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, response.json()["code"]


def stored_files(app: FastAPI) -> list[str]:
    folder = app.state.settings.data_dir / "objects" / "exports"
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


# What is in them


async def test_export_has_each_published_asset_as_its_own_address_gives_it(
    live_app: FastAPI, reader: httpx.AsyncClient, exporter: Exporter
) -> None:
    published = [(await publish_video(live_app)).id]
    published += [await publish_story(live_app, f"story-{number}") for number in range(3)]
    await add_draft(live_app)
    gone = await publish_story(live_app, "withdrawn")
    async with live_app.state.database.transaction() as session:
        await publication.withdraw(
            session,
            str(gone),
            reason="wrong",
            check=any_version,
            editor=WORKER,
            now=exporter.now(),
        )
    await exporter.write()
    found = lines((await reader.get(NEWEST)).content)
    assert [each["id"] for each in found] == sorted(str(each) for each in published)
    for each in found:
        assert (await reader.get(f"/v1/assets/{each['id']}")).json() == each


async def test_empty_catalogue_is_an_empty_file(
    reader: httpx.AsyncClient, exporter: Exporter
) -> None:
    await exporter.write()
    for name, decompress in DECOMPRESS.items():
        response = await reader.get(f"/v1/exports/assets.{name}")
        assert response.status_code == 200
        assert decompress(response.content) == b""


STRANGE = [
    'quotes " and \\ and \\\\ and \\" and ""',
    "lines\nfeeds\r\nand\ttabs",
    "U+2028 \u2028 and U+2029 \u2029 and U+0085 \u0085",
    "👩🏽‍🚀 and \U0010ffff and \ufeff and \u007f",
    "\\.",
    "\\N",
    "\\x01\\x02 \\u0001",
    "',;|\t",
    "مرحبا",
]


async def test_strange_texts_come_through_as_they_were_written(
    live_app: FastAPI, reader: httpx.AsyncClient, exporter: Exporter
) -> None:
    for number, text in enumerate(STRANGE):
        await publish_story(live_app, f"story-{number}", body=text)
    await exporter.write()
    content = (await reader.get(NEWEST)).content
    assert [each["body"] for each in lines(content)] == STRANGE
    stored = {asset.id: asset.document for asset in await rows(live_app.state.database, Asset)}
    assert content.decode() == "".join(f"{stored[each]}\n" for each in sorted(stored))


async def test_export_with_a_line_that_is_none_is_not_offered(
    live_app: FastAPI, live_database: Database, reader: httpx.AsyncClient, exporter: Exporter
) -> None:
    """Whoever writes a line break into a document past our renderer ends no reader's day."""
    await publish_story(live_app, "story")
    async with live_database.transaction() as session:
        await session.execute(update(Asset).values(document='{"a":\n1}'))
    with pytest.raises(ValueError, match="line"):
        await exporter.write()
    assert code_of(await reader.get(NEWEST)) == (503, "export_not_ready")


DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "ndjson": bytes,
    "ndjson.gz": gzip.decompress,
    "ndjson.zst": lambda content: zstandard.ZstdDecompressor().decompressobj().decompress(content),
}


async def test_all_formats_hold_the_same_bytes_under_their_hashes(
    live_app: FastAPI, reader: httpx.AsyncClient, exporter: Exporter
) -> None:
    for number in range(20):
        await publish_story(live_app, f"story-{number}", body="harbour " * 5000 + str(number))
    await exporter.write()
    [export] = (await reader.get("/v1/exports")).json()["items"]
    assert [file["format"] for file in export["files"]] == sorted(FORMATS)
    contents = set()
    for file in export["files"]:
        content = (await reader.get(file["url"])).content
        assert len(content) == file["size_bytes"]
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
        contents.add(DECOMPRESS[file["format"]](content))
    [plain] = contents
    assert len(lines(plain)) == export["assets"] == 20
    assert export["files"][1]["size_bytes"] < len(plain) / 10


# How they are served


async def test_export_says_where_the_feed_goes_on(
    live_app: FastAPI,
    live_database: Database,
    reader: httpx.AsyncClient,
    exporter: Exporter,
) -> None:
    await publish_story(live_app, "story-1")
    await publish_story(live_app, "story-2")
    export_id = await exporter.write()
    answer = (await reader.get("/v1/exports")).json()
    [export] = answer["items"]
    assert set(answer) == {"items"}
    assert {**export, "files": [], "next_after": ""} == {
        "id": str(export_id),
        "sequence": 2,
        "next_after": "",
        "taken_at": "2026-11-23T12:00:00Z",
        "confirmed_at": "2026-11-23T12:00:00Z",
        "assets": 2,
        "files": [],
    }
    feed = await live_database.reader.fetchrow("SELECT epoch, last_sequence FROM change_feed")
    assert feed is not None
    cursor = export["next_after"]
    assert base64url_decode(cursor) == feed["epoch"].bytes + (2).to_bytes(8, "big")
    response = await reader.get(NEWEST)
    assert response.headers["x-next-after"] == cursor
    assert response.headers["link"] == f'</v1/changes?after={cursor}>; rel="next"'


@pytest.mark.parametrize("name", FORMATS)
async def test_export_is_served_as_a_file(
    live_app: FastAPI, reader: httpx.AsyncClient, exporter: Exporter, clock: Clock, name: str
) -> None:
    await publish_story(live_app, "story")
    export_id = await exporter.write()
    response = await reader.get(
        f"/v1/exports/assets.{name}", headers={"Accept-Encoding": "gzip, zstd, br"}
    )
    digest = hashlib.sha256(response.content)
    headers = response.headers
    assert response.status_code == 200
    assert headers["content-type"] == FORMATS[name]
    assert "content-encoding" not in headers
    assert headers["content-length"] == str(len(response.content))
    assert headers["etag"] == f'"{digest.hexdigest()}"'
    assert headers["repr-digest"].startswith("sha-256=:")
    assert headers["accept-ranges"] == "bytes"
    assert headers["cache-control"] == "private, no-cache, no-transform"
    assert headers["last-modified"] == format_datetime(clock.now, usegmt=True)
    assert headers["content-location"] == f"/v1/exports/{export_id}/assets.{name}"
    assert headers["content-disposition"].startswith(f'attachment; filename="assets.{name}"')
    same = await reader.get(headers["content-location"])
    assert same.content == response.content
    head = await reader.head(f"/v1/exports/assets.{name}")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == headers["content-length"]
    assert head.headers["etag"] == headers["etag"]
    known = await reader.get(
        f"/v1/exports/assets.{name}", headers={"If-None-Match": headers["etag"]}
    )
    assert (known.status_code, known.content) == (304, b"")
    assert known.headers["x-next-after"] == headers["x-next-after"]


async def test_download_goes_on_in_the_file_that_was_begun_and_in_no_other(
    live_app: FastAPI, reader: httpx.AsyncClient, exporter: Exporter
) -> None:
    await publish_story(live_app, "story-1")
    await exporter.write()
    begun = await reader.get(NEWEST)
    rest = {"Range": "bytes=100-", "If-Range": begun.headers["etag"]}
    part = await reader.get(NEWEST, headers=rest)
    assert (part.status_code, part.content) == (206, begun.content[100:])
    await publish_story(live_app, "story-2")
    await exporter.write()
    whole = await reader.get(NEWEST, headers=rest)
    assert (whole.status_code, len(lines(whole.content))) == (200, 2)
    assert whole.headers["etag"] != begun.headers["etag"]
    part = await reader.get(begun.headers["content-location"], headers=rest)
    assert (part.status_code, part.content) == (206, begun.content[100:])
    size = len(whole.content)
    behind = await reader.get(NEWEST, headers={"Range": f"bytes={size}-"})
    assert code_of(behind) == (416, "range_not_satisfiable")


async def test_nginx_may_send_the_file(
    live_app: FastAPI, reader: httpx.AsyncClient, exporter: Exporter, settings: Settings
) -> None:
    await exporter.write()
    given = {"x_accel_prefix": "/stored/", "rate_limits": "off"}
    live_app.state.settings = settings.model_copy(update=given)
    response = await reader.get(NEWEST)
    [key] = [
        file.object_key
        for file in await rows(live_app.state.database, ExportFile)
        if file.format == "ndjson"
    ]
    assert response.headers["x-accel-redirect"] == f"/stored/{key}"
    assert response.headers["x-next-after"]


async def test_export_needs_an_account(live_app: FastAPI, exporter: Exporter) -> None:
    export_id = await exporter.write()
    async with Api(live_app) as stranger:
        for path in ("/v1/exports", NEWEST, f"/v1/exports/{export_id}/assets.ndjson"):
            assert code_of(await stranger.get(path)) == (401, "login_required")
            assert (await stranger.head(path)).status_code == 401


async def test_before_the_first_export_clients_are_told_when_to_come_back(
    reader: httpx.AsyncClient,
) -> None:
    assert (await reader.get("/v1/exports")).json() == {"items": []}
    response = await reader.get(NEWEST)
    assert code_of(response) == (503, "export_not_ready")
    assert response.headers["retry-after"] == "10"
    absent = "00000000-0000-7000-8000-000000000000"
    response = await reader.get(f"/v1/exports/{absent}/assets.ndjson")
    assert code_of(response) == (404, "export_not_kept")


async def test_lost_file_is_told_and_written_again(
    live_app: FastAPI, reader: httpx.AsyncClient, exporter: Exporter, clock: Clock
) -> None:
    await publish_story(live_app, "story")
    await exporter.write()
    content = (await reader.get(NEWEST)).content
    for file in await rows(live_app.state.database, ExportFile):
        await live_app.state.storage.delete(file.object_key)
    assert code_of(await reader.get(NEWEST)) == (503, "file_unavailable")
    clock.now += timedelta(hours=1)
    await exporter.sweep()
    clock.now -= timedelta(hours=1)  # the reader's token has ended meanwhile
    assert (await reader.get(NEWEST)).content == content


# When they are written, and what ends them


async def test_export_is_written_each_hour_if_anything_has_changed(
    live_app: FastAPI, live_database: Database, exporter: Exporter, clock: Clock
) -> None:
    await exporter.sweep()
    [first] = await rows(live_database, Export)
    await publish_story(live_app, "story")
    clock.now += timedelta(minutes=59, seconds=59)
    await exporter.sweep()
    assert len(await rows(live_database, Export)) == 1
    clock.now += timedelta(seconds=1)
    await exporter.sweep()
    second = max(await rows(live_database, Export), key=lambda each: each.id)
    assert (second.assets, second.taken_at) == (1, first.taken_at + timedelta(hours=1))
    clock.now += timedelta(hours=1)
    await exporter.sweep()
    unchanged = await rows(live_database, Export)
    assert len(unchanged) == 2
    again = next(each for each in unchanged if each.id == second.id)
    assert again.taken_at == second.taken_at
    assert again.confirmed_at == second.taken_at + timedelta(hours=1)


async def test_lock_of_a_writer_is_free_as_soon_as_it_is_done(
    live_database: Database, exporter: Exporter
) -> None:
    held = """
        SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
         WHERE locktype = 'advisory' AND datname = current_database()
    """
    for _ in range(30):  # the server was often slower than we are, but not always
        async with exporter._only_writer():
            assert await live_database.reader.fetch(held)
        assert not await live_database.reader.fetch(held)


async def test_last_three_exports_are_kept(
    live_app: FastAPI, reader: httpx.AsyncClient, exporter: Exporter
) -> None:
    written = []
    for number in range(5):
        await publish_story(live_app, f"story-{number}")
        written.append(str(await exporter.write()))
    kept = (await reader.get("/v1/exports")).json()["items"]
    assert [each["id"] for each in kept] == written[:1:-1]
    assert [each["assets"] for each in kept] == [5, 4, 3]
    gone = await reader.get(f"/v1/exports/{written[1]}/assets.ndjson")
    assert code_of(gone) == (404, "export_not_kept")
    assert len(stored_files(live_app)) == 9
    assert len(await rows(live_app.state.database, StoredObject)) == 9


async def test_withdrawn_asset_is_in_no_file_once_the_next_export_is_there(
    live_app: FastAPI, reader: httpx.AsyncClient, exporter: Exporter, clock: Clock
) -> None:
    asset_id = await publish_story(live_app, "story-1", body="An error of law")
    await publish_story(live_app, "story-2")
    old = [str(await exporter.write()) for _ in range(2)]
    await withdraw(live_app, asset_id, clock)
    clock.now += timedelta(seconds=9)
    await exporter.sweep()
    assert b"An error of law" in (await reader.get(NEWEST)).content
    clock.now += timedelta(seconds=1)
    await exporter.sweep()
    response = await reader.get(NEWEST)
    assert [each["slug"] for each in lines(response.content)] == ["story-2"]
    for each in old:
        gone = await reader.get(f"/v1/exports/{each}/assets.ndjson")
        assert code_of(gone) == (404, "export_not_kept")
    assert len((await reader.get("/v1/exports")).json()["items"]) == 1
    assert len(stored_files(live_app)) == 3


async def test_file_with_a_withdrawn_asset_is_given_out_for_five_minutes_at_most(
    live_app: FastAPI, reader: httpx.AsyncClient, exporter: Exporter, clock: Clock
) -> None:
    """No worker runs, or none can write."""
    asset_id = await publish_story(live_app, "story")
    export_id = await exporter.write()
    await withdraw(live_app, asset_id, clock)
    clock.now += timedelta(minutes=4, seconds=59)
    assert (await reader.get(NEWEST)).status_code == 200
    clock.now += timedelta(seconds=1)
    assert code_of(await reader.get(NEWEST)) == (503, "export_not_ready")
    old = await reader.get(f"/v1/exports/{export_id}/assets.ndjson")
    assert code_of(old) == (404, "export_not_kept")
    assert (await reader.get("/v1/exports")).json() == {"items": []}


async def test_corrections_leave_earlier_exports_alone(
    live_app: FastAPI, reader: httpx.AsyncClient, exporter: Exporter, clock: Clock
) -> None:
    asset_id = await publish_story(live_app, "story")
    await exporter.write()
    await correct(live_app, asset_id, clock, title="Corrected")
    await exporter.write()
    kept = (await reader.get("/v1/exports")).json()["items"]
    titles = [lines((await reader.get(each["files"][0]["url"])).content)[0] for each in kept]
    assert [each["title"] for each in titles] == ["Corrected", "story"]


async def test_export_of_before_a_restore_is_not_offered(
    live_app: FastAPI, live_database: Database, reader: httpx.AsyncClient, exporter: Exporter
) -> None:
    """Nobody could go on from there: its cursor is of another feed, with higher numbers."""
    for number in range(4):
        await publish_story(live_app, f"story-{number}")
        await exporter.write()
    query = "UPDATE change_feed SET epoch = gen_random_uuid(), last_sequence = 1 RETURNING epoch"
    [feed] = await live_database.write(query)
    assert code_of(await reader.get(NEWEST)) == (503, "export_not_ready")
    await exporter.sweep()
    response = await reader.get(NEWEST)
    assert base64url_decode(response.headers["x-next-after"])[:16] == feed["epoch"].bytes
    assert len((await reader.get("/v1/exports")).json()["items"]) == 1


async def test_collector_keeps_what_exports_refer_to(
    live_app: FastAPI, reader: httpx.AsyncClient, exporter: Exporter, clock: Clock
) -> None:
    await publish_story(live_app, "story")
    await exporter.write()
    stray = live_app.state.settings.data_dir / "objects/exports/ab/stray"
    stray.parent.mkdir(parents=True, exist_ok=True)  # one of the files may be in it too
    stray.write_bytes(b"of a worker that was killed")
    for collect in (exporter.keeper.collect, exporter.keeper.collect_strays):
        await collect(now=clock.now + timedelta(days=3650))
    assert (await reader.get(NEWEST)).status_code == 200
    assert not stray.exists()


async def test_scheduled_story_appears_in_the_export_after_its_embargo(
    live_app: FastAPI, reader: httpx.AsyncClient, exporter: Exporter, clock: Clock
) -> None:
    async with live_app.state.database.transaction() as session:
        asset = await create(session, "embargoed", "story", fields={}, at=clock.now)
        later = clock.now + timedelta(hours=2)
        await publication.publish(
            session,
            str(asset.id),
            publish_at=later,
            note=None,
            check=any_version,
            editor=WORKER,
            now=clock.now,
        )
    await exporter.write()
    assert (await reader.get(NEWEST)).content == b""
    async with live_app.state.database.transaction() as session:
        await publish(session, asset, at=later)
    await exporter.write()
    assert len(lines((await reader.get(NEWEST)).content)) == 1
