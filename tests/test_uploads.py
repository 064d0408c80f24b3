"""Uploads by tus into the local store: what is kept, what is refused, and what a file becomes."""

import asyncio
import errno
import hashlib
import os
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text, update

from app import deps
from app.adapters.storage import ObjectMissing
from app.adapters.upload_store import FolderUploads
from app.crypto import Keyring, PasswordHasher
from app.db import Database
from app.errors import InvalidInput
from app.http import path_rules
from app.http.rate_limits import DEFAULT_POLICIES
from app.http.tus import parse_metadata
from app.jobs.uploads import Cleaner
from app.models import Rendition, Upload
from app.services import policy, upload_progress
from app.services.upload_metadata import describe, safe_filename
from app.settings import Settings
from tests.conftest import running_app
from tests.factories import add_draft, publish_video, withdraw
from tests.helpers import Api, Clock, Mailbox, bearer, login, make_editor, rows, sign_up
from tests.http_asgi import http_scope
from tests.hurried_worker import eventually
from tests.tus_client import BYTES, Tus, metadata

PIECE = 64
FILE = hashlib.shake_128(b"a broadcast master").digest(1000)
SHA1 = b64encode(hashlib.sha1(FILE).digest()).decode()  # noqa: S324  # as tus has it


@pytest.fixture
def store(app: FastAPI) -> FolderUploads:
    """The app's own store, with pieces so small that a test meets all their boundaries."""
    return use_small_pieces(app, checkpoint_bytes=2 * PIECE)


def use_small_pieces(app: FastAPI, *, checkpoint_bytes: int) -> FolderUploads:
    folder = app.state.storage.path_of("uploads")
    small = FolderUploads(folder, piece_bytes=PIECE, checkpoint_bytes=checkpoint_bytes)

    async def get_small_store() -> FolderUploads:
        return small

    app.dependency_overrides[deps.get_upload_store] = get_small_store
    return small


@pytest.fixture
async def tus(
    app: FastAPI,
    client: httpx.AsyncClient,
    mailbox: Mailbox,
    store: FolderUploads,
    monkeypatch: pytest.MonkeyPatch,
) -> Tus:
    """Uploads in requests that take no time, so that terms are exact."""
    monkeypatch.setattr("app.deps.clock.monotonic", lambda: 0.0)
    assert store.piece_bytes == PIECE
    await add_draft(app)
    return Tus(client, await editor(client, mailbox))


async def editor(
    client: httpx.AsyncClient, mailbox: Mailbox, email: str = "editor@example.org"
) -> dict[str, str]:
    session = bearer(await sign_up(client, mailbox, email))
    await make_editor(mailbox.database, email)
    return session


async def pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


def stored(store: FolderUploads, path: str) -> bytes:
    return store.open_path(UUID(path.rpartition("/")[2])).read_bytes()


