"""Waiting for changes: heard at once, by any number, without a connection to the database each."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app import listener
from app.db import Database
from app.errors import AppError, ServiceUnavailable
from app.services import catalogue_events, change_feed, change_pages, changes, policy
from app.services.access_checks import AccessChecks
from app.services.change_hub import ChangeHub
from app.services.change_pages import KeptPages
from app.services.changes import Ask, Page, Position
from tests.change_readers import Consumer, Event, Served, end_of_feed, events_of, listening, serving
from tests.conftest import copied_database
from tests.factories import publish_story
from tests.helpers import Mailbox, bearer, patient_database, sign_up
from tests.test_catalogue_events import until
from tests.test_changes import write

PATH = "/v1/changes"
STREAM = {"Accept": "text/event-stream"}
# Seconds; much less than the minute after which a wait ends of itself.
SOON = 30


@pytest.fixture
async def reader(live_client: httpx.AsyncClient, live_mailbox: Mailbox) -> httpx.AsyncClient:
    """A client that may read changes."""
    live_client.headers.update(bearer(await sign_up(live_client, live_mailbox)))
    return live_client


@pytest.fixture
async def hub(
    live_app: FastAPI, live_database: Database, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ChangeHub]:
    """What the app knows of the feed, while it hears of changes.

    A heartbeat that is late on a busy machine costs it none of its trust.
    """
    monkeypatch.setattr(listener, "HEARTBEAT_TIMEOUT", 300)
    monkeypatch.setattr(listener, "VOUCHED", 300)
    async with listening(live_app, live_database._url):
        yield live_app.state.changes


@pytest.fixture
async def elsewhere(live_database: Database) -> AsyncIterator[Database]:
    """The same database for another process, whose commits this one only hears of."""
    other = patient_database(live_database._url)
    yield other
    await other.close()


def waiting(hub: ChangeHub, count: int) -> Callable[[], bool]:
    return lambda: len(hub._watches) == count


async def ask(reader: httpx.AsyncClient, **parameters: Any) -> httpx.Response:
    return await reader.get(PATH, params=parameters)


# Long-polls


async def test_wait_ends_with_the_change(
    reader: httpx.AsyncClient,
    hub: ChangeHub,
    elsewhere: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # It must be heard: whoever asks for it instead comes too late.
    monkeypatch.setattr(policy, "CHANGES_POLL_INTERVAL", timedelta(hours=1))
    after = await end_of_feed(reader)
    asking = asyncio.create_task(ask(reader, after=after, wait=60))
    await until(waiting(hub, 1))
    asset_id = uuid4()
    await write(elsewhere, asset_id)
    answer = (await asking).json()
    assert [item["asset_id"] for item in answer["items"]] == [str(asset_id)]
    assert await end_of_feed(reader) == answer["next_after"]


async def test_hundred_and_first_wait_of_one_login_is_told_to_come_back(
    reader: httpx.AsyncClient, hub: ChangeHub, live_app: FastAPI, elsewhere: Database
) -> None:
    live_app.state.deployment = replace(live_app.state.deployment, limits_on=True)
    after = await end_of_feed(reader)
    asking = [asyncio.create_task(ask(reader, after=after, wait=60)) for _ in range(100)]
    await until(waiting(hub, 100))
    for refused in (
        await ask(reader, after=after, wait=60),
        await reader.get(PATH, params={"after": after}, headers=STREAM),
    ):
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert refused.headers["retry-after"] == "30"
    assert (await ask(reader, after=after)).status_code == 200
    await write(elsewhere, uuid4())
    assert {(await each).status_code for each in asking} == {200}


async def test_wait_without_a_change_ends_at_its_time_where_it_began(
    reader: httpx.AsyncClient, hub: ChangeHub
) -> None:
    after = await end_of_feed(reader)
    began = time.perf_counter()
    response = await ask(reader, after=after, wait=1)
    # The loop's timers count whole milliseconds.
    assert 0.99 <= time.perf_counter() - began < SOON
    assert response.json() == {"items": [], "next_after": after}
    assert hub._watches == set()


async def test_wait_is_over_at_once_where_there_are_changes(
    live_app: FastAPI, reader: httpx.AsyncClient
) -> None:
    await publish_story(live_app, "convoy")
    began = time.perf_counter()
    assert len((await ask(reader, wait=60)).json()["items"]) == 1
    assert time.perf_counter() - began < SOON


@pytest.mark.usefixtures("hub")
async def test_wait_for_a_tag_that_holds_is_not_modified(reader: httpx.AsyncClient) -> None:
    first = await ask(reader, after="now")
    known = {"If-None-Match": first.headers["etag"]}
    parameters: dict[str, Any] = {"after": first.json()["next_after"], "wait": 1}
    assert (await reader.get(PATH, params=parameters, headers=known)).status_code == 304


@pytest.mark.usefixtures("hub")
async def test_own_commit_is_seen_by_the_next_request(
    live_app: FastAPI, reader: httpx.AsyncClient
) -> None:
    """Also before the announcement has made its way through the database."""
    for number in range(20):
        after = await end_of_feed(reader)
        await publish_story(live_app, f"story-{number}")
        assert len((await ask(reader, after=after)).json()["items"]) == 1


@pytest.mark.usefixtures("hub")
async def test_document_that_is_rendered_again_without_a_change_is_given_as_it_is_now(
    live_app: FastAPI, reader: httpx.AsyncClient, elsewhere: Database
) -> None:
    asset_id = await publish_story(live_app, "convoy")

    async def language() -> str:
        [item] = (await ask(reader)).json()["items"]
        return str(item["asset"]["language"])

    # The page of the one who asks first is kept for the other.
    assert [await language(), await language()] == ["en", "en"]
    async with elsewhere.transaction() as session:
        await session.execute(
            text("UPDATE asset SET document = replace(document, :old, :new)"),
            {"old": '"language":"en"', "new": '"language":"fr"'},
        )
        await catalogue_events.announce(session, asset_id=asset_id, slug="convoy")
    rendered = time.perf_counter()
    while await language() == "en":
        assert time.perf_counter() - rendered < SOON


class Counting:
    """A reader that counts what is asked, by the feed or by the check of who asks."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self.pages = self.heads = self.checks = self.at_once = self.most = 0

    async def fetch(self, query: str, *args: Any) -> Sequence[Any]:
        self.pages += "UNION ALL" in query
        self.heads += query.startswith("SELECT epoch")
        return await self._run(self._reader.fetch, query, *args)  # type: ignore[no-any-return]

    async def fetchrow(self, query: str, *args: Any) -> Any:
        self.checks += "suspended_at" in query
        return await self._run(self._reader.fetchrow, query, *args)

    async def _run(self, method: Callable[..., Awaitable[Any]], query: str, *args: Any) -> Any:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            return await method(query, *args)
        finally:
            self.at_once -= 1


