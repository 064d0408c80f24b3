"""Assets in public: embargo, publishing at the minute, withdrawal, and what refers to them."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx

from app.db import Database
from app.jobs.publication import Publisher
from app.models import Asset, AssetVersion
from app.services import publication
from app.services.context import WORKER
from tests.factories import any_version, create
from tests.helpers import Api, Clock, audited, rows
from tests.test_asset_editing import ASSETS, VIDEO, act, change
from tests.test_asset_editing import create as create_asset


async def due(database: Database, clock: Clock) -> None:
    """What the worker's sweep does, at the time of the test."""
    for step in (publication.publish_due, publication.end_due):
        found = True
        while found:
            async with database.transaction() as session:
                found = await step(session, now=clock.now) is not None


async def status(client: httpx.AsyncClient, reference: str) -> int:
    return (await client.get(f"{ASSETS}/{reference}")).status_code


# Publishing


async def test_published_asset_is_everybody_s(desk: Api, client: httpx.AsyncClient) -> None:
    asset = await create_asset(desk)
    response = await act(desk, asset, "publish")
    assert (response.status_code, response.headers["etag"]) == (200, '"v2"')
    assert response.json()["status"] == "published"
    for reference in (asset["id"], asset["slug"]):
        found = await client.get(f"{ASSETS}/{reference}")
        assert (found.status_code, found.headers["etag"]) == (200, '"v2"')
        assert found.json()["published_at"] == "2026-11-23T12:00:00Z"
    listed = (await client.get(ASSETS)).json()["items"]
    assert [item["id"] for item in listed] == [asset["id"]]


async def test_publishing_twice_is_refused(desk: Api) -> None:
    asset = (await act(desk, await create_asset(desk), "publish")).json()
    again = await act(desk, asset, "publish")
    assert (again.status_code, again.json()["code"]) == (409, "asset_published")


async def test_embargoed_asset_is_invisible_until_its_minute(
    desk: Api, client: httpx.AsyncClient, database: Database, clock: Clock
) -> None:
    asset = await create_asset(desk, title="Embargoed frigate", keywords=["secret-sea"])
    response = await act(desk, asset, "publish", {"publish_at": "2026-11-23T13:00:00Z"})
    scheduled = response.json()
    assert (scheduled["status"], scheduled["publish_at"]) == ("scheduled", "2026-11-23T13:00:00Z")
    clock.now += timedelta(minutes=59, seconds=59)
    await due(database, clock)
    for url in (
        f"{ASSETS}/{asset['id']}",
        f"{ASSETS}/{asset['slug']}",
        f"{ASSETS}/{asset['id']}/related",
    ):
        assert (await client.get(url)).status_code == 404
    for url in (ASSETS, f"{ASSETS}?keyword=secret-sea", "/v1/keywords"):
        assert asset["id"] not in (await client.get(url)).text
    clock.now += timedelta(seconds=1)
    await due(database, clock)
    assert await status(client, asset["id"]) == 200
    assert asset["id"] in (await client.get(f"{ASSETS}?keyword=secret-sea")).text
    kinds = [v.kind for v in sorted(await rows(database, AssetVersion), key=lambda v: v.version)]
    assert kinds == ["created", "scheduled", "published"]
    assert (await audited(database))[-1] == "asset.published"


async def test_time_in_the_past_publishes_at_once(desk: Api) -> None:
    asset = await create_asset(desk)
    response = await act(desk, asset, "publish", {"publish_at": "2026-11-23T11:00:00Z"})
    assert response.json()["status"] == "published"


async def test_time_of_the_draft_counts_when_it_is_published(desk: Api) -> None:
    asset = await create_asset(desk, publish_at="2026-11-23T13:00:00Z")
    assert (await act(desk, asset, "publish")).json()["status"] == "scheduled"


async def test_scheduled_asset_can_be_moved_taken_back_and_published_at_once(desk: Api) -> None:
    asset = await create_asset(desk)
    asset = (await act(desk, asset, "publish", {"publish_at": "2026-11-23T13:00:00Z"})).json()
    asset = (await act(desk, asset, "publish", {"publish_at": "2026-11-23T14:00:00Z"})).json()
    assert asset["publish_at"] == "2026-11-23T14:00:00Z"
    asset = (await change(desk, asset, {"publish_at": None})).json()
    assert (asset["status"], asset["publish_at"]) == ("draft", None)
    asset = (await act(desk, asset, "publish", {"publish_at": "2026-11-23T13:00:00Z"})).json()
    asset = (await act(desk, asset, "publish")).json()
    assert (asset["status"], asset["published_at"]) == ("published", "2026-11-23T12:00:00Z")


async def test_after_an_outage_all_that_was_due_is_published_once(
    live_database: Database, clock: Clock
) -> None:
    """Also when several workers come back at the same moment."""
    for number in range(12):
        async with live_database.transaction() as session:
            asset = await create(session, f"asset-{number}", fields={}, at=clock.now)
            await publication.publish(
                session,
                str(asset.id),
                publish_at=clock.now + timedelta(minutes=number),
                note=None,
                check=any_version,
                editor=WORKER,
                now=clock.now - timedelta(seconds=1),
            )
    clock.now += timedelta(minutes=9, seconds=30)
    await asyncio.gather(*(due(live_database, clock) for _ in range(4)))
    states = {asset.slug: asset.state for asset in await rows(live_database, Asset)}
    assert [states[f"asset-{number}"] for number in range(12)] == ["published"] * 10 + [
        "scheduled"
    ] * 2
    published = [v for v in await rows(live_database, AssetVersion) if v.kind == "published"]
    assert len(published) == 10


