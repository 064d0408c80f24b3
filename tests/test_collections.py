"""Collections: what everybody reads, what editors make, and which assets belong to them."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.db import Database
from app.models import Asset, AssetVersion, Collection, CollectionItem
from app.services import collections
from tests.factories import PUBLISHED_AT, add_draft, any_version, publish_story, withdraw
from tests.helpers import Api, Mailbox, audited, bearer, make_editor, rows, sign_up, somebody_waits

COLLECTIONS = "/v1/collections"
EVENT = {"kind": "event", "title": "Summit in Vilnius"}
PATCH = {"Content-Type": "application/merge-patch+json"}


async def create(desk: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    response = await desk.post(COLLECTIONS, json={**EVENT, **fields})
    assert response.status_code == 201, response.text
    collection: dict[str, Any] = response.json()
    return collection


async def change(
    desk: httpx.AsyncClient, collection: dict[str, Any], **patch: Any
) -> httpx.Response:
    tag = f'"v{collection["version"]}"'
    address = f"{COLLECTIONS}/{collection['id']}"
    return await desk.patch(address, json=patch, headers={**PATCH, "If-Match": tag})


async def read(client: httpx.AsyncClient, reference: str) -> dict[str, Any]:
    response = await client.get(f"{COLLECTIONS}/{reference}")
    assert response.status_code == 200, response.text
    collection: dict[str, Any] = response.json()
    return collection


async def titles(client: httpx.AsyncClient, **query: Any) -> list[str]:
    response = await client.get(COLLECTIONS, params=query)
    assert response.status_code == 200, response.text
    return [item["title"] for item in response.json()["items"]]


def pointers(response: httpx.Response) -> set[str]:
    assert response.status_code == 422, response.text
    return {error["pointer"] for error in response.json()["errors"]}


# Making them


async def test_collection_is_public_at_once_by_id_and_slug(
    desk: Api, client: httpx.AsyncClient
) -> None:
    response = await desk.post(COLLECTIONS, json=EVENT)
    made = response.json()
    assert response.headers["location"] == f"{COLLECTIONS}/{made['id']}"
    assert response.headers["etag"] == '"v1"'
    assert made == {
        "id": made["id"],
        "slug": "summit-in-vilnius",
        "kind": "event",
        "title": "Summit in Vilnius",
        "summary": None,
        "language": "en",
        "translations": {},
        "location": None,
        "starts_on": None,
        "ends_on": None,
        "version": 1,
        "created_at": "2026-11-23T12:00:00Z",
        "updated_at": "2026-11-23T12:00:00Z",
        "asset_count": 0,
    }
    for reference in (made["id"], made["slug"]):
        assert await read(client, reference) == made


async def test_same_title_gets_the_next_free_slug(desk: Api) -> None:
    slugs = [(await create(desk))["slug"] for _ in range(3)]
    assert slugs == [f"summit-in-vilnius{end}" for end in ("", "-2", "-3")]


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("Übung „Łódź“", "ubung-lodz"),
        ("日本", "event"),
        ("019abcde 0000 7000 8000 000000000000", "019abcde-0000-7000-8000-000000000000-2"),
    ],
)
async def test_slug_is_made_of_what_a_title_has_of_latin_letters(
    desk: Api, title: str, slug: str
) -> None:
    assert (await create(desk, title=title))["slug"] == slug


async def test_slug_that_is_taken_is_refused(desk: Api) -> None:
    await create(desk, slug="summit")
    response = await desk.post(COLLECTIONS, json={**EVENT, "slug": "summit"})
    assert (response.status_code, response.json()["code"]) == (409, "slug_taken")


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"slug": "01234567-89ab-7000-8000-000000000000"}, "/slug"),
        ({"slug": "Not-A-Slug"}, "/slug"),
        ({"kind": "playlist"}, "/kind"),
        ({"title": ""}, "/title"),
        ({"title": "two\nlines"}, "/title"),
        ({"location": {"latitude": 50.9}}, "/location"),
        ({"starts_on": "2026-07-02", "ends_on": "2026-07-01"}, "/ends_on"),
        ({"translations": {"fr": {"headline": "x"}}}, "/translations/fr/headline"),
        ({"asset_count": 7}, "/asset_count"),
    ],
)
async def test_what_is_not_valid_is_named(desk: Api, fields: dict[str, Any], pointer: str) -> None:
    response = await desk.post(COLLECTIONS, json={**EVENT, **fields})
    assert pointers(response) == {pointer}


async def test_same_idempotency_key_makes_one_collection(desk: Api, database: Database) -> None:
    answers = [
        await desk.post(COLLECTIONS, json=EVENT, headers={"Idempotency-Key": "once"})
        for _ in range(2)
    ]
    assert answers[0].json() == answers[1].json()
    assert len(await rows(database, Collection)) == 1


async def test_titles_that_race_get_slugs_of_their_own(
    live_app: FastAPI, live_mailbox: Mailbox, live_database: Database
) -> None:
    async with Api(live_app) as desk:
        session = await sign_up(desk, live_mailbox, "editor@example.org")
        await make_editor(live_database, "editor@example.org")
        desk.headers.update(bearer(session))
        made = await asyncio.gather(*(create(desk) for _ in range(6)))
    assert len({collection["slug"] for collection in made}) == 6


# Changing them


async def test_merge_patch_changes_members_and_takes_away_what_is_null(desk: Api) -> None:
    made = await create(
        desk,
        summary="Two days.",
        starts_on="2026-07-11",
        location={"city": "Vilnius", "country": "LT"},
        translations={"fr": {"title": "Sommet"}, "de": {"title": "Gipfel"}},
    )
    response = await change(
        desk,
        made,
        summary=None,
        ends_on="2026-07-12",
        location={"city": None, "name": "Litexpo"},
        translations={"fr": {"summary": "Deux jours."}, "de": None},
    )
    changed = response.json()
    assert response.headers["etag"] == '"v2"'
    assert (changed["version"], changed["summary"], changed["ends_on"]) == (2, None, "2026-07-12")
    assert (changed["location"]["name"], changed["location"]["city"]) == ("Litexpo", None)
    assert changed["location"]["country"] == "LT"
    assert changed["translations"] == {"fr": {"title": "Sommet", "summary": "Deux jours."}}
    assert changed == await read(desk, made["id"])


async def test_patch_that_changes_nothing_makes_no_version(desk: Api) -> None:
    made = await create(desk)
    assert (await change(desk, made, title=made["title"], summary=None)).json() == made


@pytest.mark.parametrize(
    ("patch", "pointer"),
    [
        ({"slug": "another"}, "/slug"),
        ({"title": None}, ""),
        ({"kind": None}, ""),
        ({"language": None}, ""),
        ({"ends_on": "2026-07-01"}, "/ends_on"),
    ],
)
async def test_patch_keeps_what_a_collection_needs(
    desk: Api, patch: dict[str, Any], pointer: str
) -> None:
    made = await create(desk, starts_on="2026-07-02")
    assert pointers(await change(desk, made, **patch)) == {pointer}
    assert await read(desk, made["id"]) == made


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_change_needs_the_newest_tag(desk: Api, method: str) -> None:
    made = await create(desk)
    await change(desk, made, title="Another")
    address = f"{COLLECTIONS}/{made['slug']}"
    body = {"title": "Third"} if method == "PATCH" else None
    for headers, status in (({}, 428), ({"If-Match": '"v1"'}, 412)):
        response = await desk.request(method, address, headers={**PATCH, **headers}, json=body)
        assert response.status_code == status
    assert (await read(desk, made["id"]))["title"] == "Another"
    for reference in ("absent", "01234567-89ab-7000-8000-000000000000"):
        address = f"{COLLECTIONS}/{reference}"
        response = await desk.request(
            method, address, headers={**PATCH, "If-Match": "*"}, json=body
        )
        assert response.status_code == 404


async def test_deleted_collection_leaves_its_assets(
    app: FastAPI, desk: Api, client: httpx.AsyncClient, database: Database
) -> None:
    made = await create(desk)
    await publish_story(app, "a-story", collections=[made["id"]])
    address = f"{COLLECTIONS}/{made['id']}"
    assert (await desk.delete(address, headers={"If-Match": '"v1"'})).status_code == 204
    assert (await client.get(address)).status_code == 404
    assert (await client.get("/v1/assets/a-story")).status_code == 200
    assert await rows(database, CollectionItem) == []
    [asset] = await rows(database, Asset)
    assert asset.document_format == 0


async def test_each_deed_is_in_the_audit_trail(desk: Api, database: Database) -> None:
    made = await create(desk)
    await change(desk, made, title="Another")
    await desk.delete(f"{COLLECTIONS}/{made['id']}", headers={"If-Match": "*"})
    deeds = [f"collection.{deed}" for deed in ("created", "changed", "deleted")]
    assert [action for action in await audited(database) if action in deeds] == deeds


# Membership


async def test_asset_joins_and_leaves_at_the_desk_as_versions_of_it(
    app: FastAPI, desk: Api, client: httpx.AsyncClient, database: Database
) -> None:
    made = await create(desk)
    other = await create(desk, title="Other")
    asset_id = await publish_story(app, "a-story", collections=["other"])
    address = f"{COLLECTIONS}/{made['slug']}/assets/a-story"
    for method, slugs, version in (
        ("PUT", ["other", "summit-in-vilnius"], 3),
        ("PUT", ["other", "summit-in-vilnius"], 3),
        ("DELETE", ["other"], 4),
        ("DELETE", ["other"], 4),
    ):
        assert (await desk.request(method, address)).status_code == 204
        document = (await client.get("/v1/assets/a-story")).json()
        assert [each["slug"] for each in document["collections"]] == slugs
        assert document["version"] == version
    versions = [each for each in await rows(database, AssetVersion) if each.asset_id == asset_id]
    joined = max(versions, key=lambda each: each.version if each.version <= 3 else 0)
    assert joined.kind == "corrected"
    assert joined.changes == {
        "collections": {"before": [other["id"]], "after": sorted([other["id"], made["id"]])}
    }


async def test_what_is_not_there_cannot_join(app: FastAPI, desk: Api) -> None:
    await create(desk)
    await publish_story(app, "a-story")
    for path in ("absent/assets/a-story", "summit-in-vilnius/assets/absent"):
        for method in ("PUT", "DELETE"):
            response = await desk.request(method, f"{COLLECTIONS}/{path}")
            assert (response.status_code, response.json()["code"]) == (404, "not_found")


async def test_withdrawn_asset_stays_as_it_was(app: FastAPI, desk: Api, database: Database) -> None:
    made = await create(desk)
    await withdraw(app, await publish_story(app, "a-story"), "wrong")
    response = await desk.put(f"{COLLECTIONS}/{made['id']}/assets/a-story")
    assert (response.status_code, response.json()["code"]) == (409, "asset_published")
    assert await rows(database, CollectionItem) == []


async def test_asset_names_its_collections_once_by_id_or_slug(
    desk: Api, database: Database
) -> None:
    made = [await create(desk, title=title) for title in ("One", "Two", "Three")]
    asset = {"type": "story", "title": "A story", "collections": ["one", made[0]["id"], "two"]}
    created = (await desk.post("/v1/assets", json=asset)).json()
    assert [each["slug"] for each in created["collections"]] == ["one", "two"]
    response = await desk.patch(
        f"/v1/assets/{created['id']}",
        json={"collections": [made[2]["id"], "two"]},
        headers={**PATCH, "If-Match": '"v1"'},
    )
    assert {each["slug"] for each in response.json()["collections"]} == {"two", "three"}
    versions = await rows(database, AssetVersion)
    assert max(versions, key=lambda each: each.version).changes["collections"] == {
        "before": sorted([made[0]["id"], made[1]["id"]]),
        "after": sorted([made[1]["id"], made[2]["id"]]),
    }


async def test_unknown_collection_of_an_asset_is_named(desk: Api, database: Database) -> None:
    await create(desk, title="One")
    absent = "01234567-89ab-7000-8000-000000000000"
    for reference in ("absent", absent):
        asset = {"type": "story", "title": "A story", "collections": ["one", reference]}
        response = await desk.post("/v1/assets", json=asset)
        assert pointers(response) == {"/collections/1"}
        assert response.json()["errors"][0]["code"] == "unknown_collection"
    assert await rows(database, CollectionItem) == []


@pytest.mark.parametrize(
    ("patch", "shown"),
    [
        ({"title": "Another"}, "shown"),
        ({"kind": "series"}, "shown"),
        ({"summary": "New"}, "hidden"),
    ],
)
async def test_documents_that_name_a_changed_collection_are_left_to_the_worker(
    app: FastAPI, desk: Api, database: Database, patch: dict[str, Any], shown: str
) -> None:
    made = await create(desk)
    member = await publish_story(app, "a-story", collections=[made["id"]])
    stranger = await publish_story(app, "another")
    await change(desk, made, **patch)
    formats = {asset.id: asset.document_format for asset in await rows(database, Asset)}
    assert (formats[member] == 0) == (shown == "shown")
    assert formats[stranger] != 0


async def test_asset_that_joins_meanwhile_names_the_collection_as_it_has_become(
    live_app: FastAPI, live_mailbox: Mailbox, live_database: Database
) -> None:
    async with Api(live_app) as desk:
        session = await sign_up(desk, live_mailbox, "editor@example.org")
        await make_editor(live_database, "editor@example.org")
        desk.headers.update(bearer(session))
        made = await create(desk)
        await publish_story(live_app, "a-story")
        async with live_database.transaction() as changing:
            await collections.change(
                changing,
                made["id"],
                {"title": "Another"},
                check=any_version,
                account_id=None,
                client=None,
                now=PUBLISHED_AT,
            )
            address = f"{COLLECTIONS}/{made['id']}/assets/a-story"
            joining = asyncio.create_task(desk.put(address))
            await somebody_waits(live_database)
        assert (await joining).status_code == 204
        document = (await desk.get("/v1/assets/a-story")).json()
    assert [each["title"] for each in document["collections"]] == ["Another"]


# What everybody sees


async def test_count_is_of_public_assets_alone(
    app: FastAPI, desk: Api, client: httpx.AsyncClient
) -> None:
    made = await create(desk)
    await add_draft(app, collections=[made["id"]])
    assert (await read(client, made["id"]))["asset_count"] == 0
    asset_id = await publish_story(app, "a-story", collections=[made["id"]])
    assert (await read(client, made["id"]))["asset_count"] == 1
    [item] = (await client.get(COLLECTIONS)).json()["items"]
    assert item["asset_count"] == 1
    await withdraw(app, asset_id, "wrong")
    assert (await read(client, made["id"]))["asset_count"] == 0


async def test_copy_with_another_count_is_not_good_any_more(
    app: FastAPI, desk: Api, client: httpx.AsyncClient
) -> None:
    made = await create(desk)
    address = f"{COLLECTIONS}/{made['id']}"
    await publish_story(app, "a-story", collections=[made["id"]])
    first = await client.get(address)
    assert first.headers["etag"] == '"v1+1"'
    assert first.headers["cache-control"] == "public, no-cache"
    assert first.headers["last-modified"] == "Mon, 23 Nov 2026 12:00:00 GMT"
    known = {"If-None-Match": first.headers["etag"]}
    assert (await client.get(address, headers=known)).status_code == 304
    await publish_story(app, "another", collections=[made["id"]])
    response = await client.get(address, headers=known)
    assert (response.status_code, response.json()["asset_count"]) == (200, 2)
    # Nobody has edited it: an editor who read the former count overwrites nothing.
    headers = {**PATCH, "If-Match": first.headers["etag"]}
    assert (await desk.patch(address, json={"title": "New"}, headers=headers)).status_code == 200
    assert (await desk.patch(address, json={"title": "X"}, headers=headers)).status_code == 412


async def test_list_is_newest_first_or_by_title_and_filtered(
    desk: Api, client: httpx.AsyncClient
) -> None:
    for kind, title in (("series", "Übung"), ("event", "zebra"), ("event", "Atlas")):
        await create(desk, kind=kind, title=title)
    assert await titles(client) == ["Atlas", "zebra", "Übung"]
    assert await titles(client, sort="title") == ["Atlas", "Übung", "zebra"]
    assert await titles(client, kind="event") == ["Atlas", "zebra"]
    assert await titles(client, q="UB") == ["Übung"]
    assert await titles(client, q="BR") == ["zebra"]
    assert await titles(client, q="a%s") == []
    assert (await client.get(COLLECTIONS, params={"sort": "-title"})).status_code == 422


@pytest.mark.parametrize("sort", ["title", "-created_at"])
async def test_pages_show_each_collection_once(
    desk: Api, client: httpx.AsyncClient, sort: str
) -> None:
    long = "\N{OLD ITALIC LETTER A}" * 199  # four bytes each: more than a cursor has room for
    made = [f"{long}{end}" for end in "bacaa"]
    for title in made:
        await create(desk, title=title)
    found: list[str] = []
    address: str | None = f"{COLLECTIONS}?sort={sort}&limit=2"
    while address:
        page = await client.get(address)
        assert page.status_code == 200, page.text
        found += [item["title"] for item in page.json()["items"]]
        cursor = page.json()["next_cursor"]
        address = page.links["next"]["url"] if cursor else None
    assert sorted(found) == sorted(made)


async def test_cursor_of_another_list_is_refused(desk: Api, client: httpx.AsyncClient) -> None:
    for _ in range(2):
        await create(desk)
    cursor = (await client.get(COLLECTIONS, params={"limit": 1})).json()["next_cursor"]
    for query in ({"sort": "title"}, {"kind": "event"}, {"q": "a"}):
        response = await client.get(COLLECTIONS, params={**query, "cursor": cursor})
        assert (response.status_code, response.json()["code"]) == (400, "invalid_cursor")


async def test_list_says_304_to_whoever_has_it(desk: Api, client: httpx.AsyncClient) -> None:
    made = await create(desk)
    first = await client.get(COLLECTIONS)
    known = {"If-None-Match": first.headers["etag"]}
    assert (await client.get(COLLECTIONS, headers=known)).status_code == 304
    await change(desk, made, summary="New")
    assert (await client.get(COLLECTIONS, headers=known)).status_code == 200
