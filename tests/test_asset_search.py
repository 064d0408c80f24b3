"""Searching the catalogue: words, phrases, languages, rank, and where in an asset it was found."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from app.db import Database
from app.models import Caption
from app.services import asset_editing, policy
from app.services.context import WORKER
from app.services.search_queries import parse
from tests.factories import PUBLISHED_AT, create, publish, publish_story, publish_video
from tests.helpers import Api

ASSETS = "/v1/assets"
UNKNOWN = dict.fromkeys(("number", "timecode_in", "timecode_out", "speaker", "language"))


def shot(words: str, start_ms: int, **fields: Any) -> dict[str, Any]:
    rest = {"location": None, "filmed_on": None, "kind": "shot", "end_ms": start_ms + 1000}
    return {**UNKNOWN, **rest, "text": words, "start_ms": start_ms, **fields}


async def search(client: httpx.AsyncClient, q: str, **params: Any) -> dict[str, Any]:
    response = await client.get(ASSETS, params={"q": q, **params})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def found(client: httpx.AsyncClient, q: str, **params: Any) -> list[str]:
    return [item["slug"] for item in (await search(client, q, **params))["items"]]


@pytest.fixture
async def texts(app: FastAPI) -> None:
    """An English asset, a French one, and one in a language without stems."""
    await publish_story(
        app,
        "running",
        title="Sailors running along the quays",
        summary="Two ships were seen in the early morning.",
        published_at=PUBLISHED_AT - timedelta(hours=2),
    )
    await publish_story(
        app,
        "course",
        language="fr",
        title="Les marins courent à l'été",
        summary="Un chien sur le quai. L'œuvre de Noël.",
        published_at=PUBLISHED_AT - timedelta(hours=1),
    )
    await publish_story(app, "czech", language="cs", title="Námořníci běží podél řeky")


# What is found


@pytest.mark.parametrize(
    ("q", "slugs"),
    [
        ("run", ["running"]),  # an English stem
        ("ship", ["running"]),
        ("courir", []),
        ("couren", ["course"]),  # a beginning: the last word may go on
        ("ETE", ["course"]),
        ("été", ["course"]),
        ("oeuvre", ["course"]),
        ("noel", ["course"]),
        ("námořníci", ["czech"]),
        ("namornici bezi", ["czech"]),
        ("quay", ["running"]),
        ("qua", ["running", "course"]),
        ('"early morning"', ["running"]),
        ('"morning early"', []),
        ('"chien sur le quai"', ["course"]),
        ("morning -ships", []),
        ("-ships -marins", ["czech"]),
        ("ships or chien", ["running", "course"]),
        ("ships OR řeky", ["running", "czech"]),
        ("sailors chien", []),
        ("the sailors", ["running"]),
    ],
)
@pytest.mark.usefixtures("texts")
async def test_words_are_found_in_their_language(
    client: httpx.AsyncClient, q: str, slugs: list[str]
) -> None:
    assert sorted(await found(client, q)) == sorted(slugs)


async def test_not_holds_for_the_stems_of_every_language(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    """English makes "run" of "running" and French keeps it: asked alone, it would find both."""
    await publish_story(app, "english", title="Ships running", language="en")
    await publish_story(app, "french", title="Ships au port", language="fr")
    assert await found(client, "ships -running") == ["french"]


PLACES: dict[str, dict[str, Any]] = {
    "title": {"title": "zanzibar"},
    "headline": {"headline": "zanzibar"},
    "slugline": {"slugline": "zanzibar"},
    "summary": {"summary": "zanzibar"},
    "body": {"body": "zanzibar"},
    "script": {"script": "zanzibar"},
    "transcript": {"transcript": "zanzibar"},
    "keywords": {"keywords": ["zanzibar"]},
    "people": {"people": [{"name": "Zanzibar", "role": None, "rank": None, "uri": None}]},
    "location": {"location": {"city": "Zanzibar"}},
    "shotlist": {"shotlist": [shot("zanzibar", 5000)]},
    "translations.fr.headline": {"translations": {"fr": {"headline": "zanzibar"}}},
}


@pytest.mark.parametrize("place", PLACES)
async def test_every_text_is_searched_and_named(
    client: httpx.AsyncClient, app: FastAPI, place: str
) -> None:
    await publish_story(app, "here", **PLACES[place])
    await publish_story(app, "elsewhere")
    answer = await search(client, "zanzibar")
    [item] = answer["items"]
    [match] = item["matches"]
    assert (item["slug"], match["field"]) == ("here", place)
    assert match["snippet"].lower() == "<mark>zanzibar</mark>"


async def test_asset_is_found_by_what_its_captions_say(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    webvtt = (
        "WEBVTT\n\n00:00.000 --> 00:02.000\nGood morning\n\n"
        "01:02:03.400 --> 01:02:05.000\n<v Ana>The <i>anchor</i> is up\n"
    )
    async with app.state.database.transaction() as session:
        asset = await create(session, "captioned", fields={})
        captions = {"language": "en", "kind": "captions", "webvtt": webvtt, "sha256": "0"}
        session.add(Caption(asset_id=asset.id, updated_at=PUBLISHED_AT, **captions))
        await publish(session, asset)
    [item] = (await search(client, '"anchor is up"'))["items"]
    assert (
        item["matches"]
        == [
            {
                "field": "captions",
                "snippet": "The <mark>anchor</mark> is <mark>up</mark>",
                "language": "en",
                "start_ms": 3_723_400,
            }
        ]
        or item["matches"][0]["start_ms"] == 3_723_400
    )


async def test_shot_is_found_with_its_time(client: httpx.AsyncClient, app: FastAPI) -> None:
    shots = [shot("Bow in fog", 0), shot("A diver signals to the surface", 12_480)]
    await publish_video(app, "dive", shotlist=shots)
    [item] = (await search(client, '"diver signals"'))["items"]
    match = item["matches"][0]
    assert (match["field"], match["timecode"], match["start_ms"]) == (
        "shotlist",
        "00:00:12:12",
        12_480,
    )
    assert match["snippet"] == "A <mark>diver</mark> <mark>signals</mark> to the surface"


async def test_phrase_does_not_go_from_one_text_to_the_next(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    await publish_story(app, "apart", title="North", headline="wind")
    assert await found(client, '"north wind"') == []


async def test_correction_is_found_by_its_new_words_alone(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    await publish_story(app, "ship", title="Frigate Aurora")
    async with app.state.database.transaction() as session:
        await asset_editing.change(
            session,
            "ship",
            {"title": "Frigate Calypso"},
            check=lambda _: None,
            note=None,
            editor=WORKER,
            now=PUBLISHED_AT,
        )
    assert await found(client, "aurora") == []
    assert await found(client, "calypso") == ["ship"]


# Rank


async def test_best_place_comes_first_and_the_newer_of_two_alike(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    at = PUBLISHED_AT - timedelta(days=1)
    await publish_story(app, "in-title", title="Volcano", published_at=at)
    await publish_story(app, "in-body", body="A volcano.", published_at=at + timedelta(hours=3))
    await publish_story(app, "in-headline", headline="Volcano", published_at=at)
    await publish_story(
        app, "in-headline-newer", headline="Volcano", published_at=at + timedelta(hours=1)
    )
    order = ["in-title", "in-headline-newer", "in-headline", "in-body"]
    assert await found(client, "volcano") == order
    assert (await found(client, "volcano", sort="-published_at"))[0] == "in-body"
    seen, cursor = [], None
    while True:
        params = {"limit": 1, **({"cursor": cursor} if cursor else {})}
        answer = await search(client, "volcano", **params)
        seen += [item["slug"] for item in answer["items"]]
        if (cursor := answer["next_cursor"]) is None:
            break
    assert seen == order


async def test_relevance_ranks_the_newest_hits_and_says_that_there_are_more(
    client: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert policy.COUNTED_HITS == 10_000
    monkeypatch.setattr(policy, "COUNTED_HITS", 3)
    for number in range(5):
        at = PUBLISHED_AT - timedelta(hours=number)
        await publish_story(app, f"story-{number}", headline="Volcano", published_at=at)
    await publish_story(
        app, "oldest", title="Volcano", published_at=PUBLISHED_AT - timedelta(days=9)
    )
    answer = await search(client, "volcano")
    assert answer["total"] == {"value": 3, "relation": "gte"}


async def test_last_word_that_many_assets_have_is_no_beginning(
    client: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert policy.COMMON_WORD_ASSETS == 1_000
    for slug, title in (("one", "Port"), ("two", "Ports"), ("picture", "Portrait")):
        await publish_story(app, slug, title=title)
    assert sorted(await found(client, "port")) == ["one", "picture", "two"]
    assert sorted(await found(client, "port ")) == ["one", "two"]
    monkeypatch.setattr(policy, "COMMON_WORD_ASSETS", 2)
    assert sorted(await found(client, "port")) == ["one", "two"]
    assert await found(client, "portr") == ["picture"]


# Snippets


async def test_snippet_is_cut_from_the_text_as_it_was_written(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    long = "Avant. " * 60 + "Le château d'Évian <b>brûle</b> & fume. " + "Après. " * 60
    await publish_story(app, "fire", language="fr", summary=long)
    [item] = (await search(client, "chateau evian"))["items"]
    [match] = item["matches"]
    snippet = match["snippet"]
    assert "<mark>château</mark> d&#x27;<mark>Évian</mark> &lt;b&gt;brûle&lt;/b&gt;" in snippet
    assert snippet.startswith("…")
    assert snippet.endswith("…")
    assert len(snippet) < 300


# Odd queries


@pytest.mark.parametrize(
    "q",
    [
        *("", " ", "-", '"', '""', '"-"', "or", "or or", "-or", "!!! ??", "&|!()<->:*", "'"),
        *("\\", "a:b", "the and of", "🚢", "a" * 200, "-" * 200, '"' * 199, "x " * 100, "%", "_"),
        "\u202eabc",
    ],
)
@pytest.mark.usefixtures("texts")
async def test_odd_query_is_no_error(client: httpx.AsyncClient, q: str) -> None:
    await search(client, q, facets="keyword")


@pytest.mark.parametrize("length", [201, 5_000])
async def test_query_that_is_too_long_is_refused(client: httpx.AsyncClient, length: int) -> None:
    response = await client.get(ASSETS, params={"q": "x" * length})
    assert (response.status_code, response.json()["code"]) == (422, "query_too_long")


@settings(max_examples=40)
@given(q=st.text(alphabet=st.sampled_from("ab\"'-| &!()<>:*\\é°\tor"), max_size=30))
def test_anything_typed_can_be_read(q: str) -> None:
    for terms in parse(q):
        assert terms
        assert all(term.words for term in terms)


@pytest.mark.usefixtures("texts")
async def test_query_from_a_fuzzer_is_no_error(client: httpx.AsyncClient) -> None:
    for seed in range(150):
        letters = "ab\"'-|&!()<>:*\\ éor"
        q = "".join(letters[(seed * 7 + n * n * 3 + n) % len(letters)] for n in range(seed % 40))
        await search(client, q)


# Counts under concurrency


async def test_counts_hold_when_many_publish_at_once(live_app: FastAPI) -> None:
    database: Database = live_app.state.database
    words = [["sea", "ice", "fog"], ["fog", "sea"], ["ice", "fog"], ["sea"]]
    await asyncio.gather(
        *(
            publish_story(live_app, f"story-{number}", keywords=words[number % 4])
            for number in range(16)
        )
    )
    async with database.transaction() as session:
        counted = await session.execute(
            text("SELECT term, count FROM facet_count WHERE count <> 0 ORDER BY term")
        )
        true = await session.execute(
            text(
                "SELECT term, count(*)::int FROM asset_search, unnest(terms) AS term"
                ' GROUP BY term ORDER BY term COLLATE "C"'
            )
        )
        assert list(counted) == list(true)
    async with Api(live_app) as client:
        answer = (await client.get(f"{ASSETS}?facets=keyword")).json()
    counts = {each["value"]: each["count"] for each in answer["facets"]["keyword"]}
    assert counts == {"sea": 12, "ice": 8, "fog": 12}
