"""A real harvester, sickle, over real connections: it gets all, and misses nothing."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import uvicorn
from fastapi import FastAPI
from sickle import Sickle
from sickle.iterator import OAIResponseIterator
from sickle.oaiexceptions import NoRecordsMatch

from app.db import Database
from app.http.server import uvicorn_config
from app.services import asset_editing, policy
from app.services.context import WORKER
from tests.factories import (
    any_version,
    create,
    publish,
    publish_story,
    publish_video,
    withdraw,
)


@pytest.fixture
async def url(live_app: FastAPI) -> AsyncIterator[str]:
    config = uvicorn_config(live_app, host="127.0.0.1", port=0)
    config.lifespan = "off"  # the fixture has made what it would
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:  # noqa: ASYNC110  # the server sets no event
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/oai"
    server.should_exit = True
    await serving


def harvester(url: str, **options: Any) -> Sickle:
    return Sickle(url, timeout=30, max_retries=5, **options)


# Of each identifier, the title of the record; None once it is deleted.
Mirror = dict[str, str | None]


def title_of(record: Any) -> str | None:
    return None if record.deleted else record.metadata["title"][0]


async def catalogue(database: Database) -> Mirror:
    rows = await database.reader.fetch(
        "SELECT asset_id, document::json ->> 'title' AS title"
        " FROM change JOIN asset ON asset.id = asset_id WHERE is_latest"
    )
    return {f"oai:127.0.0.1:{row['asset_id']}": row["title"] for row in rows}


async def fill(app: FastAPI, count: int) -> list[UUID]:
    stories = []
    async with app.state.database.transaction() as session:
        for number in range(count):
            asset = await create(session, f"story-{number}", "story", fields={})
            await publish(session, asset)
            stories.append(asset.id)
    return stories


@pytest.mark.slow
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_whole_catalogue_is_harvested_in_pages_of_a_hundred(
    live_app: FastAPI, live_database: Database, url: str, method: str
) -> None:
    stories = await fill(live_app, 230)
    for story in stories[:20]:
        await withdraw(live_app, story, "Wrong place")
    await publish_video(live_app, title="A video")

    def harvest() -> tuple[Mirror, dict[str, Any]]:
        client = harvester(url, http_method=method)
        records = list(client.ListRecords(metadataPrefix="oai_dc"))
        assert len(records) == 231
        pages = harvester(url, iterator=OAIResponseIterator)
        facts = {
            "pages": len(list(pages.ListRecords(metadataPrefix="ebucore"))),
            "kept": len(list(client.ListRecords(metadataPrefix="oai_dc", ignore_deleted=True))),
            "headers": len(list(client.ListIdentifiers(metadataPrefix="oai_dc"))),
            "sets": [each.setSpec for each in client.ListSets()],
            "formats": [each.metadataPrefix for each in client.ListMetadataFormats()],
            "videos": len(list(client.ListRecords(metadataPrefix="oai_dc", set="video"))),
            "protocol": client.Identify().protocolVersion,
            "deleting": client.Identify().deletedRecord,
        }
        return {each.header.identifier: title_of(each) for each in records}, facts

    mirror, facts = await asyncio.to_thread(harvest)
    assert mirror == await catalogue(live_database)
    assert sum(title is None for title in mirror.values()) == 20
    assert facts == {
        "pages": 3,
        "kept": 211,
        "headers": 231,
        "sets": ["video", "image", "audio", "story"],
        "formats": ["oai_dc", "ebucore"],
        "videos": 1,
        "protocol": "2.0",
        "deleting": "persistent",
    }


async def test_single_record_and_what_is_not_there(live_app: FastAPI, url: str) -> None:
    story = await publish_story(live_app, "story", title="A story")

    def ask() -> tuple[Any, Any]:
        client = harvester(url)
        record = client.GetRecord(metadataPrefix="oai_dc", identifier=f"oai:127.0.0.1:{story}")
        richer = client.GetRecord(metadataPrefix="ebucore", identifier=f"oai:127.0.0.1:{story}")
        with pytest.raises(NoRecordsMatch):
            client.ListRecords(metadataPrefix="oai_dc", until="1999-12-31")
        return record, richer

    record, richer = await asyncio.to_thread(ask)
    assert title_of(record) == "A story"
    assert record.header.setSpecs == ["story"]
    assert richer.metadata["coreMetadata"] is not None


@dataclass
class Incremental:
    """A harvester that goes on where it was: at the date of the last harvest's first answer."""

    url: str
    since: str | None = None
    mirror: Mirror = field(default_factory=dict)

    def harvest(self) -> None:
        dates = {"from": self.since} if self.since else {}
        client = harvester(self.url)
        try:
            records = client.ListRecords(metadataPrefix="oai_dc", **dates)
        except NoRecordsMatch:
            return  # begin at the same date again
        self.since = records.oai_response.xml.findtext("{*}responseDate")
        for record in records:
            self.mirror[record.header.identifier] = title_of(record)


async def test_only_what_has_changed_is_harvested_again(
    live_app: FastAPI, live_database: Database, url: str
) -> None:
    first, second, _ = await fill(live_app, 3)
    await asyncio.sleep(1.1)  # what changed in the second of a harvest is harvested once more
    harvests = Incremental(url)
    await asyncio.to_thread(harvests.harvest)
    await withdraw(live_app, first, "Wrong place")
    await correct(live_database, second, "A better title")
    before = dict.fromkeys(harvests.mirror, "seen before")
    harvests.mirror = {**before}
    await asyncio.to_thread(harvests.harvest)
    assert harvests.mirror == {
        **before,
        f"oai:127.0.0.1:{first}": None,
        f"oai:127.0.0.1:{second}": "A better title",
    }


async def correct(database: Database, asset_id: UUID, title: str) -> None:
    async with database.transaction() as session:
        await asset_editing.change(
            session,
            str(asset_id),
            {"title": title},
            check=any_version,
            note=None,
            editor=WORKER,
            now=datetime.now(UTC),
        )


async def write(app: FastAPI, writer: int, allowed: "asyncio.Queue[bool]") -> None:
    """Publish, correct and withdraw as fast as it goes, as often as is allowed."""
    chance = random.Random(writer)  # noqa: S311  # decides no secret
    mine: list[UUID] = []
    number = 0
    while await allowed.get():
        number += 1
        step = chance.random()
        if step < 0.4 or not mine:
            mine.append(await publish_story(app, f"story-{writer}-{number}"))
        elif step < 0.9:
            await correct(app.state.database, chance.choice(mine), f"Title {writer}-{number}")
        else:
            await withdraw(app, mine.pop(chance.randrange(len(mine))), "Wrong place")


async def test_harvester_that_follows_eight_writers_ends_with_the_same_catalogue(
    live_app: FastAPI, live_database: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "HARVEST_PAGE_SIZE", 5)
    harvests = Incremental(url)
    allowed: asyncio.Queue[bool] = asyncio.Queue()
    writing = [asyncio.create_task(write(live_app, writer, allowed)) for writer in range(8)]
    for _ in range(10):
        for _ in range(15):  # not for ever, or a slow harvester would never be done
            allowed.put_nowait(True)
        await asyncio.to_thread(harvests.harvest)
    for _ in writing:
        allowed.put_nowait(False)
    await asyncio.gather(*writing)
    await asyncio.to_thread(harvests.harvest)
    found = await catalogue(live_database)
    assert harvests.mirror == found
    assert len(found) > 10
