"""Alerts of saved searches: each new match is told once, by whichever worker and whatever dies."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import event, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.crypto import Keyring
from app.db import Database
from app.jobs.saved_searches import Alerter
from app.models import Account, SavedSearch, SavedSearchMatch
from app.services import (
    asset_editing,
    policy,
    saved_search_alerts,
    saved_search_events,
    saved_search_mails,
)
from app.services.context import WORKER, Newsroom
from tests.factories import (
    add_file,
    any_version,
    create,
    publish,
    publish_story,
    publish_video,
    withdraw,
)
from tests.helpers import PASSWORD, Api, Mailbox, bearer, rows, sign_up

PATH = "/v1/saved-searches"
JANE = "jane@example.org"
NEWSROOM = Newsroom(
    sender="news@media.example",
    api_url="https://api.example",
    pages_url="https://www.example",
)
# The clock of the tests' API, by which searches are saved.
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def jane(client: httpx.AsyncClient, mailbox: Mailbox) -> httpx.AsyncClient:
    client.headers.update(bearer(await sign_up(client, mailbox, JANE)))
    return client


async def save(
    client: httpx.AsyncClient, name: str = "Harbours", alert: str = "mail", **query: Any
) -> UUID:
    body = {"name": name, "query": query, "alert": alert}
    response = await client.post(PATH, json=body)
    assert response.status_code == 201, response.text
    return UUID(response.json()["id"])


async def appear(app: FastAPI, slug: str, **fields: Any) -> UUID:
    """Publish a story, a minute after the searches were saved."""
    return await publish_story(app, slug, published_at=NOON + MINUTE, **fields)


async def correct(app: FastAPI, asset_id: UUID, at: datetime = NOON, **patch: Any) -> None:
    async with app.state.database.transaction() as session:
        await asset_editing.change(
            session,
            str(asset_id),
            patch,
            check=any_version,
            note=None,
            editor=WORKER,
            now=at,
        )


async def look(database: Database, now: datetime = NOON + MINUTE) -> None:
    looking = True
    while looking:
        async with database.transaction() as session:
            looking = await saved_search_alerts.look_further(session, now=now)


async def send(database: Database, keyring: Keyring, now: datetime = NOON + MINUTE) -> int:
    """Mail all who are due; returns how many mails that were."""
    async with database.transaction() as session:
        due = await saved_search_mails.due_accounts(session, now=now, limit=100)
    sent = 0
    for account_id in due:
        async with database.transaction() as session:
            sent += await saved_search_mails.mail(
                session, account_id, keyring=keyring, newsroom=NEWSROOM, now=now
            )
    return sent


async def matched(database: Database) -> set[tuple[UUID, UUID]]:
    return {(each.search_id, each.asset_id) for each in await rows(database, SavedSearchMatch)}


async def told(mailbox: Mailbox, to: str = JANE) -> list[dict[str, list[str]]]:
    """Of each alert mail, the titles under each search."""
    mails = [mail for mail in await mailbox.mails(to) if mail.kind == "saved_search_matches"]
    return [
        {
            search["name"]: [asset["title"] for asset in search["assets"]]
            for search in json.loads(mail.params["searches"])
        }
        for mail in mails
    ]


# What matches


async def test_new_assets_are_matched_by_every_kind_of_filter(
    app: FastAPI, jane: httpx.AsyncClient, database: Database
) -> None:
    queries: dict[str, dict[str, Any]] = {
        "all": {},
        "word": {"q": "harbour"},
        "words": {"q": "ships harbour"},
        "phrase": {"q": '"enter the harbour"'},
        "phrase in another order": {"q": '"harbour the enter"'},
        "excluded": {"q": "harbour -ships"},
        "either": {"q": "desert or harbour"},
        "beginning": {"q": "harb"},
        "nothing to look for": {"q": "the"},
        "type": {"type": ["video", "image"]},
        "other type": {"type": "story"},
        "language": {"language": "en"},
        "country": {"country": "BE"},
        "person": {"person": "JANE DOE"},
        "keyword": {"keyword": ["nothing", "Port"]},
        "other keyword": {"keyword": "storm"},
        "duration": {"min_duration": 10},
        "longer": {"min_duration": 11},
        "height": {"min_height": 1080},
        "captions": {"has_captions": True},
        "no captions": {"has_captions": False},
        "since": {"published_from": "2026-11-23"},
        "until": {"published_to": "2026-11-22"},
        "all of them": {"q": "ships", "type": "video", "country": ["BE", "FR"], "min_height": 720},
    }
    names = {await save(jane, name, **query): name for name, query in queries.items()}
    await publish_video(
        app,
        age=-timedelta(hours=3, minutes=1),
        title="Ships enter the harbour",
        location={"name": "Naval base", "country": "BE"},
        people=[{"name": "Jane Doe"}],
        keywords=["port"],
    )
    await look(database)
    found = {names[search_id] for search_id, _ in await matched(database)}
    # Each of them is what the list itself finds.
    listed = set()
    for search_id, name in names.items():
        page = (await jane.get(f"{PATH}/{search_id}/assets")).json()
        if page["items"]:
            listed.add(name)
    assert found == listed
    assert found == {
        *("all", "word", "words", "phrase", "either", "type", "language", "country", "person"),
        *("keyword", "duration", "no captions", "since"),
    }


async def test_what_was_there_before_is_no_news(
    app: FastAPI, jane: httpx.AsyncClient, database: Database
) -> None:
    old = await publish_story(app, "old", title="A harbour")
    plain = await publish_story(app, "plain", title="A port")
    search = await save(jane, q="harbour")
    await correct(app, old, summary="Corrected")
    await correct(app, plain, title="A harbour")
    new = await appear(app, "new", title="A harbour")
    await look(database)
    assert await matched(database) == {(search, new)}


@pytest.mark.parametrize("sweep_between", [False, True])
async def test_correction_of_a_new_asset_may_let_it_match(
    app: FastAPI, jane: httpx.AsyncClient, database: Database, *, sweep_between: bool
) -> None:
    search = await save(jane, q="harbour")
    asset = await appear(app, "new", title="A port")
    if sweep_between:
        await look(database)
    await correct(app, asset, title="A harbour")
    await look(database)
    assert await matched(database) == {(search, asset)}


@pytest.mark.parametrize(("days", "is_told"), [(30, True), (31, False)])
async def test_correction_lets_an_asset_match_for_thirty_days(
    app: FastAPI, jane: httpx.AsyncClient, database: Database, days: int, *, is_told: bool
) -> None:
    assert timedelta(days=60) == policy.KEEP_SAVED_SEARCH_MATCH > policy.ALERT_CORRECTION_TERM
    await save(jane, q="harbour")
    asset = await appear(app, "new", title="A port")
    await look(database)
    await correct(app, asset, title="A harbour")
    await look(database, NOON + MINUTE + timedelta(days=days))
    assert bool(await matched(database)) == is_told


async def test_nobody_is_told_twice_of_an_asset(
    app: FastAPI, jane: httpx.AsyncClient, database: Database, mailbox: Mailbox, keyring: Keyring
) -> None:
    await save(jane, q="harbour")
    asset = await appear(app, "new", title="A harbour")
    await look(database)
    assert await send(database, keyring) == 1
    await correct(app, asset, title="A harbour, corrected")
    await look(database)
    assert await send(database, keyring, NOON + timedelta(hours=1)) == 0
    assert await told(mailbox) == [{"Harbours": ["A harbour"]}]


async def test_searches_without_alert_and_paused_ones_do_not_look(
    app: FastAPI, jane: httpx.AsyncClient, database: Database
) -> None:
    quiet = await save(jane, alert="none")
    paused = await save(jane)
    await jane.patch(f"{PATH}/{paused}", json={"paused": True})
    await appear(app, "new")
    await look(database)
    # From now on they are told, and not of what they have missed.
    await jane.patch(f"{PATH}/{quiet}", json={"alert": "mail"})
    await jane.patch(f"{PATH}/{paused}", json={"paused": False})
    await look(database)
    assert await matched(database) == set()
    newer = await appear(app, "newer")
    await look(database)
    assert await matched(database) == {(quiet, newer), (paused, newer)}


async def test_changed_query_begins_anew_and_another_name_does_not(
    app: FastAPI, jane: httpx.AsyncClient, database: Database, mailbox: Mailbox, keyring: Keyring
) -> None:
    changed, renamed = await save(jane, q="harbour"), await save(jane, q="harbour")
    await appear(app, "first", title="A harbour")
    await look(database)
    await jane.patch(f"{PATH}/{changed}", json={"name": "Ports", "query": {"q": "port"}})
    await jane.patch(f"{PATH}/{renamed}", json={"name": "Docks", "query": {"q": "harbour"}})
    await appear(app, "second", title="A port")
    await look(database)
    assert await send(database, keyring) == 1
    assert await told(mailbox) == [{"Ports": ["A port"], "Docks": ["A harbour"]}]


async def test_last_match_is_shown(
    app: FastAPI, jane: httpx.AsyncClient, database: Database
) -> None:
    found, other = await save(jane, q="harbour"), await save(jane, q="desert")
    await appear(app, "new", title="A harbour")
    await look(database, NOON + MINUTE)
    times = [
        (await jane.get(f"{PATH}/{search}")).json()["last_matched_at"] for search in (found, other)
    ]
    assert times == ["2026-11-23T12:01:00Z", None]


async def test_searches_far_behind_catch_up_in_steps(
    app: FastAPI, jane: httpx.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (policy.ALERT_SEARCHES, policy.ALERT_CHANGES) == (500, 200)
    assert policy.ALERT_STATEMENT_SEARCHES == 100
    for name, value in (("SEARCHES", 2), ("CHANGES", 3), ("STATEMENT_SEARCHES", 1)):
        monkeypatch.setattr(policy, f"ALERT_{name}", value)
    early = [await save(jane) for _ in range(3)]
    first = [await appear(app, f"first-{number}") for number in range(5)]
    late = [await save(jane) for _ in range(2)]
    second = [await appear(app, f"second-{number}") for number in range(4)]
    await look(database)
    assert await matched(database) == {
        *((search, asset) for search in early for asset in [*first, *second]),
        *((search, asset) for search in late for asset in second),
    }
    searches = await rows(database, SavedSearch)
    assert {search.last_sequence for search in searches} == {9}


async def test_many_matches_are_noted_in_parts(
    app: FastAPI, jane: httpx.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 500 searches that find each of 200 assets, one statement would not end in its time."""
    assert policy.ALERT_STATEMENT_MATCHES == 10_000
    monkeypatch.setattr(policy, "ALERT_STATEMENT_MATCHES", 3)
    searches = [await save(jane) for _ in range(2)]
    assets = [await appear(app, f"asset-{number}") for number in range(5)]
    noted: list[int] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "INTO saved_search_match" in statement:
            noted.append(max(len(each) for each in parameters if isinstance(each, list)))

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        await look(database)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert noted == [3, 3, 3, 1]
    everything = {(search, asset) for search in searches for asset in assets}
    assert await matched(database) == everything