def code(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["tus-resumable"] == "1.0.0"
    return response.status_code, response.json()["code"]


# From the first byte to the rendition


async def test_options_tell_what_the_server_speaks(client: httpx.AsyncClient) -> None:
    response = await client.options("/v1/uploads")
    assert response.status_code == 204
    told = {name: response.headers[name] for name in response.headers if name.startswith("tus-")}
    assert told == {
        "tus-resumable": "1.0.0",
        "tus-version": "1.0.0",
        "tus-extension": "creation,creation-with-upload,checksum,expiration,termination",
        "tus-max-size": str(2 * 1024**4),
        "tus-checksum-algorithm": "sha1,sha256,md5",
    }


async def test_upload_is_created_and_tells_where_it_stands(tus: Tus) -> None:
    created = await tus.create(1000, purpose="broadcast")
    assert (created.status_code, created.content) == (201, b"")
    assert created.headers["upload-expires"] == "Mon, 30 Nov 2026 12:00:00 GMT"
    asked = await tus.head(created.headers["location"])
    assert asked.status_code == 200
    assert asked.headers["upload-offset"] == "0"
    assert asked.headers["upload-length"] == "1000"
    assert asked.headers["upload-expires"] == "Mon, 30 Nov 2026 12:00:00 GMT"
    assert asked.headers["cache-control"] == "no-store"
    assert asked.headers["upload-metadata"] == metadata(
        asset_id="a-draft", filename="harbour.mxf", purpose="broadcast"
    )


async def test_last_byte_makes_a_rendition_and_its_job(
    tus: Tus, store: FolderUploads, database: Database
) -> None:
    path = await tus.begin(1000, rendition="web-720p", sha256="AB" * 32)
    first = await tus.patch(path, 0, FILE[:400])
    assert (first.status_code, first.headers["upload-offset"]) == (204, "400")
    assert "upload-expires" in first.headers
    assert await rows(database, Rendition) == []
    last = await tus.patch(path, 400, FILE[400:])
    assert (last.status_code, last.headers["upload-offset"]) == (204, "1000")
    assert "upload-expires" not in last.headers
    [upload] = await rows(database, Upload)
    [rendition] = await rows(database, Rendition)
    assert (upload.state, upload.rendition_id) == ("complete", rendition.id)
    assert upload.expected_sha256 == "ab" * 32
    assert (rendition.name, rendition.purpose) == ("web-720p", "web")
    assert (rendition.state, rendition.progress) == ("processing", 0)
    assert (rendition.filename, rendition.size_bytes) == ("harbour.mxf", 1000)
    assert (rendition.object_key, rendition.sha256) == (None, None)
    assert rendition.created_by == upload.account_id
    assert stored(store, path) == FILE
    async with database.transaction() as session:
        jobs_of = text("SELECT count(*) FROM pgqueuer WHERE entrypoint = 'rendition.process'")
        assert await session.scalar(jobs_of) == 1


async def test_complete_upload_says_so_and_takes_nothing_more(tus: Tus) -> None:
    path = await tus.begin(10)
    await tus.patch(path, 0, FILE[:10])
    asked = await tus.head(path)
    assert asked.headers["upload-offset"] == asked.headers["upload-length"] == "10"
    assert "upload-expires" not in asked.headers
    assert (await tus.patch(path, 10, b"")).status_code == 204
    assert code(await tus.patch(path, 10, b"x")) == (413, "upload_length_exceeded")
    assert code(await tus.delete(path)) == (409, "upload_complete")


async def test_empty_file_is_complete_at_its_creation(
    tus: Tus, store: FolderUploads, database: Database
) -> None:
    path = await tus.begin(0)
    assert stored(store, path) == b""
    [rendition] = await rows(database, Rendition)
    assert (rendition.state, rendition.size_bytes) == ("processing", 0)


async def test_creation_may_bring_the_first_bytes_or_all(tus: Tus, store: FolderUploads) -> None:
    some = await tus.create(1000, FILE[:300])
    assert (some.status_code, some.headers["upload-offset"]) == (201, "300")
    path = some.headers["location"]
    assert (await tus.patch(path, 300, FILE[300:])).status_code == 204
    assert stored(store, path) == FILE
    whole = await tus.create(1000, FILE)
    assert (whole.status_code, whole.headers["upload-offset"]) == (201, "1000")
    assert stored(store, whole.headers["location"]) == FILE


async def test_creation_whose_bytes_break_off_leaves_nothing_open(
    app: FastAPI, tus: Tus, database: Database
) -> None:
    """Its client never learns the address, and must not run into the quota for that."""
    headers = {"Upload-Length": "1000", "Upload-Metadata": metadata(asset_id="a-draft")}
    await tus.send_and_vanish(app, "/v1/uploads", 0, [FILE[:99]], headers, method="POST")
    [upload] = await rows(database, Upload)
    assert upload.state == "ended"


@pytest.mark.parametrize(
    "cut", [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE - 1, 2 * PIECE, 2 * PIECE + 1, 999]
)
@pytest.mark.parametrize("chunk", [50, 1000])
async def test_all_that_came_before_a_cut_is_kept(
    app: FastAPI, tus: Tus, store: FolderUploads, cut: int, chunk: int
) -> None:
    path = await tus.begin(1000)
    chunks = [FILE[start : min(cut, start + chunk)] for start in range(0, cut, chunk)]
    await tus.send_and_vanish(app, path, 0, chunks)
    assert await tus.offset(path) == cut
    assert (await tus.patch(path, cut, pieces(FILE[cut:], chunk))).status_code == 204
    assert stored(store, path) == FILE


async def test_upload_goes_on_after_a_restart(
    app: FastAPI,
    tus: Tus,
    store: FolderUploads,
    settings: Settings,
    database: Database,
    keyring: Keyring,
    hasher: PasswordHasher,
    clock: Clock,
) -> None:
    path = await tus.begin(1000)
    await tus.send_and_vanish(app, path, 0, [FILE[:500]])
    second = await running_app(settings, database, keyring, hasher, clock)
    async with Api(second) as client:
        again = Tus(client, tus.session)
        assert await again.offset(path) == 500
        assert (await again.patch(path, 500, FILE[500:])).status_code == 204
    assert stored(store, path) == FILE


async def test_what_was_not_counted_is_written_over(tus: Tus, store: FolderUploads) -> None:
    """A process that was killed leaves bytes behind of which no row tells."""
    path = await tus.begin(1000)
    await tus.patch(path, 0, FILE[:100])
    with store.open_path(UUID(path.rpartition("/")[2])).open("ab") as file:
        file.write(b"?" * 300)
    await tus.patch(path, 100, FILE[100:])
    assert stored(store, path) == FILE


async def test_fifty_megabytes_with_a_cut_are_the_same_file(
    app: FastAPI, tus: Tus, store: FolderUploads
) -> None:
    del app.dependency_overrides[deps.get_upload_store]  # with pieces of their true size
    block = hashlib.shake_128(b"video").digest(1_000_003)
    file = block * 50
    path = await tus.begin(len(file))
    sent = [file[start : start + 65536] for start in range(0, 20_000_000, 65536)]
    await tus.send_and_vanish(app, path, 0, sent)
    offset = await tus.offset(path)
    assert offset == sum(map(len, sent))
    assert (await tus.patch(path, offset, pieces(file[offset:], 65536))).status_code == 204
    digest = hashlib.sha256(stored(store, path)).hexdigest()
    assert digest == hashlib.sha256(file).hexdigest()


async def test_no_more_than_two_pieces_are_ever_held(
    tus: Tus, store: FolderUploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await tus.begin(1000)
    may_write = asyncio.Event()
    append = FolderUploads.append
    given = 0

    async def append_late(*arguments: Any) -> None:
        await may_write.wait()
        await append(*arguments)

    async def counted() -> AsyncIterator[bytes]:
        nonlocal given
        for start in range(0, 1000, 10):
            given += 10
            yield FILE[start : start + 10]

    monkeypatch.setattr(FolderUploads, "append", append_late)
    sending = asyncio.create_task(tus.patch(path, 0, counted()))
    await asyncio.sleep(0.05)
    assert given <= 2 * (PIECE + 10)
    may_write.set()
    assert (await sending).status_code == 204
    assert stored(store, path) == FILE


# Checksums


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
async def test_body_with_the_right_checksum_counts(
    tus: Tus, store: FolderUploads, algorithm: str
) -> None:
    path = await tus.begin(1000)
    assert (await tus.patch(path, 0, FILE[:300], checksum(algorithm, FILE[:300]))).is_success
    assert (await tus.patch(path, 300, FILE[300:], checksum(algorithm, FILE[300:]))).is_success
    assert stored(store, path) == FILE


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
async def test_nothing_is_kept_of_a_body_with_the_wrong_checksum(
    tus: Tus, database: Database, algorithm: str
) -> None:
    path = await tus.begin(1000)
    await tus.patch(path, 0, FILE[:100])
    wrong = checksum(algorithm, FILE)
    assert code(await tus.patch(path, 100, FILE[100:], wrong)) == (460, "checksum_mismatch")
    assert await tus.offset(path) == 100
    assert await rows(database, Rendition) == []
    assert (await tus.patch(path, 100, FILE[100:])).status_code == 204


async def test_nothing_is_kept_of_a_body_that_breaks_off_before_its_checksum_can_be_compared(
    app: FastAPI, tus: Tus
) -> None:
    path = await tus.begin(1000)
    await tus.send_and_vanish(app, path, 0, [FILE[:500]], checksum("sha1", FILE))
    assert await tus.offset(path) == 0


@pytest.mark.parametrize("sent", ["crc32 AAAAAA==", "sha1", "sha1 AAAA", "sha1 !", ""])
async def test_checksum_that_cannot_be_compared_is_refused(tus: Tus, sent: str) -> None:
    path = await tus.begin(1000)
    response = await tus.patch(path, 0, FILE, {"Upload-Checksum": sent})
    assert code(response) == (400, "unsupported_checksum")


def checksum(algorithm: str, body: bytes) -> dict[str, str]:
    digest = b64encode(hashlib.new(algorithm, body).digest()).decode()
    return {"Upload-Checksum": f"{algorithm} {digest}"}


# Refusals


@pytest.mark.parametrize("version", [{}, {"Tus-Resumable": "0.2.2"}])
async def test_other_versions_are_refused_with_ours(tus: Tus, version: dict[str, str]) -> None:
    response = await tus.client.post("/v1/uploads", headers={**tus.session, **version})
    assert code(response) == (412, "unsupported_tus_version")
    assert response.headers["tus-version"] == "1.0.0"


async def test_only_editors_upload_and_each_sees_only_its_own(
    app: FastAPI, tus: Tus, mailbox: Mailbox
) -> None:
    path = await tus.begin(10)
    async with Api(app) as client:
        stranger = Tus(client, bearer(await sign_up(client, mailbox, "member@example.org")))
        assert code(await stranger.create(10)) == (403, "forbidden")
        await make_editor(mailbox.database, "member@example.org")
        assert (await stranger.head(path)).status_code == 404
        assert code(await stranger.patch(path, 0, b"x")) == (404, "not_found")
        assert code(await stranger.delete(path)) == (404, "not_found")
        assert code(await Tus(client, {}).create(10)) == (401, "login_required")
    assert await tus.offset(path) == 0


async def test_offset_conflict_tells_the_right_offset(tus: Tus) -> None:
    path = await tus.begin(1000)
    await tus.patch(path, 0, FILE[:100])
    for wrong in (0, 99, 101, 1000):
        response = await tus.patch(path, wrong, b"")
        assert code(response) == (409, "upload_offset_conflict")
        assert response.headers["upload-offset"] == "100"


@pytest.mark.parametrize("wrong", ["-1", "1.0", "1_0", "", "x", "9" * 16])
async def test_numbers_that_are_none_are_refused(tus: Tus, wrong: str) -> None:
    path = await tus.begin(1000)
    assert code(await tus.patch(path, wrong, b"")) == (422, "invalid_input")
    assert code(await tus.create(wrong)) == (422, "invalid_input")


async def test_bytes_past_the_length_are_refused_before_they_are_read(
    tus: Tus, store: FolderUploads
) -> None:
    path = await tus.begin(100)
    assert code(await tus.patch(path, 0, FILE[:101])) == (413, "upload_length_exceeded")
    assert await tus.offset(path) == 0
    assert not store.open_path(UUID(path.rpartition("/")[2])).exists()


async def test_bytes_past_the_length_that_no_header_announced_are_refused(tus: Tus) -> None:
    path = await tus.begin(100)
    response = await tus.patch(path, 0, pieces(FILE, 70))
    assert code(response) == (413, "upload_length_exceeded")
    assert await tus.offset(path) == 70


async def test_body_of_another_type_is_refused(tus: Tus) -> None:
    path = await tus.begin(100)
    json = {"Content-Type": "application/json"}
    assert code(await tus.patch(path, 0, b"{}", json)) == (415, "unsupported_media_type")
    created = await tus.call("POST", "/v1/uploads", {**json, "Upload-Length": "2"}, b"{}")
    assert created.status_code in {415, 422}


async def test_size_limit_of_the_installation(app: FastAPI, tus: Tus) -> None:
    app.state.settings = app.state.settings.model_copy(update={"max_upload_bytes": 999})
    assert code(await tus.create(1000)) == (413, "upload_too_large")
    assert (await tus.create(999)).status_code == 201
    assert (await tus.client.options("/v1/uploads")).headers["tus-max-size"] == "999"


async def test_twenty_uploads_may_be_open_at_once(tus: Tus) -> None:
    paths = [await tus.begin(10) for _ in range(20)]
    assert code(await tus.create(10)) == (429, "too_many_uploads")
    await tus.patch(paths[0], 0, FILE[:10])
    paths.append(await tus.begin(10))
    assert code(await tus.create(10)) == (429, "too_many_uploads")
    await tus.delete(paths[1])
    await tus.begin(10)


async def test_two_tebibytes_may_be_open_at_once(tus: Tus) -> None:
    path = await tus.begin(2 * 1024**4 - 10)
    assert code(await tus.create(11)) == (413, "upload_quota_exceeded")
    assert (await tus.create(10)).status_code == 201
    assert code(await tus.create(2 * 1024**4 + 1)) == (413, "upload_too_large")
    await tus.delete(path)
    assert (await tus.create(11)).status_code == 201


async def test_file_goes_to_a_draft_or_a_published_asset_but_to_no_other(
    app: FastAPI, tus: Tus
) -> None:
    published = await publish_video(app)
    for reference in (str(published.id), published.slug, str(published.id).upper()):
        assert (await tus.create(10, asset_id=reference)).status_code == 201
    await withdraw(app, published.id, "rights")
    assert code(await tus.create(10, asset_id=published.slug)) == (409, "asset_takes_no_files")
    for reference in ("no-such-asset", "00000000-0000-7000-8000-000000000000", "../x", "a\0b", ""):
        response = await tus.create(10, asset_id=reference)
        assert code(response) == (422, "invalid_input")
        assert response.json()["errors"][0]["pointer"] == "/upload-metadata/asset_id"


async def test_upload_to_an_asset_that_is_withdrawn_meanwhile_ends(
    app: FastAPI, tus: Tus, database: Database
) -> None:
    published = await publish_video(app)
    path = await tus.begin(10, asset_id=published.slug)
    await tus.patch(path, 0, FILE[:5])
    await withdraw(app, published.id, "rights")
    assert code(await tus.patch(path, 5, FILE[5:10])) == (409, "asset_takes_no_files")
    assert (await tus.head(path)).status_code == 410
    assert [each.name for each in await rows(database, Rendition)] == ["hd"]


# Metadata


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("harbour.mxf", "harbour.mxf"),
        ("C:\\footage\\harbour.mxf", "harbour.mxf"),
        ("../../etc/passwd", "passwd"),
        ("folder/", "folder"),
        ("a\r\nSet-Cookie: x=1.mp4", "aSet-Cookie: x=1.mp4"),
        ("nul\0.mp4", "nul.mp4"),
        ("\u202e4pm.exe", "4pm.exe"),
        ("\u062a\u0642.mp4", "\u062a\u0642.mp4"),
        ("\u0645\u06cc\u200c\u062e.mp4", "\u0645\u06cc\u200c\u062e.mp4"),
        ("Cafe\u0301.mp4", "Café.mp4"),
        (".bashrc", "bashrc"),
        ("..", "file"),
        ("  ", "file"),
        ("\u2028\x7f", "file"),
        ("", "file"),
        ("x" * 4096 + ".mp4", "x" * 251 + ".mp4"),
        ("é" * 4000 + ".mxf", "é" * 125 + ".mxf"),
        ("y" * 300, "y" * 255),
        ("z." + "e" * 300, "z." + "e" * 253),
    ],
)
def test_hostile_file_names_are_made_safe(sent: str, kept: str) -> None:
    assert safe_filename(sent) == kept


