"""Shots are counted from the start of the file, also of one that comes after its shotlist."""

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import Database
from app.models import Asset, AssetVersion
from app.services import asset_editing, publication
from app.services.context import WORKER
from tests.factories import PUBLISHED_AT, add_file, any_version, create, publish

EMPTY = dict.fromkeys(("number", "timecode_in", "timecode_out", "start_ms", "end_ms"))


def shot(**fields: Any) -> dict[str, Any]:
    return {**EMPTY, "kind": "shot", "text": "A ship", **fields}


def times(asset: Asset) -> list[tuple[int, int | None]]:
    return [(each["start_ms"], each["end_ms"]) for each in asset.fields["shotlist"]]


async def file_comes(
    session: AsyncSession, asset: Asset, *, start: str | None, rate: tuple[int, int] = (25, 1)
) -> None:
    video = {"height": 1080, "frame_rate": {"num": rate[0], "den": rate[1]}}
    await add_file(session, asset, technical={"video": video, "start_timecode": start})
    await publication.files_changed(session, asset.id, account_id=None, now=PUBLISHED_AT)


async def test_times_are_counted_from_the_start_of_a_file_that_comes_later(
    database: Database,
) -> None:
    shots = [
        shot(timecode_in="10:00:00:00", timecode_out="10:00:02:12"),
        shot(timecode_in="10:00:02:12"),
        shot(timecode_in="00:00:04:00"),  # before the file's start: counted beside a player
    ]
    async with database.transaction() as session:
        asset = await create(session, "harbour", fields={"shotlist": shots})
        assert times(asset)[0] == (36_000_000, 36_002_480)

        await file_comes(session, asset, start="10:00:00:00")

        assert times(asset) == [(0, 2480), (2480, None), (4000, None)]
        assert asset.fields["shotlist"][0]["timecode_in"] == "10:00:00:00"
        assert asset.version == 1  # nobody who is writing gets in its way


@pytest.mark.parametrize(
    ("given", "rate", "expected"),
    [
        ({"timecode_in": "10:00:05:00", "start_ms": 123}, (25, 1), (123, None)),
        ({"timecode_in": "00:00:05:00"}, (30000, 1001), (5005, None)),
        ({"timecode_in": "00:00:01:24"}, (24, 1), (1960, None)),
    ],
    ids=["what the editor has measured stays", "by its rate", "no frame of that number"],
)
async def test_other_times(
    database: Database, given: dict[str, Any], rate: tuple[int, int], expected: tuple[int, None]
) -> None:
    async with database.transaction() as session:
        asset = await create(session, "harbour", fields={"shotlist": [shot(**given)]})
        await file_comes(session, asset, start=None, rate=rate)
        assert times(asset) == [expected]


async def test_shots_that_were_read_before_the_file_came_are_counted_when_they_come_back(
    database: Database,
) -> None:
    async with database.transaction() as session:
        fields = {"shotlist": [shot(timecode_in="10:00:01:00")]}
        asset = await create(session, "harbour", fields=fields)
        as_read = asset.fields["shotlist"]
        await file_comes(session, asset, start="10:00:00:00")
        await asset_editing.change(
            session,
            "harbour",
            {"shotlist": [{**each, "text": "A frigate"} for each in as_read]},
            check=any_version,
            note=None,
            editor=WORKER,
            now=PUBLISHED_AT,
        )
        assert times(asset) == [(1000, None)]


async def test_version_of_a_new_file_tells_which_times_it_changed(database: Database) -> None:
    async with database.transaction() as session:
        fields = {"shotlist": [shot(timecode_in="10:00:01:00")]}
        asset = await create(session, "harbour", fields=fields)
        await publish(session, asset)
        await file_comes(session, asset, start="10:00:00:00")
        version = (
            await session.scalars(select(AssetVersion).where(AssetVersion.kind == "files"))
        ).one()
        change = version.changes["shotlist"]
        assert [each[0]["start_ms"] for each in (change["before"], change["after"])] == [
            36_001_000,
            1000,
        ]
