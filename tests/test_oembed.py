"""GET /oembed."""

from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from lxml import etree

from tests.factories import add_draft, publish_story, withdraw
from tests.sample_assets import publish_rich_video

PAGE = "http://127.0.0.1:8000/assets/harbour-exercise"


@pytest.fixture
async def video(app: FastAPI) -> UUID:
    return await publish_rich_video(app)


async def embed(client: httpx.AsyncClient, url: str, **query: str) -> httpx.Response:
    return await client.get("/oembed", params={"url": url, **query})


async def test_video_is_embedded_by_any_of_its_addresses(
    client: httpx.AsyncClient, video: UUID
) -> None:
    for url in (PAGE, f"{PAGE}/?t=3", f"http://127.0.0.1:8000/v1/assets/{video}"):
        response = await embed(client, url, maxwidth="480")
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "application/json"
        answer = response.json()
        assert (answer["type"], answer["width"], answer["height"]) == ("video", 480, 270)
        assert f"http://127.0.0.1:8000/v1/assets/{video}/preview.mp4?v=" in answer["html"]


@pytest.mark.usefixtures("video")
async def test_answer_may_be_xml(client: httpx.AsyncClient) -> None:
    response = await embed(client, PAGE, format="xml")
    assert response.headers["content-type"] == "text/xml; charset=utf-8"
    assert etree.fromstring(response.content).findtext("type") == "video"


async def test_story_is_a_link(client: httpx.AsyncClient, app: FastAPI) -> None:
    await publish_story(app, "a-story")
    answer = (await embed(client, "http://127.0.0.1:8000/assets/a-story")).json()
    assert (answer["type"], answer["title"]) == ("link", "a-story")


async def test_what_is_not_ours_or_not_public_is_not_found(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    await add_draft(app)
    ours = "http://127.0.0.1:8000/assets"
    for url in ("https://example.org/assets/a", f"{ours}/a-draft", f"{ours}/never-was", "x", ""):
        response = await embed(client, url)
        assert (response.status_code, response.json()["code"]) == (404, "not_found"), url


async def test_withdrawn_video_is_gone(
    client: httpx.AsyncClient, app: FastAPI, video: UUID
) -> None:
    await withdraw(app, video, "a legal claim")
    assert (await embed(client, PAGE)).json()["code"] == "asset_withdrawn"


@pytest.mark.usefixtures("video")
async def test_other_formats_are_not_implemented(client: httpx.AsyncClient) -> None:
    response = await embed(client, PAGE, format="yaml")
    assert (response.status_code, response.json()["code"]) == (501, "format_not_implemented")


@pytest.mark.usefixtures("video")
async def test_limits_are_numbers_of_pixels(client: httpx.AsyncClient) -> None:
    for query in ({"maxwidth": "0"}, {"maxheight": "-1"}, {"maxwidth": "wide"}):
        assert (await embed(client, PAGE, **query)).status_code == 422
    assert (await client.get("/oembed")).status_code == 422


@pytest.mark.usefixtures("video")
async def test_embedding_that_the_site_has_is_not_sent_again(client: httpx.AsyncClient) -> None:
    first = await embed(client, PAGE)
    tag = {"If-None-Match": first.headers["etag"]}
    again = await client.get("/oembed", params={"url": PAGE}, headers=tag)
    assert again.status_code == 304