@pytest.fixture
def counting(live_app: FastAPI, live_database: Database) -> Counting:
    counting = Counting(live_database.reader)
    live_app.state.database = replaced = patient_database(live_database._url)
    replaced.reader = counting
    replaced.engine, replaced.sessions = live_database.engine, live_database.sessions
    return counting


async def test_two_hundred_who_wait_cost_one_query(
    reader: httpx.AsyncClient, counting: Counting, hub: ChangeHub, elsewhere: Database
) -> None:
    after = await end_of_feed(reader)
    await ask(reader, after=after)
    counting.pages = counting.heads = 0
    asking = [asyncio.create_task(ask(reader, after=after, wait=60)) for _ in range(200)]
    await until(waiting(hub, 200))
    assert (counting.pages, counting.heads) == (0, 0)  # it is sure of the end
    counting.pages = counting.checks = 0
    began = time.perf_counter()
    await asyncio.sleep(1)
    # One credential, whose next check comes 0.4 seconds after the last.
    assert counting.checks <= 1 + (time.perf_counter() - began) / 0.39
    await write(elsewhere, uuid4())
    answers = await asyncio.gather(*asking)
    assert {len(answer.json()["items"]) for answer in answers} == {1}
    assert counting.pages <= 2


async def test_many_pages_are_not_read_at_once(counting: Counting, live_app: FastAPI) -> None:
    """The pool has room for others too."""
    hub: ChangeHub = live_app.state.changes
    head = await hub.head(counting)
    counting.most = 0
    asks = [Ask(replace(head), limit, 1000) for limit in range(1, 31)]
    await asyncio.gather(*(hub.read(counting, each) for each in asks))
    assert (counting.pages, counting.most) == (30, 4)


