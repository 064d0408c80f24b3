"""The demo catalogue: a few real clips, and any number of made-up assets like real ones."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from fractions import Fraction
from multiprocessing import active_children
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from app.adapters import test_card
from app.adapters.test_card import ClipSpec
from app.crypto import Keyring, PasswordHasher
from app.db import Database
from app.jobs import demo_load
from app.jobs.demo import fill_empty_catalogue
from app.jobs.demo_assets import DemoCatalogue, SourceFile, demo_collections
from app.services import publication
from tests.conftest import clock_at_noon, copied_database, running_app, settings_for
from tests.factories import add_draft, publish_story
from tests.helpers import Api, patient_database
from tests.programs import run_to_end

SIZE = 2_000
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ASSETS = "/v1/assets"
SHA256 = "a" * 64
VIDEO = {"duration_ms": 6000, "video": {"width": 1920, "height": 1080, "codec": "AVC"}}
IMAGE = {"duration_ms": None, "image": {"width": 1280, "height": 720}}
SMALL = {"duration_ms": None, "image": {"width": 480, "height": 270}}
TONE = {"duration_ms": 10_000, "audio_tracks": [{"channels": 1, "language": None}]}


def source(kind: str, name: str, purpose: str, technical: dict[str, Any]) -> SourceFile:
    return SourceFile(
        kind=kind,
        name=name,
        purpose=purpose,
        extension="bin",
        media_type="application/octet-stream",
        object_key="renditions/demo",
        size_bytes=1000,
        sha256=SHA256,
        technical=technical,
        technical_json=json.dumps(technical),
    )


POSTERS = [
    source("image", "poster", "poster", IMAGE),
    source("image", "poster@small", "poster@small", SMALL),
]
FILES = {
    "video": [source("video", "hd", "broadcast", VIDEO), *POSTERS],
    "image": [source("image", "large", "image", IMAGE), *POSTERS],
    "audio": [source("audio", "master", "master", TONE)],
    "story": POSTERS,
}


def catalogue_of(size: int) -> DemoCatalogue:
    return DemoCatalogue(size, FILES, demo_collections())


async def store_the_file(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(
        "INSERT INTO stored_object (key, size_bytes, sha256, created_at) VALUES ($1, 1000, $2, $3)",
        "renditions/demo",
        SHA256,
        NOW,
    )
    await connection.close()


@pytest.fixture(scope="module")
async def filled(server_url: str, template: str) -> AsyncIterator[str]:
    """The URL of a database with a large catalogue; no test changes what it says."""
    async with copied_database(server_url, template) as url:
        await store_the_file(url)
        await demo_load.load(url, catalogue_of(SIZE), on_progress=lambda _: None)
        yield url


@pytest.fixture
async def large(filled: str) -> AsyncIterator[Database]:
    database = patient_database(filled)
    yield database
    await database.close()


@pytest.fixture
async def portal(
    large: Database, tmp_path: Path, keyring: Keyring, hasher: PasswordHasher
) -> AsyncIterator[Api]:
    app = await running_app(settings_for(tmp_path), large, keyring, hasher, clock_at_noon())
    async with Api(app) as client:
        yield client


@pytest.fixture
async def url(server_url: str, template: str) -> AsyncIterator[str]:
    """An empty catalogue's."""
    async with copied_database(server_url, template) as url:
        yield url


@pytest.fixture
async def empty(url: str) -> AsyncIterator[Database]:
    database = patient_database(url)
    yield database
    await database.close()


async def ask(client: httpx.AsyncClient, path: str, **params: Any) -> Any:
    response = await client.get(path, params=params)
    assert response.status_code == 200, response.text
    return response.json()


async def count(database: Database, table: str) -> int:
    row = await database.reader.fetchrow(f"SELECT count(*) AS count FROM {table}")  # noqa: S608
    assert row is not None
    found: int = row["count"]
    return found


async def remains(database: Database) -> dict[str, int]:
    tables = ("asset", "asset_search", "facet_count", "rendition", "collection", "keyword")
    return {table: found for table in tables if (found := await count(database, table))}


# What is made


@pytest.mark.parametrize(
    ("size", "blocks"),
    [(1, [1]), (999, [999]), (1000, [1000]), (1001, [1000, 1]), (2000, [1000, 1000])],
)
def test_catalogue_has_as_many_assets_as_were_asked_for(size: int, blocks: list[int]) -> None:
    catalogue = catalogue_of(size)
    made = [catalogue.block(number) for number in catalogue.blocks]
    assert [len(block) for block in made] == blocks
    numbers = {int(each.asset.slug.rpartition("-")[2]) for block in made for each in block}
    assert numbers == set(range(size))
    assert len({each.asset.id for block in made for each in block}) == size


def test_a_million_assets_are_spread_over_ten_years() -> None:
    oldest, *_ = catalogue_of(1_000_000).block(999)
    assert oldest.asset.published_at.date().isoformat() == "2016-11-01"