# Mails


async def test_one_mail_tells_of_all_searches_with_the_newest_first(
    app: FastAPI, jane: httpx.AsyncClient, database: Database, mailbox: Mailbox, keyring: Keyring
) -> None:
    await save(jane, "Harbours", q="harbour")
    await save(jane, "Everything")
    await save(jane, "Deserts", q="desert")
    for number in range(12):
        at = NOON + (number + 1) * MINUTE
        await publish_story(app, f"story-{number}", published_at=at, title=f"A harbour {number}")
    await look(database)
    assert await send(database, keyring) == 1
    newest = [f"A harbour {number}" for number in range(11, 1, -1)]
    assert await told(mailbox) == [{"Harbours": newest, "Everything": newest}]
    mail = await mailbox.last(JANE)
    assert mail.params["total"] == "12"
    searches = json.loads(mail.params["searches"])
    assert [search["left_out"] for search in searches] == [2, 2]
    assert searches[0]["assets"][0]["url"] == "https://www.example/assets/story-11"
    stop = searches[0]["stop"]
    assert stop.startswith("https://api.example/v1/saved-searches/stop/")
    answer = await jane.post(stop.removeprefix("https://api.example"))
    assert answer.json() == {"name": "Harbours", "is_active": False}
    for_all = mail.params["unsubscribe"]
    assert for_all.startswith("https://api.example/v1/saved-searches/stop/")
    answer = await jane.post(for_all.removeprefix("https://api.example"))
    assert answer.json() == {"name": None, "is_active": False}
    await appear(app, "later", title="A harbour")
    await look(database)
    assert await send(database, keyring, NOON + 60 * MINUTE) == 0


