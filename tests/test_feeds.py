"""GET /v1/feeds/assets.*: the same page of the catalogue in three formats."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import feedparser
import httpx
import pytest
from fastapi import FastAPI

from app.services import publication
from app.services.context import WORKER
from tests.factories import PUBLISHED_AT, add_draft, any_version, publish_story, withdraw
from tests.sample_assets import publish_rich_video

FEEDS = {
    "mrss": "application/rss+xml",
    "atom": "application/atom+xml",
    "json": "application/feed+json",
}


async def publish_series(app: FastAPI, count: int) -> list[str]:
    slugs = [f"story-{number}" for number in range(count)]
    for age, slug in enumerate(slugs):
        await publish_story(app, slug, published_at=PUBLISHED_AT - timedelta(hours=age))
    return slugs


def in_xml(response: httpx.Response) -> tuple[list[str], str | None]:
    parsed: Any = feedparser.parse(response.content)
    assert not parsed.bozo, parsed.bozo_exception
    links = {link.rel: link.href for link in parsed.feed.links}
    return [entry.title for entry in parsed.entries], links.get("next")


def in_json(response: httpx.Response) -> tuple[list[str], str | None]:
    page = json.loads(response.content)
    return [item["title"] for item in page["items"]], page.get("next_url")


READERS: dict[str, Callable[[httpx.Response], tuple[list[str], str | None]]] = {
    "mrss": in_xml,
    "atom": in_xml,
    "json": in_json,
}


@pytest.mark.parametrize("kind", FEEDS)
async def test_feed_is_public_and_newest_first(
    client: httpx.AsyncClient, app: FastAPI, kind: str
) -> None:
    await publish_rich_video(app, age=timedelta(days=1))
    slugs = await publish_series(app, 2)
    response = await client.get(f"/v1/feeds/assets.{kind}")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == FEEDS[kind]
    assert response.headers["cache-control"] == "public, no-cache"
    assert response.headers["last-modified"] == "Mon, 23 Nov 2026 09:00:00 GMT"
    titles, following = READERS[kind](response)
    assert titles[:2] == slugs
    assert len(titles) == 3
    assert following is None
    assert "link" not in response.headers


@pytest.mark.parametrize("kind", FEEDS)
async def test_feed_goes_on_where_its_next_link_leads(
    client: httpx.AsyncClient, app: FastAPI, kind: str
) -> None:
    slugs = await publish_series(app, 5)
    url: str | None = f"/v1/feeds/assets.{kind}?limit=2&type=story"
    seen: list[str] = []
    while url:
        response = await client.get(url)
        titles, url = READERS[kind](response)
        assert len(titles) <= 2
        seen += titles
        if url:
            parts = urlsplit(url)
            assert f"{parts.scheme}://{parts.netloc}" == "http://127.0.0.1:8000"
            assert "type=story" in parts.query
            assert response.headers["link"] == f'<{parts.path}?{parts.query}>; rel="next"'
    assert seen == slugs


@pytest.mark.parametrize("kind", FEEDS)
async def test_feed_tells_nothing_of_what_is_not_public(
    client: httpx.AsyncClient, app: FastAPI, kind: str
) -> None:
    await add_draft(app, "secret-draft", keywords=["secret"])
    async with app.state.database.transaction() as session:
        await publication.publish(
            session,
            "secret-draft",
            publish_at=PUBLISHED_AT + timedelta(days=1),
            note=None,
            check=any_version,
            editor=WORKER,
            now=PUBLISHED_AT,
        )
    gone = await publish_story(app, "secret-withdrawn")
    await withdraw(app, gone, "a legal claim")
    for query in ("", "?keyword=secret", "?q=secret", "?type=video"):
        response = await client.get(f"/v1/feeds/assets.{kind}{query}")
        assert response.status_code == 200
        assert READERS[kind](response) == ([], None)


async def test_feed_takes_the_filters_of_the_list(client: httpx.AsyncClient, app: FastAPI) -> None:
    await publish_rich_video(app)
    await publish_story(app, "a-story", keywords=["dawn"])
    for query, count in (
        ("type=video", 1),
        ("keyword=dawn", 1),
        ("keyword=dawn&type=video", 0),
        ("has_captions=true", 1),
        ("country=BE", 1),
        ("sort=-updated_at", 2),
    ):
        response = await client.get(f"/v1/feeds/assets.json?{query}")
        assert len(response.json()["items"]) == count, query


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("limit=101", 422, "invalid_input"),
        ("sort=title", 422, "invalid_input"),
        ("facets=keyword", 422, "unknown_field"),
        ("cursor=x", 400, "invalid_cursor"),
    ],
)
async def test_feed_refuses_what_it_does_not_know(
    client: httpx.AsyncClient, query: str, status: int, code: str
) -> None:
    response = await client.get(f"/v1/feeds/assets.atom?{query}")
    assert (response.status_code, response.json()["code"]) == (status, code)


async def test_cursor_of_another_query_is_refused(client: httpx.AsyncClient, app: FastAPI) -> None:
    await publish_series(app, 3)
    first = (await client.get("/v1/feeds/assets.json?limit=1")).json()["next_url"]
    assert (await client.get(first)).status_code == 200
    assert (await client.get(f"{first}&type=story")).json()["code"] == "invalid_cursor"
    assert (await client.get(f"{first}&sort=-updated_at")).json()["code"] == "invalid_cursor"


@pytest.mark.parametrize("kind", FEEDS)
async def test_feed_that_the_reader_has_is_not_sent_again(
    client: httpx.AsyncClient, app: FastAPI, kind: str
) -> None:
    await publish_series(app, 1)
    path = f"/v1/feeds/assets.{kind}"
    tag = (await client.get(path)).headers["etag"]
    again = await client.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    await publish_story(app, "newer")
    assert (await client.get(path, headers={"If-None-Match": tag})).status_code == 200


async def test_feeds_hold_addresses_that_can_be_followed(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    video = await publish_rich_video(app)
    [item] = (await client.get("/v1/feeds/assets.json")).json()["items"]
    assert item["id"] == f"urn:uuid:{video}"
    assert (await client.get(item["_asset"]["document"])).json()["id"] == str(video)
    [attachment] = item["attachments"]
    assert (await client.get(attachment["url"])).json()["code"] == "login_required"
