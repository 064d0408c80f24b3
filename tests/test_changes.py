"""The feed of changes: numbered in the order of the commits, without gaps, and never forgotten."""

import asyncio
import json
from base64 import urlsafe_b64decode
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.crypto import Keyring
from app.db import Database
from app.http import accept
from app.http.path_rules import may_take_long
from app.jobs.changes import FeedKeeper
from app.lifespan import make_deployment
from app.services import change_feed, changes, policy
from app.services.changes import Ask, Position
from tests import change_writers
from tests.change_readers import Consumer
from tests.factories import PUBLISHED_AT, add_draft, publish_story, withdraw
from tests.helpers import Mailbox, bearer, sign_up
from tests.test_contract import assert_problem

PATH = "/v1/changes"


async def rows(database: Database) -> list[tuple[Any, ...]]:
    query = "SELECT sequence, kind, asset_id, version, is_latest FROM change ORDER BY sequence"
    return [tuple(row) for row in await database.reader.fetch(query)]


async def test_life_of_an_asset_is_numbered_from_its_publication_on(
    app: FastAPI, database: Database
) -> None:
    await add_draft(app)
    asset_id = await publish_story(app, "convoy")
    await withdraw(app, asset_id, "Wrong place")
    assert await rows(database) == [
        (1, "created", asset_id, 2, False),
        (2, "withdrawn", asset_id, 3, True),
    ]


async def write(database: Database, asset_id: UUID, *, then: Any = None) -> None:
    async with database.transaction() as session:
        await changes.record(
            session, "created", asset_id=asset_id, version=1, now=PUBLISHED_AT + timedelta(hours=1)
        )
        if then is not None:
            await then()


async def test_numbers_have_the_order_of_the_commits(live_database: Database) -> None:
    """Of two that overlap, the one that was written first and commits last is the second."""
    written, may_commit = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        written.set()
        await may_commit.wait()

    slow, quick = uuid4(), uuid4()
    writing = asyncio.create_task(write(live_database, slow, then=wait))
    await written.wait()
    await write(live_database, quick)
    assert [row[2] for row in await rows(live_database)] == [quick]
    may_commit.set()
    await writing
    assert [row[:3] for row in await rows(live_database)] == [
        (1, "created", quick),
        (2, "created", slow),
    ]


async def test_transaction_that_is_rolled_back_leaves_no_gap(live_database: Database) -> None:
    async def fail() -> None:
        raise RuntimeError

    await write(live_database, uuid4())
    results = await asyncio.gather(write(live_database, uuid4(), then=fail), return_exceptions=True)
    assert isinstance(results[0], RuntimeError)
    await write(live_database, uuid4())
    assert [row[0] for row in await rows(live_database)] == [1, 2]


# Pages


@pytest.fixture
async def reader(client: httpx.AsyncClient, mailbox: Mailbox) -> httpx.AsyncClient:
    """A client that may read changes."""
    client.headers.update(bearer(await sign_up(client, mailbox)))
    return client


async def page(reader: httpx.AsyncClient, **parameters: Any) -> dict[str, Any]:
    response = await reader.get(PATH, params=parameters)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_page_has_every_change_with_the_document_as_it_is_now(
    app: FastAPI, reader: httpx.AsyncClient
) -> None:
    convoy = await publish_story(app, "convoy")
    answer = await page(reader)
    document = (await reader.get("/v1/assets/convoy")).json()
    assert answer["items"] == [
        {
            "sequence": 1,
            "kind": "created",
            "asset_id": str(convoy),
            "version": 2,
            "occurred_at": "2026-11-23T09:00:00Z",
            "asset": document,
        }
    ]
    assert set(answer) == {"items", "next_after"}


async def correct(app: FastAPI, asset_id: UUID, title: str) -> None:
    async with app.state.database.transaction() as session:
        await change_writers.correct(session, asset_id, title)


async def test_old_changes_show_the_asset_as_it_is_now(
    app: FastAPI, reader: httpx.AsyncClient
) -> None:
    convoy = await publish_story(app, "convoy")
    await correct(app, convoy, "A convoy in the strait")
    items = (await page(reader))["items"]
    assert [(item["kind"], item["version"]) for item in items] == [("created", 2), ("updated", 3)]
    assert [item["asset"]["title"] for item in items] == ["A convoy in the strait"] * 2
    assert [item["asset"]["version"] for item in items] == [3, 3]