async def test_titles_are_in_the_language_of_the_account(
    app: FastAPI, client: httpx.AsyncClient, database: Database, mailbox: Mailbox, keyring: Keyring
) -> None:
    client.headers.update(bearer(await sign_up(client, mailbox, JANE, locale="fr")))
    await save(client)
    await appear(app, "new", title="A harbour", translations={"fr": {"title": "Un port"}})
    await look(database)
    await send(database, keyring)
    assert await told(mailbox) == [{"Harbours": ["Un port"]}]
    assert (await mailbox.last(JANE)).locale == "fr"


async def test_next_mail_comes_a_quarter_of_an_hour_later_with_all_there_is(
    app: FastAPI, jane: httpx.AsyncClient, database: Database, mailbox: Mailbox, keyring: Keyring
) -> None:
    first, second = await save(jane, "A", q="harbour"), await save(jane, "B", q="desert")
    await appear(app, "first", title="A harbour")
    await look(database)
    assert await send(database, keyring, NOON) == 1
    for number, title in enumerate(("A desert", "Another harbour")):
        await appear(app, f"later-{number}", title=title)
        await look(database)
        assert await send(database, keyring, NOON + 15 * MINUTE - timedelta(seconds=1)) == 0
    assert await send(database, keyring, NOON + 15 * MINUTE) == 1
    assert await told(mailbox) == [
        {"A": ["A harbour"]},
        {"A": ["Another harbour"], "B": ["A desert"]},
    ]
    assert first != second


