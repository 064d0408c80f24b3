"""The feed of changes: numbered in the order of the commits, without gaps."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from fastapi import FastAPI

from app.db import Database
from app.services import changes
from tests.factories import PUBLISHED_AT, add_draft, publish_story, withdraw


async def rows(database: Database) -> list[tuple[Any, ...]]:
    query = "SELECT sequence, kind, asset_id, version, is_latest FROM change ORDER BY sequence"
    return [tuple(row) for row in await database.reader.fetch(query)]


async def test_life_of_an_asset_is_numbered_from_its_publication_on(
    app: FastAPI, database: Database
) -> None:
    await add_draft(app)
    asset_id = await publish_story(app, "convoy")
    await withdraw(app, asset_id, "Wrong place")
    assert await rows(database) == [
        (1, "created", asset_id, 2, False),
        (2, "withdrawn", asset_id, 3, True),
    ]


async def write(database: Database, asset_id: UUID, *, then: Any = None) -> None:
    async with database.transaction() as session:
        await changes.record(
            session, "created", asset_id=asset_id, version=1, now=PUBLISHED_AT + timedelta(hours=1)
        )
        if then is not None:
            await then()


async def test_numbers_have_the_order_of_the_commits(live_database: Database) -> None:
    """Of two that overlap, the one that was written first and commits last is the second."""
    written, may_commit = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        written.set()
        await may_commit.wait()

    slow, quick = uuid4(), uuid4()
    writing = asyncio.create_task(write(live_database, slow, then=wait))
    await written.wait()
    await write(live_database, quick)
    assert [row[2] for row in await rows(live_database)] == [quick]
    may_commit.set()
    await writing
    assert [row[:3] for row in await rows(live_database)] == [
        (1, "created", quick),
        (2, "created", slow),
    ]


async def test_transaction_that_is_rolled_back_leaves_no_gap(live_database: Database) -> None:
    async def fail() -> None:
        raise RuntimeError

    await write(live_database, uuid4())
    results = await asyncio.gather(write(live_database, uuid4(), then=fail), return_exceptions=True)
    assert isinstance(results[0], RuntimeError)
    await write(live_database, uuid4())
    assert [row[0] for row in await rows(live_database)] == [1, 2]