async def test_withdrawn_asset_is_a_tombstone_in_all_its_changes(
    app: FastAPI, reader: httpx.AsyncClient
) -> None:
    convoy = await publish_story(app, "convoy")
    await withdraw(app, convoy, "Wrong place")
    items = (await page(reader))["items"]
    assert [(item["kind"], item["asset"]) for item in items] == [
        ("created", None),
        ("withdrawn", None),
    ]


async def test_pages_of_any_size_give_each_change_once(
    app: FastAPI, reader: httpx.AsyncClient
) -> None:
    for number in range(7):
        await publish_story(app, f"story-{number}")
    for limit in (1, 2, 3, 7, 8, 1000):
        consumer = Consumer(reader, "", limit)
        first = await page(reader, limit=limit)
        consumer.seen, consumer.after = first["items"], first["next_after"]
        for _ in range(8):
            await consumer.read_page()
        assert consumer.sequences == [1, 2, 3, 4, 5, 6, 7]


async def test_page_at_the_end_is_empty_and_keeps_the_place(
    app: FastAPI, reader: httpx.AsyncClient
) -> None:
    empty = await page(reader)
    assert empty["items"] == []
    assert await page(reader, after=empty["next_after"]) == empty
    await publish_story(app, "convoy")
    assert len((await page(reader, after=empty["next_after"]))["items"]) == 1
    end = (await page(reader))["next_after"]
    assert await page(reader, after=end) == {"items": [], "next_after": end}


async def test_now_is_the_end_of_the_feed(app: FastAPI, reader: httpx.AsyncClient) -> None:
    await publish_story(app, "convoy")
    assert await page(reader, after="now") == {
        "items": [],
        "next_after": (await page(reader))["next_after"],
    }


async def test_hundred_changes_are_a_page_unless_another_number_is_asked_for(
    reader: httpx.AsyncClient, database: Database
) -> None:
    async with database.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO change (id, kind, asset_id, version, occurred_at, is_latest)"
                " SELECT gen_random_uuid(), 'created', gen_random_uuid(), 1, now(), true"
                " FROM generate_series(1, 1001)"
            )
        )
    assert len((await page(reader))["items"]) == 100
    assert len((await page(reader, limit=1000))["items"]) == 1000


@pytest.mark.parametrize(
    ("parameters", "pointer"),
    [
        ({"limit": 1001}, "/limit"),
        ({"limit": 0}, "/limit"),
        ({"wait": 61}, "/wait"),
        ({"wait": -1}, "/wait"),
        ({"collapse": "perhaps"}, "/collapse"),
        ({"afetr": "x"}, "/afetr"),
    ],
)
async def test_parameter_out_of_range_is_refused_and_not_cut(
    reader: httpx.AsyncClient, parameters: dict[str, Any], pointer: str
) -> None:
    response = await reader.get(PATH, params=parameters)
    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]


async def test_collapsed_feed_has_the_latest_change_of_each_asset(
    app: FastAPI, reader: httpx.AsyncClient
) -> None:
    convoy = await publish_story(app, "convoy")
    harbour = await publish_story(app, "harbour")
    await correct(app, convoy, "Second")
    await correct(app, convoy, "Third")
    await withdraw(app, harbour, "Wrong place")
    consumer = Consumer(reader, changes.cursor(await epoch_of(app), 0), limit=1)
    for _ in range(4):
        await consumer.read_page(collapse=True)
    assert [(item["sequence"], item["asset_id"]) for item in consumer.seen] == [
        (4, str(convoy)),
        (5, str(harbour)),
    ]
    assert consumer.after == (await page(reader))["next_after"]


async def test_page_of_long_documents_ends_early_and_leaves_nothing_out(
    app: FastAPI, database: Database
) -> None:
    """Among them is one without a document, which must not slip through behind the end."""
    ids = [await publish_story(app, f"story-{number}", body="long " * 2_000) for number in range(6)]
    await withdraw(app, ids[3], "Wrong place")
    lengths = []
    after, found = Position(await epoch_of(app), 0), []
    while True:
        asked = Ask(after, limit=1000, max_bytes=25_000)
        read = await changes.read_page(database.reader, asked)
        if not read.items:
            break
        after = read.next_after
        lengths.append(len(read.items))
        found += [sequence for sequence, _, _ in read.items]
    assert found == [1, 2, 3, 4, 5, 6, 7]
    assert lengths == [3, 4]
    assert policy.CHANGES_PAGE_BYTES == 4 * 1024 * 1024
    assert policy.CHANGES_STREAM_BYTES == 256 * 1024


# Cursors


async def epoch_of(app: FastAPI) -> UUID:
    [row] = await app.state.database.reader.fetch("SELECT epoch FROM change_feed")
    return UUID(str(row["epoch"]))


