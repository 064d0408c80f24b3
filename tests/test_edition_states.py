"""The life of an edition, its figures and its ledger, as editors see and steer them."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import delete, update

from app.db import Database
from app.models import AuditEvent, Delivery, Edition, EditionMessage
from app.services import (
    delivery_ledger,
    edition_freezing,
    edition_states,
    editions,
    fan_out,
    policy,
)
from app.services.context import WORKER
from tests.edition_desk import (
    DRAFT,
    EDITIONS,
    NEWSROOM,
    NOON,
    TEXTS,
    add_delivery,
    add_reader_delivery,
    add_subscriber,
    change,
    create,
    done,
    read,
    send,
    start,
    take,
)
from tests.factories import any_version, publish_story, withdraw
from tests.helpers import Api, Clock, audited, rows, somebody_waits

LATER = "2026-11-24T06:00:00Z"


async def set_columns(database: Database, edition: dict[str, Any], **columns: Any) -> None:
    of_this = update(Edition).where(Edition.id == UUID(edition["id"]))
    async with database.transaction() as session:
        await session.execute(of_this.values(**columns))


async def start_due(database: Database, clock: Clock) -> UUID | None:
    async with database.transaction() as session:
        return await edition_states.start_due(session, newsroom=NEWSROOM, now=clock.now)


async def finish(database: Database, edition: dict[str, Any]) -> bool:
    async with database.transaction() as session:
        return await edition_states.finish_if_done(session, UUID(edition["id"]), now=NOON)


async def get_json(
    desk: httpx.AsyncClient, edition: dict[str, Any], part: str, **query: Any
) -> Any:
    response = await desk.get(f"{EDITIONS}/{edition['id']}/{part}", params=query)
    assert response.status_code == 200, response.text
    return response.json()


async def subscribers_in(
    desk: httpx.AsyncClient, edition: dict[str, Any], **query: Any
) -> list[UUID]:
    found = await get_json(desk, edition, "deliveries", **query)
    return [UUID(item["subscriber_id"]) for item in found["items"]]


def code_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


# Steps


async def test_sending_freezes_the_mail_of_each_language(desk: Api, database: Database) -> None:
    draft = await create(desk)
    address = f"{EDITIONS}/{draft['id']}/send"
    assert code_of(await desk.post(address)) == (428, "precondition_required")
    stale = await desk.post(address, headers={"If-Match": '"v7"'})
    assert code_of(stale) == (412, "precondition_failed")
    response = await desk.post(address, headers={"If-Match": '"v1"'})
    edition = await done(response)
    assert response.headers["etag"] == '"v2"'
    assert (edition["state"], edition["started_at"]) == ("sending", "2026-11-23T12:00:00Z")
    messages = await rows(database, EditionMessage)
    assert {(each.variant, each.language, each.subject) for each in messages} == {
        (0, "en", TEXTS["en"]["subject"]),
        (1, "fr", TEXTS["fr"]["subject"]),
    }
    [event] = [e for e in await rows(database, AuditEvent) if e.action == "edition.started"]
    assert event.subject == draft["created_by"]
    assert event.details["edition_id"] == draft["id"]


async def test_draft_that_lacks_something_is_not_sent_or_scheduled(desk: Api) -> None:
    draft = await create(desk, translations={"en": {"preheader": "Only that"}})
    for response in (
        await take(desk, draft, "send"),
        await take(desk, draft, "schedule", send_at=LATER),
    ):
        assert response.status_code == 422
        wrong = {error["pointer"] for error in response.json()["errors"]}
        assert wrong == {"/translations/en/subject", "/translations/en/body"}
    assert await read(desk, draft) == draft


# Of each step, the states in which it can be taken.
STEPS = {
    "schedule": {"draft", "scheduled"},
    "send": {"draft", "scheduled"},
    "pause": {"sending"},
    "resume": {"paused"},
    "cancel": {"scheduled", "sending", "paused"},
    "retry-failed": {"sending", "paused", "sent"},
}


async def test_each_step_is_refused_in_the_states_it_does_not_fit(
    desk: Api, database: Database
) -> None:
    edition = await create(desk)
    for state in ("draft", "scheduled", "sending", "paused", "sent", "cancelled"):
        started_at = NOON if state not in {"draft", "scheduled"} else None
        await set_columns(database, edition, state=state, started_at=started_at)
        for step, allowed in STEPS.items():
            if state not in allowed:
                body = {"send_at": LATER} if step == "schedule" else {}
                response = await take(desk, edition, step, **body)
                assert code_of(response) == (409, "edition_state"), (step, state)
                assert f"It is {state};" in response.json()["detail"]
    assert (await read(desk, edition))["version"] == 1


async def test_edition_pauses_resumes_and_ends_for_good(desk: Api, database: Database) -> None:
    edition = await send(desk)
    address = f"{EDITIONS}/{edition['id']}"
    stale = await desk.post(f"{address}/pause", headers={"If-Match": '"v1"'})
    assert code_of(stale) == (412, "precondition_failed")
    paused = await done(await desk.post(f"{address}/pause", json={"reason": "Wrong picture"}))
    assert (paused["state"], paused["pause_reason"]) == ("paused", "Wrong picture")
    resumed = await done(await desk.post(f"{address}/resume"))
    assert (resumed["state"], resumed["pause_reason"]) == ("sending", None)
    assert resumed["started_at"] == edition["started_at"]
    cancelled = await done(await desk.post(f"{address}/cancel"))
    assert cancelled["state"] == "cancelled"
    assert cancelled["finished_at"] == "2026-11-23T12:00:00Z"
    assert (await audited(database))[-3:] == [
        "edition.paused",
        "edition.resumed",
        "edition.cancelled",
    ]


async def test_fault_pauses_once_and_its_reason_stays(desk: Api, database: Database) -> None:
    edition = await send(desk)
    for reason, is_first in (("sender_refused: 550 5.7.1", True), ("no_answer", False)):
        async with database.transaction() as session:
            paused = await edition_states.pause_for_fault(
                session, UUID(edition["id"]), reason, now=NOON
            )
        assert paused is is_first
    found = await read(desk, edition)
    assert (found["state"], found["pause_reason"]) == ("paused", "sender_refused: 550 5.7.1")
    assert (await audited(database)).count("edition.paused") == 1


# Schedules


async def test_scheduled_edition_starts_at_its_moment_and_once(
    desk: Api, database: Database, clock: Clock
) -> None:
    draft = await create(desk)
    past = await take(desk, draft, "schedule", send_at="2026-11-23T12:00:00Z")
    assert [error["pointer"] for error in past.json()["errors"]] == ["/send_at"]
    scheduled = await done(await take(desk, draft, "schedule", send_at="2026-11-23T12:10:00Z"))
    assert (scheduled["state"], scheduled["send_at"]) == ("scheduled", "2026-11-23T12:10:00Z")
    clock.now += timedelta(minutes=9, seconds=59)
    assert await start_due(database, clock) is None
    clock.now += timedelta(seconds=1)
    assert await start_due(database, clock) == UUID(draft["id"])
    assert await start_due(database, clock) is None
    started = await read(desk, draft)
    assert (started["state"], started["started_at"]) == ("sending", "2026-11-23T12:10:00Z")


async def test_cancelled_schedule_is_a_draft_again(desk: Api, database: Database) -> None:
    draft = await create(desk)
    await take(desk, draft, "schedule", send_at=LATER)
    again = await done(await take(desk, draft, "cancel"))
    assert (again["state"], again["send_at"]) == ("draft", None)
    assert (await audited(database))[-1] == "edition.unscheduled"


async def test_schedule_whose_asset_has_gone_waits_for_an_editor_and_delays_no_other(
    desk: Api, app: FastAPI, database: Database, clock: Clock
) -> None:
    asset_id = await publish_story(app, "three-boats")
    texts = {"en": {**TEXTS["en"], "body": "Look:\n\n::asset[three-boats]"}}
    broken = await create(desk, translations=texts)
    other = await create(desk)
    for edition in (broken, other):
        await done(await take(desk, edition, "schedule", send_at="2026-11-23T12:10:00Z"))
    await withdraw(app, asset_id, "Names a minor")
    clock.now += timedelta(minutes=10)
    started = {await start_due(database, clock) for _ in range(2)}
    assert started == {UUID(broken["id"]), UUID(other["id"])}
    assert (await read(desk, other))["state"] == "sending"
    paused = await read(desk, broken)
    assert (paused["state"], paused["started_at"]) == ("paused", None)
    assert paused["pause_reason"].startswith("rendering_failed: /translations/en/body")
    assert "three-boats" in paused["pause_reason"]

    assert (await take(desk, broken, "resume")).status_code == 422
    await done(await change(desk, paused, translations=TEXTS))
    resumed = await done(await take(desk, broken, "resume"))
    assert (resumed["state"], resumed["started_at"]) == ("sending", "2026-11-23T12:10:00Z")
    assert resumed["pause_reason"] is None


async def test_unforeseen_fault_of_rendering_pauses_without_its_words(
    desk: Api, database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = await create(desk)
    await done(await take(desk, draft, "schedule", send_at="2026-11-23T12:10:00Z"))
    clock.now += timedelta(minutes=10)

    async def fail(*_: object, **__: object) -> None:
        raise KeyError("an internal name")

    monkeypatch.setattr(edition_freezing, "freeze", fail)
    assert await start_due(database, clock) == UUID(draft["id"])
    paused = await read(desk, draft)
    assert (paused["state"], paused["pause_reason"]) == ("paused", "rendering_failed: KeyError")


async def test_workers_start_each_due_edition_exactly_once(live_database: Database) -> None:
    async with live_database.transaction() as session:
        for number in range(3):
            fields = {**DRAFT, "name": str(number)}
            edition = await editions.create(session, fields, editor=WORKER, now=NOON)
            edition.state, edition.send_at = "scheduled", NOON
    clock = Clock(NOON)
    started = await asyncio.gather(*(start_due(live_database, clock) for _ in range(6)))
    ids = {edition.id for edition in await rows(live_database, Edition)}
    assert sorted(each for each in started if each) == sorted(ids)
    assert (await audited(live_database)).count("edition.started") == 3


# The end, and trying again


async def test_edition_ends_when_its_ledger_is_complete_and_concluded(
    desk: Api, database: Database
) -> None:
    edition = await send(desk)
    assert not await finish(database, edition)  # nobody has looked yet who gets it
    await set_columns(database, edition, fanned_out_at=NOON)
    for state in ("pending", "leased", "sending", "deferred"):
        subscriber_id = await add_delivery(database, edition, state)
        assert not await finish(database, edition), state
        async with database.transaction() as session:
            key = (UUID(edition["id"]), subscriber_id)
            (await session.get_one(Delivery, key)).state = "sent"
    await done(await take(desk, edition, "pause"))
    assert not await finish(database, edition)
    await done(await take(desk, edition, "resume"))
    assert await finish(database, edition)
    assert not await finish(database, edition)
    ended = await read(desk, edition)
    assert (ended["state"], ended["finished_at"]) == ("sent", "2026-11-23T12:00:00Z")


async def test_retry_takes_up_what_failed_or_is_unknown_and_nobody_else(
    desk: Api, database: Database
) -> None:
    edition = await send(desk)
    await set_columns(database, edition, state="sent", fanned_out_at=NOON, finished_at=NOON)
    tried = {"attempts": 5, "doubts": 2, "first_tried_at": NOON, "finished_at": NOON}
    ids = {
        state: await add_reader_delivery(database, edition, state, **tried)
        for state in ("sent", "failed", "unknown", "skipped")
    }
    address = f"{EDITIONS}/{edition['id']}/retry-failed"
    assert await done(await desk.post(address, params={"state": "unknown"})) == {"retried": 1}
    again = await read(desk, edition)
    assert (again["state"], again["finished_at"]) == ("sending", None)
    gone = await add_subscriber(database, "gone@example.org", state="suppressed")
    await add_delivery(database, edition, "failed", subscriber_id=gone, **tried)
    assert await done(await desk.post(address)) == {"retried": 1}
    assert await done(await desk.post(address)) == {"retried": 0}
    refused = await desk.post(address, params={"state": "sent"})
    assert refused.status_code == 422

    by_id = {delivery.subscriber_id: delivery for delivery in await rows(database, Delivery)}
    assert {state: by_id[ids[state]].state for state in ids} == {
        "sent": "sent",
        "failed": "pending",
        "unknown": "pending",
        "skipped": "skipped",
    }
    retried = by_id[ids["failed"]]
    assert (retried.attempts, retried.doubts, retried.due_at) == (0, 0, NOON)
    assert (retried.first_tried_at, retried.finished_at) == (None, None)
    assert by_id[ids["sent"]].attempts == by_id[gone].attempts == 5
    assert by_id[gone].state == "failed"
    assert (await audited(database)).count("edition.retried") == 2


async def test_retry_takes_up_more_than_fits_into_one_statement(
    desk: Api, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "FAN_OUT_CHUNK", 2)
    edition = await send(desk)
    for _ in range(5):
        await add_reader_delivery(database, edition, "failed")
    assert await done(await take(desk, edition, "retry-failed")) == {"retried": 5}


async def test_end_and_retry_at_once_lose_no_mail(live_database: Database) -> None:
    """Without a second look under the lock the edition would end with a mail still pending."""
    edition = await start(live_database)
    failed = await add_reader_delivery(live_database, edition, "failed")
    async with live_database.transaction() as session:
        await edition_states.retry_failed(
            session, UUID(edition["id"]), check=any_version, editor=WORKER, now=NOON
        )
        ending = asyncio.create_task(finish(live_database, edition))
        await somebody_waits(live_database)
    assert not await ending
    [found] = await rows(live_database, Edition)
    [delivery] = await rows(live_database, Delivery)
    assert (found.state, delivery.subscriber_id, delivery.state) == ("sending", failed, "pending")


async def test_late_answer_beats_a_retry(live_database: Database) -> None:
    """Whose mail turns out to have arrived in that instant does not get it twice."""
    edition = await start(live_database)
    await add_reader_delivery(live_database, edition, "unknown")

    async def retry() -> int:
        async with live_database.transaction() as session:
            return await edition_states.retry_failed(
                session, UUID(edition["id"]), check=any_version, editor=WORKER, now=NOON
            )

    async with live_database.transaction() as session:
        await session.execute(update(Delivery).values(state="sent"))
        retrying = asyncio.create_task(retry())
        await somebody_waits(live_database)
    assert await retrying == 0
    [delivery] = await rows(live_database, Delivery)
    assert delivery.state == "sent"


# Figures


async def test_stats_tell_what_became_of_each_mail(
    desk: Api, database: Database, clock: Clock
) -> None:
    edition = await send(desk)
    await set_columns(database, edition, fanned_out_at=NOON)
    clock.now += timedelta(minutes=10)
    lately, before = clock.now - timedelta(seconds=59), clock.now - timedelta(seconds=60)
    ok = {"smtp_code": 250, "smtp_status": "2.0.0"}
    for at in (lately, lately, lately, before):
        await add_delivery(database, edition, "sent", finished_at=at, **ok)
    await add_delivery(database, edition, "sent", finished_at=before, bounced_at=NOON)
    returned = {"complained_at": NOON, "unsubscribed_at": NOON}
    await add_delivery(database, edition, "sent", finished_at=before, **returned)
    for state in ("pending", "leased", "sending", "deferred", "unknown", "skipped"):
        await add_delivery(database, edition, state)
    for status in ("5.1.1", "5.1.1", None):
        await add_delivery(database, edition, "failed", smtp_code=550, smtp_status=status)
    await add_delivery(database, edition, "deferred", smtp_code=451)

    expected: dict[str, Any] = {
        "state": "sending",
        "audience": None,
        "recipients": 16,
        "is_complete": True,
        "deliveries": {
            "pending": 2,
            "sending": 1,
            "deferred": 2,
            "sent": 6,
            "failed": 3,
            "unknown": 1,
            "skipped": 1,
            "cancelled": 0,
        },
        "bounced": 1,
        "complained": 1,
        "unsubscribed": 1,
        "failures": [
            {"state": "failed", "code": "5.1.1", "count": 2},
            {"state": "deferred", "code": "451", "count": 1},
            {"state": "failed", "code": "550", "count": 1},
            {"state": "unknown", "code": None, "count": 1},
        ],
        "mails_per_second": 0.05,
        "seconds_left": 60,
        "pause_reason": None,
        "started_at": "2026-11-23T12:00:00Z",
        "finished_at": None,
    }
    assert await get_json(desk, edition, "stats") == expected

    await done(await take(desk, edition, "cancel"))
    cancelled = await get_json(desk, edition, "stats")
    assert (cancelled["state"], cancelled["seconds_left"]) == ("cancelled", None)
    counts = {"pending": 0, "sending": 1, "deferred": 0, "cancelled": 4}
    assert cancelled["deliveries"] == {**expected["deliveries"], **counts}


async def test_stats_of_a_draft_say_how_many_would_get_it(desk: Api, database: Database) -> None:
    choices: dict[str, dict[str, Any]] = {
        "all": {},
        "videos": {"topics": ["videos"]},
        "stories": {"topics": ["stories"]},
        "weekly": {"frequency": "weekly"},
        "gone": {"state": "unsubscribed"},
    }
    for name, choice in choices.items():
        await add_subscriber(database, f"{name}@example.org", **choice)
    for_all, for_some = await create(desk), await create(desk, topics=["videos"])
    assert (await get_json(desk, for_all, "stats"))["audience"] == 3
    assert (await get_json(desk, for_some, "stats"))["audience"] == 2


# The ledger


async def test_ledger_is_read_by_pages_states_and_addresses(desk: Api, database: Database) -> None:
    edition = await send(desk)
    named = await add_subscriber(database, "jane@example.org")
    answer = {"smtp_code": 451, "smtp_status": "4.7.1", "reason": "greylisted", "attempts": 1}
    tried = {"first_tried_at": NOON, "due_at": NOON + timedelta(minutes=1)}
    ids = {"deferred": await add_delivery(database, edition, "deferred", subscriber_id=named)}
    async with database.transaction() as session:
        of_jane = update(Delivery).where(Delivery.subscriber_id == named)
        await session.execute(of_jane.values(**answer, **tried))
    for state in ("leased", "sending", "sent", "failed"):
        ids[state] = await add_delivery(database, edition, state)

    [jane] = (await get_json(desk, edition, "deliveries", email="Jane@Example.ORG"))["items"]
    assert jane == {
        "subscriber_id": str(named),
        "email": "jane@example.org",
        "state": "deferred",
        "attempts": 1,
        "doubts": 0,
        "smtp_code": 451,
        "smtp_status": "4.7.1",
        "reason": "greylisted",
        "next_try_at": "2026-11-23T12:01:00Z",
        "first_tried_at": "2026-11-23T12:00:00Z",
        "finished_at": None,
        "bounced_at": None,
        "complained_at": None,
        "unsubscribed_at": None,
    }
    first = await get_json(desk, edition, "deliveries", limit=3)
    rest = await get_json(desk, edition, "deliveries", limit=3, cursor=first["next_cursor"])
    items = first["items"] + rest["items"]
    assert [UUID(item["subscriber_id"]) for item in items] == list(ids.values())
    states = ["deferred", "pending", "sending", "sent", "failed"]
    assert [item["state"] for item in items] == states
    assert [item["email"] for item in items] == ["jane@example.org", None, None, None, None]
    assert rest["next_cursor"] is None
    assert await subscribers_in(desk, edition, state="pending") == [ids["leased"]]
    assert await subscribers_in(desk, edition, state="cancelled") == []
    assert await subscribers_in(desk, edition, state="failed", email="jane@example.org") == []

    await done(await take(desk, edition, "cancel"))
    held_back = [ids["deferred"], ids["leased"]]
    assert await subscribers_in(desk, edition, state="cancelled") == held_back
    assert await subscribers_in(desk, edition, state="pending") == []
    assert await subscribers_in(desk, edition, state="sending") == [ids["sending"]]
    wrong = await desk.get(f"{EDITIONS}/{edition['id']}/deliveries", params={"email": "no"})
    assert wrong.status_code == 422


async def test_mail_that_lost_its_worker_in_a_cancelled_edition_may_have_arrived(
    desk: Api, database: Database, clock: Clock
) -> None:
    edition = await send(desk)
    reader = await add_delivery(database, edition, "sending")
    clock.now += timedelta(minutes=1)
    await done(await take(desk, edition, "cancel"))
    for minutes, state, other in ((3.9, "sending", "unknown"), (0.1, "unknown", "sending")):
        clock.now += timedelta(minutes=minutes)
        assert await subscribers_in(desk, edition, state=state) == [reader]
        assert await subscribers_in(desk, edition, state=other) == []
        found = await get_json(desk, edition, "deliveries")
        assert [each["state"] for each in found["items"]] == [state]
        counts = (await get_json(desk, edition, "stats"))["deliveries"]
        assert (counts[state], counts[other]) == (1, 0)


async def missing(database: Database, edition: Edition) -> list[str | None]:
    async with database.transaction() as session:
        found = await delivery_ledger.list_entries(
            session, edition, state="missing", email_key=None, after=None, limit=10, now=NOON
        )
    return [entry.email for entry in found]


async def test_ledger_names_who_was_missed(live_database: Database) -> None:
    """The truth is the fan-out's: whom it takes in is missing once the row is gone, nobody else."""
    async with live_database.transaction() as session:
        fields = {**DRAFT, "topics": ["videos"]}
        edition = await editions.create(session, fields, editor=WORKER, now=NOON)
        await edition_states.send(
            session,
            edition.id,
            check=any_version,
            newsroom=NEWSROOM,
            editor=WORKER,
            now=NOON,
        )
    later = NOON + timedelta(seconds=1)
    choices: dict[str, dict[str, Any]] = {
        "all": {},
        "videos": {"topics": ["audio", "videos"]},
        "audio": {"topics": ["audio"]},
        "french": {"language": "fr"},
        "daily": {"frequency": "daily"},
        "gone": {"state": "unsubscribed"},
        "late": {"subscribed_at": later, "updated_at": later},
    }
    for name, choice in choices.items():
        await add_subscriber(live_database, f"{name}@example.org", **choice)
    assert await missing(live_database, edition) == []  # nobody was passed by yet
    await fan_out.write_chunk(live_database.write, edition.id, now=NOON)
    async with live_database.transaction() as session:
        edition = await editions.get(session, edition.id)
    assert (edition.recipients, edition.fanned_out_at) == (3, NOON)
    assert await missing(live_database, edition) == []

    async with live_database.transaction() as session:
        await session.execute(delete(Delivery))
    expected = ["all@example.org", "videos@example.org", "french@example.org"]
    assert await missing(live_database, edition) == expected
