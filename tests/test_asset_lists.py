"""Lists of the catalogue: filters, order, fields, facets, totals and pages."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI

from app.services import asset_desk, policy
from tests.factories import (
    PUBLISHED_AT,
    add_draft,
    add_file,
    create,
    publish,
    publish_story,
    publish_video,
    withdraw,
)
from tests.helpers import Api, Mailbox, bearer, make_editor, sign_up

ASSETS = "/v1/assets"
SHIP: dict[str, Any] = {
    "title": "Frigates leave Naples",
    "language": "en",
    "location": {"name": "Molo Beverello", "city": "Naples", "country": "IT"},
    "people": [{"name": "Ana Duarte", "role": None, "rank": None, "relation": "shown"}],
    "keywords": ["harbour", "frigate"],
    "content_class": "broll",
}
SNOW: dict[str, Any] = {
    "title": "Élan dans la neige",
    "language": "fr",
    "location": {"city": "Tromsø", "country": "NO"},
    "keywords": ["snow"],
}
TALK: dict[str, Any] = {"title": "A talk about harbours", "keywords": ["harbour", "interview"]}


@asynccontextmanager
async def editor(app: FastAPI, mailbox: Mailbox) -> AsyncIterator[Api]:
    """A client that is logged in as an editor."""
    async with Api(app) as desk:
        session = await sign_up(desk, mailbox, "editor@example.org")
        await make_editor(mailbox.database, "editor@example.org")
        desk.headers.update(bearer(session))
        yield desk


@pytest.fixture
async def catalogue(app: FastAPI) -> None:
    """Three assets, an hour apart: a ship (the newest), snow, and a talk."""
    await publish_story(app, "talk", published_at=PUBLISHED_AT - timedelta(hours=2), **TALK)
    await publish_story(app, "snow", published_at=PUBLISHED_AT - timedelta(hours=1), **SNOW)
    await publish_video(app, "ship", **SHIP)


async def listed(client: httpx.AsyncClient, query: str = "") -> dict[str, Any]:
    response = await client.get(f"{ASSETS}?{query}")
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def slugs(answer: dict[str, Any]) -> list[str]:
    return [item["slug"] for item in answer["items"]]


# Filters


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("type=video", ["ship"]),
        ("type=video&type=story", ["ship", "snow", "talk"]),
        ("language=fr", ["snow"]),
        ("country=IT", ["ship"]),
        ("country=it&country=NO", ["ship", "snow"]),
        ("location=tromso", ["snow"]),
        ("location=Molo%20Beverello", ["ship"]),
        ("person=ana%20duarte", ["ship"]),
        ("keyword=harbour", ["ship", "talk"]),
        ("keyword=HARBOUR&type=story", ["talk"]),
        ("keyword=harbour&country=NO", []),
        ("keyword=no-such-word", []),
        ("published_from=2026-11-23T08:00:00Z", ["ship", "snow"]),
        ("published_from=2026-11-23T08:00:01Z", ["ship"]),
        ("published_to=2026-11-23T07:00:00Z", ["talk"]),
        ("published_from=2026-11-23&published_to=2026-11-23", ["ship", "snow", "talk"]),
        ("published_to=2026-11-22", []),
        ("min_duration=10", ["ship"]),
        ("min_duration=11", []),
        ("min_height=1", []),
        ("has_captions=true", []),
        ("has_captions=false&type=video", ["ship"]),
    ],
)
@pytest.mark.usefixtures("catalogue")
async def test_filter(client: httpx.AsyncClient, query: str, found: list[str]) -> None:
    answer = await listed(client, query)
    assert slugs(answer) == found
    assert answer["total"] == {"value": len(found), "relation": "eq"}


async def test_height_is_that_of_the_tallest_picture(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    async with app.state.database.transaction() as session:
        asset = await create(session, "tall", fields={})
        for name, height in (("hd", 1080), ("sd", 480)):
            technical = {"duration_ms": None, "video": {"width": 2 * height, "height": height}}
            await add_file(session, asset, name=name, technical=technical)
        await publish(session, asset)
    assert slugs(await listed(client, "min_height=1080")) == ["tall"]
    assert slugs(await listed(client, "min_height=1081")) == []


async def test_collection_is_named_by_slug_or_id(
    client: httpx.AsyncClient, app: FastAPI, mailbox: Mailbox
) -> None:
    async with editor(app, mailbox) as desk:
        made = (
            await desk.post("/v1/collections", json={"kind": "series", "title": "North"})
        ).json()
    await publish_story(app, "in", collections=["north"])
    await publish_story(app, "out")
    for reference in ("north", made["id"]):
        assert slugs(await listed(client, f"collection={reference}")) == ["in"]


@pytest.mark.parametrize(
    "query",
    [
        "keywrod=harbour",
        "type=film",
        "limit=101",
        "limit=0",
        "sort=random",
        "fields=id,password",
        "facets=keyword,colour",
        "facets=" + ",".join(["keyword"] * 10_000),
        "min_duration=-1",
        "published_from=yesterday",
        "has_captions=perhaps",
        "keyword=",
    ],
)
async def test_bad_parameter_is_named_and_never_ignored(
    client: httpx.AsyncClient, query: str
) -> None:
    response = await client.get(f"{ASSETS}?{query[:7000]}")
    assert response.status_code == 422, response.text
    assert response.json()["errors"]


# Order and pages


@pytest.mark.parametrize(
    ("sort", "found"),
    [
        ("-published_at", ["ship", "snow", "talk"]),
        ("published_at", ["talk", "snow", "ship"]),
        ("-updated_at", ["ship", "snow", "talk"]),
        ("title", ["talk", "snow", "ship"]),
        ("relevance", ["ship", "snow", "talk"]),
    ],
)
@pytest.mark.usefixtures("catalogue")
async def test_order_and_its_pages(client: httpx.AsyncClient, sort: str, found: list[str]) -> None:
    """One asset a page, so that every cursor is used; titles are sorted without their accents."""
    assert slugs(await listed(client, f"sort={sort}")) == found
    seen, query = [], f"sort={sort}&limit=1"
    while query:
        answer = await listed(client, query)
        seen += slugs(answer)
        assert answer["total"] == {"value": 3, "relation": "eq"}
        cursor = answer["next_cursor"]
        query = f"sort={sort}&limit=1&cursor={cursor}" if cursor else ""
    assert seen == found


@pytest.mark.usefixtures("catalogue")
async def test_cursor_is_good_for_its_own_list_alone(client: httpx.AsyncClient) -> None:
    cursor = (await listed(client, "limit=1&keyword=harbour"))["next_cursor"]
    assert slugs(await listed(client, f"limit=2&keyword=harbour&cursor={cursor}")) == ["talk"]
    for query in ("", "keyword=snow", "keyword=harbour&type=story", "keyword=harbour&sort=title"):
        response = await client.get(f"{ASSETS}?{query}&cursor={cursor}")
        assert (response.status_code, response.json()["code"]) == (400, "invalid_cursor")


async def test_correction_does_not_move_an_asset_but_in_the_order_of_changes(
    client: httpx.AsyncClient, app: FastAPI, mailbox: Mailbox
) -> None:
    await publish_story(app, "old", published_at=PUBLISHED_AT - timedelta(hours=1))
    await publish_story(app, "new")
    async with editor(app, mailbox) as desk:
        headers = {"If-Match": '"v2"', "Content-Type": "application/merge-patch+json"}
        await desk.patch(f"{ASSETS}/old", json={"headline": "x"}, headers=headers)
    assert slugs(await listed(client)) == ["new", "old"]
    assert slugs(await listed(client, "sort=-updated_at")) == ["old", "new"]


# What is shown


@pytest.mark.usefixtures("catalogue")
async def test_fields_are_the_members_that_were_asked_for(client: httpx.AsyncClient) -> None:
    answer = await listed(client, "fields=title,keywords&type=video")
    [item] = answer["items"]
    assert item == {
        "id": item["id"],
        "title": "Frigates leave Naples",
        "keywords": ["harbour", "frigate"],
    }


@pytest.mark.usefixtures("catalogue")
async def test_facets_count_what_was_found(client: httpx.AsyncClient) -> None:
    everything = await listed(client, "facets=keyword,country,type,language,content_class")
    facets = everything["facets"]
    assert facets["keyword"][0] == {"value": "harbour", "count": 2}
    assert {each["value"]: each["count"] for each in facets["keyword"]} == {
        "harbour": 2,
        "frigate": 1,
        "interview": 1,
        "snow": 1,
    }
    assert {each["value"]: each["count"] for each in facets["type"]} == {"story": 2, "video": 1}
    assert {each["value"] for each in facets["country"]} == {"IT", "NO"}
    assert facets["content_class"] == [{"value": "broll", "count": 1}]
    assert everything["facets_counted"] == {"value": 3, "relation": "eq"}
    narrowed = await listed(client, "facets=keyword&keyword=harbour")
    assert {each["value"]: each["count"] for each in narrowed["facets"]["keyword"]} == {
        "harbour": 2,
        "frigate": 1,
        "interview": 1,
    }
    assert narrowed["facets_counted"] == {"value": 2, "relation": "eq"}


async def test_counts_follow_corrections_and_withdrawals(
    client: httpx.AsyncClient, app: FastAPI, mailbox: Mailbox
) -> None:
    await publish_story(app, "one", keywords=["sea", "ice"])
    other = await publish_story(app, "two", keywords=["sea"])
    async with editor(app, mailbox) as desk:
        headers = {"If-Match": '"v2"', "Content-Type": "application/merge-patch+json"}
        await desk.patch(f"{ASSETS}/one", json={"keywords": ["sea", "fog"]}, headers=headers)
    await withdraw(app, other, "Wrong sea")
    answer = await listed(client, "facets=keyword")
    counts = {each["value"]: each["count"] for each in answer["facets"]["keyword"]}
    assert counts == {"sea": 1, "fog": 1}
    assert answer["total"] == {"value": 1, "relation": "eq"}


# What is not public


async def test_nothing_unpublished_is_in_any_list(client: httpx.AsyncClient, app: FastAPI) -> None:
    await add_draft(app, "draft", **SHIP)
    gone = (await publish_video(app, "gone", **SHIP)).id
    await withdraw(app, gone, "Wrong ship")
    for query in ("", "keyword=harbour", "country=IT", "q=frigates", "person=Ana%20Duarte"):
        answer = await listed(client, f"{query}&facets=keyword,country,person,location")
        assert answer["items"] == []
        assert answer["total"] == {"value": 0, "relation": "eq"}
        assert not any(answer["facets"].values())


async def test_desk_lists_what_is_not_public(app: FastAPI, mailbox: Mailbox) -> None:
    await add_draft(app, "draft")
    gone = (await publish_video(app, "gone")).id
    await withdraw(app, gone, "Wrong ship")
    await publish_story(app, "shown")
    async with editor(app, mailbox) as desk:
        for status, found in (
            ("draft", ["draft"]),
            ("scheduled", []),
            ("withdrawn", ["gone"]),
            ("published", ["shown"]),
        ):
            answer = await listed(desk, f"status={status}")
            assert slugs(answer) == found
            assert all(item["status"] == status for item in answer["items"])
        response = await desk.get(f"{ASSETS}?status=draft&sort=title")
        assert response.json()["errors"][0] == {
            "pointer": "/sort",
            "code": "not_with_status",
            "message": "With status a list takes q, type and language alone",
        }


async def test_desk_finds_what_is_not_public_by_its_words(app: FastAPI, mailbox: Mailbox) -> None:
    await add_draft(app, "a-slug", title="Pêche à Zürich", keywords=["Nordic Response", "sea"])
    await add_draft(app, "other", title="Peace talks", headline="Zurich", slugline="CH-TALKS")
    await add_draft(app, "percent", title="100% of it_", keywords=['12" vinyl'])
    await publish_story(app, "shown", title="Zurich")
    async with editor(app, mailbox) as desk:
        for q, found in (
            ("zurich", {"a-slug", "other"}),
            ("ZÜRICH pech", {"a-slug"}),
            ("response nordic", {"a-slug"}),
            ("a-slu sea", {"a-slug"}),
            ("ch-talks", {"other"}),
            ("100%", {"percent"}),
            ('12"', {"percent"}),
            ("[", set()),
            ('",', set()),
            ("%", {"percent"}),
            ("t_", {"percent"}),
            ("zurich nothing", set()),
            ("  ", {"a-slug", "other", "percent"}),
        ):
            answer = await listed(desk, f"status=draft&q={quote(q)}")
            assert set(slugs(answer)) == found, q
            assert answer["total"] == {"value": len(found), "relation": "eq"}
        assert slugs(await listed(desk, "status=draft&q=zurich&type=story")) == []
        response = await desk.get(f"{ASSETS}?status=draft&q={'x' * 201}")
        assert response.json()["code"] == "query_too_long"
        assert response.json()["errors"][0]["pointer"] == "/q"


async def test_desk_gives_what_it_finds_page_by_page(app: FastAPI, mailbox: Mailbox) -> None:
    for number in range(5):
        await add_draft(app, f"found-{number}", title="Found")
        await add_draft(app, f"other-{number}", title="Other")
    async with editor(app, mailbox) as desk:
        seen, address = [], f"{ASSETS}?status=draft&q=found&limit=2"
        for left in (5, 3, 1):
            response = await desk.get(address)
            assert response.json()["total"] == {"value": 5, "relation": "eq"}
            assert len(response.json()["items"]) == min(left, 2)
            seen += slugs(response.json())
            address = response.links.get("next", {}).get("url", "")
        assert address == ""
    assert sorted(seen) == [f"found-{number}" for number in range(5)]


async def test_desk_looks_through_the_latest_10_000(
    app: FastAPI, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert policy.COUNTED_HITS == 10_000
    monkeypatch.setattr(policy, "COUNTED_HITS", 3)
    monkeypatch.setattr(asset_desk, "_READ_AT_ONCE", 2)
    for number in (2, 0, 3, 1):
        at = PUBLISHED_AT + timedelta(hours=number)
        async with app.state.database.transaction() as session:
            await create(session, f"draft-{number}", fields={"title": "Found"}, at=at)
    async with editor(app, mailbox) as desk:
        answer = await listed(desk, "status=draft&q=found")
        assert answer["total"] == {"value": 3, "relation": "gte"}
        assert slugs(answer) == ["draft-3", "draft-2", "draft-1"]
        # A lone accent is no word: nothing is looked through, and the list goes on to its end.
        unfiltered = await listed(desk, f"status=draft&q={quote(chr(0x301))}")
        assert len(unfiltered["items"]) == 4


async def test_desk_is_closed_to_others(client: httpx.AsyncClient, mailbox: Mailbox) -> None:
    response = await client.get(f"{ASSETS}?status=draft")
    assert (response.status_code, response.json()["code"]) == (401, "login_required")
    member = await sign_up(client, mailbox)
    response = await client.get(f"{ASSETS}?status=draft", headers=bearer(member))
    assert (response.status_code, response.json()["code"]) == (403, "forbidden")
