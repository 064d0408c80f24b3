"""Whoever follows the feed sees each change once, in the order of the commits, whatever happens."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st
from sqlalchemy import text

from app.db import Database
from tests.change_readers import WAYS, Consumer, Served, end_of_feed, following, listening, serving
from tests.change_writers import Deed, Writer
from tests.helpers import Mailbox, bearer, sign_up
from tests.programs import PROJECT
from tests.test_catalogue_events import until

WRITERS = 8

deeds = st.builds(
    Deed,
    kind=st.sampled_from(["created", "updated", "updated", "withdrawn"]),
    pause=st.sampled_from([0, 0, 0.001, 0.01, 0.03]),
    is_undone=st.sampled_from([False, False, False, True]),
)
work = st.lists(st.lists(deeds, min_size=3, max_size=6), min_size=WRITERS, max_size=WRITERS)
# When each consumer is cut off, in seconds since it last began.
cuts = st.lists(st.sampled_from([0.005, 0.02, 0.05, 0.1]), min_size=3, max_size=3)
limits = st.sampled_from([1, 2, 7, 1000])


@pytest.fixture
async def served(live_app: FastAPI, live_database: Database) -> AsyncIterator[Served]:
    async with listening(live_app, live_database._url), serving(live_app) as served:
        yield served


@pytest.fixture
async def client(
    live_client: httpx.AsyncClient, live_mailbox: Mailbox, served: Served
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the server that may read changes."""
    async with served.client(bearer(await sign_up(live_client, live_mailbox))) as client:
        yield client


async def in_hypothesis(check: Any) -> None:
    """Run a property beside this event loop, which runs what it tries."""
    await asyncio.to_thread(check)


