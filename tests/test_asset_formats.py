"""GET /v1/assets/{reference}.{format}, and the same by Accept."""

import json
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from app.models import Asset
from tests.factories import add_draft, publish_story, withdraw
from tests.sample_assets import CAPTIONS, publish_rich_video
from tests.test_formats import ebucore_schema, needs_schemas, ninjs_schema

PROBLEM = "application/problem+json"
MEDIA_TYPES = {
    "jsonld": "application/ld+json",
    "ebucore.xml": "application/xml",
    "ninjs.json": "application/vnd.iptc.ninjs+json",
    "shotlist.vtt": "text/vtt; charset=utf-8",
    "shotlist.otio": "application/vnd.pixar.opentimelineio+json",
}
ALL = [*MEDIA_TYPES, "captions.en.vtt"]


@pytest.fixture
async def video(app: FastAPI) -> UUID:
    return await publish_rich_video(app)


@pytest.mark.parametrize("suffix", MEDIA_TYPES)
async def test_format_is_found_by_id_and_by_slug(
    client: httpx.AsyncClient, video: UUID, suffix: str
) -> None:
    by_id = await client.get(f"/v1/assets/{video}.{suffix}")
    by_slug = await client.get(f"/v1/assets/harbour-exercise.{suffix}")
    assert by_id.status_code == 200, by_id.text
    assert by_id.content == by_slug.content
    assert by_id.headers["content-type"] == MEDIA_TYPES[suffix]
    assert by_id.headers["cache-control"] == "public, no-cache"
    assert by_id.headers["last-modified"] == "Mon, 23 Nov 2026 09:00:00 GMT"
    assert "Accept" not in by_id.headers["vary"].split(", ")


@needs_schemas
async def test_published_asset_is_valid_in_the_formats_that_have_a_schema(
    client: httpx.AsyncClient, video: UUID
) -> None:
    ebucore_schema().validate((await client.get(f"/v1/assets/{video}.ebucore.xml")).content)
    ninjs_schema().validate((await client.get(f"/v1/assets/{video}.ninjs.json")).json())


async def test_formats_hold_whole_addresses(client: httpx.AsyncClient, video: UUID) -> None:
    thing = (await client.get(f"/v1/assets/{video}.jsonld")).json()
    assert thing["url"] == "http://127.0.0.1:8000/assets/harbour-exercise"
    assert thing["contentUrl"].startswith(f"http://127.0.0.1:8000/v1/assets/{video}/preview.mp4?v=")
    assert (await client.get(thing["caption"][0]["contentUrl"])).text == CAPTIONS


@pytest.mark.parametrize("suffix", ALL)
async def test_format_that_the_client_has_is_not_sent_again(
    client: httpx.AsyncClient, app: FastAPI, video: UUID, suffix: str
) -> None:
    path = f"/v1/assets/{video}.{suffix}"
    tag = (await client.get(path)).headers["etag"]
    again = await client.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    since = {"If-Modified-Since": "Mon, 23 Nov 2026 09:00:00 GMT"}
    assert (await client.get(path, headers=since)).status_code == 304
    async with app.state.database.transaction() as session:
        asset = await session.get_one(Asset, video)
        asset.version += 1
    assert (await client.get(path, headers={"If-None-Match": tag})).status_code == 200


@pytest.mark.parametrize("suffix", ALL)
async def test_what_is_not_public_has_no_format(
    client: httpx.AsyncClient, app: FastAPI, suffix: str
) -> None:
    draft = await add_draft(app)
    for reference in (draft, "a-draft", "never-was"):
        response = await client.get(f"/v1/assets/{reference}.{suffix}")
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
        assert response.headers["content-type"] == PROBLEM


@pytest.mark.parametrize("suffix", ALL)
async def test_withdrawn_asset_is_gone_in_every_format(
    client: httpx.AsyncClient, app: FastAPI, video: UUID, suffix: str
) -> None:
    await withdraw(app, video, "The owner has asked for it.")
    response = await client.get(f"/v1/assets/{video}.{suffix}")
    assert (response.status_code, response.json()["code"]) == (410, "asset_withdrawn")
    assert response.json()["detail"] == "The owner has asked for it."


async def test_captions_are_sent_as_they_are_stored(client: httpx.AsyncClient, video: UUID) -> None:
    for language in ("en", "EN"):
        response = await client.get(f"/v1/assets/{video}.captions.{language}.vtt")
        assert (response.status_code, response.text) == (200, CAPTIONS)
        assert response.headers["content-type"] == "text/vtt; charset=utf-8"


@pytest.mark.parametrize("language", ["fr", "en-GB", "%25", "en.vtt"])
async def test_captions_of_an_absent_language_are_not_found(
    client: httpx.AsyncClient, video: UUID, language: str
) -> None:
    response = await client.get(f"/v1/assets/{video}.captions.{language}.vtt")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("suffix", ["xml", "json", "pdf", "jsonld.xml", "captions.vtt", ""])
async def test_format_that_there_is_not_is_not_found(
    client: httpx.AsyncClient, video: UUID, suffix: str
) -> None:
    response = await client.get(f"/v1/assets/{video}.{suffix}")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


# By Accept


@pytest.mark.parametrize("suffix", MEDIA_TYPES)
async def test_accept_chooses_the_format(
    client: httpx.AsyncClient, video: UUID, suffix: str
) -> None:
    accept = MEDIA_TYPES[suffix].partition(";")[0]
    chosen = await client.get(f"/v1/assets/{video}", headers={"Accept": accept})
    named = await client.get(f"/v1/assets/{video}.{suffix}")
    assert chosen.content == named.content
    assert chosen.headers["content-type"] == MEDIA_TYPES[suffix]
    assert "Accept" in chosen.headers["vary"].split(", ")


async def test_formats_at_one_address_have_tags_of_their_own(
    client: httpx.AsyncClient, video: UUID
) -> None:
    """Or a cache would take a 304 of one format for that of another."""
    types = ["application/json", *(each.partition(";")[0] for each in MEDIA_TYPES.values())]
    tags = set()
    for accept in types:
        response = await client.get(f"/v1/assets/{video}", headers={"Accept": accept})
        tags.add(response.headers["etag"])
    assert len(tags) == 6


@pytest.mark.parametrize("accept", ["", "*/*", "text/html,application/xml;q=0.9,*/*;q=0.8"])
async def test_who_takes_anything_gets_our_own_json(
    client: httpx.AsyncClient, video: UUID, accept: str
) -> None:
    response = await client.get(f"/v1/assets/{video}", headers={"Accept": accept})
    assert response.headers["content-type"] == "application/json"
    assert response.json()["id"] == str(video)
    assert "Accept" in response.headers["vary"].split(", ")


async def test_who_takes_none_of_it_is_told_what_there_is(
    client: httpx.AsyncClient, video: UUID
) -> None:
    response = await client.get(f"/v1/assets/{video}", headers={"Accept": "image/png"})
    assert (response.status_code, response.json()["code"]) == (406, "not_acceptable")
    assert "application/ld+json" in response.json()["detail"]


async def test_story_without_shots_has_an_empty_shotlist(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    story = await publish_story(app, "a-story", body="Text.")
    chapters = await client.get(f"/v1/assets/{story}.shotlist.vtt")
    assert chapters.text == "WEBVTT\n\nNOTE\na-story\n\n"
    timeline = await client.get(f"/v1/assets/{story}.shotlist.otio")
    assert json.loads(timeline.content)["tracks"]["children"][0]["children"] == []
