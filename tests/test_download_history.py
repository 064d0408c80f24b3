from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import update

from app.db import Database
from app.models import Download, Rendition
from tests.factories import Published, add_file, publish_video, withdraw
from tests.helpers import PASSWORD, Clock, Mailbox, bearer, login, make_editor, rows, sign_up

HISTORY = "/v1/account/downloads"


@pytest.fixture
async def video(app: FastAPI) -> Published:
    return await publish_video(app)


@pytest.fixture
async def jane(client: httpx.AsyncClient, mailbox: Mailbox) -> dict[str, str]:
    return bearer(await sign_up(client, mailbox))


@pytest.fixture
async def editor(client: httpx.AsyncClient, mailbox: Mailbox, database: Database) -> dict[str, str]:
    session = await sign_up(client, mailbox, "editor@example.org")
    await make_editor(database, "editor@example.org")
    return bearer(session)


async def counts(
    client: httpx.AsyncClient, video: Published, editor: dict[str, str]
) -> dict[str, Any]:
    response = await client.get(f"/v1/assets/{video.id}/downloads", headers=editor)
    assert response.status_code == 200
    answer: dict[str, Any] = response.json()
    return answer


# One's own history


async def test_history_lists_own_downloads_newest_first(
    client: httpx.AsyncClient,
    app: FastAPI,
    video: Published,
    jane: dict[str, str],
    editor: dict[str, str],
) -> None:
    other = await publish_video(app, "second", contents=b"second")
    for path, session in ((video, jane), (other, jane), (video, editor)):
        await client.post(path.downloads, headers=session)
    response = await client.get(HISTORY, headers=jane)
    answer = response.json()
    assert answer["next_cursor"] is None
    assert [item["slug"] for item in answer["items"]] == ["second", "harbour-exercise"]
    first = answer["items"][1]
    del first["id"]
    assert first == {
        "occurred_at": "2026-11-23T12:00:00Z",
        "asset_id": str(video.id),
        "slug": "harbour-exercise",
        "type": "video",
        "status": "published",
        "title": "harbour-exercise",
        "rendition": "hd",
        "filename": "harbour-exercise.mp4",
        "size_bytes": len(video.contents),
        "sha256": video.sha256,
        "key_id": None,
        "key_name": None,
    }
    assert response.headers["cache-control"] == "no-store"


async def test_history_is_paged(
    client: httpx.AsyncClient, video: Published, jane: dict[str, str]
) -> None:
    for _ in range(5):
        await client.post(video.downloads, headers=jane)
    seen, url = [], f"{HISTORY}?limit=2"
    for expected in (2, 2, 1):
        response = await client.get(url, headers=jane)
        items = response.json()["items"]
        assert len(items) == expected
        seen += [item["id"] for item in items]
        url = response.links.get("next", {}).get("url", "")
    assert url == ""
    assert len(set(seen)) == 5
    assert seen == sorted(seen, reverse=True)


async def test_cursor_of_another_account_is_refused(
    client: httpx.AsyncClient, video: Published, jane: dict[str, str], editor: dict[str, str]
) -> None:
    for _ in range(2):
        await client.post(video.downloads, headers=jane)
    first = (await client.get(f"{HISTORY}?limit=1", headers=jane)).json()
    url = f"{HISTORY}?cursor={first['next_cursor']}"
    assert (await client.get(url, headers=jane)).status_code == 200
    response = await client.get(url, headers=editor)
    assert (response.status_code, response.json()["code"]) == (400, "invalid_cursor")


async def test_title_of_what_was_withdrawn_is_no_longer_told(
    client: httpx.AsyncClient, app: FastAPI, video: Published, jane: dict[str, str]
) -> None:
    await client.post(video.downloads, headers=jane)
    await withdraw(app, video.id, "a legal claim")
    [item] = (await client.get(HISTORY, headers=jane)).json()["items"]
    assert (item["status"], item["title"]) == ("withdrawn", None)


# Counts


async def test_account_rendition_and_utc_day_count_once(
    client: httpx.AsyncClient,
    app: FastAPI,
    video: Published,
    jane: dict[str, str],
    editor: dict[str, str],
    clock: Clock,
) -> None:
    async with app.state.database.transaction() as session:
        asset = await session.get_one(Rendition, video.rendition_id)
        await add_file(session, asset_of(asset), contents=video.contents, name="sd")
    small = video.downloads.replace("/hd/", "/sd/")
    for path, session in ((video.downloads, jane), (video.downloads, jane), (small, jane)):
        assert (await client.post(path, headers=session)).status_code == 201
    await client.get(video.downloads.removesuffix("s"), headers=editor)
    clock.now += timedelta(hours=12)
    again = bearer((await login(client)).json())
    await client.post(video.downloads, headers=again)
    editor = bearer((await login(client, "editor@example.org")).json())
    assert await counts(client, video, editor) == {
        "asset_id": str(video.id),
        "total": 4,
        "renditions": [{"name": "hd", "count": 3}, {"name": "sd", "count": 1}],
        "days": [{"day": "2026-11-24", "count": 1}, {"day": "2026-11-23", "count": 3}],
    }


def asset_of(rendition: Rendition) -> Any:
    """As much of its asset as a new file needs."""

    class Of:
        id = rendition.asset_id

    return Of()


async def test_days_are_those_of_the_past_year_and_the_total_is_of_all(
    client: httpx.AsyncClient,
    video: Published,
    jane: dict[str, str],
    editor: dict[str, str],
    database: Database,
    clock: Clock,
) -> None:
    await client.post(video.downloads, headers=jane)
    for age, days in ((364, 1), (365, 0)):
        async with database.transaction() as session:
            day = (clock.now - timedelta(days=age)).date()
            await session.execute(update(Download).values(day=day))
        answer = await counts(client, video, editor)
        assert (answer["total"], len(answer["days"])) == (1, days)


async def test_counts_stay_when_a_file_is_replaced_or_an_account_is_erased(
    client: httpx.AsyncClient,
    video: Published,
    jane: dict[str, str],
    editor: dict[str, str],
    database: Database,
) -> None:
    await client.post(video.downloads, headers=editor)
    for _ in range(2):
        await client.post(video.downloads, headers=jane)
    async with database.transaction() as session:
        await session.execute(update(Rendition).values(state="replaced"))
    body = {"password": PASSWORD}
    await client.request("DELETE", "/v1/account", json=body, headers=jane)
    assert len(await rows(database, Download)) == 3
    answer = await counts(client, video, editor)
    assert (answer["total"], answer["renditions"]) == (2, [{"name": "hd", "count": 2}])


async def test_counts_of_what_is_not_there_are_not_found(
    client: httpx.AsyncClient, editor: dict[str, str]
) -> None:
    for reference in ("never-was", "00000000-0000-7000-8000-000000000000"):
        response = await client.get(f"/v1/assets/{reference}/downloads", headers=editor)
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
