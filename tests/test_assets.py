from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI

from app.models import Asset
from app.services import publication
from tests.factories import (
    PUBLISHED_AT,
    Published,
    add_draft,
    publish_story,
    publish_video,
    withdraw,
)

PROBLEM = "application/problem+json"


@pytest.fixture
async def video(app: FastAPI) -> Published:
    return await publish_video(app)


async def publish_series(app: FastAPI, count: int) -> list[str]:
    """Stories that were published an hour apart, the newest first."""
    slugs = [f"story-{number}" for number in range(count)]
    for age, slug in enumerate(slugs):
        await publish_story(app, slug, published_at=PUBLISHED_AT - timedelta(hours=age))
    return slugs


def slugs_of(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [item["slug"] for item in response.json()["items"]]


def next_of(response: httpx.Response) -> str:
    """The path and query that the Link header names."""
    link = response.headers["link"]
    assert link.endswith('>; rel="next"')
    return str(link[1 : link.index(">")])


# The list


async def test_list_is_public_and_newest_first(client: httpx.AsyncClient, app: FastAPI) -> None:
    slugs = await publish_series(app, 3)
    response = await client.get("/v1/assets")
    assert slugs_of(response) == slugs
    assert response.json()["next_cursor"] is None
    assert response.json()["total"] == {"value": 3, "relation": "eq"}
    assert "link" not in response.headers
    assert response.headers["content-type"] == "application/json"


async def test_empty_catalogue_is_an_empty_list(client: httpx.AsyncClient) -> None:
    response = await client.get("/v1/assets")
    total = {"value": 0, "relation": "eq"}
    assert response.json() == {"items": [], "next_cursor": None, "total": total}


async def test_list_holds_only_what_is_public(
    client: httpx.AsyncClient, app: FastAPI, video: Published
) -> None:
    await add_draft(app)
    gone = await publish_story(app, "gone")
    await withdraw(app, gone, "a legal claim")
    assert slugs_of(await client.get("/v1/assets")) == [video.slug]


async def test_list_may_be_of_one_type(
    client: httpx.AsyncClient, app: FastAPI, video: Published
) -> None:
    await publish_story(app, "a-story")
    assert slugs_of(await client.get("/v1/assets?type=video")) == [video.slug]
    assert slugs_of(await client.get("/v1/assets?type=story")) == ["a-story"]
    assert slugs_of(await client.get("/v1/assets?type=audio")) == []
    refused = await client.get("/v1/assets?type=film")
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/type/0")


async def test_pages_go_on_where_the_last_one_ended(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    slugs = await publish_series(app, 5)
    first = await client.get("/v1/assets?limit=2&type=story")
    assert slugs_of(first) == slugs[:2]
    assert next_of(first) == (f"/v1/assets?limit=2&type=story&cursor={first.json()['next_cursor']}")
    second = await client.get(next_of(first))
    third = await client.get(next_of(second))
    assert slugs_of(second) == slugs[2:4]
    assert slugs_of(third) == slugs[4:]
    assert third.json()["next_cursor"] is None
    assert {page.json()["total"]["value"] for page in (first, second, third)} == {5}


async def test_last_page_may_be_full(client: httpx.AsyncClient, app: FastAPI) -> None:
    await publish_series(app, 2)
    response = await client.get("/v1/assets?limit=2")
    assert len(slugs_of(response)) == 2
    assert response.json()["next_cursor"] is None


async def test_pages_stay_stable_while_assets_come_and_go(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    slugs = await publish_series(app, 4)
    first = await client.get("/v1/assets?limit=2")
    await publish_story(app, "newer", published_at=PUBLISHED_AT + timedelta(hours=1))
    [shown] = [item for item in first.json()["items"] if item["slug"] == slugs[1]]
    await withdraw(app, UUID(shown["id"]), "A mistake")  # the very one that the cursor stands on
    assert slugs_of(await client.get(next_of(first))) == slugs[2:]


async def test_assets_of_one_moment_are_each_shown_once(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    slugs = {f"story-{number}" for number in range(5)}
    for slug in slugs:
        await publish_story(app, slug)
    path, seen = "/v1/assets?limit=2", list[str]()
    while path:
        page = await client.get(path)
        seen += slugs_of(page)
        path = next_of(page) if page.json()["next_cursor"] else ""
    assert sorted(seen) == sorted(slugs)


@pytest.mark.parametrize(("query", "count"), [("", 20), ("?limit=1", 1), ("?limit=100", 21)])
async def test_limit_is_twenty_unless_said_and_a_hundred_at_most(
    client: httpx.AsyncClient, app: FastAPI, query: str, count: int
) -> None:
    await publish_series(app, 21)
    assert len(slugs_of(await client.get(f"/v1/assets{query}"))) == count


@pytest.mark.parametrize("limit", ["0", "101", "-1", "1000000000000", "ten", "1.5", ""])
async def test_other_limits_are_refused_and_never_cut(
    client: httpx.AsyncClient, limit: str
) -> None:
    response = await client.get("/v1/assets", params={"limit": limit})
    assert (response.status_code, response.json()["code"]) == (422, "invalid_input")
    assert response.json()["errors"][0]["pointer"] == "/limit"


async def test_cursor_that_this_list_did_not_give_is_refused(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    await publish_series(app, 3)
    cursor = (await client.get("/v1/assets?limit=1")).json()["next_cursor"]
    flipped = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")
    swapped = cursor[:30] + cursor[31] + cursor[30] + cursor[32:]
    other_query = {"cursor": cursor, "type": "story"}
    queries = [{"cursor": text} for text in ("", "x", flipped, swapped, "é", cursor * 30)]
    for query in (other_query, *queries):
        response = await client.get("/v1/assets", params=query)
        assert (response.status_code, response.json()["code"]) == (400, "invalid_cursor"), query
        assert response.headers["content-type"] == PROBLEM


async def test_list_that_the_client_has_is_not_sent_again(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    await publish_series(app, 2)
    first = await client.get("/v1/assets?limit=1")
    tag = first.headers["etag"]
    again = await client.get("/v1/assets?limit=1", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == tag
    assert again.headers["cache-control"] == first.headers["cache-control"] == "public, no-cache"
    other_page = await client.get("/v1/assets?limit=2", headers={"If-None-Match": tag})
    assert other_page.status_code == 200
    await publish_story(app, "newer", published_at=PUBLISHED_AT + timedelta(hours=1))
    changed = await client.get("/v1/assets?limit=1", headers={"If-None-Match": tag})
    assert slugs_of(changed) == ["newer"]


# One document


async def test_document_is_found_by_id_and_by_slug(
    client: httpx.AsyncClient, video: Published
) -> None:
    by_id = await client.get(f"/v1/assets/{video.id}")
    by_slug = await client.get(f"/v1/assets/{video.slug}")
    shouted = await client.get(f"/v1/assets/{str(video.id).upper()}")
    assert by_id.status_code == 200
    assert by_id.json() == by_slug.json() == shouted.json()
    assert by_id.headers["etag"] == by_slug.headers["etag"]


async def test_document_says_what_there_is_to_download(
    client: httpx.AsyncClient, video: Published
) -> None:
    document = (await client.get(f"/v1/assets/{video.id}")).json()
    assert (document["id"], document["version"]) == (str(video.id), 2)
    assert document["published_at"] == "2026-11-23T09:00:00Z"
    assert document["duration_ms"] == 10_000
    [rendition] = document["renditions"]
    assert rendition["size_bytes"] == len(video.contents)
    assert rendition["sha256"] == video.sha256
    assert rendition["download"] == f"/v1/assets/{video.id}/renditions/hd/download"
    assert "object_key" not in rendition


async def test_list_holds_the_same_documents(client: httpx.AsyncClient, video: Published) -> None:
    [item] = (await client.get("/v1/assets")).json()["items"]
    assert item == (await client.get(f"/v1/assets/{video.id}")).json()


async def test_document_keeps_every_character_as_it_was_written(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    title = 'Übung "Hafen" \\ ☂ </script> \u2028 ]}'
    asset_id = await publish_story(app, "umlauts", title=title)
    assert (await client.get(f"/v1/assets/{asset_id}")).json()["title"] == title
    assert (await client.get("/v1/assets")).json()["items"][0]["title"] == title


async def test_document_that_the_client_has_is_not_sent_again(
    client: httpx.AsyncClient, video: Published
) -> None:
    path = f"/v1/assets/{video.id}"
    first = await client.get(path)
    assert first.headers["etag"] == '"v2"'
    assert first.headers["last-modified"] == "Mon, 23 Nov 2026 09:00:00 GMT"
    assert first.headers["cache-control"] == "public, no-cache"
    for tag in ('"v2"', 'W/"v2"', '"v0", "v2"', '"v2-gzip"', "*"):
        response = await client.get(path, headers={"If-None-Match": tag})
        assert (response.status_code, response.content) == (304, b""), tag
        assert response.headers["etag"] == '"v2"'
    for tag in ('"v3"', '"v22"', "v2"):
        assert (await client.get(path, headers={"If-None-Match": tag})).status_code == 200, tag


@pytest.mark.parametrize(
    ("since", "status"),
    [
        ("Mon, 23 Nov 2026 09:00:00 GMT", 304),
        ("Mon, 23 Nov 2026 08:59:59 GMT", 200),
        ("yesterday", 200),
    ],
)
async def test_document_unchanged_since_a_date_is_not_sent_again(
    client: httpx.AsyncClient, video: Published, since: str, status: int
) -> None:
    path = f"/v1/assets/{video.id}"
    response = await client.get(path, headers={"If-Modified-Since": since})
    assert response.status_code == status
    # The tag is the better witness where both are given (RFC 9110, section 13.2.2).
    both = {"If-Modified-Since": since, "If-None-Match": '"v3"'}
    assert (await client.get(path, headers=both)).status_code == 200


async def test_new_version_has_a_new_tag(
    client: httpx.AsyncClient, app: FastAPI, video: Published
) -> None:
    async with app.state.database.transaction() as session:
        await publication.files_changed(session, video.id, account_id=None, now=PUBLISHED_AT)
    path = f"/v1/assets/{video.id}"
    response = await client.get(path, headers={"If-None-Match": '"v2"'})
    assert (response.status_code, response.headers["etag"]) == (200, '"v3"')


@pytest.mark.parametrize("path", ["/v1/assets", "/v1/assets/harbour-exercise"])
@pytest.mark.usefixtures("video")
async def test_head_gives_the_headers_without_the_body(
    client: httpx.AsyncClient, path: str
) -> None:
    plain = {"Accept-Encoding": "identity"}
    whole, head = await client.get(path, headers=plain), await client.head(path, headers=plain)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("etag", "content-type", "content-length", "cache-control"):
        assert head.headers[name] == whole.headers[name]
    unchanged = await client.head(path, headers={"If-None-Match": whole.headers["etag"]})
    assert unchanged.status_code == 304


@pytest.mark.parametrize("state", ["draft", "scheduled"])
async def test_what_is_not_public_is_not_found(
    client: httpx.AsyncClient, app: FastAPI, state: str
) -> None:
    asset_id = await add_draft(app)
    async with app.state.database.transaction() as session:
        asset = await session.get_one(Asset, asset_id)
        asset.state, asset.publish_at = state, PUBLISHED_AT
    for reference in (asset_id, "a-draft", uuid4(), "never-was"):
        response = await client.get(f"/v1/assets/{reference}")
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
        assert response.headers["content-type"] == PROBLEM


@pytest.mark.parametrize("reference", ["A B", "-", "..%2F..%2Fetc", "1", "%C3%A9", "a" * 36])
async def test_reference_of_any_form_is_not_found(
    client: httpx.AsyncClient, reference: str
) -> None:
    response = await client.get(f"/v1/assets/{reference}")
    assert response.status_code == 404
    assert response.headers["content-type"] == PROBLEM


async def test_withdrawn_asset_is_gone_and_says_why(
    client: httpx.AsyncClient, app: FastAPI, video: Published
) -> None:
    await withdraw(app, video.id, "The owner of the pictures has asked for it.")
    for reference in (video.id, video.slug):
        response = await client.get(f"/v1/assets/{reference}", headers={"If-None-Match": '"v1"'})
        assert (response.status_code, response.json()["code"]) == (410, "asset_withdrawn")
        assert response.json()["detail"] == "The owner of the pictures has asked for it."
        assert response.headers["cache-control"] == "no-store"