async def test_poll_at_the_end_costs_no_query_while_announcements_are_heard(
    reader: httpx.AsyncClient, counting: Counting, hub: ChangeHub
) -> None:
    after = await end_of_feed(reader)
    await ask(reader, after=after)
    counting.pages = counting.heads = 0
    for _ in range(10):
        assert (await ask(reader, after=after)).json()["items"] == []
        assert await end_of_feed(reader) == after
    assert (counting.pages, counting.heads) == (0, 0)
    hub.distrust()
    await ask(reader, after=after)
    assert counting.pages == 1


# Without announcements


async def test_without_a_listener_all_who_wait_share_one_query_a_second(
    live_app: FastAPI, reader: httpx.AsyncClient, counting: Counting, elsewhere: Database
) -> None:
    assert timedelta(seconds=1) == policy.CHANGES_POLL_INTERVAL
    hub: ChangeHub = live_app.state.changes
    after = await end_of_feed(reader)
    asking = [asyncio.create_task(ask(reader, after=after, wait=60)) for _ in range(50)]
    await until(waiting(hub, 50))
    counting.pages = counting.heads = 0
    began = time.perf_counter()
    await until(lambda: counting.heads >= 3)
    assert time.perf_counter() - began >= 1.95  # from the first to the third
    await write(elsewhere, uuid4())
    committed = time.perf_counter()
    answers = await asyncio.gather(*asking)
    assert time.perf_counter() - committed < SOON
    assert {len(answer.json()["items"]) for answer in answers} == {1}
    assert counting.pages <= 2


async def terminate_listener(database: Database) -> None:
    await database.reader.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND (query LIKE 'LISTEN%' OR query = 'SELECT 1')"
    )


async def test_change_between_the_end_and_the_return_of_the_listener_is_not_missed(
    live_app: FastAPI, reader: httpx.AsyncClient, hub: ChangeHub, elsewhere: Database
) -> None:
    for _ in range(3):
        after = await end_of_feed(reader)
        asking = asyncio.create_task(ask(reader, after=after, wait=60))
        await until(waiting(hub, 1))
        await terminate_listener(elsewhere)
        await write(elsewhere, uuid4())
        assert len((await asking).json()["items"]) == 1  # none, had it ended at its time
        await until(live_app.state.pages.is_trusted)


async def test_head_that_was_read_unheard_is_not_trusted_later() -> None:
    """Between a reading without a listener and its return, a change may have been committed."""
    head = Position(uuid4(), 5)

    class Feed:
        async def fetch(self, *_: Any) -> list[dict[str, Any]]:
            return [{"epoch": head.epoch, "head": head.sequence, "sequence": 0}]

    hub = ChangeHub()
    asked = Ask(head, 10, 1000)
    await hub.read(Feed(), asked)
    head = replace(head, sequence=6)  # nobody hears of it
    hub.vouch(2)
    assert (await hub.read(Feed(), asked)).head == 6
    assert (await hub.read(Feed(), replace(asked, after=head))).head == 6
    head = replace(head, sequence=7)
    hub.hear("7")
    assert (await hub.read(Feed(), asked)).head == 7
    hub.distrust()
    head = replace(head, sequence=8)
    hub.vouch(2)
    assert (await hub.read(Feed(), asked)).head == 8


async def test_reading_that_a_change_overtook_is_not_kept() -> None:
    epoch = uuid4()
    hub = ChangeHub()
    hub.vouch(60)
    heads = iter([5, 6, 6])

    class Feed:
        async def fetch(self, *_: Any) -> list[dict[str, Any]]:
            head = next(heads)
            if head == 5:
                hub.hear("6")  # committed after the snapshot was taken, and heard of before it came
            return [{"epoch": epoch, "head": head, "sequence": 0}]

    asked = Ask(Position(epoch, 5), 10, 1000)
    assert (await hub.read(Feed(), asked)).head == 5
    assert (await hub.read(Feed(), asked)).head == 6


async def test_those_who_wait_are_woken_a_few_at_a_time(live_database: Database) -> None:
    """What one turn of the loop sends leaves at its end: the first need not wait for the last."""
    hub, told = ChangeHub(), []
    with ExitStack() as stack:
        watches = [stack.enter_context(hub.watching(live_database.reader)) for _ in range(100)]
        hub.hear("")
        for _ in range(5):
            told.append(sum(watch._is_told for watch in watches))
            await asyncio.sleep(0)
    assert told == [32, 64, 96, 100, 100]