async def test_cursor_is_epoch_and_number(app: FastAPI, reader: httpx.AsyncClient) -> None:
    await publish_story(app, "convoy")
    cursor = (await page(reader))["next_after"]
    assert urlsafe_b64decode(cursor) == (await epoch_of(app)).bytes + (1).to_bytes(8, "big")
    assert changes.cursor(await epoch_of(app), 1) == cursor


async def test_cursor_outlives_the_secret_key(app: FastAPI, reader: httpx.AsyncClient) -> None:
    await publish_story(app, "convoy")
    cursor = (await page(reader))["next_after"]
    other = Keyring("another secret that is long enough to be one too")
    app.state.deployment = make_deployment(app.state.settings, other)
    assert (await page(reader, after=cursor))["next_after"] == cursor


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "1",
        "=" * 32,
        "A" * 31,
        "A" * 33,
        "A" * 31 + "é",
        "A" * 31 + "=",
        "A" * 3000,
        "A" * 21 + "-" + "_" * 10,  # a number past all that the database can have
    ],
)
async def test_what_is_no_cursor_is_refused(reader: httpx.AsyncClient, cursor: str) -> None:
    response = await reader.get(PATH, params={"after": cursor})
    assert_problem(response, 400, "invalid_cursor")


async def test_cursor_of_another_epoch_or_of_the_future_is_gone_and_shown_the_export(
    app: FastAPI, reader: httpx.AsyncClient
) -> None:
    await publish_story(app, "convoy")
    for cursor in (changes.cursor(await epoch_of(app), 2), changes.cursor(uuid4(), 1)):
        response = await reader.get(PATH, params={"after": cursor})
        assert_problem(response, 410, "feed_reset")
        assert response.headers["link"] == '</v1/exports/assets.ndjson>; rel="alternate"'


# Conditional requests


async def test_tag_of_one_page_is_not_that_of_the_next(
    app: FastAPI, reader: httpx.AsyncClient
) -> None:
    await publish_story(app, "convoy")
    await publish_story(app, "harbour")
    first = await reader.get(PATH, params={"limit": 1})
    known = {"If-None-Match": first.headers["etag"]}
    following = {"limit": 1, "after": first.json()["next_after"]}
    second = await reader.get(PATH, params=following, headers=known)
    assert [item["sequence"] for item in second.json()["items"]] == [2]


