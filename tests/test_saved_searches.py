"""Searches that accounts keep: what may be in them, and what they find."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from app.db import Database
from app.models import Account, SavedSearch
from app.services import policy, saved_search_links, saved_searches
from app.services.saved_searches import filters_of
from tests.factories import publish_story, publish_video
from tests.helpers import Api, Clock, Mailbox, bearer, rows, sign_up
from tests.hurried_worker import eventually

PATH = "/v1/saved-searches"
LISTS = ("type", "language", "location", "country", "person", "keyword", "collection")
VALUES = ("q", "published_from", "published_to", "min_duration", "min_height", "has_captions")
NO_FILTERS: dict[str, Any] = {**{name: [] for name in LISTS}, **dict.fromkeys(VALUES)}


@pytest.fixture
async def jane(client: httpx.AsyncClient, mailbox: Mailbox) -> httpx.AsyncClient:
    client.headers.update(bearer(await sign_up(client, mailbox)))
    return client


async def save(client: httpx.AsyncClient, name: str = "Harbours", **fields: Any) -> dict[str, Any]:
    response = await client.post(PATH, json={"name": name, **fields})
    assert response.status_code == 201, response.text
    saved: dict[str, Any] = response.json()
    assert response.headers["location"] == f"{PATH}/{saved['id']}"
    return saved


async def test_search_is_kept_as_it_was_sent(jane: httpx.AsyncClient) -> None:
    query = {
        "q": "harbour -storm",
        "type": ["video", "story"],
        "language": "en",
        "country": ["BE"],
        "published_from": "2026-01-01",
        "min_duration": 0,
        "has_captions": False,
    }
    saved = await save(jane, query=query, alert="mail")
    assert saved == {
        "id": saved["id"],
        "name": "Harbours",
        "query": {
            **NO_FILTERS,
            **query,
            "language": ["en"],
            "published_from": "2026-01-01T00:00:00Z",
        },
        "alert": "mail",
        "paused": False,
        "last_matched_at": None,
        "created_at": "2026-11-23T12:00:00Z",
        "updated_at": "2026-11-23T12:00:00Z",
    }
    assert (await jane.get(f"{PATH}/{saved['id']}")).json() == saved


async def test_search_without_anything_is_of_all_assets_and_tells_nobody(
    jane: httpx.AsyncClient,
) -> None:
    saved = await save(jane)
    assert (saved["query"], saved["alert"], saved["paused"]) == (NO_FILTERS, "none", False)


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"query": {"colour": "red"}}, "/query/colour", "unknown_field"),
        ({"query": {"sort": "title"}}, "/query/sort", "unknown_field"),
        ({"query": {"limit": 5}}, "/query/limit", "unknown_field"),
        ({"query": {"status": "draft"}}, "/query/status", "unknown_field"),
        ({"colour": "red"}, "/colour", "unknown_field"),
        ({"query": {"type": ["film"]}}, "/query/type/0", "literal_error"),
        ({"query": {"person": [""]}}, "/query/person/0", "string_too_short"),
        ({"query": {"keyword": ["x"] * 51}}, "/query/keyword", "too_many_values"),
        ({"query": {"min_duration": -1}}, "/query/min_duration", "greater_than_equal"),
        ({"query": {"q": "x" * 201}}, "/query/q", "query_too_long"),
        (
            {"query": {"published_from": "0001-01-01T01:00:00+05:00"}},
            "/query/published_from",
            "value_error",
        ),
        ({"query": "harbour"}, "/query", "model_attributes_type"),
        ({"alert": "sms"}, "/alert", "literal_error"),
        ({"name": "a\nb"}, "/name", "value_error"),
        ({"name": ""}, "/name", "string_too_short"),
    ],
)
async def test_what_a_list_refuses_can_not_be_saved(
    jane: httpx.AsyncClient, body: dict[str, Any], pointer: str, code: str
) -> None:
    for response in (
        await jane.post(PATH, json={"name": "Harbours", **body}),
        await jane.patch(f"{PATH}/{(await save(jane))['id']}", json=body),
    ):
        assert response.status_code == 422
        problem = response.json()
        assert problem["code"] == ("unknown_field" if code == "unknown_field" else "invalid_input")
        assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [
            (pointer, code)
        ]


@pytest.mark.parametrize("name", ["name", "query", "alert", "paused"])
async def test_members_can_not_be_taken_away(jane: httpx.AsyncClient, name: str) -> None:
    response = await jane.patch(f"{PATH}/{(await save(jane))['id']}", json={name: None})
    assert response.status_code == 422


async def test_patch_merges_into_the_query(jane: httpx.AsyncClient, clock: Clock) -> None:
    saved = await save(jane, query={"q": "harbour", "type": ["video"], "min_height": 720})
    clock.now += timedelta(minutes=5)
    patch = {"query": {"type": None, "q": "ship", "country": "FR"}}
    changed = (await jane.patch(f"{PATH}/{saved['id']}", json=patch)).json()
    assert changed["query"] == {**NO_FILTERS, "q": "ship", "min_height": 720, "country": ["FR"]}
    assert changed["updated_at"] == "2026-11-23T12:05:00Z"
    assert (await jane.get(f"{PATH}/{saved['id']}")).json() == changed


async def test_list_is_newest_first_and_paged(jane: httpx.AsyncClient) -> None:
    names = [(await save(jane, f"Search {number}"))["name"] for number in range(3)]
    first = (await jane.get(f"{PATH}?limit=2")).json()
    second = (await jane.get(f"{PATH}?limit=2&cursor={first['next_cursor']}")).json()
    found = [item["name"] for page in (first, second) for item in page["items"]]
    assert found == names[::-1]
    assert second["next_cursor"] is None


async def test_deleted_search_is_gone(jane: httpx.AsyncClient) -> None:
    address = f"{PATH}/{(await save(jane))['id']}"
    assert (await jane.delete(address)).status_code == 204
    assert (await jane.delete(address)).status_code == 404
    assert (await jane.get(address)).status_code == 404


async def test_searches_of_others_are_not_there(
    app: FastAPI, jane: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    address = f"{PATH}/{(await save(jane))['id']}"
    async with Api(app) as john:
        john.headers.update(bearer(await sign_up(john, mailbox, "john@example.org")))
        answers = [
            await john.get(address),
            await john.get(f"{address}/assets"),
            await john.patch(address, json={"name": "Mine"}),
            await john.delete(address),
        ]
        assert [answer.status_code for answer in answers] == [404] * 4
        assert (await john.get(PATH)).json()["items"] == []
    assert (await jane.get(address)).json()["name"] == "Harbours"


async def test_account_has_fifty_searches_at_most_however_they_race(
    live_client: httpx.AsyncClient, live_mailbox: Mailbox, live_database: Database
) -> None:
    live_client.headers.update(bearer(await sign_up(live_client, live_mailbox)))
    [first] = await asyncio.gather(save(live_client))
    for number in range(47):
        await save(live_client, f"Search {number}")
    racing = [live_client.post(PATH, json={"name": f"Race {n}"}) for n in range(4)]
    statuses = sorted(answer.status_code for answer in await asyncio.gather(*racing))
    assert statuses == [201, 201, 409, 409]
    assert len(await rows(live_database, SavedSearch)) == 50
    refused = await live_client.post(PATH, json={"name": "One more"})
    assert refused.json()["code"] == "too_many_saved_searches"
    await live_client.delete(f"{PATH}/{first['id']}")
    await save(live_client, "One more")


async def test_repeated_request_makes_one_search(jane: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "the-first-search"}
    answers = [await jane.post(PATH, json={"name": "Harbours"}, headers=headers) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert len((await jane.get(PATH)).json()["items"]) == 1


# What it finds


async def test_search_finds_what_the_list_finds(app: FastAPI, jane: httpx.AsyncClient) -> None:
    await publish_story(app, "harbour-story", title="The harbour", keywords=["ships"])
    await publish_video(app, "harbour-video", title="The harbour, filmed", keywords=["ships"])
    await publish_video(app, "other", title="Something else")
    query = {"q": "harbour", "keyword": ["ships"], "type": ["video", "story"]}
    saved = await save(jane, query=query)
    address = f"{PATH}/{saved['id']}/assets"
    found = await jane.get(address, params={"facets": "type", "fields": "slug"})
    listed = await jane.get(
        "/v1/assets", params={**query, "q": "harbour ", "facets": "type", "fields": "slug"}
    )
    assert found.json() == listed.json()
    assert found.json()["total"] == {"value": 2, "relation": "eq"}
    assert found.headers["cache-control"] == "no-store"
    first = await jane.get(address, params={"limit": 1, "sort": "title"})
    assert first.headers["link"].startswith(f"<{address}?limit=1&sort=title&cursor=")
    rest = await jane.get(
        address, params={"limit": 1, "sort": "title", "cursor": first.json()["next_cursor"]}
    )
    slugs = [page.json()["items"][0]["slug"] for page in (first, rest)]
    assert slugs == ["harbour-story", "harbour-video"]


async def test_list_of_a_search_takes_no_filters_of_its_own(jane: httpx.AsyncClient) -> None:
    address = f"{PATH}/{(await save(jane))['id']}/assets"
    for parameter in ("q=a", "type=video", "status=draft"):
        assert (await jane.get(f"{address}?{parameter}")).json()["code"] == "unknown_field"
    assert (await jane.get(f"{address}?cursor=x")).json()["code"] == "invalid_cursor"


async def test_last_word_of_a_saved_search_is_whole(app: FastAPI, jane: httpx.AsyncClient) -> None:
    """Nobody is typing any more, so "harb" is not the beginning of "harbour"."""
    await publish_story(app, "story", title="The harbour")
    saved = await save(jane, query={"q": "harb"})
    assert saved["query"]["q"] == "harb"
    found = (await jane.get(f"{PATH}/{saved['id']}/assets")).json()
    assert found["items"] == []
    assert len((await jane.get("/v1/assets?q=harb")).json()["items"]) == 1


def test_stored_query_is_what_lists_take() -> None:
    stored = {"q": " harbour", "type": ["video"], "published_to": "2026-11-23T09:00:00Z"}
    filters = filters_of({**stored, "has_captions": False, "min_duration": 0})
    assert filters.q == "harbour "
    assert filters.type == ("video",)
    assert filters.published_to is not None
    assert filters.published_to.isoformat() == "2026-11-23T09:00:00+00:00"
    assert (filters.has_captions, filters.min_duration, filters.person) == (False, 0, ())
    assert filters_of({"q": "  "}).q is None


def test_numbers_of_the_policy() -> None:
    assert (policy.MAX_SAVED_SEARCHES, policy.SAVED_FILTER_MAX_VALUES) == (50, 50)


# The link that stops its mails


async def test_link_shows_by_get_and_stops_by_post(
    jane: httpx.AsyncClient, app: FastAPI, database: Database, mailbox: Mailbox
) -> None:
    saved = await save(jane, name="Ships & <boats>", alert="mail")
    [search] = await rows(database, SavedSearch)
    token = saved_search_links.make(search.id, keyring=mailbox.keyring)
    address = f"{PATH}/stop/{token}"
    async with Api(app) as stranger:
        for _ in range(2):
            shown = await stranger.get(address)
            assert shown.json() == {"name": "Ships & <boats>", "is_active": True}
        page = await stranger.get(address, headers={"Accept": "text/html"})
        assert "<strong>Ships &amp; &lt;boats&gt;</strong>" in page.text
        assert '<form method="post">' in page.text
        assert "form-action 'self'" in page.headers["content-security-policy"]
        assert (await jane.get(f"{PATH}/{saved['id']}")).json()["paused"] is False
        for _ in range(2):
            stopped = await stranger.post(address, content=b"anything")
            assert stopped.json() == {"name": "Ships & <boats>", "is_active": False}
        french = {"Accept": "text/html", "Accept-Language": "fr"}
        page = await stranger.get(address, headers=french)
        assert "Ces messages ne sont plus envoyés" in page.text
        assert "<form" not in page.text
    assert (await jane.get(f"{PATH}/{saved['id']}")).json()["paused"] is True
    await jane.delete(f"{PATH}/{saved['id']}")
    assert (await jane.post(address)).json() == {"name": None, "is_active": False}


async def test_link_for_all_stops_all_mails_of_its_account_and_nothing_else(
    jane: httpx.AsyncClient, app: FastAPI, database: Database, mailbox: Mailbox
) -> None:
    alerts = ("mail", "webhook", "none", "mail")
    saved = [(await save(jane, name=alert, alert=alert))["id"] for alert in alerts]
    [account] = await rows(database, Account)
    async with Api(app) as stranger:
        joe = bearer(await sign_up(stranger, mailbox, "joe@example.org"))
        others = {"name": "Mine", "alert": "mail"}
        assert (await stranger.post(PATH, json=others, headers=joe)).status_code == 201
        token = saved_search_links.make_for_all(account.id, keyring=mailbox.keyring)
        address = f"{PATH}/stop/{token}"
        page = await stranger.get(address, headers={"Accept": "text/html"})
        assert "what newly matches your saved searches." in page.text
        for _ in range(2):
            assert (await stranger.get(address)).json() == {"name": None, "is_active": True}
        for _ in range(2):  # as a mail program does (RFC 8058)
            stopped = await stranger.post(address, data={"List-Unsubscribe": "One-Click"})
            assert stopped.json() == {"name": None, "is_active": False}
        page = await stranger.get(address, headers={"Accept": "text/html"})
        assert "These mails have stopped" in page.text
        assert "<form" not in page.text
        [mine] = (await stranger.get(PATH, headers=joe)).json()["items"]
        assert mine["paused"] is False
    paused = [(await jane.get(f"{PATH}/{each}")).json()["paused"] for each in saved]
    assert paused == [True, False, False, True]


async def test_link_for_all_waits_for_who_erases_the_account_at_that_moment(
    live_client: httpx.AsyncClient, live_database: Database, live_mailbox: Mailbox
) -> None:
    live_client.headers.update(bearer(await sign_up(live_client, live_mailbox)))
    await save(live_client, alert="mail")
    [account] = await rows(live_database, Account)
    token = saved_search_links.make_for_all(account.id, keyring=live_mailbox.keyring)
    waiting = (
        "SELECT FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )

    async def is_waiting() -> bool:
        return bool(await live_database.reader.fetch(waiting))

    async with live_database.transaction() as erasing:
        await erasing.get(Account, account.id, with_for_update=True)
        stopping = asyncio.create_task(live_client.post(f"{PATH}/stop/{token}"))
        await eventually(is_waiting)
        await saved_searches.remove_all(erasing, account.id)
    assert (await stopping).json() == {"name": None, "is_active": False}


async def test_link_can_not_be_made_by_others(jane: httpx.AsyncClient, mailbox: Mailbox) -> None:
    saved = await save(jane, alert="mail")
    token = saved_search_links.make(UUID(saved["id"]), keyring=mailbox.keyring)
    other = "A" if token[-2] != "A" else "B"
    for forged in (f"{token[:-2]}{other}{token[-1]}", token[:-4], "x", "é", token + "AAAA"):
        response = await jane.post(f"{PATH}/stop/{forged}")
        assert (response.status_code, response.json()["code"]) == (404, "token_refused")
    assert (await jane.get(f"{PATH}/{saved['id']}")).json()["paused"] is False