# The end of a wait


async def end_session(database: Database) -> None:
    async with database.transaction() as session:
        await session.execute(text("UPDATE session SET ended_at = now()"))


async def suspend(database: Database) -> None:
    async with database.transaction() as session:
        await session.execute(text("UPDATE account SET suspended_at = now()"))


async def erase(database: Database) -> None:
    async with database.transaction() as session:
        await session.execute(text("DELETE FROM account"))


@pytest.mark.parametrize("loss", [end_session, suspend, erase])
async def test_wait_ends_with_the_first_check_after_the_loss_of_access(
    reader: httpx.AsyncClient,
    counting: Counting,
    hub: ChangeHub,
    elsewhere: Database,
    loss: Callable[[Database], Awaitable[None]],
) -> None:
    assert timedelta(seconds=0.4) == policy.ACCESS_CHECK_INTERVAL
    after = await end_of_feed(reader)
    asking = [asyncio.create_task(ask(reader, after=after, wait=60)) for _ in range(3)]
    await until(waiting(hub, 3))
    await loss(elsewhere)
    counting.checks = 0
    for response in await asyncio.gather(*asking):
        assert (response.status_code, response.json()["code"]) == (401, "invalid_token")
    assert counting.checks <= 1
    assert hub._watches == set()


async def test_checks_go_on_when_one_fails_or_finds_nothing_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(policy, "ACCESS_CHECK_INTERVAL", timedelta(milliseconds=5))
    checks = AccessChecks()
    lost: list[AppError] = []
    asked = {"good": 0, "away": 0, "told": 0}

    async def good() -> None:
        asked["good"] += 1

    async def away() -> None:
        asked["away"] += 1
        raise ConnectionRefusedError

    async def told() -> None:
        """As the check of a key says it."""
        asked["told"] += 1
        raise ServiceUnavailable

    async def refuse() -> None:
        raise changes.FeedReset

    async with AsyncExitStack() as stack:
        for check in (refuse, good, away, told):
            for _ in range(2):
                stack.enter_context(checks.watching(check.__name__, check, partial(lost.append)))
        await until(lambda: min(asked.values()) > 3)
    assert [type(each) for each in lost] == [changes.FeedReset] * 2
    assert (checks._credentials, checks._checker) == ({}, None)


@pytest.fixture
async def served(live_app: FastAPI, hub: ChangeHub) -> AsyncIterator[Served]:
    assert live_app.state.changes is hub
    async with serving(live_app) as served:
        yield served


async def test_stopping_server_answers_all_who_wait_at_once(
    reader: httpx.AsyncClient, served: Served, hub: ChangeHub
) -> None:
    after = await end_of_feed(reader)
    async with served.client(dict(reader.headers)) as client:
        asking = [asyncio.create_task(ask(client, after=after, wait=60)) for _ in range(20)]
        async with client.stream("GET", PATH, headers=STREAM) as response:
            await until(waiting(hub, 21))
            served.server.should_exit = True
            for answer in await asyncio.gather(*asking):
                assert answer.status_code == 200
                assert answer.json() == {"items": [], "next_after": after}
            async for _ in response.aiter_raw():
                pass
        await served.stopped
    assert hub._watches == set()


async def test_client_that_has_left_is_not_waited_for(
    reader: httpx.AsyncClient, served: Served, hub: ChangeHub
) -> None:
    after = await end_of_feed(reader)
    async with served.client(dict(reader.headers)) as client:
        asking = asyncio.create_task(ask(client, after=after, wait=60))
        async with client.stream("GET", PATH, headers=STREAM):
            await until(waiting(hub, 2))
            asking.cancel()
            with suppress(asyncio.CancelledError):
                await asking
            # Before a heartbeat could notice it.
            await until(waiting(hub, 1), seconds=10)
    await until(waiting(hub, 0), seconds=10)


# Streams


async def take(events: AsyncIterator[Event], count: int) -> list[Event]:
    """So many events with data."""
    found: list[Event] = []
    async with asyncio.timeout(60):
        while len(found) < count:
            event = await anext(events)
            if event.data is not None:
                found.append(event)
    return found