# The end of a right


async def test_right_that_ends_withdraws_the_asset(
    desk: Api, client: httpx.AsyncClient, database: Database, clock: Clock
) -> None:
    asset = await create_asset(desk, available_until="2026-11-23T13:00:00Z")
    await act(desk, asset, "publish")
    clock.now += timedelta(minutes=59, seconds=59)
    await due(database, clock)
    assert await status(client, asset["id"]) == 200
    clock.now += timedelta(seconds=1)
    await due(database, clock)
    gone = await client.get(f"{ASSETS}/{asset['id']}")
    assert (gone.status_code, gone.json()["code"]) == (410, "asset_withdrawn")
    assert gone.json()["detail"] == "The right to offer this has ended"


async def test_right_that_ends_before_the_embargo_is_refused(desk: Api) -> None:
    asset = await create_asset(desk, available_until="2026-11-23T13:00:00Z")
    response = await act(desk, asset, "publish", {"publish_at": "2026-11-23T13:00:00Z"})
    assert response.status_code == 422
    assert response.json()["errors"][0]["code"] == "rights_ended"


# Withdrawal


async def test_withdrawn_asset_leaves_its_reason_and_nothing_else(
    desk: Api, client: httpx.AsyncClient
) -> None:
    asset = (await act(desk, await create_asset(desk), "publish")).json()
    response = await act(desk, asset, "withdraw", {"reason": "The ship's name was wrong"})
    assert response.json()["status"] == "withdrawn"
    for reference in (asset["id"], asset["slug"]):
        gone = await client.get(f"{ASSETS}/{reference}")
        assert (gone.status_code, gone.json()["code"]) == (410, "asset_withdrawn")
        assert gone.json()["detail"] == "The ship's name was wrong"
        assert asset["title"] not in gone.text
    assert (await client.get(ASSETS)).json()["items"] == []
    desk_view = (await desk.get(f"{ASSETS}/{asset['id']}")).json()
    assert desk_view["withdrawal_reason"] == "The ship's name was wrong"


async def test_withdrawn_is_for_good(desk: Api) -> None:
    asset = (await act(desk, await create_asset(desk), "publish")).json()
    asset = (await act(desk, asset, "withdraw", {"reason": "x"})).json()
    for response in (
        await act(desk, asset, "publish"),
        await act(desk, asset, "withdraw", {"reason": "x"}),
        await change(desk, asset, {"headline": "x"}),
    ):
        assert (response.status_code, response.json()["code"]) == (409, "asset_published")


async def test_only_what_is_published_can_be_withdrawn(desk: Api) -> None:
    response = await act(desk, await create_asset(desk), "withdraw", {"reason": "x"})
    assert (response.status_code, response.json()["code"]) == (409, "asset_not_published")


async def test_withdrawal_needs_a_reason(desk: Api) -> None:
    asset = (await act(desk, await create_asset(desk), "publish")).json()
    for body in (None, {}, {"reason": ""}, {"reason": "a\nb"}):
        assert (await act(desk, asset, "withdraw", body)).status_code == 422


# Related assets


async def render_referrers(database: Database, asset: dict[str, Any]) -> None:
    await Publisher(database).render_referrers(asset["id"].encode())


async def test_related_asset_is_named_only_while_it_is_public(
    desk: Api, client: httpx.AsyncClient, database: Database
) -> None:
    other = await create_asset(desk, title="The other")
    asset = await create_asset(desk, related=[{"rel": "sequel", "id": other["slug"]}])
    await act(desk, asset, "publish")
    address = f"{ASSETS}/{asset['id']}"
    assert (await client.get(address)).json()["related"] == []
    assert (await client.get(f"{address}/related")).json()["items"] == []

    other = (await act(desk, other, "publish")).json()
    await render_referrers(database, other)
    named = await client.get(address)
    assert named.json()["related"] == [
        {
            "rel": "sequel",
            "id": other["id"],
            "slug": "the-other",
            "type": "video",
            "title": "The other",
        }
    ]
    assert named.headers["etag"] == '"v3"'
    related = (await client.get(f"{address}/related")).json()["items"]
    assert [item["id"] for item in related] == [other["id"]]
    back = (await client.get(f"{ASSETS}/{other['id']}/related")).json()["items"]
    assert [item["id"] for item in back] == [asset["id"]]

    await act(desk, other, "withdraw", {"reason": "x"})
    assert (await client.get(f"{address}/related")).json()["items"] == []
    await render_referrers(database, other)
    assert (await client.get(address)).json()["related"] == []


async def test_rendering_again_what_reads_the_same_is_no_new_version(
    desk: Api, client: httpx.AsyncClient, database: Database
) -> None:
    other = (await act(desk, await create_asset(desk), "publish")).json()
    asset = await create_asset(desk, related=[{"id": other["id"]}])
    await act(desk, asset, "publish")
    for _ in range(2):
        await render_referrers(database, other)
    assert (await client.get(f"{ASSETS}/{asset['id']}")).headers["etag"] == '"v2"'


async def test_documents_of_an_earlier_release_are_rendered_again(
    desk: Api, client: httpx.AsyncClient, database: Database
) -> None:
    asset = (await act(desk, await create_asset(desk), "publish")).json()
    async with database.transaction() as session:
        row = await session.get_one(Asset, asset["id"])
        row.document, row.document_format = '{"title": "as it was"}', 0
    await Publisher(database).sweep()
    found = await client.get(f"{ASSETS}/{asset['id']}")
    assert found.json()["title"] == VIDEO["title"]
    assert found.headers["etag"] == '"v3"'