async def test_upload_has_a_safe_file_name(tus: Tus, database: Database) -> None:
    await tus.begin(10, filename="../\r\n\0\u202ea.mxf")
    [upload] = await rows(database, Upload)
    assert upload.filename == "a.mxf"


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("filename !!!", "metadata_value_invalid"),
        ("filename YQ", "metadata_value_invalid"),
        (f"filename {b64encode(bytes([255])).decode()}", "metadata_value_invalid"),
        ("filename YQ==,filename Yg==", "metadata_key_repeated"),
        (" ,filename YQ==", "metadata_key_invalid"),
        ("filename YQ==,,", "metadata_key_invalid"),
        ("fil\u00e9name YQ==", "metadata_key_invalid"),
    ],
)
def test_metadata_that_cannot_be_read_is_refused(header: str, problem: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_metadata(header)
    [error] = refused.value.errors
    assert (error["pointer"], error["code"]) == ("/upload-metadata", problem)


async def test_all_that_is_wrong_in_the_metadata_is_told_at_once(tus: Tus) -> None:
    wrong = {"asset_id": "a b", "rendition": "A", "purpose": "poster", "sha256": "12"}
    response = await tus.create(10, **wrong)
    assert code(response) == (422, "invalid_input")
    pointers = [error["pointer"] for error in response.json()["errors"]]
    assert pointers == [f"/upload-metadata/{key}" for key in wrong]


@pytest.mark.parametrize("name", ["poster", "preview", "", "-a", "a/b", "x" * 64, "é", "a\0"])
def test_rendition_names_that_no_address_could_hold_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        describe({"asset_id": "a-draft", "rendition": name})


@pytest.mark.parametrize(
    ("given", "name", "purpose"),
    [
        ({}, "master", "master"),
        ({"rendition": "broadcast-xdcam"}, "broadcast-xdcam", "broadcast"),
        ({"rendition": "web_720p"}, "web_720p", "web"),
        ({"rendition": "proxy"}, "proxy", "proxy"),
        ({"rendition": "webcam"}, "webcam", "master"),
        ({"rendition": "x" * 63}, "x" * 63, "master"),
        ({"rendition": "web-720p", "purpose": "proxy"}, "web-720p", "proxy"),
        ({"filetype": "video/mp4", "relativePath": "null", "is_confidential": ""}, *["master"] * 2),
    ],
)
def test_purpose_is_guessed_from_the_name(given: dict[str, str], name: str, purpose: str) -> None:
    file = describe({"asset_id": "a-draft", **given})
    assert (file.rendition_name, file.purpose) == (name, purpose)


# Two requests at once


async def test_second_request_is_refused_while_the_first_one_sends(live: Tus) -> None:
    path = await live.begin(1000)
    has_begun, is_over = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        start = 0
        while not is_over.is_set():
            yield FILE[start : start + 1]
            has_begun.set()
            start += 1
            await asyncio.sleep(0.02)
        yield FILE[start:]

    first = asyncio.create_task(live.patch(path, 0, slowly()))
    await asyncio.wait_for(has_begun.wait(), 60)
    refused = await live.patch(path, 0, FILE)
    assert code(refused) == (423, "upload_locked")
    assert refused.headers["retry-after"] == "1"
    assert code(await live.delete(path)) == (423, "upload_locked")
    is_over.set()
    assert (await first).status_code == 204
    assert await live.offset(path) == 1000


async def test_silent_request_gives_way_to_a_new_one_and_keeps_what_it_had(live: Tus) -> None:
    path = await live.begin(1000)
    first = await fallen_silent(live, path, 0, FILE[:300])
    assert await live.offset(path) == 300
    assert code(await first) == (423, "upload_locked")
    second = await fallen_silent(live, path, 300, FILE[300:400])
    assert (await live.patch(path, 400, FILE[400:])).status_code == 204
    assert code(await second) == (423, "upload_locked")


async def fallen_silent(
    live: Tus, path: str, offset: int, body: bytes
) -> asyncio.Task[httpx.Response]:
    """A request whose client has fallen silent after these bytes, which have come in."""
    has_come = asyncio.Event()
    sending = asyncio.create_task(live.patch(path, offset, then_nothing(body, has_come)))
    await asyncio.wait_for(has_come.wait(), 60)
    return sending


async def then_nothing(body: bytes, has_come: asyncio.Event) -> AsyncIterator[bytes]:
    """Bytes of a client whose connection is dead after them."""
    yield body
    has_come.set()  # more is asked for
    await asyncio.Event().wait()


def test_client_is_silent_after_a_second() -> None:
    assert timedelta(seconds=1) == policy.UPLOAD_SILENCE


async def test_quota_holds_for_requests_at_once(live_app: FastAPI, live: Tus) -> None:
    slugs = [f"draft-{number}" for number in range(25)]
    for slug in slugs:
        await add_draft(live_app, slug)
    answers = await asyncio.gather(*(live.create(10, asset_id=slug) for slug in slugs))
    assert sorted(answer.status_code for answer in answers) == [201] * 20 + [429] * 5


async def test_bytes_are_counted_within_three_seconds_though_the_client_pauses_after_them(
    live: Tus, live_app: FastAPI, live_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert timedelta(seconds=3) == policy.UPLOAD_FLUSH_INTERVAL
    monkeypatch.setattr(policy, "UPLOAD_FLUSH_INTERVAL", timedelta(seconds=0.15))
    # Such pieces are written at once: before it is time to count them.
    use_small_pieces(live_app, checkpoint_bytes=1000)
    path = await live.begin(1000)

    async def has_counted(size: int) -> bool:
        return (await rows(live_database, Upload))[0].offset_bytes == size

    async def slowly() -> AsyncIterator[bytes]:
        for end in (500, 1000):
            yield FILE[end - 500 : end]
            await eventually(partial(has_counted, end))

    assert (await live.patch(path, 0, slowly())).status_code == 204


@pytest.mark.parametrize(
    ("headers", "expected"),
    [({}, [500, 1000, 1000]), ({"Upload-Checksum": f"sha1 {SHA1}"}, [0, 0, 1000])],
    ids=["plain", "checksum"],
)
async def test_silence_renews_no_lease(
    live: Tus,
    live_app: FastAPI,
    monkeypatch: pytest.MonkeyPatch,
    headers: dict[str, str],
    expected: list[int],
) -> None:
    """A client that has lost its line comes back after eight seconds, maybe to another process."""
    monkeypatch.setattr(policy, "UPLOAD_FLUSH_INTERVAL", timedelta(seconds=0.05))
    use_small_pieces(live_app, checkpoint_bytes=0)  # as in S3, where each piece is durable
    counted: list[int] = []
    count = upload_progress.count

    async def noted(*args: Any, offset: int, **rest: Any) -> Any:
        counted.append(offset)
        return await count(*args, offset=offset, **rest)

    monkeypatch.setattr(upload_progress, "count", noted)
    path = await live.begin(1000)

    async def silent() -> AsyncIterator[bytes]:
        yield FILE[:500]
        await asyncio.sleep(0.5)
        yield FILE[500:]

    assert (await live.patch(path, 0, silent(), headers)).status_code == 204
    assert counted == expected


async def test_request_that_has_lost_its_lease_counts_nothing_more(
    live: Tus, live_database: Database
) -> None:
    path = await live.begin(1000)

    async def overtaken() -> AsyncIterator[bytes]:
        yield FILE[:500]
        async with live_database.transaction() as session:
            await session.execute(update(Upload).values(lock_id=uuid4()))
        yield FILE[500:]

    assert code(await live.patch(path, 0, overtaken())) == (423, "upload_locked")
    [upload] = await rows(live_database, Upload)
    assert (upload.state, upload.offset_bytes) == ("open", 0)


async def test_request_that_is_cancelled_by_a_shutdown_lets_the_next_one_go_on(live: Tus) -> None:
    path = await live.begin(1000)
    sending = await fallen_silent(live, path, 0, FILE[:500])
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    offset = await live.offset(path)
    assert (await live.patch(path, offset, FILE[offset:])).status_code == 204


async def test_many_at_once_end_in_one_whole_file(live: Tus, live_database: Database) -> None:
    path = await live.begin(1000)
    answers = await asyncio.gather(*(live.patch(path, 0, FILE) for _ in range(5)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses[0] == 204
    assert set(statuses[1:]) <= {409, 423}
    assert len(await rows(live_database, Rendition)) == 1


@pytest.fixture
async def live(
    live_app: FastAPI,
    live_client: httpx.AsyncClient,
    live_mailbox: Mailbox,
    monkeypatch: pytest.MonkeyPatch,
) -> Tus:
    monkeypatch.setattr("app.services.uploads._TIME_TO_GIVE_WAY", 60)  # were the machine busy
    await add_draft(live_app)
    return Tus(live_client, await editor(live_client, live_mailbox))


async def test_lease_of_a_dead_process_ends_after_eight_seconds(
    tus: Tus, database: Database, clock: Clock
) -> None:
    path = await tus.begin(10)
    async with database.transaction() as session:
        until = clock.now + timedelta(seconds=8)
        await session.execute(update(Upload).values(locked_until=until))
    clock.now += timedelta(seconds=7.9)
    assert code(await tus.patch(path, 0, FILE[:10])) == (423, "upload_locked")
    assert await tus.offset(path) == 0
    clock.now += timedelta(seconds=0.1)
    assert (await tus.patch(path, 0, FILE[:10])).status_code == 204


# Faults


async def test_full_disk_leaves_the_offset_where_it_was(
    tus: Tus, store: FolderUploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await tus.begin(1000)
    room, pwrite = 200, os.pwrite

    def write_what_fits(descriptor: int, data: memoryview, offset: int) -> int:
        if offset >= room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return pwrite(descriptor, data[: room - offset], offset)

    with monkeypatch.context() as full:
        full.setattr("app.adapters.upload_store.os.pwrite", write_what_fits)
        response = await tus.patch(path, 0, pieces(FILE, 32))
    assert code(response) == (507, "upload_store_full")
    assert response.headers["retry-after"] == "60"
    offset = await tus.offset(path)
    assert 0 < offset <= room
    assert (await tus.patch(path, offset, FILE[offset:])).status_code == 204
    assert stored(store, path) == FILE


async def test_store_that_fails_is_told_and_the_upload_goes_on_later(
    tus: Tus, store: FolderUploads
) -> None:
    path = await tus.begin(1000)
    store.folder.parent.mkdir(exist_ok=True)
    store.folder.write_text("in the way")
    response = await tus.patch(path, 0, FILE)
    assert code(response) == (503, "upload_store_unavailable")
    assert response.headers["retry-after"] == "5"
    assert str(store.folder) not in response.text
    store.folder.unlink()
    assert (await tus.patch(path, 0, FILE)).status_code == 204


async def test_what_is_not_durable_is_not_counted(
    tus: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await tus.begin(1000)

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as failing:
        failing.setattr("app.adapters.upload_store.os.fsync", fail)
        response = await tus.patch(path, 0, FILE)
    assert code(response) == (503, "upload_store_unavailable")
    assert "Input/output" not in response.text
    assert await tus.offset(path) == 0


async def test_client_that_falls_silent_is_dropped_and_keeps_what_it_sent(
    tus: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(path_rules, "LONGEST_PAUSE", timedelta(seconds=0.1))
    path = await tus.begin(1000)
    response = await tus.patch(path, 0, then_nothing(FILE[:100], asyncio.Event()))
    assert code(response) == (408, "request_timeout")
    assert await tus.offset(path) == 100


def test_a_pause_may_last_a_minute_and_an_upload_as_long_as_it_needs() -> None:
    limit = path_rules.body_limit(2 * 1024**4, "/v1/uploads/some-id")
    assert limit is not None
    assert (limit.stall, limit.total) == (timedelta(seconds=60), None)
    assert limit.max_bytes == 2 * 1024**4
    assert path_rules.is_whole_file("/v1/uploads/some-id")


def test_thousands_of_pieces_a_minute_are_no_abuse() -> None:
    def applying(method: str, path: str) -> list[tuple[str, int]]:
        scope = http_scope(path, method=method)
        return [(each.name, each.quota) for each in DEFAULT_POLICIES if each.applies(scope)]

    assert applying("PATCH", "/v1/uploads/some-id") == [("uploads", 6000)]
    assert applying("HEAD", "/v1/uploads/some-id") == [("uploads", 6000)]
    assert applying("POST", "/v1/uploads") == [("default", 600)]
    assert applying("PATCH", "/v1/uploads-of-others") == [("default", 600)]


# The end of an upload


async def test_terminated_upload_is_gone(
    tus: Tus, store: FolderUploads, database: Database, clock: Clock
) -> None:
    path = await tus.begin(1000)
    await tus.patch(path, 0, FILE[:100])
    ended = await tus.delete(path)
    assert (ended.status_code, ended.headers["tus-resumable"]) == (204, "1.0.0")
    assert (await tus.head(path)).status_code == 410
    assert code(await tus.patch(path, 100, b"x")) == (410, "upload_expired")
    assert await Cleaner(database, store).remove_ended(now=clock.now) == 1
    assert (await tus.head(path)).status_code == 404
    assert [each async for each in store.stored_ids()] == []


async def test_upload_expires_seven_days_after_its_last_byte(
    tus: Tus, store: FolderUploads, database: Database, clock: Clock
) -> None:
    path = await tus.begin(1000)
    clock.now += timedelta(days=6)
    await log_in_again(tus)
    await tus.patch(path, 0, FILE[:100])
    [upload] = await rows(database, Upload)
    assert upload.expires_at - clock.now == timedelta(days=7)
    clock.now = upload.expires_at - timedelta(microseconds=1)
    await log_in_again(tus)
    assert await tus.offset(path) == 100
    assert await Cleaner(database, store).remove_ended(now=clock.now) == 0
    clock.now = upload.expires_at
    assert (await tus.head(path)).status_code == 410
    assert code(await tus.patch(path, 100, b"x")) == (410, "upload_expired")
    assert await Cleaner(database, store).remove_ended(now=clock.now) == 1
    assert await rows(database, Upload) == []
    assert [each async for each in store.stored_ids()] == []


async def log_in_again(tus: Tus) -> None:
    tus.session = bearer((await login(tus.client, "editor@example.org")).json())


async def test_complete_upload_is_kept_while_the_worker_needs_it(
    tus: Tus, store: FolderUploads, database: Database, clock: Clock
) -> None:
    path = await tus.begin(10)
    await tus.patch(path, 0, FILE[:10])
    clock.now += timedelta(days=8)
    assert await Cleaner(database, store).remove_ended(now=clock.now) == 0
    assert stored(store, path) == FILE[:10]
    async with database.transaction() as session:
        await session.execute(update(Rendition).values(state="failed"))
    assert await Cleaner(database, store).remove_ended(now=clock.now) == 1


async def test_bytes_of_a_deleted_asset_are_removed_and_no_others(
    app: FastAPI, tus: Tus, store: FolderUploads, database: Database
) -> None:
    await add_draft(app, "another-draft")
    kept = await tus.begin(1000)
    stray = await tus.begin(1000, asset_id="another-draft")
    for path in (kept, stray):
        await tus.patch(path, 0, FILE[:100])
    async with database.transaction() as session:
        await session.execute(text("DELETE FROM asset WHERE slug = 'another-draft'"))
    assert (await tus.head(stray)).status_code == 404
    assert await Cleaner(database, store).remove_strays() == 1
    assert [str(each) async for each in store.stored_ids()] == [kept.rpartition("/")[2]]


async def test_accepted_upload_is_moved_and_not_copied(tus: Tus, store: FolderUploads) -> None:
    path = await tus.begin(1000)
    await tus.patch(path, 0, FILE)
    upload_id = UUID(path.rpartition("/")[2])
    inode = store.open_path(upload_id).stat().st_ino
    target = store.folder.parent / "renditions/ab/abc"
    for _ in range(2):  # the second time by a worker that was killed after the first
        await store.publish(upload_id, [], "renditions/ab/abc", filename="a", media_type="a/b")
    assert target.read_bytes() == FILE
    assert target.stat().st_ino == inode
    assert not store.open_path(upload_id).exists()
    with pytest.raises(ObjectMissing):
        await store.publish(upload_id, [], "renditions/cd/cde", filename="a", media_type="a/b")


# As browsers and proxies see it


async def test_pages_of_allowed_origins_may_upload(tus: Tus) -> None:
    origin = {"Origin": "https://portal.example"}
    asked = {"Access-Control-Request-Method": "PATCH"}
    preflight = await tus.client.options("/v1/uploads/x", headers={**origin, **asked})
    allowed = preflight.headers["access-control-allow-headers"].lower().split(", ")
    assert {
        *("tus-resumable", "upload-length", "upload-offset", "upload-metadata"),
        *("upload-checksum", "x-http-method-override", "content-type", "authorization"),
    } <= set(allowed)
    methods = preflight.headers["access-control-allow-methods"].split(", ")
    assert {"POST", "HEAD", "PATCH", "DELETE"} <= set(methods)
    tus.more = origin
    exposed = (await tus.create(10)).headers["access-control-expose-headers"].lower().split(", ")
    assert {
        *("location", "upload-offset", "upload-length", "upload-expires", "upload-metadata"),
        *("tus-resumable", "tus-version", "tus-extension", "tus-max-size"),
        "tus-checksum-algorithm",
    } <= set(exposed)


async def test_method_override_is_for_proxies_that_know_no_patch(
    tus: Tus, store: FolderUploads
) -> None:
    path = await tus.begin(1000)
    headers = {**BYTES, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    assert (await tus.call("POST", path, headers, FILE)).status_code == 204
    assert stored(store, path) == FILE
    other = await tus.call("POST", "/v1/assets", {"X-HTTP-Method-Override": "DELETE"})
    assert other.status_code != 405


async def test_unknown_methods_are_told_which_are_known(tus: Tus) -> None:
    response = await tus.call("GET", await tus.begin(10))
    assert response.status_code == 405
    assert response.headers["allow"] == "DELETE, HEAD, PATCH"
    assert (await tus.call("GET", "/v1/uploads")).headers["allow"] == "OPTIONS, POST"