@pytest.mark.slow
async def test_assets_are_the_same_whoever_makes_them(large: Database) -> None:
    rows = await large.reader.fetch("SELECT id, document FROM asset")
    stored = {row["id"]: json.loads(row["document"]) for row in rows}
    made = [each for number in (0, 1) for each in catalogue_of(SIZE).block(number)]
    assert stored == {each.asset.id: each.document for each in made}


@pytest.mark.slow
async def test_second_catalogue_is_like_the_first_in_every_row(url: str, large: Database) -> None:
    await store_the_file(url)
    await demo_load.load(url, catalogue_of(SIZE), on_progress=lambda _: None)
    again = patient_database(url)
    for table, key in (
        ("asset", "id"),
        ("asset_search", "asset_id"),
        ("rendition", "id"),
        ("keyword", "id"),
        ("collection", "id"),
        ("facet_count", "term"),
    ):
        query = f"SELECT md5(string_agg({table}::text, '' ORDER BY {key})) FROM {table}"  # noqa: S608
        assert await again.reader.fetch(query) == await large.reader.fetch(query), table
    await again.close()


async def test_a_third_is_french_and_many_have_translations(large: Database) -> None:
    rows = await large.reader.fetch("SELECT document FROM asset")
    documents = [json.loads(row["document"]) for row in rows]
    french = [document for document in documents if document["language"] == "fr"]
    translated = [document for document in documents if document["translations"]]
    assert 0.28 < len(french) / SIZE < 0.39
    assert 0.35 < len(translated) / SIZE < 0.45
    for document in translated:
        assert list(document["translations"]) == ["en" if document["language"] == "fr" else "fr"]
    assert {document["type"] for document in documents} == {"video", "image", "audio", "story"}


async def test_every_poster_has_a_small_size(large: Database) -> None:
    rows = await large.reader.fetch("SELECT document FROM asset WHERE type <> 'audio'")
    for row in rows:
        small = (poster := json.loads(row["document"])["poster"])["small"]
        assert small["url"] == poster["url"] + "&width=480"
        assert (poster["width"], small["width"], small["height"]) == (1280, 480, 270)


async def test_stories_refer_to_older_assets_that_are_there(large: Database) -> None:
    rows = await large.reader.fetch("SELECT document FROM asset")
    documents = {(document := json.loads(row["document"]))["id"]: document for row in rows}
    for document in documents.values():
        for related in document["related"]:
            other = documents[related["id"]]
            assert related["title"] == other["title"]
            assert other["published_at"] < document["published_at"]
    stories = [each for each in documents.values() if each["type"] == "story"]
    without = [story for story in stories if not story["related"]]
    # None but those that are the oldest of their block.
    assert len(without) <= 2 < len(stories)


# Like what an editor publishes


async def test_facets_count_what_is_there(large: Database) -> None:
    counted = await large.reader.fetch("SELECT term, count FROM facet_count ORDER BY 1")
    there = await large.reader.fetch(
        "SELECT unnest(terms) AS term, count(*)::int AS count FROM asset_search"
        " GROUP BY 1 ORDER BY 1"
    )
    assert counted == there
    assert {"term": "all", "count": SIZE} in [dict(row) for row in counted]


async def test_documents_and_search_are_as_a_release_would_make_them_now(large: Database) -> None:
    everything = "SELECT asset_id, asset_search::text FROM asset_search ORDER BY 1"
    before = await large.reader.fetch(everything)
    for row in before[::80]:
        async with large.transaction() as session:
            await publication.render_again(session, row["asset_id"], now=NOW)
    assert await large.reader.fetch(everything) == before
    versions = await large.reader.fetch("SELECT DISTINCT version, state FROM asset")
    assert [tuple(row) for row in versions] == [(2, "published")]


async def test_list_begins_with_the_newest(portal: Api) -> None:
    items = (await ask(portal, ASSETS, limit=20))["items"]
    assert [int(item["slug"].rpartition("-")[2]) for item in items] == list(range(20))
    assert items[0]["published_at"] == "2026-11-01T00:00:00Z"


@pytest.mark.parametrize("beginning", ["WIDE SHOT of the quay", "PLAN LARGE du quai"])
async def test_phrase_of_a_shotlist_finds_its_assets(
    portal: Api, large: Database, beginning: str
) -> None:
    shots = await large.reader.fetch(
        """
        SELECT shot ->> 'text' AS text, array_agg(id) AS assets
          FROM asset, jsonb_array_elements(fields -> 'shotlist') AS shot
         WHERE shot ->> 'text' LIKE $1 || '%' GROUP BY 1 ORDER BY 1 LIMIT 3
        """,
        beginning,
    )
    assert len(shots) == 3
    for shot in shots:
        found = await ask(portal, ASSETS, q=f'"{shot["text"]}"', limit=100)
        assert {UUID(item["id"]) for item in found["items"]} >= set(shot["assets"])
        for item in found["items"]:
            told = json.dumps([item["shotlist"], item["translations"]], ensure_ascii=False)
            assert shot["text"] in told


