"""Editions at the editors' desk: drafts that are written, changed, listed and thrown away."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from app.db import Database
from app.models import Edition
from tests.edition_desk import DRAFT, EDITIONS, TEXTS, change, create, done, read, send, take
from tests.helpers import Api, Clock, audited, rows


def pointers(response: httpx.Response) -> set[str]:
    assert response.status_code == 422, response.text
    return {error["pointer"] for error in response.json()["errors"]}


async def test_draft_needs_only_a_name(desk: Api, database: Database) -> None:
    response = await desk.post(EDITIONS, json={"name": "Ideas"})
    made = response.json()
    assert response.status_code == 201
    assert response.headers["location"] == f"{EDITIONS}/{made['id']}"
    assert response.headers["etag"] == '"v1"'
    assert made == {
        "id": made["id"],
        "number": made["number"],
        "kind": "edition",
        "frequency": "each",
        "topics": [],
        "name": "Ideas",
        "language": "en",
        "subject": None,
        "state": "draft",
        "pause_reason": None,
        "send_at": None,
        "started_at": None,
        "finished_at": None,
        "recipients": 0,
        "version": 1,
        "created_at": "2026-11-23T12:00:00Z",
        "updated_at": "2026-11-23T12:00:00Z",
        "translations": {},
        "from_name": None,
        "in_archive": True,
        "created_by": made["created_by"],
    }
    assert made["created_by"] is not None
    assert await read(desk, made) == made
    assert (await audited(database))[-1] == "edition.created"


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"name": "two\nlines"}, "/name"),
        ({"name": ""}, "/name"),
        ({"from_name": "News\r\nBcc: all@example.org"}, "/from_name"),
        ({"from_name": "x" * 101}, "/from_name"),
        (
            {"translations": {"en": {"subject": "A\r\nBcc: b@example.org"}}},
            "/translations/en/subject",
        ),
        ({"translations": {"en": {"subject": "A\u2028B"}}}, "/translations/en/subject"),
        ({"translations": {"en": {"subject": "x" * 201}}}, "/translations/en/subject"),
        ({"translations": {"en": {"preheader": "A\nB"}}}, "/translations/en/preheader"),
        ({"translations": {"en": {"preheader": "x" * 301}}}, "/translations/en/preheader"),
        ({"translations": {"en": {"body": "x" * 200_001}}}, "/translations/en/body"),
        ({"translations": {"en": {"body": "bell \a"}}}, "/translations/en/body"),
        ({"translations": {"en": {"html": "<p>"}}}, "/translations/en/html"),
        ({"translations": {"xx": {"subject": "A"}}}, "/translations/xx"),
        ({"language": "xx"}, "/language"),
        ({"language": None}, "/language"),
        ({"topics": ["videos", "no-such-topic"]}, "/topics/1"),
        ({"frequency": "daily"}, "/frequency"),
        ({"state": "sent"}, "/state"),
    ],
)
async def test_what_is_not_valid_is_named(
    desk: Api, database: Database, fields: dict[str, Any], pointer: str
) -> None:
    response = await desk.post(EDITIONS, json={**DRAFT, **fields})
    assert pointers(response) == {pointer}
    assert await rows(database, Edition) == []


async def test_patch_merges_the_texts_and_counts_a_version(desk: Api, database: Database) -> None:
    draft = await create(desk, topics=["videos", "audio", "videos"], from_name="Newsroom")
    assert draft["topics"] == ["audio", "videos"]
    patch = {"en": {"preheader": "Sails"}, "fr": None}
    response = await change(desk, draft, translations=patch, from_name=None, in_archive=False)
    changed = await done(response)
    assert response.headers["etag"] == '"v2"'
    expected = {"en": {**TEXTS["en"], "preheader": "Sails"}}
    assert changed["translations"] == expected
    assert (changed["from_name"], changed["in_archive"], changed["version"]) == (None, False, 2)

    same = await done(await change(desk, changed, name=DRAFT["name"], topics=["videos", "audio"]))
    assert same == changed
    assert pointers(await change(desk, changed, name=None)) == {"/name"}
    assert (await change(desk, draft, name="Late")).status_code == 412
    address = f"{EDITIONS}/{draft['id']}"
    assert (await desk.patch(address, json={"name": "Blind"})).status_code == 428
    assert (await audited(database)).count("edition.changed") == 1


async def test_draft_keeps_a_topic_that_was_retired_and_no_other_can_choose_it(desk: Api) -> None:
    draft = await create(desk, topics=["audio"])
    retired = await desk.patch("/v1/newsletter/topics/audio", json={"retired": True})
    assert retired.status_code == 200, retired.text
    kept = await done(await change(desk, draft, topics=["audio", "videos"]))
    assert kept["topics"] == ["audio", "videos"]
    response = await desk.post(EDITIONS, json={**DRAFT, "topics": ["audio"]})
    assert (response.status_code, response.json()["code"]) == (422, "unknown_topic")


async def test_scheduled_edition_stays_fit_to_be_sent(desk: Api) -> None:
    draft = await create(desk)
    send_at = "2026-11-24T06:00:00Z"
    scheduled = await done(await take(desk, draft, "schedule", send_at=send_at))
    response = await change(desk, scheduled, translations={"en": {"subject": None}})
    assert pointers(response) == {"/translations/en/subject"}
    assert await read(desk, draft) == scheduled
    changed = await done(await change(desk, scheduled, translations={"fr": None}))
    assert (changed["state"], changed["send_at"], changed["version"]) == ("scheduled", send_at, 3)


async def test_edition_that_has_started_stays_as_it_is(desk: Api) -> None:
    edition = await send(desk)
    response = await change(desk, edition, name="Too late")
    assert (response.status_code, response.json()["code"]) == (409, "edition_started")
    headers = {"If-Match": "*"}
    response = await desk.delete(f"{EDITIONS}/{edition['id']}", headers=headers)
    assert (response.status_code, response.json()["code"]) == (409, "edition_state")
    assert "sending" in response.json()["detail"]
    assert await read(desk, edition) == edition


async def test_copy_is_good_until_the_edition_changes(desk: Api, clock: Clock) -> None:
    draft = await create(desk)
    address = f"{EDITIONS}/{draft['id']}"
    first = await desk.get(address)
    assert first.headers["last-modified"] == "Mon, 23 Nov 2026 12:00:00 GMT"
    known = {"If-None-Match": first.headers["etag"]}
    unchanged = await desk.get(address, headers=known)
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    for name in ("etag", "last-modified", "cache-control"):
        assert unchanged.headers[name] == first.headers[name]
    # Its recipients are counted without a new time of change, so a time alone proves nothing.
    since = {"If-Modified-Since": first.headers["last-modified"]}
    assert (await desk.get(address, headers=since)).status_code == 200

    clock.now += timedelta(minutes=1)
    await done(await change(desk, draft, name="Another"))
    changed = await desk.get(address, headers=known)
    assert (changed.status_code, changed.json()["name"]) == (200, "Another")
    assert changed.headers["last-modified"] == "Mon, 23 Nov 2026 12:01:00 GMT"


async def test_time_of_another_zone_is_answered_in_utc(desk: Api) -> None:
    draft = await create(desk)
    response = await take(desk, draft, "schedule", send_at="2026-11-24T08:00:00+02:00")
    scheduled = await done(response)
    assert scheduled["send_at"] == "2026-11-24T06:00:00Z"
    assert await read(desk, draft) == scheduled
    beyond = await take(desk, draft, "schedule", send_at="9999-12-31T23:00:00-02:00")
    assert pointers(beyond) == {"/send_at"}


async def test_drafts_alone_can_be_deleted(desk: Api, database: Database) -> None:
    draft = await create(desk)
    address = f"{EDITIONS}/{draft['id']}"
    assert (await desk.delete(address)).status_code == 428
    assert (await desk.delete(address, headers={"If-Match": '"v2"'})).status_code == 412
    assert (await desk.delete(address, headers={"If-Match": '"v1"'})).status_code == 204
    assert (await desk.get(address)).status_code == 404
    assert (await audited(database))[-1] == "edition.deleted"


async def test_list_is_newest_first_by_pages_and_states_without_the_texts(desk: Api) -> None:
    drafts = [await create(desk, name=f"Edition {number}") for number in range(3)]
    await take(desk, drafts[1], "send")
    response = await desk.get(EDITIONS, params={"limit": 2})
    page = response.json()
    assert [item["name"] for item in page["items"]] == ["Edition 2", "Edition 1"]
    assert [item["subject"] for item in page["items"]] == [TEXTS["en"]["subject"]] * 2
    assert "translations" not in page["items"][0]
    assert 'rel="next"' in response.headers["link"]
    cursor = {"limit": 2, "cursor": page["next_cursor"]}
    last = (await desk.get(EDITIONS, params=cursor)).json()
    assert [item["name"] for item in last["items"]] == ["Edition 0"]
    assert last["next_cursor"] is None
    sending = (await desk.get(EDITIONS, params={"state": "sending"})).json()
    assert [item["name"] for item in sending["items"]] == ["Edition 1"]
    stolen = await desk.get(EDITIONS, params={**cursor, "state": "draft"})
    assert stolen.json()["code"] == "invalid_cursor"


async def test_same_idempotency_key_makes_one_draft(desk: Api, database: Database) -> None:
    headers = {"Idempotency-Key": "once"}
    first, again = [await desk.post(EDITIONS, json=DRAFT, headers=headers) for _ in range(2)]
    assert first.json() == again.json()
    [edition] = await rows(database, Edition)
    assert edition.id == UUID(first.json()["id"])
