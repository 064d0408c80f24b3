from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from app.models import Asset, Collection, CollectionItem
from tests.factories import (
    PUBLISHED_AT,
    Published,
    add_draft,
    add_file,
    publish_video,
    withdraw,
)
from tests.helpers import Mailbox, bearer, sign_up


@pytest.fixture
async def session(client: httpx.AsyncClient, mailbox: Mailbox) -> dict[str, str]:
    return bearer(await sign_up(client, mailbox))


@pytest.fixture
async def video(app: FastAPI) -> Published:
    """With a poster, a file that is being processed, and a second one to download."""
    video = await publish_video(app)
    await add_files(app, video.id)
    return video


async def add_files(app: FastAPI, asset_id: UUID) -> None:
    async with app.state.database.transaction() as session:
        asset = await session.get_one(Asset, asset_id)
        await add_file(session, asset, name="poster", purpose="poster")
        await add_file(session, asset, name="master", state="processing")
        await add_file(session, asset, name="sd", filename="..\\evil\r\nout=x.mp4")


async def collect(app: FastAPI, *asset_ids: UUID) -> None:
    """A collection called "festival"."""
    async with app.state.database.transaction() as session:
        collection = Collection(
            slug="festival",
            kind="event",
            title="Festival",
            folded="festival",
            language="en",
            created_at=PUBLISHED_AT,
            updated_at=PUBLISHED_AT,
        )
        session.add(collection)
        await session.flush()
        for asset_id in asset_ids:
            session.add(CollectionItem(collection_id=collection.id, asset_id=asset_id))


async def test_manifest_of_an_asset_lists_its_files_with_hashes(
    client: httpx.AsyncClient, video: Published, session: dict[str, str]
) -> None:
    response = await client.get(f"/v1/assets/{video.slug}/manifest", headers=session)
    answer = response.json()
    assert response.headers["cache-control"] == "no-store"
    assert answer["next_cursor"] is None
    assert [item["name"] for item in answer["items"]] == ["hd", "sd"]
    assert answer["items"][0] == {
        "asset_id": str(video.id),
        "slug": "harbour-exercise",
        "name": "hd",
        "purpose": "broadcast",
        "filename": "harbour-exercise.mp4",
        "path": "harbour-exercise/hd/harbour-exercise.mp4",
        "media_type": "video/mp4",
        "size_bytes": len(video.contents),
        "sha256": video.sha256,
        "download": f"http://127.0.0.1:8000/v1/assets/{video.id}/renditions/hd/download",
    }
    redirect = await client.get(answer["items"][0]["download"], headers=session)
    assert (await client.get(redirect.headers["location"])).content == video.contents


async def test_manifest_comes_as_a_text_for_tools(
    client: httpx.AsyncClient, video: Published, session: dict[str, str]
) -> None:
    path = f"/v1/assets/{video.id}/manifest"
    hashes = await client.get(f"{path}?format=sha256sum", headers=session)
    assert hashes.headers["content-type"] == "text/plain; charset=utf-8"
    assert hashes.headers["cache-control"] == "no-store"
    assert hashes.text == (
        f"{video.sha256}  harbour-exercise/hd/harbour-exercise.mp4\n"
        f"{video.sha256}  harbour-exercise/sd/evil__out=x.mp4\n"
    )
    downloads = await client.get(f"{path}?format=aria2&limit=1", headers=session)
    assert downloads.text == (
        f"http://127.0.0.1:8000/v1/assets/{video.id}/renditions/hd/download\n"
        "  out=harbour-exercise/hd/harbour-exercise.mp4\n"
        f"  checksum=sha-256={video.sha256}\n"
    )
    rest = await client.get(downloads.links["next"]["url"], headers=session)
    assert "/renditions/sd/download\n" in rest.text
    assert "next" not in rest.links
    assert (await client.get(f"{path}?format=zip", headers=session)).status_code == 422


async def test_manifest_of_a_collection_lists_its_public_assets_page_by_page(
    client: httpx.AsyncClient, app: FastAPI, video: Published, session: dict[str, str]
) -> None:
    second = await publish_video(app, "second", contents=b"second")
    gone = await publish_video(app, "gone", contents=b"gone")
    await withdraw(app, gone.id, "a legal claim")
    draft = await add_draft(app)
    await add_files(app, draft)
    await publish_video(app, "not-in-it", contents=b"not in it")
    await collect(app, video.id, second.id, gone.id, draft)
    seen, url = [], "/v1/collections/festival/manifest?limit=1"
    while url:
        response = await client.get(url, headers=session)
        [item] = response.json()["items"]
        seen.append((item["slug"], item["name"]))
        url = response.links.get("next", {}).get("url", "")
    assert seen == [("harbour-exercise", "hd"), ("harbour-exercise", "sd"), ("second", "hd")]


async def test_cursor_of_another_manifest_is_refused(
    client: httpx.AsyncClient, app: FastAPI, video: Published, session: dict[str, str]
) -> None:
    await collect(app, video.id)
    first = (await client.get("/v1/collections/festival/manifest?limit=1", headers=session)).json()
    url = f"/v1/assets/{video.id}/manifest?cursor={first['next_cursor']}"
    response = await client.get(url, headers=session)
    assert (response.status_code, response.json()["code"]) == (400, "invalid_cursor")


async def test_manifest_shows_only_what_is_public(
    client: httpx.AsyncClient, app: FastAPI, video: Published, session: dict[str, str]
) -> None:
    draft = await add_draft(app)
    await withdraw(app, video.id, "a legal claim")
    for path, status, code in (
        (f"/v1/assets/{draft}/manifest", 404, "not_found"),
        ("/v1/assets/never-was/manifest", 404, "not_found"),
        ("/v1/collections/never-was/manifest", 404, "not_found"),
        (f"/v1/assets/{video.id}/manifest", 410, "asset_withdrawn"),
    ):
        response = await client.get(path, headers=session)
        assert (response.status_code, response.json()["code"]) == (status, code)
