"""From an upload to files that can be seen and downloaded: the worker's part and the editors'."""

import asyncio
import hashlib
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import delete, select, text, update

from app.adapters import media_probe, poster, preview, sandbox
from app.adapters.media_probe import ProbeError
from app.adapters.poster import PosterError
from app.adapters.preview import PreviewError
from app.adapters.storage import StorageError
from app.adapters.technical_metadata import Image, TechnicalMetadata
from app.adapters.upload_store import StoreFull
from app.adapters.workspace import WorkspaceFull
from app.crypto import Keyring
from app.db import Database
from app.jobs import renditions as jobs
from app.jobs import worker
from app.jobs.incoming_files import IncomingFiles
from app.jobs.publication import Publisher
from app.jobs.stored_objects import Keeper
from app.models import Asset, AssetVersion, Rendition, StoredObject, Upload
from app.services import derived_files, policy, rendition_processing, rendition_rules
from tests import media_files
from tests.factories import withdraw
from tests.helpers import Clock, Mailbox, audited, bearer, make_editor, rows, sign_up
from tests.hurried_worker import QUICK, eventually
from tests.rendition_desk import SCRATCH, SHOWN, Desk, Media, add_asset, processor_of, technical
from tests.tus_client import Tus


@pytest.fixture
async def desk(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> Desk:
    # All transactions of these tests share a connection, so nothing may run beside the work.
    monkeypatch.setattr(jobs, "PROGRESS_INTERVAL", 60)
    await add_asset(app, "harbour")
    session = bearer(await sign_up(client, mailbox, "editor@example.org"))
    await make_editor(mailbox.database, "editor@example.org")
    return Desk(Tus(client, session), app.state.database, processor_of(app))


@pytest.fixture
def media(monkeypatch: pytest.MonkeyPatch) -> Media:
    media = Media()
    monkeypatch.setattr(media_probe, "probe", media.probe)
    monkeypatch.setattr(poster, "poster", media.poster)
    monkeypatch.setattr(preview, "make_preview", media.preview)
    return media


# With real files


async def test_upload_becomes_a_file_a_poster_and_a_preview(desk: Desk, tmp_path: Path) -> None:
    contents = file_contents(
        media_files.write_video(
            tmp_path / "master.mov",
            "prores_ks",
            pixels="yuv422p10le",
            size=(1280, 720),
            pictures=10,
            sound=media_files.EIGHT_MONO_TRACKS[:2],
        )
    )
    digest = hashlib.sha256(contents).hexdigest()
    rendition = await desk.add(contents, filename="Harbour 1.mov", sha256=digest)

    assert (rendition.state, rendition.progress, rendition.failure) == ("ready", 100, None)
    assert rendition.media_type == "video/quicktime"
    assert rendition.sha256 == digest
    assert rendition.technical["video"]["codec"] == "ProRes"
    document = (await desk.get("harbour")).json()
    assert document["renditions"][0]["technical"]["audio_tracks"][1]["codec"] == "PCM"
    assert document["duration_ms"] == 400
    assert (document["poster"]["width"], document["poster"]["height"]) == (1280, 720)
    assert (document["preview"]["width"], document["preview"]["height"]) == (960, 540)
    assert document["preview"]["media_type"] == "video/mp4"

    for described in (document["poster"], document["poster"]["small"]):
        poster = await desk.get(described["url"].removeprefix("/v1/assets/"))
        assert poster.headers["content-type"] == "image/jpeg"
        assert poster.content.startswith(b"\xff\xd8\xff")
        assert len(poster.content) == described["size_bytes"]
    preview = await desk.get(document["preview"]["url"].removeprefix("/v1/assets/"))
    assert len(preview.content) == document["preview"]["size_bytes"]
    assert preview.content.index(b"moov") < preview.content.index(b"mdat")


async def test_original_is_offered_byte_for_byte_and_kept_once(
    desk: Desk, app: FastAPI, tmp_path: Path
) -> None:
    contents = file_contents(media_files.write_wave(tmp_path / "sound.wav"))
    await add_asset(app, "interview", "audio")
    rendition = await desk.add(contents, asset="interview", filename="interview.wav")

    assert rendition.state == "ready"
    path = app.state.storage.path_of(rendition.object_key)
    assert file_contents(path) == contents
    folder = app.state.storage.path_of("uploads")
    assert names_in(folder) == []
    assert names_in(app.state.settings.data_dir / "tmp") == []
    shown = await desk.shown()
    assert set(shown) == {"preview"}
    assert shown["preview"].media_type == "audio/mp4"


def file_contents(path: Path) -> bytes:
    return path.read_bytes()


def names_in(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]


async def is_concluded(desk: Desk, rendition_id: UUID) -> bool:
    return (await desk.row(rendition_id)).state != "processing"


async def test_worker_takes_up_what_was_uploaded(
    live_app: FastAPI,
    live_client: httpx.AsyncClient,
    live_mailbox: Mailbox,
    keyring: Keyring,
    tmp_path: Path,
) -> None:
    """Over the queue, with real transactions: progress is written while the work goes on."""
    database = live_app.state.database
    await add_asset(live_app, "harbour", "audio")
    session = bearer(await sign_up(live_client, live_mailbox, "editor@example.org"))
    await make_editor(database, "editor@example.org")
    desk = Desk(Tus(live_client, session), database, processor_of(live_app))
    contents = file_contents(media_files.write_wave(tmp_path / "sound.wav"))
    rendition_id = await desk.upload(contents)
    stop = asyncio.Event()
    work = worker.run(
        database,
        settings=live_app.state.settings,
        keyring=keyring,
        smtp_url="smtp://127.0.0.1:9",
        stop=stop,
        pace=QUICK,
    )
    running = asyncio.create_task(work)
    try:
        await eventually(lambda: is_concluded(desk, rendition_id))
    finally:
        stop.set()
        await running
    row = await desk.row(rendition_id)
    assert (row.state, row.failure, row.attempts) == ("ready", None, 1)
    assert set(await desk.shown()) == {"preview"}


async def test_image_gets_a_poster_and_no_preview(desk: Desk, app: FastAPI, tmp_path: Path) -> None:
    path = media_files.write_picture(tmp_path / "a.tiff", "tiff", "rgb24", size=(1600, 1200))
    await add_asset(app, "photo", "image")

    rendition = await desk.add(file_contents(path), asset="photo", filename="a.mp4")

    # The content decides, not the name.
    assert (rendition.state, rendition.media_type) == ("ready", "image/tiff")
    assert {name: made.technical["image"] for name, made in (await desk.shown()).items()} == {
        "poster": {"width": 1280, "height": 960},
        "poster@small": {"width": 480, "height": 360},
    }


async def test_broken_pictures_are_refused(desk: Desk, tmp_path: Path) -> None:
    path = media_files.write_video(tmp_path / "a.mp4", pictures=5)
    media_files.rewrite(path, media_files.with_noise_for_pictures)

    rendition = await desk.add(file_contents(path))

    assert (rendition.state, rendition.failure) == ("failed", "undecodable")


async def test_web_page_with_the_name_of_a_video_is_refused(desk: Desk) -> None:
    rendition = await desk.add(b"<!doctype html><script>alert(1)</script>", filename="a.mp4")

    assert (rendition.state, rendition.failure) == ("failed", "not_media")
    assert rendition.failure_detail == "It is no video, sound or picture, whatever its name says."


async def test_empty_file_is_refused(desk: Desk) -> None:
    rendition = await desk.add(b"")

    assert (rendition.state, rendition.failure) == ("failed", "file_empty")


# What is refused


async def test_wrong_checksum_is_refused(desk: Desk, media: Media) -> None:
    rendition = await desk.add(sha256="0" * 64)

    assert (rendition.state, rendition.failure) == ("failed", "checksum_mismatch")
    assert media.made == 0


@pytest.mark.parametrize("reason", ["file_truncated", "encrypted", "references_other_files"])
async def test_probe_says_why_a_file_is_refused(
    desk: Desk, media: Media, reason: media_probe.Reason
) -> None:
    media.probe_error = ProbeError(reason)

    rendition = await desk.add()

    assert (rendition.state, rendition.failure) == ("failed", reason)
    assert rendition.failure_detail == rendition_rules.FAILURES[reason]


def test_every_reason_has_a_sentence() -> None:
    assert set(media_probe.Reason.__args__) <= set(rendition_rules.FAILURES)  # type: ignore[attr-defined]


async def test_refused_file_changes_nothing_that_is_public(desk: Desk, media: Media) -> None:
    await desk.add()
    before = (await desk.get("harbour")).text
    media.probe_error = ProbeError("file_truncated")
    await desk.add(b"another")

    assert (await desk.get("harbour")).text == before
    states = [(each["name"], each["state"]) for each in await desk.files()]
    assert states == [("master", "ready"), ("master", "failed")]


@pytest.mark.parametrize(
    ("asset_type", "purpose", "kind", "is_taken"),
    [
        ("video", "master", "video", True),
        ("video", "web", "video", True),
        ("video", "audio", "audio", True),
        ("video", "image", "image", True),
        ("video", "master", "image", False),
        ("video", "master", "audio", False),
        ("video", "image", "video", False),
        ("audio", "master", "audio", True),
        ("audio", "image", "image", True),
        ("audio", "master", "video", False),
        ("image", "master", "image", True),
        ("image", "image", "image", True),
        ("image", "master", "video", False),
        ("image", "audio", "audio", False),
        ("story", "image", "image", True),
        ("story", "document", "image", True),
        ("story", "audio", "audio", True),
        ("story", "master", "video", False),
    ],
)
def test_content_must_fit_its_purpose(
    asset_type: str, purpose: str, kind: str, *, is_taken: bool
) -> None:
    code = refusal(technical(kind), asset_type=asset_type, purpose=purpose)
    assert code == (None if is_taken else "wrong_type")


def refusal(found: TechnicalMetadata, asset_type: str = "video", purpose: str = "master") -> Any:
    try:
        rendition_rules.check_file(asdict(found), asset_type=asset_type, purpose=purpose)
    except rendition_rules.FileRefused as error:
        return error.code
    return None


TOO_LARGE = "picture_too_large"


@pytest.mark.parametrize(
    ("width", "height", "code"),
    [(20_000, 20_000, None), (20_000, 20_001, TOO_LARGE), (100_000, 100_000, TOO_LARGE)],
)
def test_pictures_have_at_most_four_hundred_million_pixels(
    width: int, height: int, code: str | None
) -> None:
    found = technical("image", image=Image(width, height))
    assert refusal(found, asset_type="image") == code


@pytest.mark.parametrize(
    ("hours", "code"), [(48, None), (48.001, "duration_too_long"), (10**9, "duration_too_long")]
)
def test_files_last_at_most_two_days(hours: float, code: str | None) -> None:
    assert refusal(technical(duration_ms=round(hours * 3_600_000))) == code


# What a file may lack


@pytest.mark.parametrize("code", ["no_decoder", None])
async def test_file_without_a_poster_or_preview_is_offered_all_the_same(
    desk: Desk, media: Media, code: str | None
) -> None:
    media.poster_error = PosterError("?", code)
    media.preview_error = PreviewError("?", code)

    rendition = await desk.add()

    assert (rendition.state, rendition.failure) == ("ready", "preview_failed")
    assert await desk.shown() == {}
    assert (await desk.files())[0]["failure"] == "preview_failed"
    assert (await desk.files(as_editor=False))[0]["failure"] is None


async def test_new_file_does_not_keep_the_preview_of_the_former_one(
    desk: Desk, media: Media
) -> None:
    await desk.add()
    media.poster_error = PosterError("?", "no_decoder")
    media.preview_error = PreviewError("?", "no_decoder")

    await desk.add(b"another")

    assert await desk.shown() == {}


# The same bytes


async def test_same_bytes_are_stored_once_and_told_to_the_editor(
    desk: Desk, app: FastAPI, media: Media
) -> None:
    first = await desk.add()
    await add_asset(app, "harbour-again")
    second = await desk.add(asset="harbour-again", rendition="copy")

    assert second.object_key == first.object_key
    assert names_in(app.state.storage.path_of("uploads")) == []
    desk.asset = "harbour-again"
    told = (await desk.files())[0]["duplicate_of"]
    assert told == {"asset_id": str(first.asset_id), "rendition": "master"}
    assert (await desk.files(as_editor=False))[0]["duplicate_of"] is None
    desk.asset = "harbour"
    assert (await desk.files())[0]["duplicate_of"] is None
    stored = [
        each for each in await rows(desk.database, StoredObject) if each.sha256 == first.sha256
    ]
    assert len(stored) == 1
    assert media.made == 4


# One after the other


async def test_newer_file_takes_the_place_of_the_former(desk: Desk, media: Media) -> None:
    first = await desk.add()
    second = await desk.add(b"corrected")

    assert (await desk.row(first.id)).state == "replaced"
    assert second.state == "ready"
    shown = await desk.shown()
    assert {row.source_id for row in shown.values()} == {second.id}
    assert media.made == 4


async def test_older_file_that_is_done_later_takes_no_place(desk: Desk, media: Media) -> None:
    older = await desk.upload(b"older")
    newer = await desk.add(b"newer")

    assert (await desk.process(older)).state == "replaced"
    assert (await desk.row(newer.id)).state == "ready"
    assert {row.source_id for row in (await desk.shown()).values()} == {newer.id}
    assert media.made == 4


async def test_failed_file_is_forgotten_once_there_is_a_good_one(desk: Desk, media: Media) -> None:
    media.probe_error = ProbeError("file_truncated")
    failed = await desk.add(b"cut")
    media.probe_error = None
    await desk.add()

    assert (await desk.row(failed.id)).state == "replaced"


async def test_best_file_makes_the_poster_and_the_preview(desk: Desk, media: Media) -> None:
    web = await desk.add(b"web", rendition="web")
    assert {row.source_id for row in (await desk.shown()).values()} == {web.id}
    master = await desk.add(b"master", rendition="master")
    assert {row.source_id for row in (await desk.shown()).values()} == {master.id}
    await desk.add(b"proxy", rendition="proxy")
    await desk.add(b"new web", rendition="web")
    assert {row.source_id for row in (await desk.shown()).values()} == {master.id}

    media.kind = "image"
    still = await desk.add(b"still", rendition="still", purpose="image")
    assert still.state == "ready"
    assert {row.source_id for row in (await desk.shown()).values()} == {master.id}


async def test_sound_keeps_its_preview_when_a_cover_makes_the_poster(
    desk: Desk, app: FastAPI, media: Media
) -> None:
    await add_asset(app, "song", "audio")
    media.kind = "audio"
    sound = await desk.add(b"sound", asset="song")
    media.kind = "image"
    cover = await desk.add(b"cover", asset="song", rendition="cover", purpose="image")

    shown = await desk.shown()
    assert shown["preview"].source_id == sound.id
    assert shown["poster"].source_id == shown["poster@small"].source_id == cover.id


@pytest.mark.usefixtures("media")
async def test_ready_file_is_one_new_version(desk: Desk, app: FastAPI) -> None:
    before = (await desk.get("harbour")).json()["version"]
    await desk.add()

    assert (await desk.get("harbour")).json()["version"] == before + 1
    last = max(await rows(desk.database, AssetVersion), key=lambda each: each.version)
    assert (last.kind, last.account_id is None) == ("files", False)
    await add_asset(app, "draft", is_published=False)
    await desk.add(asset="draft")
    found = await desk.get("draft", **desk.tus.session)
    assert found.json()["version"] == 1


# Faults of ours


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (StorageError("away"), "storage_unavailable"),
        (StoreFull("full"), "storage_full"),
        (WorkspaceFull("full"), "storage_full"),
        (ConnectionError("the database is away"), "interrupted"),
        (sandbox.Interrupted("ended by signal 9"), "interrupted"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_our_own_faults_are_never_the_end(
    desk: Desk, media: Media, error: Exception, reason: str
) -> None:
    media.probe_error = error
    before = datetime.now(UTC)

    rendition = await desk.add()

    assert (rendition.state, rendition.failure) == ("processing", reason)
    assert rendition.failure_detail == rendition_rules.DELAYS[reason]
    assert rendition.due_at is not None
    assert before <= rendition.due_at - timedelta(seconds=5) <= datetime.now(UTC)
    media.probe_error = None
    await desk.due_now(rendition.id)
    rendition = await desk.process(rendition.id)
    assert (rendition.state, rendition.failure, rendition.failure_detail) == ("ready", None, None)


@pytest.mark.parametrize(("attempts", "seconds"), [(1, 5), (2, 15), (3, 60), (4, 300), (9, 600)])
def test_pauses_between_tries_grow_to_ten_minutes(attempts: int, seconds: int) -> None:
    assert policy.processing_retry_delay(attempts) == timedelta(seconds=seconds)


async def test_file_that_ends_every_child_is_refused_at_the_third(desk: Desk, media: Media) -> None:
    media.probe_error = sandbox.Interrupted("ended by signal 9")
    rendition_id = await desk.upload()
    states = []
    for _ in range(3):
        states.append((await desk.process(rendition_id)).state)
        await desk.due_now(rendition_id)
    assert states == ["processing", "processing", "failed"]
    assert (await desk.row(rendition_id)).failure == "parser_failed"


async def test_full_disk_while_the_preview_is_made_is_waited_out(desk: Desk, media: Media) -> None:
    media.preview_error = PreviewError("no_space", "no_space")

    rendition = await desk.add()

    assert (rendition.state, rendition.failure) == ("processing", "storage_full")


# Leases


async def test_only_one_worker_has_a_file(desk: Desk, database: Database) -> None:
    rendition_id = await desk.upload()
    now = datetime.now(UTC)

    async def claim(after: timedelta) -> Any:
        async with database.transaction() as session:
            return await rendition_processing.claim(session, rendition_id, now=now + after)

    first = await claim(timedelta(0))
    assert first is not None
    assert await claim(timedelta(seconds=59.9)) is None
    second = await claim(timedelta(seconds=60))
    assert second is not None
    assert (first.attempts, second.attempts) == (1, 2)
    async with database.transaction() as session:
        assert not await rendition_processing.keep(session, first, progress=50, now=now)
        assert await rendition_processing.keep(session, second, progress=50, now=now)
        assert not await rendition_processing.finish(session, first, [], note=None, now=now)
        refused = rendition_rules.FileRefused("not_media")
        await rendition_processing.fail(session, first, refusal=refused, now=now)
    row = await desk.row(rendition_id)
    assert (row.state, row.progress, row.due_at) == ("processing", 50, now + timedelta(minutes=1))


async def test_work_goes_on_where_a_killed_worker_has_left_it(
    desk: Desk, media: Media, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: object, **__: object) -> None:
        raise asyncio.CancelledError

    rendition_id = await desk.upload()
    with monkeypatch.context() as killed:
        killed.setattr(preview, "make_preview", die)
        with pytest.raises(asyncio.CancelledError):
            await desk.process(rendition_id)
    assert (await desk.row(rendition_id)).object_key is not None
    media.probe_error = AssertionError("it is known what the file is")

    await desk.due_now(rendition_id)
    assert (await desk.process(rendition_id)).state == "ready"


async def test_killed_between_the_row_and_the_store(
    desk: Desk, media: Media, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: object, **__: object) -> None:
        raise asyncio.CancelledError

    rendition_id = await desk.upload()
    with monkeypatch.context() as killed:
        killed.setattr(IncomingFiles, "_publish", die)
        with pytest.raises(asyncio.CancelledError):
            await desk.process(rendition_id)
    await desk.due_now(rendition_id)

    rendition = await desk.process(rendition_id)

    assert rendition.state == "ready"
    path = desk.processor.files.storage.path_of(str(rendition.object_key))
    assert path is not None
    assert file_contents(path) == SCRATCH
    assert media.made == 2


async def test_upload_that_is_gone_ends_the_file(desk: Desk, database: Database) -> None:
    rendition_id = await desk.upload()
    async with database.transaction() as session:
        await session.execute(delete(Upload))

    rendition = await desk.process(rendition_id)

    assert (rendition.state, rendition.failure) == ("failed", "upload_lost")


async def test_file_that_was_removed_meanwhile_stays_so(
    desk: Desk, media: Media, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendition_id = await desk.upload()
    make = media.preview

    async def remove_meanwhile(*args: Any, **kwargs: Any) -> None:
        await make(*args, **kwargs)
        assert (await remove(desk, "master")).status_code == 204

    monkeypatch.setattr(preview, "make_preview", remove_meanwhile)

    assert (await desk.process(rendition_id)).state == "replaced"
    assert await desk.shown() == {}


async def test_file_of_a_draft_that_was_deleted_meanwhile_is_given_up(
    desk: Desk, app: FastAPI, media: Media, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_asset(app, "draft", is_published=False)
    rendition_id = await desk.upload(asset="draft")
    make = media.preview

    async def delete_meanwhile(*args: Any, **kwargs: Any) -> None:
        await make(*args, **kwargs)
        headers = {**desk.tus.session, "If-Match": "*"}
        assert (
            await desk.tus.client.delete("/v1/assets/draft", headers=headers)
        ).status_code == 204

    monkeypatch.setattr(preview, "make_preview", delete_meanwhile)

    async with asyncio.timeout(60):
        await desk.processor.process(rendition_id)
    assert await rows(desk.database, Rendition) == []


async def test_work_on_a_file_that_was_removed_is_stopped(
    desk: Desk, media: Media, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "PROGRESS_INTERVAL", 0.05)
    # One connection serves work and its watcher here: nothing is to be noted before work waits.
    monkeypatch.setattr(jobs.Progress, "of_reading", lambda *_: None)
    rendition_id = await desk.upload()
    was_stopped = asyncio.Event()

    async def go_on_for_ever(*_: object, **kwargs: Any) -> None:
        async with desk.database.transaction() as session:
            await session.execute(update(Rendition).values(state="replaced"))
        kwargs["on_progress"](50)
        try:
            await asyncio.Event().wait()
        finally:
            was_stopped.set()

    monkeypatch.setattr(preview, "make_preview", go_on_for_ever)

    async with asyncio.timeout(60):
        await desk.processor.process(rendition_id)
    assert was_stopped.is_set()
    assert media.made == 1


async def test_sweep_enqueues_what_is_due_and_has_no_job(desk: Desk, database: Database) -> None:
    rendition_id = await desk.upload()
    now = datetime.now(UTC)
    async with database.transaction() as session:
        assert await rendition_processing.enqueue_due(session, now=now) == 0  # it has its job
        await session.execute(text("DELETE FROM pgqueuer"))
        assert await rendition_processing.enqueue_due(session, now=now) == 1
        assert await rendition_processing.enqueue_due(session, now=now) == 0
        await session.execute(text("DELETE FROM pgqueuer"))
        claim = await rendition_processing.claim(session, rendition_id, now=now)
        assert claim is not None
        assert await rendition_processing.enqueue_due(session, now=now) == 0
        dead = now + timedelta(minutes=1)
        assert await rendition_processing.enqueue_due(session, now=dead) == 1


# What editors and readers see


async def test_editors_see_how_far_a_file_is(desk: Desk, database: Database) -> None:
    rendition_id = await desk.upload()
    async with database.transaction() as session:
        now = datetime.now(UTC)
        claim = await rendition_processing.claim(session, rendition_id, now=now)
        assert claim is not None
        await rendition_processing.keep(session, claim, progress=42, now=now)

    (seen,) = await desk.files()

    assert (seen["state"], seen["progress"]) == ("processing", 42)
    assert (seen["sha256"], seen["download"]) == (None, None)
    assert await desk.files(as_editor=False) == []


async def test_readers_see_what_they_can_download(desk: Desk, media: Media) -> None:
    rendition = await desk.add()

    (seen,) = await desk.files(as_editor=False)

    assert seen["download"] == f"/v1/assets/{rendition.asset_id}/renditions/master/download"
    assert (seen["state"], seen["sha256"]) == ("ready", rendition.sha256)
    assert media.made == 2


async def test_files_of_a_draft_are_the_editors(desk: Desk, app: FastAPI, media: Media) -> None:
    await add_asset(app, "draft", is_published=False)
    await desk.add(asset="draft")
    desk.asset = "draft"

    assert [each["state"] for each in await desk.files()] == ["ready"]
    assert (await desk.get("draft/renditions")).status_code == 404
    assert media.made == 2


async def remove(desk: Desk, name: str, tag: str = "*") -> httpx.Response:
    path = f"/v1/assets/{desk.asset}/renditions/{name}"
    headers = {**desk.tus.session, **({"If-Match": tag} if tag else {})}
    return await desk.tus.client.delete(path, headers=headers)


async def test_removed_file_is_gone_with_what_was_made_of_it(desk: Desk, media: Media) -> None:
    await desk.add()
    tag = (await desk.get("harbour")).headers["etag"]

    assert (await remove(desk, "master", "")).status_code == 428
    assert (await remove(desk, "master", '"v1"')).status_code == 412
    assert (await remove(desk, "other", tag)).status_code == 404
    assert (await remove(desk, "poster", tag)).status_code == 404
    assert (await remove(desk, "master", tag)).status_code == 204

    document = (await desk.get("harbour")).json()
    assert (document["renditions"], document["poster"], document["preview"]) == ([], None, None)
    assert await desk.files() == []
    assert (await audited(desk.database))[-1] == "asset.file_removed"
    assert media.made == 2


async def test_removing_a_file_that_made_no_preview_keeps_it(desk: Desk, media: Media) -> None:
    await desk.add(b"master")
    await desk.add(b"web", rendition="web")

    assert (await remove(desk, "web")).status_code == 204

    assert set(await desk.shown()) == SHOWN
    assert media.made == 3  # the decoding of the second was tried, and not shown


async def test_best_file_that_is_left_makes_poster_and_preview_anew(
    desk: Desk, media: Media
) -> None:
    await desk.add(b"master")
    proxy = await desk.add(b"proxy", rendition="proxy")
    web = await desk.add(b"web", rendition="web")
    assert (await remove(desk, "master")).status_code == 204
    assert await desk.shown() == {}
    assert (await desk.row(proxy.id)).due_at is None

    rendition = await desk.due_again(web.id)

    assert (rendition.state, rendition.failure, rendition.due_at) == ("ready", None, None)
    shown = await desk.shown()
    assert set(shown) == SHOWN
    assert {row.source_id for row in shown.values()} == {web.id}
    assert (await desk.get("harbour")).json()["poster"] is not None
    assert media.made == 6


async def test_ready_file_is_offered_on_when_no_preview_can_be_made_anew(
    desk: Desk, media: Media
) -> None:
    await desk.add(b"master")
    web = await desk.add(b"web", rendition="web")
    assert (await remove(desk, "master")).status_code == 204
    media.poster_error = PosterError("undecodable", "undecodable")

    rendition = await desk.due_again(web.id)

    assert (rendition.state, rendition.failure, rendition.due_at) == ("ready", "undecodable", None)


# Poster and preview


async def test_preview_is_sent_in_ranges(desk: Desk, media: Media) -> None:
    await desk.add()
    whole = await desk.get("harbour/preview.mp4")
    part = await desk.get("harbour/preview.mp4", Range="bytes=2-4")

    assert (whole.status_code, whole.content) == (200, b"preview2")
    assert whole.headers["content-disposition"].startswith("inline; ")
    assert (part.status_code, part.content) == (206, b"evi")
    assert part.headers["content-range"] == "bytes 2-4/8"
    tag = whole.headers["etag"]
    assert (await desk.get("harbour/preview.mp4", **{"If-None-Match": tag})).status_code == 304
    beyond = await desk.get("harbour/preview.mp4", Range="bytes=8-")
    assert beyond.status_code == 416
    head = await desk.tus.client.head("/v1/assets/harbour/preview.mp4")
    assert (head.content, head.headers["content-length"]) == (b"", "8")
    assert media.made == 2


async def test_any_page_may_show_a_poster(desk: Desk, media: Media) -> None:
    await desk.add()

    answer = await desk.get("harbour/poster.jpg", Origin="https://news.example")

    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers
    assert answer.headers["cache-control"] == "public, no-cache, no-transform"
    versioned = await desk.get("harbour/poster.jpg?v=2")
    assert versioned.headers["cache-control"] == "public, max-age=300, no-transform"
    assert media.made == 2


@pytest.mark.usefixtures("media")
async def test_lists_show_a_small_poster(desk: Desk) -> None:
    await desk.add()
    document = (await desk.get("harbour")).json()
    address = f"/v1/assets/{document['id']}/poster.jpg?v={document['version']}"

    assert document["poster"]["url"] == address
    assert document["poster"]["small"] == {
        "url": f"{address}&width=480",
        "width": 480,
        "height": 270,
        "size_bytes": 12,
    }
    large = await desk.get("harbour/poster.jpg")
    small = await desk.get("harbour/poster.jpg?v=2&width=480", Origin="https://news.example")
    assert (large.content, small.content) == (b"jpeg 1", b"small jpeg 1")
    assert small.headers["cache-control"] == "public, max-age=300, no-transform"
    assert small.headers["access-control-allow-origin"] == "*"
    named = 'inline; filename="Harbour-poster-small.jpg"; '
    assert small.headers["content-disposition"].startswith(named)
    assert small.headers["etag"] == f'"{hashlib.sha256(small.content).hexdigest()}"'
    again = {"If-None-Match": small.headers["etag"]}
    assert (await desk.get("harbour/poster.jpg?width=480", **again)).status_code == 304
    assert (await desk.get("harbour/poster.jpg", **again)).status_code == 200


@pytest.mark.parametrize("width", ["479", "481", "1280", "0", "-480", "wide", ""])
async def test_poster_has_one_small_width(desk: Desk, media: Media, width: str) -> None:
    await desk.add()

    answer = await desk.get(f"harbour/poster.jpg?width={width}")

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/width")
    assert media.made == 2


@pytest.mark.usefixtures("media")
async def test_large_poster_stands_in_where_there_is_no_small_one(desk: Desk) -> None:
    """As with files that were processed before there were any, until the next is."""
    await desk.add()
    async with desk.database.transaction() as session:
        await session.execute(delete(Rendition).where(Rendition.purpose == "poster@small"))
        asset = (await session.scalars(select(Asset).where(Asset.slug == "harbour"))).one()
        asset.document_format = 2
    await Publisher(desk.database).sweep()

    assert (await desk.get("harbour")).json()["poster"]["small"] is None
    assert (await desk.get("harbour/poster.jpg?width=480")).content == b"jpeg 1"

    await desk.add(b"corrected")
    assert (await desk.get("harbour")).json()["poster"]["small"]["width"] == 480
    assert (await desk.get("harbour/poster.jpg?width=480")).content == b"small jpeg 3"


@pytest.mark.usefixtures("media")
async def test_small_poster_is_no_file_to_download(desk: Desk) -> None:
    await desk.add()

    assert [each["name"] for each in (await desk.get("harbour")).json()["renditions"]] == ["master"]
    assert [each["name"] for each in await desk.files()] == ["master"]
    counts = await desk.get("harbour/downloads", **desk.tus.session)
    assert [each["name"] for each in counts.json()["renditions"]] == ["master"]


@pytest.mark.usefixtures("media")
async def test_replaced_small_poster_leaves_the_store_with_the_large_one(
    desk: Desk, app: FastAPI
) -> None:
    def stored() -> dict[str, bool]:
        storage = app.state.storage
        return {name: storage.path_of(row.object_key).exists() for name, row in former.items()}

    await desk.add()
    former = await desk.shown()
    await desk.add(b"corrected")
    keeper, now = Keeper(desk.database, app.state.storage), datetime.now(UTC)

    await keeper.collect(now=now)
    await keeper.collect(now=now + timedelta(days=29))
    assert stored() == dict.fromkeys(SHOWN, True)
    await keeper.collect(now=now + timedelta(days=30))
    assert stored() == dict.fromkeys(SHOWN, False)
    assert (await desk.get("harbour/poster.jpg?width=480")).content == b"small jpeg 3"


async def test_asset_without_a_poster_has_none_to_show(desk: Desk) -> None:
    assert (await desk.get("harbour/poster.jpg")).status_code == 404
    assert (await desk.get("harbour/poster.jpg?width=480")).status_code == 404
    assert (await desk.get("unknown/poster.jpg")).status_code == 404


async def test_withdrawn_asset_shows_no_poster(desk: Desk, app: FastAPI, media: Media) -> None:
    rendition = await desk.add()
    await withdraw(app, rendition.asset_id, "wrong")

    for name in ("poster.jpg", "poster.jpg?width=480", "preview.mp4", "renditions"):
        answer = await desk.get(f"harbour/{name}")
        assert (answer.status_code, answer.json()["code"]) == (410, "asset_withdrawn")
    assert media.made == 2


@pytest.fixture
async def draft(desk: Desk, app: FastAPI, media: Media) -> Asset:
    """A draft with a poster and a preview."""
    await add_asset(app, "draft", is_published=False)
    media.kind = "video"
    await desk.add(asset="draft")
    async with desk.database.transaction() as session:
        return (await session.scalars(select(Asset).where(Asset.slug == "draft"))).one()


async def test_draft_is_shown_by_a_signed_address_for_an_hour(
    desk: Desk, draft: Asset, keyring: Keyring, clock: Clock
) -> None:
    url = derived_files.signed_url(draft.id, "poster", keyring=keyring, now=clock.now)
    path = url.removeprefix("/v1/assets/")

    for size in ("", "&width=480"):
        assert (await desk.get(f"draft/poster.jpg?v=1{size}")).status_code == 404
        shown = await desk.get(path + size)
        assert (shown.status_code, shown.headers["cache-control"]) == (200, "private, no-store")
    clock.now += timedelta(minutes=59, seconds=59)
    assert (await desk.get(path)).status_code == 200
    clock.now += timedelta(seconds=1)
    for size in ("", "&width=480"):
        assert (await desk.get(path + size)).status_code == 404


@pytest.mark.usefixtures("draft")
async def test_editor_finds_signed_addresses_in_the_draft(desk: Desk) -> None:
    document = (await desk.get("draft", **desk.tus.session)).json()

    poster, preview = document["poster"], document["preview"]
    for made, content in (
        (poster, b"jpeg 1"),
        (poster["small"], b"small jpeg 1"),
        (preview, b"preview2"),
    ):
        shown = await desk.get(made["url"].removeprefix("/v1/assets/"))
        assert (shown.status_code, shown.content) == (200, content), made


async def test_signature_is_of_one_file_of_one_asset(
    desk: Desk, draft: Asset, keyring: Keyring, clock: Clock
) -> None:
    url = derived_files.signed_url(draft.id, "poster", keyring=keyring, now=clock.now)
    signature = url.partition("=")[2]
    other = "B" if signature[-2] == "A" else "A"

    for path in (
        f"draft/preview.mp4?signature={signature}",
        f"draft/poster.jpg?signature={signature[:-2]}{other}{signature[-1]}",
        f"draft/poster.jpg?signature={signature}AAAA",
        "draft/poster.jpg?signature=%C3%A9",
        "draft/poster.jpg?signature=",
    ):
        assert (await desk.get(path)).status_code == 404, path


async def test_missing_object_is_a_clear_503(desk: Desk, app: FastAPI, media: Media) -> None:
    await desk.add()
    preview = (await desk.shown())["preview"]
    app.state.storage.path_of(preview.object_key).unlink()

    answer = await desk.get("harbour/preview.mp4")

    assert (answer.status_code, answer.json()["code"]) == (503, "file_unavailable")
    assert media.made == 2