async def test_facet_leads_to_as_many_assets_as_it_says(portal: Api) -> None:
    facets = (await ask(portal, ASSETS, facets="type,country"))["facets"]
    assert sum(each["count"] for each in facets["type"]) == SIZE
    country = facets["country"][-1]
    listed = await ask(portal, ASSETS, country=country["value"], limit=100)
    assert len(listed["items"]) == country["count"]


# The load


async def test_failed_load_leaves_nothing(url: str, empty: Database) -> None:
    with pytest.raises(asyncpg.ForeignKeyViolationError):  # no such object
        await demo_load.load(url, catalogue_of(1), on_progress=lambda _: None)
    assert await remains(empty) == {}


@pytest.mark.slow
async def test_load_whose_process_is_killed_leaves_nothing(url: str, empty: Database) -> None:
    await store_the_file(url)

    def kill(_: int) -> None:
        for child in active_children():
            child.kill()

    with pytest.raises(ChildProcessError):
        await demo_load.load(url, catalogue_of(9_000), on_progress=kill)
    assert await remains(empty) == {}


async def test_what_a_killed_load_has_left_is_removed_and_nothing_else(
    url: str, empty: Database, tmp_path: Path, keyring: Keyring, hasher: PasswordHasher
) -> None:
    app = await running_app(settings_for(tmp_path), empty, keyring, hasher, clock_at_noon())
    kept = {await add_draft(app), await publish_story(app, "a-story")}
    loaded = await publish_story(app, "loaded-but-never-listed")
    connection = await asyncpg.connect(url)
    await connection.execute("DELETE FROM asset_search WHERE asset_id = $1", loaded)
    await demo_load.discard_unfinished(url)
    assert await count(empty, "asset") == 3  # for there was no load

    await connection.execute("CREATE UNLOGGED TABLE demo_search (LIKE asset_search)")
    await demo_load.discard_unfinished(url)
    await connection.close()
    assert {row["id"] for row in await empty.reader.fetch("SELECT id FROM asset")} == kept


# The clips


def tiny(spec: ClipSpec) -> ClipSpec:
    return ClipSpec(spec.title, 320, 180, Fraction(25), 1, accent=spec.accent)


async def test_small_catalogue_can_be_played_and_has_something_in_every_state(
    url: str,
    empty: Database,
    tmp_path: Path,
    keyring: Keyring,
    hasher: PasswordHasher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(test_card, "DEMO_CLIPS", [tiny(clip) for clip in test_card.DEMO_CLIPS])
    app = await running_app(settings_for(tmp_path), empty, keyring, hasher, clock_at_noon())
    assert await fill_empty_catalogue(empty, app.state.storage, url=url, now=NOW)
    assert not await fill_empty_catalogue(empty, app.state.storage, url=url, now=NOW)

    async with Api(app) as client:
        story, *clips = (await ask(client, ASSETS))["items"]
        assert [each["slug"] for each in clips] == [
            "line-up-card-1080p50",
            "line-up-card-720p",
            "line-up-card-480p",
        ]
        assert [each["slug"] for each in story["related"]] == [each["slug"] for each in clips]
        for clip in clips:
            assert [each["language"] for each in clip["captions"]] == ["en"]
            for derived, media_type in (("poster", "image/jpeg"), ("preview", "video/mp4")):
                file = await client.get(clip[derived]["url"], follow_redirects=True)
                assert (file.status_code, file.headers["content-type"]) == (200, media_type)
            small = await client.get(clip["poster"]["small"]["url"])
            assert len(small.content) == clip["poster"]["small"]["size_bytes"]
        for slug, status in (
            ("how-to-read-a-waveform", 404),
            ("a-hundred-years-of-line-up", 404),
            ("line-up-card-576i", 410),
            ("cards-of-the-seventies", 410),
        ):
            assert (await client.get(f"{ASSETS}/{slug}")).status_code == status


# The command


@pytest.mark.slow
async def test_command_fills_an_empty_catalogue_alone(url: str, tmp_path: Path) -> None:
    environment = {"DATABASE_URL": url, "SECRET_KEY": "a secret for tests that is long enough"}
    status, said = run_to_end(tmp_path, "demo", "--assets", "1001", **environment)
    assert status == 0, said
    portal = patient_database(url)
    assert await count(portal, "asset_search") == 1001 + 4
    small = "SELECT count(document::json -> 'poster' -> 'small' ->> 'url') AS small"
    with_poster = f"{small}, count(*) FROM asset WHERE document::json -> 'poster' ->> 'url' <> ''"
    [counts] = await portal.reader.fetch(with_poster)
    assert counts["small"] == counts["count"] > 900
    before = await remains(portal)
    status, said = run_to_end(tmp_path, "demo", "--assets", "1001", **environment)
    assert status == 2
    assert said.splitlines()[-1].endswith("The catalogue is not empty; the demo fills an empty one")
    status, _ = run_to_end(tmp_path, "demo", **environment)
    assert (status, await remains(portal)) == (0, before)
    await portal.close()