async def test_what_is_withdrawn_before_the_mail_is_not_in_it(
    app: FastAPI, jane: httpx.AsyncClient, database: Database, mailbox: Mailbox, keyring: Keyring
) -> None:
    await save(jane)
    gone = await appear(app, "gone", title="Gone")
    await look(database)
    await withdraw(app, gone, "Wrong place")
    assert await send(database, keyring) == 0
    again = [await appear(app, slug, title=slug) for slug in ("kept", "lost")]
    await look(database)
    await withdraw(app, again[1], "Wrong place")
    assert await send(database, keyring) == 1
    assert await told(mailbox) == [{"Harbours": ["kept"]}]


async def test_what_is_withdrawn_before_anybody_looks_is_no_match(
    app: FastAPI, jane: httpx.AsyncClient, database: Database
) -> None:
    await save(jane)
    await withdraw(app, await appear(app, "gone"), "Wrong place")
    await look(database)
    assert await matched(database) == set()


async def test_stopped_search_is_not_mailed(
    app: FastAPI, jane: httpx.AsyncClient, database: Database, keyring: Keyring
) -> None:
    search = await save(jane)
    await appear(app, "new")
    await look(database)
    await jane.patch(f"{PATH}/{search}", json={"paused": True})
    assert await send(database, keyring) == 0
    await jane.patch(f"{PATH}/{search}", json={"paused": False})
    assert await send(database, keyring) == 0


async def test_suspended_account_is_not_mailed_then_or_later(
    app: FastAPI, jane: httpx.AsyncClient, database: Database, keyring: Keyring
) -> None:
    await save(jane)
    await appear(app, "new")
    await look(database)
    for suspended_at in (NOON, None):
        async with database.transaction() as session:
            of_jane = update(Account).where(Account.email == JANE)
            await session.execute(of_jane.values(suspended_at=suspended_at))
        assert await send(database, keyring) == 0


# Webhooks