async def test_stream_sends_old_changes_and_then_each_as_it_comes(
    live_app: FastAPI,
    reader: httpx.AsyncClient,
    served: Served,
    hub: ChangeHub,
    elsewhere: Database,
) -> None:
    await publish_story(live_app, "convoy")
    await publish_story(live_app, "harbour")
    items = (await ask(reader)).json()["items"]
    async with (
        served.client(dict(reader.headers)) as client,
        client.stream("GET", PATH, headers=STREAM) as response,
    ):
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-accel-buffering"] == "no"
        assert "content-encoding" not in response.headers
        events = events_of(response)
        epoch = (await hub.head(elsewhere.reader)).epoch
        assert await take(events, 2) == [
            Event(changes.cursor(epoch, number), "created", items[number - 1]) for number in (1, 2)
        ]
        await until(waiting(hub, 1))
        await write(elsewhere, UUID(int=7))
        [event] = await take(events, 1)
        assert (event.id, event.data["asset_id"]) == (changes.cursor(epoch, 3), str(UUID(int=7)))


async def test_stream_goes_on_behind_the_last_event_that_arrived(
    live_app: FastAPI, reader: httpx.AsyncClient, served: Served
) -> None:
    for number in range(4):
        await publish_story(live_app, f"story-{number}")
    items = (await ask(reader)).json()["items"]
    third = (await ask(reader, limit=3)).json()["next_after"]
    headers = {**STREAM, "Last-Event-ID": third}
    async with (
        served.client(dict(reader.headers)) as client,
        client.stream("GET", PATH, headers=headers, params={"after": "AAAA"}) as response,
    ):
        [event] = await take(events_of(response), 1)
        assert event.data == items[3]


async def test_stream_says_where_it_begins_before_there_is_a_change(
    live_app: FastAPI, reader: httpx.AsyncClient, served: Served
) -> None:
    """Else a client cut off before the first one would begin at another end of the feed."""
    await publish_story(live_app, "convoy")
    async with (
        served.client(dict(reader.headers)) as client,
        client.stream("GET", PATH, headers=STREAM, params={"after": "now"}) as response,
    ):
        lines = response.aiter_lines()
        assert [await anext(lines) for _ in range(4)] == [
            "retry: 2000",
            f"id: {await end_of_feed(reader)}",
            ":",
            "",
        ]


async def test_silent_stream_shows_that_it_lives(
    reader: httpx.AsyncClient, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert timedelta(seconds=15) == policy.CHANGES_HEARTBEAT
    monkeypatch.setattr(policy, "CHANGES_HEARTBEAT", timedelta(seconds=0.05))
    async with (
        served.client(dict(reader.headers)) as client,
        client.stream("GET", PATH, headers=STREAM) as response,
    ):
        lines = response.aiter_lines()
        beats = [await anext(lines) for _ in range(12)][2:]
        assert beats == [":", ""] * 5


@pytest.mark.parametrize(
    ("last_event_id", "status"), [("x", 400), (changes.cursor(UUID(int=1), 1), 410)]
)
async def test_stream_that_can_not_begin_is_refused_as_a_page_is(
    reader: httpx.AsyncClient, last_event_id: str, status: int
) -> None:
    headers = {**STREAM, "Last-Event-ID": last_event_id}
    response = await reader.get(PATH, headers=headers)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


async def test_stream_ends_with_the_first_check_after_the_loss_of_access(
    reader: httpx.AsyncClient,
    counting: Counting,
    served: Served,
    hub: ChangeHub,
    elsewhere: Database,
) -> None:
    async with (
        served.client(dict(reader.headers)) as client,
        client.stream("GET", PATH, headers=STREAM) as response,
    ):
        await until(waiting(hub, 1))
        await end_session(elsewhere)
        counting.checks = 0
        async for _ in response.aiter_raw():
            pass
        assert counting.checks <= 1


async def test_stream_and_wait_end_with_the_feed(
    reader: httpx.AsyncClient, served: Served, hub: ChangeHub, elsewhere: Database
) -> None:
    after = await end_of_feed(reader)
    async with served.client(dict(reader.headers)) as client:
        asking = asyncio.create_task(ask(client, after=after, wait=60))
        async with client.stream("GET", PATH, headers=STREAM) as response:
            await until(waiting(hub, 2))
            async with elsewhere.transaction() as session:
                await change_feed.reset(session)
            assert (await asking).json()["code"] == "feed_reset"
            async for _ in response.aiter_raw():
                pass


async def fill(database: Database, count: int) -> None:
    """So many changes of one asset with a long document."""
    async with database.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO change (id, kind, asset_id, version, occurred_at, is_latest)"
                " SELECT gen_random_uuid(), 'updated', id, version, now(), false"
                " FROM asset, generate_series(1, :count)"
            ),
            {"count": count},
        )


