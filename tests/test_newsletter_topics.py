"""Topics: what readers choose from, and how editors make, change and retire them."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.db import Database
from app.models import AssetSearch
from app.services import consent_texts, newsletter_topics
from tests.factories import publish_story
from tests.helpers import Api, audited, rows

TOPICS = "/v1/newsletter/topics"
HARBOURS = {
    "slug": "harbours",
    "labels": {"en": {"name": "Harbours", "description": "Ships and quays"}},
    "terms": ["keyword:Le  Havre", "type:video", "keyword:le havre"],
}


async def create(desk: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    response = await desk.post(TOPICS, json={**HARBOURS, **fields})
    assert response.status_code == 201, response.text
    topic: dict[str, Any] = response.json()
    return topic


async def patch(desk: httpx.AsyncClient, slug: str, **fields: Any) -> dict[str, Any]:
    response = await desk.patch(f"{TOPICS}/{slug}", json=fields)
    assert response.status_code == 200, response.text
    topic: dict[str, Any] = response.json()
    return topic


async def chosen_from(client: httpx.AsyncClient, **query: str) -> dict[str, str]:
    topics = (await client.get(TOPICS, params=query)).json()["topics"]
    return {topic["slug"]: topic["name"] for topic in topics}


async def test_choice_is_all_that_a_form_needs_in_the_readers_language(
    client: httpx.AsyncClient,
) -> None:
    english = await client.get(TOPICS)
    choice = english.json()
    assert [topic["slug"] for topic in choice["topics"]] == ["stories", "videos", "images", "audio"]
    assert choice["topics"][1] == {
        "slug": "videos",
        "name": "Video",
        "description": "New footage in broadcast quality",
    }
    assert choice["languages"] == ["en", "fr"]
    assert choice["frequencies"] == ["each", "daily", "weekly"]
    version = consent_texts.CURRENT
    text = consent_texts.TEXTS[version]["en"]
    assert choice["consent"] == {"version": version, "language": "en", "text": text}
    french = await client.get(TOPICS, headers={"Accept-Language": "fr-BE, en;q=0.5"})
    assert french.headers["content-language"] == french.json()["language"] == "fr"
    assert french.json()["topics"][0]["name"] == "Articles"
    assert french.json()["consent"]["text"] == consent_texts.TEXTS[version]["fr"]
    assert "Accept-Language" in french.headers["vary"]
    asked = await client.get(TOPICS, params={"language": "fr"}, headers={"Accept-Language": "en"})
    assert asked.json() == french.json()
    unchanged = {"If-None-Match": english.headers["etag"]}
    assert (await client.get(TOPICS, headers=unchanged)).status_code == 304
    assert (await client.get(TOPICS, params={"language": "de"})).status_code == 422


async def test_new_topic_comes_last_with_terms_as_assets_have_them(
    desk: Api, app: FastAPI, database: Database
) -> None:
    created = await create(desk)
    assert created == {
        "slug": "harbours",
        "labels": {"en": {"name": "Harbours", "description": "Ships and quays"}},
        "terms": ["keyword:le havre", "type:video"],
        "position": 4,
        "retired_at": None,
    }
    assert list(await chosen_from(desk, language="fr"))[-1] == "harbours"
    assert (await chosen_from(desk, language="fr"))["harbours"] == "Harbours"
    await publish_story(app, "a-quay", keywords=["Le Havre"])
    [indexed] = await rows(database, AssetSearch)
    assert created["terms"][0] in indexed.terms
    assert "newsletter_topic.created" in await audited(database)
    again = await desk.post(TOPICS, json=HARBOURS)
    assert (again.status_code, again.json()["code"]) == (409, "topic_exists")


async def test_patch_merges_labels_and_replaces_the_rest(desk: Api, database: Database) -> None:
    await create(desk)
    french = {"name": "Ports", "description": "Navires et quais"}
    merged = await patch(desk, "harbours", labels={"fr": french}, position=0)
    assert merged["labels"] == {**HARBOURS["labels"], "fr": french}  # type: ignore[dict-item]
    assert list(await chosen_from(desk))[:2] == ["harbours", "stories"]
    bare = await patch(
        desk, "harbours", labels={"fr": {"description": None}, "en": {"name": "Ports"}}, terms=[]
    )
    assert bare["labels"]["fr"] == {"name": "Ports", "description": None}
    assert bare["labels"]["en"] == {"name": "Ports", "description": "Ships and quays"}
    assert bare["terms"] == []
    gone = await patch(desk, "harbours", labels={"fr": None})
    assert list(gone["labels"]) == ["en"]
    before = await audited(database)
    changing_nothing: list[dict[str, Any]] = [{}, {"terms": []}, {"labels": {"en": {}, "fr": {}}}]
    for nothing in changing_nothing:
        assert await patch(desk, "harbours", **nothing) == gone
    assert await audited(database) == before
    unknown = await desk.patch(f"{TOPICS}/nothing", json={})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")


async def test_retired_topic_is_kept_by_those_who_have_it_and_chosen_by_nobody(
    desk: Api, database: Database
) -> None:
    subscription = "/v1/newsletter/subscription"
    assert (await desk.put(subscription, json={"topics": ["audio"]})).status_code == 200
    retired = await patch(desk, "audio", retired=True)
    assert retired["retired_at"] == "2026-11-23T12:00:00Z"
    assert "audio" not in await chosen_from(desk)
    everything = (await desk.get(f"{TOPICS}/all")).json()["items"]
    assert retired in everything
    assert len(everything) == 4
    async with database.transaction() as session:
        shown = await newsletter_topics.list_choice(session, "en", kept=["audio"])
    assert [topic.slug for topic in shown if topic.is_retired] == ["audio"]
    kept = await desk.put(subscription, json={"topics": ["videos", "audio"]})
    assert kept.json()["topics"] == ["audio", "videos"]
    assert (await desk.put(subscription, json={"topics": ["videos"]})).status_code == 200
    late = await desk.put(subscription, json={"topics": ["audio"]})
    assert (late.status_code, late.json()["code"]) == (422, "unknown_topic")
    assert (await patch(desk, "audio", retired=False))["retired_at"] is None
    assert (await desk.put(subscription, json={"topics": ["audio"]})).status_code == 200


@pytest.mark.parametrize(
    ("fields", "pointer", "code"),
    [
        ({"labels": {}}, "/labels/en/name", "required"),
        ({"labels": {"fr": {"name": "Ports"}}}, "/labels/en/name", "required"),
        ({"labels": {"en": {"description": "Ships"}}}, "/labels/en/name", "required"),
        ({"terms": ["type:video", "harbour"]}, "/terms/1", "invalid_term"),
        ({"terms": ["colour:red"]}, "/terms/0", "invalid_term"),
        ({"terms": ["keyword: "]}, "/terms/0", "invalid_term"),
        ({"slug": "Harbours"}, "/slug", "string_pattern_mismatch"),
        ({"position": 2**40}, "/position", "less_than_equal"),
    ],
)
async def test_topic_that_would_not_work_is_refused(
    desk: Api, fields: dict[str, Any], pointer: str, code: str
) -> None:
    refused = await desk.post(TOPICS, json={**HARBOURS, **fields})
    assert refused.status_code == 422
    [error] = refused.json()["errors"]
    assert (error["pointer"], error["code"]) == (pointer, code)


async def test_collection_is_found_by_slug_or_id(desk: Api) -> None:
    number = "0198c0de-0000-7000-8000-000000000000"
    terms = [f"collection:{number}", f"collection_id:{number}", "collection:fleet-week"]
    created = await create(desk, terms=terms)
    assert created["terms"] == [f"collection_id:{number}", "collection:fleet-week"]


async def test_name_in_english_cannot_be_taken_away(desk: Api) -> None:
    refused = await desk.patch(f"{TOPICS}/videos", json={"labels": {"en": None}})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/labels/en/name"


async def test_key_that_is_sent_again_makes_one_topic(desk: Api) -> None:
    headers = {"Idempotency-Key": "harbours-1"}
    first = await desk.post(TOPICS, json=HARBOURS, headers=headers)
    again = await desk.post(TOPICS, json=HARBOURS, headers=headers)
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert again.headers["idempotent-replayed"] == "true"
