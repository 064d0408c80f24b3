"""The vocabulary of keywords: one spelling for each, told to the public only when it is public."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from app.db import Database
from app.errors import InvalidInput
from app.models import Keyword
from app.services import keywords
from app.services.folding import fold
from tests.factories import add_draft, publish_story, withdraw
from tests.helpers import Api, audited, rows, somebody_waits

KEYWORDS = "/v1/keywords"
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


async def create(desk: httpx.AsyncClient, name: str, **labels: str) -> dict[str, Any]:
    response = await desk.post(KEYWORDS, json={"name": name, "labels": labels})
    assert response.status_code == 201, response.text
    keyword: dict[str, Any] = response.json()
    return keyword


async def listed(client: httpx.AsyncClient, **query: Any) -> list[tuple[str, int]]:
    response = await client.get(KEYWORDS, params=query)
    assert response.status_code == 200, response.text
    return [(item["name"], item["count"]) for item in response.json()["items"]]


async def canonical(database: Database, *names: str) -> list[str]:
    async with database.transaction() as session:
        return await keywords.canonical(session, names, now=NOON)


# Folding


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Zürich", "zurich"),
        ("ZURICH", "zurich"),
        ("Zu\u0308rich", "zurich"),
        ("Straße", "strasse"),
        ("Œuvre Łódź Đakovo Ærø Þingvellir", "oeuvre lodz dakovo aero thingvellir"),
        ("\u0130stanbul \u0131sparta", "istanbul isparta"),
        (" two\u00a0 words\t", "two words"),
        ("d\u2019Ivoire", "d'ivoire"),
        ("co\u00adopera\u2010tion", "coopera-tion"),
        ("مُدَرِّس", "مدرس"),
        ("שָׁלוֹם", "שלום"),
        ("がか", "がか"),
        ("हिन्दी", "हिन्दी"),
        ("ΟΔΟΣ οδός", "οδοσ οδοσ"),
        ("한국", "한국"),
    ],
)
def test_spellings_of_a_word_fold_to_one(text: str, folded: str) -> None:
    assert fold(text) == folded


@given(st.text())
def test_folded_text_folds_to_itself(text: str) -> None:
    assert fold(fold(text)) == fold(text)


# The vocabulary


async def test_vocabulary_gives_its_spelling_once_in_order(database: Database) -> None:
    assert await canonical(database, "Harbour", "Café") == ["Harbour", "Café"]
    names = ("Ice", "CAFE", "harbour", "cafe\u0301", " ice ", "Zürich  West")
    assert await canonical(database, *names) == ["Ice", "Café", "Harbour", "Zürich West"]
    assert [each.name for each in sorted(await rows(database, Keyword), key=lambda e: e.name)] == [
        "Café",
        "Harbour",
        "Ice",
        "Zürich West",
    ]


@pytest.mark.parametrize(
    ("names", "pointer"),
    [
        (["a", " "], "/keywords/1"),
        (["\u0301"], "/keywords/0"),
        (["a" * 101], "/keywords/0"),
        ([f"{number}" for number in range(101)], "/keywords"),
    ],
)
async def test_what_is_no_keyword_is_named(
    database: Database, names: Sequence[str], pointer: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await canonical(database, *names)
    assert [error["pointer"] for error in refused.value.errors] == [pointer]
    assert await rows(database, Keyword) == []


async def test_as_many_and_as_long_keywords_as_allowed(database: Database) -> None:
    names = [f"{number:0>100}" for number in range(100)]
    assert await canonical(database, *names) == names


async def test_assets_that_race_agree_on_one_spelling(live_database: Database) -> None:
    words = [f"word {number}" for number in range(30)]
    sent = [words, [word.upper() for word in reversed(words)]] * 3
    found = await asyncio.gather(*(canonical(live_database, *each) for each in sent))
    assert len({frozenset(each) for each in found}) == 1
    assert len(await rows(live_database, Keyword)) == 30


async def test_assets_with_the_same_new_keywords_never_wait_for_each_other(
    live_database: Database,
) -> None:
    """All add them in one order; in the order of the editors this would be a deadlock."""
    async with live_database.transaction() as session:
        await keywords.canonical(session, ["b"], now=NOON)
        other = asyncio.create_task(canonical(live_database, "c", "B"))
        await somebody_waits(live_database)
        assert await keywords.canonical(session, ["C"], now=NOON) == ["C"]
    assert await other == ["C", "b"]


async def test_assets_have_the_spelling_of_the_vocabulary(app: FastAPI, desk: Api) -> None:
    await create(desk, "Côte d\N{RIGHT SINGLE QUOTATION MARK}Ivoire")
    await publish_story(app, "a-story", keywords=["cote d'ivoire", "COTE D'IVOIRE", "new"])
    document = (await desk.get("/v1/assets/a-story")).json()
    assert document["keywords"] == ["Côte d\N{RIGHT SINGLE QUOTATION MARK}Ivoire", "new"]


async def test_keyword_that_is_there_is_refused_by_name(desk: Api, database: Database) -> None:
    known = await create(desk, "Façade", fr="façade")
    response = await desk.post(KEYWORDS, json={"name": "FACADE"})
    assert (response.status_code, response.json()["code"]) == (409, "keyword_exists")
    assert known["id"] in response.json()["detail"]
    assert "Façade" in response.json()["detail"]
    [row] = await rows(database, Keyword)
    assert (row.name, row.labels) == ("Façade", {"fr": "façade"})


async def test_same_idempotency_key_makes_one_keyword(desk: Api) -> None:
    headers = {"Idempotency-Key": "once"}
    answers = [await desk.post(KEYWORDS, json={"name": "a"}, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()


async def test_labels_are_merged_by_language(desk: Api, database: Database) -> None:
    made = await create(desk, "Harbour", fr="port", de="Hafen")
    assert made["version"] == 1
    address = f"{KEYWORDS}/{made['id']}"
    patch = {"labels": {"fr": "port maritime", "de": None, "nl": "haven"}}
    response = await desk.patch(address, json=patch, headers={"If-Match": '"v1"'})
    assert response.headers["etag"] == '"v2"'
    assert response.json() == {
        **made,
        "labels": {"fr": "port maritime", "nl": "haven"},
        "version": 2,
    }
    again = await desk.patch(address, json=patch, headers={"If-Match": '"v2"'})
    assert again.json()["version"] == 2
    deeds = [action for action in await audited(database) if action.startswith("keyword.")]
    assert deeds == ["keyword.created", "keyword.changed"]


async def test_labels_change_only_with_the_newest_tag(desk: Api) -> None:
    made = await create(desk, "Harbour")
    patch = {"labels": {"fr": "port"}}
    for headers, status in (({}, 428), ({"If-Match": '"v2"'}, 412)):
        response = await desk.patch(f"{KEYWORDS}/{made['id']}", json=patch, headers=headers)
        assert response.status_code == status
    absent = f"{KEYWORDS}/01234567-89ab-7000-8000-000000000000"
    assert (await desk.patch(absent, json=patch, headers={"If-Match": "*"})).status_code == 404


@pytest.mark.parametrize(
    "body",
    [{}, {"name": ""}, {"name": "a" * 101}, {"name": "a\nb"}, {"name": "a", "labels": {"x": "y"}}],
)
async def test_what_is_not_valid_makes_no_keyword(desk: Api, body: dict[str, Any]) -> None:
    assert (await desk.post(KEYWORDS, json=body)).status_code == 422
    assert await listed(desk) == []


# The list


async def test_keyword_is_public_when_an_asset_with_it_is(
    app: FastAPI, desk: Api, client: httpx.AsyncClient
) -> None:
    await add_draft(app, keywords=["secret visit", "harbour"])
    asset_id = await publish_story(app, "a-story", keywords=["harbour"])
    assert await listed(client) == [("harbour", 1)]
    assert await listed(client, q="secret") == []
    assert await listed(desk) == [("harbour", 1), ("secret visit", 0)]
    await withdraw(app, asset_id, "wrong")
    assert await listed(client) == []


async def test_list_is_by_name_or_count_and_by_prefix(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    for number, words in enumerate((["Éclair", "b"], ["b", "earth"], ["b", "earth"])):
        await publish_story(app, f"story-{number}", keywords=words)
    assert await listed(client) == [("b", 3), ("earth", 2), ("Éclair", 1)]
    assert await listed(client, sort="-count") == [("b", 3), ("earth", 2), ("Éclair", 1)]
    assert await listed(client, q="E") == [("earth", 2), ("Éclair", 1)]
    assert await listed(client, q="écl") == [("Éclair", 1)]
    assert await listed(client, q="arth") == []
    assert await listed(client, q="%") == []
    assert (await client.get(KEYWORDS, params={"sort": "count"})).status_code == 422


@pytest.mark.parametrize("sort", ["name", "-count"])
async def test_pages_show_each_keyword_once(
    app: FastAPI, client: httpx.AsyncClient, sort: str
) -> None:
    long = "\N{OLD ITALIC LETTER A}" * 99
    words = [f"{long}{end}" for end in "abcde"]
    await publish_story(app, "a-story", keywords=words)
    await publish_story(app, "another", keywords=words[2:4])
    found: list[tuple[str, int]] = []
    address: str | None = f"{KEYWORDS}?sort={sort}&limit=2"
    while address:
        page = await client.get(address)
        assert page.status_code == 200, page.text
        found += [(item["name"], item["count"]) for item in page.json()["items"]]
        address = page.links["next"]["url"] if page.json()["next_cursor"] else None
    by_name = [(word, 2 if word in words[2:4] else 1) for word in words]
    assert found == (by_name if sort == "name" else sorted(by_name, key=lambda each: -each[1]))


async def test_cursor_of_an_editor_is_not_for_everybody(
    desk: Api, client: httpx.AsyncClient
) -> None:
    for name in ("a", "b"):
        await create(desk, name)
    cursor = (await desk.get(KEYWORDS, params={"limit": 1})).json()["next_cursor"]
    response = await client.get(KEYWORDS, params={"cursor": cursor})
    assert (response.status_code, response.json()["code"]) == (400, "invalid_cursor")


async def test_caches_keep_what_is_for_everybody(
    app: FastAPI, desk: Api, client: httpx.AsyncClient
) -> None:
    await publish_story(app, "a-story", keywords=["harbour"])
    first = await client.get(KEYWORDS)
    assert first.headers["cache-control"] == "public, no-cache"
    known = {"If-None-Match": first.headers["etag"]}
    assert (await client.get(KEYWORDS, headers=known)).status_code == 304
    assert (await desk.get(KEYWORDS)).headers["cache-control"] == "no-store"