def runner(loop: asyncio.AbstractEventLoop) -> Any:
    def run(trial: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(trial, loop).result(60)

    return run


def some_examples(count: int) -> settings:
    return settings(max_examples=count, phases=[Phase.explicit, Phase.generate])


# Order


@asynccontextmanager
async def watching_snapshots(database: Database) -> AsyncIterator[list[tuple[int, int]]]:
    """Look again and again at what has been committed: it must always be the first changes.

    Their numbers then have the order of the commits. A reader needs no guard against transactions
    that still run, as others have it by xmin: none of them can put a change before a visible one.
    """
    query = """
        SELECT count(*) AS count, coalesce(max(sequence), 0) AS last,
               (SELECT last_sequence FROM change_feed) AS head
          FROM change
    """
    seen: list[tuple[int, int]] = []
    ended = asyncio.Event()

    async def look() -> None:
        while not ended.is_set():
            [row] = await database.reader.fetch(query)
            assert row["count"] == row["last"] == row["head"]
            seen.append((row["last"], len(seen)))
            await asyncio.sleep(0)

    task = asyncio.create_task(look())
    yield seen
    ended.set()
    await task


async def follow_writers(
    database: Database, client: httpx.AsyncClient, work: list[list[Deed]], limit: int
) -> None:
    after = await end_of_feed(client)
    consumers = [Consumer(client, after, limit) for _ in WAYS]
    writers = [Writer(database, but_changes=number % 4 > 0) for number, _ in enumerate(work)]
    async with AsyncExitStack() as stack:
        snapshots = await stack.enter_async_context(watching_snapshots(database))
        for consumer, way in zip(consumers, WAYS, strict=True):
            await stack.enter_async_context(following(consumer, way))
        await asyncio.gather(*(each.work(deeds) for each, deeds in zip(writers, work, strict=True)))
        end = await end_of_feed(client)
        await until(lambda: all(each.after == end for each in consumers))
        assert snapshots
    for consumer in consumers:
        check_history(consumer, writers)
    await check_against_table(database, consumers[0])


def check_history(consumer: Consumer, writers: list[Writer]) -> None:
    """No gap, no double, and of each asset what its writer has committed, in that order."""
    assert all(later == earlier + 1 for earlier, later in pairwise(consumer.sequences))
    found: dict[str, list[str]] = {}
    for item in consumer.seen:
        found.setdefault(item["asset_id"], []).append(item["kind"])
    done = {str(asset): kinds for writer in writers for asset, kinds in writer.done.items()}
    assert found == done


async def check_against_table(database: Database, consumer: Consumer) -> None:
    """The times of the commits are in the order of the numbers."""
    if consumer.seen:
        query = "SELECT committed_at FROM change WHERE sequence >= $1 ORDER BY sequence"
        rows = await database.reader.fetch(query, consumer.sequences[0])
        assert len(rows) == len(consumer.seen)
        times = [row["committed_at"] for row in rows]
        assert times == sorted(times)


async def test_readers_of_every_kind_see_what_eight_writers_commit(
    live_database: Database, client: httpx.AsyncClient
) -> None:
    run = runner(asyncio.get_running_loop())

    @seed(20261130)
    @some_examples(6)
    @given(work=work, limit=limits)
    def check(work: list[list[Deed]], limit: int) -> None:
        run(follow_writers(live_database, client, work, limit))

    await in_hypothesis(check)


# The first of all comes after another, however slowly the writers follow each other.
NUMBERED_TOO_SOON = """
    CREATE OR REPLACE FUNCTION number_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE number bigint = nextval('too_soon');
    BEGIN
        WHILE number = 1 AND (SELECT last_sequence FROM change_feed) <= number LOOP
            PERFORM pg_sleep(0.001);
        END LOOP;
        UPDATE change_feed SET last_sequence = greatest(last_sequence, number);
        UPDATE change SET sequence = number, committed_at = clock_timestamp() WHERE id = NEW.id;
        PERFORM pg_notify('changes', number::text);
        RETURN NULL;
    END $$
"""


async def test_numbers_from_a_sequence_would_not_pass_these_checks(
    live_database: Database, client: httpx.AsyncClient
) -> None:
    async with live_database.transaction() as session:
        await session.execute(text("CREATE SEQUENCE too_soon"))
        await session.execute(text(NUMBERED_TOO_SOON))
    always = [[Deed("created", 0, is_undone=False)] * 5] * WRITERS
    with pytest.raises((AssertionError, TimeoutError)):
        await follow_writers(live_database, client, always, 7)


@pytest.mark.slow
async def test_readers_see_what_writers_commit_hundreds_of_times(
    live_database: Database, client: httpx.AsyncClient
) -> None:
    run = runner(asyncio.get_running_loop())

    @some_examples(200)
    @given(work=work, limit=limits)
    def check(work: list[list[Deed]], limit: int) -> None:
        run(follow_writers(live_database, client, work, limit))

    await in_hypothesis(check)


# Consumers that are killed


async def follow_with_cuts(
    database: Database, client: httpx.AsyncClient, work: list[list[Deed]], cuts: list[float]
) -> None:
    after = await end_of_feed(client)
    consumers = [Consumer(client, after, 3) for _ in WAYS]
    writers = [Writer(database, but_changes=number % 4 > 0) for number, _ in enumerate(work)]
    writing = asyncio.gather(*(each.work(deeds) for each, deeds in zip(writers, work, strict=True)))
    for seconds in cuts:
        async with AsyncExitStack() as stack:
            for consumer, way in zip(consumers, WAYS, strict=True):
                await stack.enter_async_context(following(consumer, way))
            await asyncio.sleep(seconds)
    await writing
    end = await end_of_feed(client)
    async with AsyncExitStack() as stack:
        for consumer, way in zip(consumers, WAYS, strict=True):
            await stack.enter_async_context(following(consumer, way))
        await until(lambda: all(each.after == end for each in consumers))
    for consumer in consumers:
        check_history(consumer, writers)


async def test_consumer_that_is_cut_off_anywhere_goes_on_from_its_cursor(
    live_database: Database, client: httpx.AsyncClient
) -> None:
    run = runner(asyncio.get_running_loop())

    @seed(20261130)
    @some_examples(5)
    @given(work=work, cuts=cuts)
    def check(work: list[list[Deed]], cuts: list[float]) -> None:
        run(follow_with_cuts(live_database, client, work, cuts))

    await in_hypothesis(check)


# Writers that are killed


@pytest.mark.slow
async def test_writer_killed_while_it_commits_is_heard_all_the_same(
    live_app: FastAPI, live_database: Database, client: httpx.AsyncClient
) -> None:
    """An announcement belongs to its transaction: PostgreSQL sends it, not the writer."""
    for _ in range(3):
        after = await end_of_feed(client)
        parameters: dict[str, Any] = {"after": after, "wait": 20}
        asking = asyncio.create_task(client.get("/v1/changes", params=parameters))
        await until(lambda: len(live_app.state.changes._watches) == 1)
        command = [sys.executable, "-m", "tests.change_writers", live_database._url]
        writer = await asyncio.create_subprocess_exec(*command, cwd=PROJECT, stderr=subprocess.PIPE)
        _, errors = await writer.communicate()
        assert writer.returncode == -9, errors.decode()
        # While announcements are heard, nobody would ask of himself before the wait is over.
        answer = await asyncio.wait_for(asking, 15)
        assert len(answer.json()["items"]) == 1