async def test_webhook_is_told_at_once_and_in_the_same_transaction(
    app: FastAPI,
    jane: httpx.AsyncClient,
    database: Database,
    keyring: Keyring,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events: list[tuple[UUID, Mapping[str, Any]]] = []

    async def announce(
        session: AsyncSession, account_id: UUID, data: Mapping[str, Any], *, now: datetime
    ) -> None:
        assert session.in_transaction()
        assert now == NOON + MINUTE
        events.append((account_id, data))

    monkeypatch.setattr(saved_search_events, "announce", announce)
    search = await save(jane, alert="webhook", q="harbour")
    asset = await appear(app, "new", title="A harbour")
    await look(database)
    await correct(app, asset, title="A harbour, corrected")
    await look(database)
    [account] = await rows(database, Account)
    data = {"saved_search_id": str(search), "name": "Harbours", "asset_ids": [str(asset)]}
    assert events == [(account.id, data)]
    assert await send(database, keyring) == 0


# Workers


async def test_many_workers_tell_each_match_once(
    live_app: FastAPI,
    live_client: httpx.AsyncClient,
    live_database: Database,
    live_mailbox: Mailbox,
    keyring: Keyring,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(policy, "ALERT_SEARCHES", 3)
    people = [f"person{number}@example.org" for number in range(4)]
    for email in people:
        live_client.headers.pop("authorization", None)
        live_client.headers.update(bearer(await sign_up(live_client, live_mailbox, email)))
        for number in range(4):
            await save(live_client, f"Search {number}")
    workers = [Alerter(live_database, NEWSROOM, keyring) for _ in range(4)]
    for number in range(5):
        await publish_story(live_app, f"story-{number}", published_at=datetime.now(UTC))
    for _ in range(2):
        await asyncio.gather(*(worker.sweep() for worker in workers))
    assert len(await rows(live_database, SavedSearchMatch)) == 4 * 4 * 5
    seen = []
    for email in people:
        for mail in await told(live_mailbox, email):
            seen += [(email, name, title) for name, titles in mail.items() for title in titles]
        assert len(await told(live_mailbox, email)) == 1
    assert len(seen) == len(set(seen))


async def test_search_that_is_saved_while_an_asset_is_being_committed_is_told_of_it(
    live_client: httpx.AsyncClient, live_database: Database, live_mailbox: Mailbox
) -> None:
    live_client.headers.update(bearer(await sign_up(live_client, live_mailbox, JANE)))
    async with live_database.transaction() as session:
        asset = await create(session, "late", "story", fields={})
        await publish(session, asset, at=NOON - timedelta(seconds=1))
        search = await save(live_client)
        await look(live_database)
    await look(live_database)
    assert await matched(live_database) == {(search, asset.id)}


async def test_worker_that_dies_in_the_middle_loses_and_doubles_nothing(
    app: FastAPI,
    jane: httpx.AsyncClient,
    database: Database,
    mailbox: Mailbox,
    keyring: Keyring,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    search = await save(jane, alert="webhook")
    await save(jane, "Mailed")
    asset = await appear(app, "new", title="A harbour")

    async def die(*_: Any, **__: Any) -> None:
        raise RuntimeError

    with monkeypatch.context() as dying:
        dying.setattr(saved_search_events, "announce", die)
        with pytest.raises(RuntimeError):
            await look(database)
    assert await matched(database) == set()
    await look(database)
    assert (search, asset) in await matched(database)
    with monkeypatch.context() as dying:
        dying.setattr("app.services.mail_outbox.enqueue", die)
        with pytest.raises(RuntimeError):
            await send(database, keyring)
    assert await send(database, keyring) == 1
    assert await told(mailbox) == [{"Mailed": ["A harbour"]}]


async def test_worker_sweeps_searches(
    app: FastAPI, jane: httpx.AsyncClient, database: Database, mailbox: Mailbox, keyring: Keyring
) -> None:
    await save(jane)
    await appear(app, "new", title="A harbour")
    await Alerter(database, NEWSROOM, keyring).sweep()
    assert await told(mailbox) == [{"Harbours": ["A harbour"]}]


async def test_searches_go_with_their_account(
    app: FastAPI, jane: httpx.AsyncClient, database: Database
) -> None:
    await save(jane)
    await appear(app, "new")
    await look(database)
    deleted = await jane.request("DELETE", "/v1/account", json={"password": PASSWORD})
    assert deleted.status_code == 204
    assert await rows(database, SavedSearch) == []
    assert await rows(database, SavedSearchMatch) == []
    async with Api(app) as anybody:
        assert (await anybody.get(PATH)).status_code == 401


async def test_account_that_is_erased_in_between_is_not_mailed(
    app: FastAPI, jane: httpx.AsyncClient, database: Database, keyring: Keyring
) -> None:
    await save(jane)
    await appear(app, "new")
    await look(database)
    [account] = await rows(database, Account)
    await jane.request("DELETE", "/v1/account", json={"password": PASSWORD})
    async with database.transaction() as session:
        assert not await saved_search_mails.mail(
            session, account.id, keyring=keyring, newsroom=NEWSROOM, now=NOON
        )


async def test_files_of_a_new_asset_may_let_it_match(
    app: FastAPI, jane: httpx.AsyncClient, database: Database
) -> None:
    search = await save(jane, min_height=1080)
    async with database.transaction() as session:
        asset = await create(session, "video", "video", fields={}, at=NOON)
        await publish(session, asset, at=NOON + MINUTE)
    await look(database)
    assert await matched(database) == set()
    async with database.transaction() as session:
        technical = {"duration_ms": 1000, "video": {"height": 1080}, "image": None}
        await add_file(session, asset, technical=technical)
    await correct(app, asset.id, summary="Now with its file")
    await look(database)
    assert await matched(database) == {(search, asset.id)}
