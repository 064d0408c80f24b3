"""What search engines are told."""

from datetime import timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from lxml import etree

from app.services import policy
from tests.factories import add_draft, publish_story, withdraw
from tests.sample_assets import publish_rich_video
from tests.sample_documents import VIDEO

NAMES = {
    "s": "http://www.sitemaps.org/schemas/sitemap/0.9",
    "video": "http://www.google.com/schemas/sitemap-video/1.1",
}


def found(response: httpx.Response, path: str) -> list[str]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/xml"
    tree = etree.fromstring(response.content)
    return [str(value) for value in tree.xpath(path, namespaces=NAMES)]


async def pages_of(client: httpx.AsyncClient) -> list[str]:
    return found(await client.get("/sitemap.xml"), "/s:sitemapindex/s:sitemap/s:loc/text()")


async def slugs_on(client: httpx.AsyncClient, page: str) -> list[str]:
    locations = found(await client.get(page), "/s:urlset/s:url/s:loc/text()")
    assert all(each.startswith("http://127.0.0.1:8000/assets/") for each in locations)
    return [urlsplit(each).path.removeprefix("/assets/") for each in locations]


async def test_pages_together_name_every_published_asset_once(
    client: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "SITEMAP_PAGE_SIZE", 2)
    for count, sizes in ((1, [1]), (2, [2]), (3, [2, 1]), (4, [2, 2]), (5, [2, 2, 1])):
        await publish_story(app, f"story-{count}")
        pages = [await slugs_on(client, page) for page in await pages_of(client)]
        assert [len(page) for page in pages] == sizes
        slugs = sorted(slug for page in pages for slug in page)
        assert slugs == [f"story-{number}" for number in range(1, count + 1)]


def test_a_page_is_of_a_thousand_assets() -> None:
    assert policy.SITEMAP_PAGE_SIZE == 1_000


async def test_empty_catalogue_has_an_empty_index(client: httpx.AsyncClient) -> None:
    assert await pages_of(client) == []


async def test_sitemap_tells_nothing_of_what_is_not_public(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    first = await publish_story(app, "first")
    await add_draft(app)
    await withdraw(app, await publish_story(app, "gone"), "a legal claim")
    [page] = await pages_of(client)
    assert page == f"http://127.0.0.1:8000/sitemaps/assets.xml?first={first}"
    assert await slugs_on(client, page) == ["first"]


async def test_video_has_its_preview_and_poster(client: httpx.AsyncClient, app: FastAPI) -> None:
    video = await publish_rich_video(app, age=timedelta(hours=1))
    await publish_story(app, "a-story")
    [page] = await pages_of(client)
    response = await client.get(page)
    [location] = found(response, "//video:video/video:content_loc/text()")
    assert location.startswith(f"http://127.0.0.1:8000/v1/assets/{video}/preview.mp4?v=")
    assert found(response, "//video:video/video:title/text()") == [VIDEO["title"]]
    assert found(response, "//video:video/video:description/text()") == [VIDEO["summary"]]
    assert found(response, "//video:video/video:duration/text()") == ["15"]
    assert found(response, "//video:video/video:publication_date/text()") == [
        "2026-11-23T08:00:00+00:00"
    ]


async def test_sitemap_that_the_crawler_has_is_not_sent_again(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    await publish_story(app, "a-story")
    for path in ("/sitemap.xml", *(await pages_of(client))):
        first = await client.get(path)
        assert first.headers["cache-control"] == "public, no-cache"
        again = await client.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert again.status_code == 304


async def test_page_may_begin_anywhere_but_with_an_id(client: httpx.AsyncClient) -> None:
    assert await slugs_on(client, f"/sitemaps/assets.xml?first={uuid4()}") == []
    for query in ("", "?first=x"):
        assert (await client.get(f"/sitemaps/assets.xml{query}")).status_code == 422


async def test_robots_are_shown_the_sitemap(client: httpx.AsyncClient) -> None:
    response = await client.get("/robots.txt")
    assert response.headers["content-type"].startswith("text/plain")
    assert "Sitemap: http://127.0.0.1:8000/sitemap.xml" in response.text.splitlines()
    assert "Disallow: /v1/account" in response.text.splitlines()