async def test_slow_reader_of_a_stream_makes_us_hold_little_and_misses_nothing(
    live_app: FastAPI,
    reader: httpx.AsyncClient,
    counting: Counting,
    served: Served,
    elsewhere: Database,
) -> None:
    await publish_story(live_app, "convoy", body="long " * 10_000)
    await fill(elsewhere, 400)  # twenty megabytes
    async with (
        served.client(dict(reader.headers)) as client,
        client.stream("GET", PATH, headers=STREAM) as response,
    ):
        await asyncio.sleep(1)  # it does not read
        await until(lambda: counting.at_once == 0)
        read_ahead = counting.pages
        consumer = Consumer(client, "")
        with suppress(TimeoutError):
            async with asyncio.timeout(60):
                async for event in events_of(response):
                    if event.data is not None:
                        consumer.seen.append(event.data)
                    if len(consumer.seen) == 401:
                        break
    assert consumer.sequences == list(range(1, 402))
    # Of 67 pages of six documents each, only what fits into the buffers on the way was read.
    assert read_ahead < 40 < counting.pages


async def test_slow_reader_does_not_hold_up_the_end_of_the_server(
    live_app: FastAPI, reader: httpx.AsyncClient, served: Served, elsewhere: Database
) -> None:
    await publish_story(live_app, "convoy", body="long " * 10_000)
    await fill(elsewhere, 400)
    async with (
        served.client(dict(reader.headers)) as client,
        client.stream("GET", PATH, headers=STREAM),
    ):
        await asyncio.sleep(0.5)
        began = time.perf_counter()
        served.server.should_exit = True
        await served.stopped
        # Else the server would wait for half a minute.
        assert time.perf_counter() - began < 20


async def test_page_is_made_once_for_all() -> None:
    page = Page(uuid4(), 1, 1, [(1, "created", b"{}")])
    assert page.body is page.body
    assert page.events is page.events


async def test_listener_of_another_database_is_not_heard(
    server_url: str, template: str, reader: httpx.AsyncClient, hub: ChangeHub
) -> None:
    after = await end_of_feed(reader)
    asking = asyncio.create_task(ask(reader, after=after, wait=1))
    await until(waiting(hub, 1))
    async with copied_database(server_url, template) as url:
        other = patient_database(url)
        await write(other, uuid4())
        await other.close()
        assert (await asking).json()["items"] == []


async def test_two_pages_are_read_while_the_one_before_is_on_its_way(
    reader: httpx.AsyncClient, counting: Counting, hub: ChangeHub, elsewhere: Database
) -> None:
    """And not given once something has changed."""

    def has_read(pages: int) -> Callable[[], bool]:
        return lambda: (counting.pages, counting.at_once) == (pages, 0)

    for number in range(9):
        await write(elsewhere, UUID(int=number))
    epoch = (await hub.head(counting)).epoch
    counting.pages = 0
    await ask(reader, limit=2)  # who asks for the beginning may want no more
    await until(has_read(1))
    after, found = changes.cursor(epoch, 0), []
    for pages in (4, 5):
        answer = (await ask(reader, after=after, limit=2)).json()
        await until(has_read(pages))
        after = answer["next_after"]
        found += answer["items"]
    await write(elsewhere, UUID(int=9))
    await until(lambda: hub._kept.size == 0)
    found += (await ask(reader, after=after, limit=100)).json()["items"]
    assert [item["sequence"] for item in found] == list(range(1, 11))


def test_kept_pages_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert change_pages.MAX_BYTES == 32 * 1024 * 1024
    monkeypatch.setattr(change_pages, "MAX_BYTES", 100)
    kept, epoch = KeptPages(), uuid4()
    asks = [Ask(Position(epoch, number), 10, 1000) for number in range(4)]
    for each in (*asks, asks[-1]):
        kept.keep(each, Page(epoch, 9, 9, [(9, "created", b"x" * 40)]))
    assert [kept.get(each) is not None for each in asks] == [False, False, True, True]
    assert kept.size == 80
    kept.clear()
    assert kept.size == 0