async def test_head_of_a_stream_ends(reader: httpx.AsyncClient) -> None:
    async with asyncio.timeout(60):
        answer = await reader.head(PATH, headers={"Accept": "text/event-stream"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.content == b""


async def test_tag_holds_until_the_next_change(app: FastAPI, reader: httpx.AsyncClient) -> None:
    await publish_story(app, "convoy")
    first = await reader.get(PATH)
    known = {"If-None-Match": first.headers["etag"]}
    again = await reader.get(PATH, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    at_end = {"after": first.json()["next_after"]}
    assert (await reader.get(PATH, params=at_end, headers=known)).status_code == 304
    await publish_story(app, "harbour")
    for parameters in ({}, at_end):
        changed = await reader.get(PATH, params=parameters, headers=known)
        assert changed.status_code == 200
        assert changed.json()["items"][-1]["sequence"] == 2


async def test_format_that_the_feed_does_not_have_is_refused(reader: httpx.AsyncClient) -> None:
    response = await reader.get(PATH, headers={"Accept": "text/csv"})
    assert_problem(response, 406, accept.NotAcceptable.code)


def test_waits_have_no_deadline() -> None:
    assert may_take_long(PATH)
    assert not may_take_long("/v1/changes/x")


# After a restore


async def test_reset_feed_refuses_the_cursors_of_before(
    app: FastAPI, reader: httpx.AsyncClient, database: Database
) -> None:
    await publish_story(app, "convoy")
    before = (await page(reader))["next_after"]
    async with database.transaction() as session:
        await change_feed.reset(session)
    assert_problem(await reader.get(PATH, params={"after": before}), 410, "feed_reset")
    again = await page(reader)
    assert [item["sequence"] for item in again["items"]] == [1]
    assert again["next_after"] != before
    await publish_story(app, "harbour")
    assert [item["sequence"] for item in (await page(reader))["items"]] == [1, 2]


async def database_of_feed(database: Database, *, was: str | None = None) -> str | None:
    if was is not None:
        async with database.transaction() as session:
            await session.execute(text("UPDATE change_feed SET database = :was"), {"was": was})
    [row] = await database.reader.fetch("SELECT database FROM change_feed")
    return None if row["database"] is None else str(row["database"])


async def test_feed_begins_anew_where_its_database_is_a_copy(
    app: FastAPI, database: Database
) -> None:
    keeper = FeedKeeper(database)
    first = await epoch_of(app)
    await keeper.renew_if_moved()
    here = await database_of_feed(database)
    assert here is not None
    assert await epoch_of(app) == first  # it did not know where it was
    await keeper.renew_if_moved()
    assert await epoch_of(app) == first  # a restart, or a standby that took over
    cluster, _, number = here.partition("/")
    for elsewhere in (f"{int(cluster) - 1}/{number}", f"{cluster}/{int(number) + 1}"):
        await database_of_feed(database, was=elsewhere)
        before = await epoch_of(app)
        await keeper.renew_if_moved()
        assert await epoch_of(app) != before
        assert await database_of_feed(database) == here


async def test_feed_stays_where_nobody_may_know_the_cluster(
    app: FastAPI, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_feed, "_CONTROL", {"name": "pg_ls_logdir()"})  # of superusers
    await database_of_feed(database, was="1/1")
    before = await epoch_of(app)
    await FeedKeeper(database).renew_if_moved()
    assert await epoch_of(app) == before


# What was not recorded


async def forget(database: Database, asset_id: UUID) -> None:
    async with database.transaction() as session:
        await session.execute(text("DELETE FROM change WHERE asset_id = :id"), {"id": asset_id})


async def test_what_an_old_release_has_changed_is_recorded_later(
    app: FastAPI, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "CHANGES_COMPARED", 2)
    await add_draft(app)
    new, known, gone, corrected = [
        await publish_story(app, name) for name in ("new", "known", "gone", "corrected")
    ]
    await withdraw(app, gone, "Wrong place")
    await forget(database, new)
    await forget(database, gone)
    async with database.transaction() as session:
        await session.execute(
            text("UPDATE asset SET version = 7 WHERE id = :id"), {"id": corrected}
        )
    keeper = FeedKeeper(database)
    assert await keeper.reconcile() == 3
    recorded = [row[1:] for row in await rows(database) if row[0] > 5]
    assert recorded == [
        ("created", new, 2, True),
        ("withdrawn", gone, 3, True),
        ("updated", corrected, 7, True),
    ]
    assert ("created", known, 2, True) in [row[1:] for row in await rows(database)]
    assert await keeper.reconcile() == 0


async def test_worker_completes_the_feed_once_when_it_begins(
    app: FastAPI, database: Database
) -> None:
    keeper = FeedKeeper(database)
    await keeper.begin()
    asset_id = await publish_story(app, "convoy")
    await forget(database, asset_id)
    await keeper.begin()
    assert await rows(database) == []
    await FeedKeeper(database).begin()
    assert [row[1] for row in await rows(database)] == ["created"]


async def test_body_is_what_the_database_gave_byte_for_byte(
    app: FastAPI, reader: httpx.AsyncClient
) -> None:
    """Also with characters that mean something to JSON, SQL, HTTP or event streams."""
    strange = 'Line\u2028"quoted" \\ back\tslash 🛟 data: x <b>'
    await publish_story(app, "convoy", summary=strange)
    response = await reader.get(PATH, headers={"Accept-Encoding": "identity"})
    [row] = await app.state.database.reader.fetch("SELECT document FROM asset")
    assert row["document"].encode() in response.content
    assert json.loads(response.content)["items"][0]["asset"]["summary"] == strange


def test_pages_are_shared_by_those_who_ask_for_the_same() -> None:
    ask = Ask(Position(UUID(int=1), 1), 100, 1000)
    assert hash(ask) == hash(replace(ask))
    assert ask != replace(ask, collapse=True)


@pytest.mark.parametrize("coding", ["zstd", "br", "gzip"])
@pytest.mark.parametrize("words", [1_000, 100_000])  # a long one is compressed in a thread
async def test_page_is_compressed_once_for_all_who_get_it(
    app: FastAPI, reader: httpx.AsyncClient, coding: str, words: int
) -> None:
    await publish_story(app, "convoy", body="quiet " * words)
    plain = await reader.get(PATH, headers={"Accept-Encoding": "identity"})
    response = await reader.get(PATH, headers={"Accept-Encoding": coding})
    assert response.headers["content-encoding"] == coding
    assert "Accept-Encoding" in response.headers["vary"]
    assert int(response.headers["content-length"]) < len(plain.content) / 5
    assert response.json() == plain.json()
    assert response.headers["etag"] == plain.headers["etag"]
