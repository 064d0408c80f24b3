"""Webhooks as they leave a worker: to a real receiver, signed, retried, counted and given up."""

import asyncio
import base64
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from fastapi import FastAPI
from sqlalchemy import select, text, update
from standardwebhooks import Webhook, WebhookVerificationError

from app import listener
from app.crypto import Keyring
from app.db import Database
from app.jobs import webhooks as sending
from app.jobs.webhook_answers import judge_failure, retry_after
from app.models import Account, WebhookDelivery, WebhookEndpoint
from app.services import (
    changes,
    policy,
    saved_search_alerts,
    saved_search_events,
    webhook_claims,
    webhook_fan_out,
    webhook_states,
    webhooks,
)
from app.services.webhook_claims import Claim
from tests.factories import publish_story, withdraw
from tests.helpers import PASSWORD, Clock, Mailbox, bearer, rows, sign_up
from tests.hurried_worker import eventually
from tests.webhook_sink import Owner, Received, Sink, endpoint_row, receiving, telling

SECOND, MINUTE, HOUR, DAY = (
    timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days")
)


@pytest.fixture
def clock() -> Clock:
    """The time of the worker, which is the real one."""
    return Clock(datetime.now(UTC))


@pytest.fixture
async def owner(live_client: httpx.AsyncClient, live_mailbox: Mailbox) -> Owner:
    return Owner(live_client, await sign_up(live_client, live_mailbox))


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    async with receiving() as sink:
        yield sink


@pytest.fixture
def hour_before_a_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first pause is too long to be over before a test has had its look: see `hurry`."""
    _, *later = policy.WEBHOOK_RETRY_DELAYS
    monkeypatch.setattr(policy, "WEBHOOK_RETRY_DELAYS", (HOUR, *later))


async def active(owner: Owner, sink: Sink, **options: Any) -> dict[str, Any]:
    """A webhook that has answered its challenge; a worker runs."""
    webhook = await owner.create(sink.url, **options)
    await owner.reaches(webhook, "active")
    return webhook


async def change(database: Database, count: int = 1) -> None:
    """Changes of so many assets, each in a transaction of its own."""
    for _ in range(count):
        async with database.transaction() as session:
            await changes.record(
                session, "created", asset_id=uuid4(), version=1, now=datetime.now(UTC)
            )


async def change_at_once(database: Database, count: int) -> None:
    async with database.transaction() as session:
        for _ in range(count):
            await changes.record(
                session, "created", asset_id=uuid4(), version=1, now=datetime.now(UTC)
            )


async def execute(database: Database, statement: str, **values: Any) -> None:
    async with database.transaction() as session:
        await session.execute(text(statement), values)


async def hurry(database: Database) -> None:
    """Let what waits for its next attempt wait no longer."""
    await execute(
        database,
        "UPDATE webhook_delivery SET next_at = now() - interval '1 s'"
        " WHERE state = 'pending' AND leased_until IS NULL",
    )
    await execute(database, "UPDATE webhook_endpoint SET held_until = NULL")


def answering(*statuses: int, **options: Any) -> Any:
    """One status after the other, and the last one for all that follow."""
    left = list(statuses)

    async def answer(_: web.Request) -> web.Response:
        status = left.pop(0) if len(left) > 1 else left[0]
        return web.Response(status=status, **options)

    return answer


# What arrives


async def test_life_of_an_asset_is_told_as_soon_as_it_is_announced(
    live_app: FastAPI,
    live_database: Database,
    keyring: Keyring,
    owner: Owner,
    sink: Sink,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert sending.POLL == 1
    monkeypatch.setattr(sending, "POLL", 3600)  # too late, so it has to be told
    monkeypatch.setattr(listener, "HEARTBEAT_TIMEOUT", 60)
    async with telling(live_database, keyring):
        await eventually(partial(listens, live_database))
        webhook = await active(owner, sink)
        asset_id = await publish_story(live_app, "convoy")
        await sink.has(1)
        await withdraw(live_app, asset_id, "Wrong place")
        await sink.has(2)
    created, withdrawn = (got.message for got in sink.received)
    assert created == {
        "type": "asset.created",
        "timestamp": "2026-11-23T09:00:00Z",
        "data": {
            "id": str(asset_id),
            "version": 2,
            "sequence": 1,
            "url": f"https://api.example/v1/assets/{asset_id}",
        },
    }
    assert (withdrawn["type"], withdrawn["data"]["sequence"]) == ("asset.withdrawn", 2)
    assert len(sink.received[0].body) < 20_000
    assert sink.received[0].headers["content-type"] == "application/json"
    entries = await owner.deliveries(webhook)
    assert [(each["state"], each["attempts"]) for each in entries] == [("delivered", 1)] * 2
    assert [each["message_id"] for each in entries] == [got.id for got in sink.received]


async def listens(database: Database) -> bool:
    """Whether a listener has begun, by the question that it asks from then on."""
    query = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND query = 'SELECT 1'"
    return await database.reader.fetchrow(query) is not None


async def test_only_the_events_that_were_asked_for_arrive(
    live_app: FastAPI, live_database: Database, keyring: Keyring, owner: Owner, sink: Sink
) -> None:
    async with telling(live_database, keyring):
        await active(owner, sink, events=["asset.withdrawn"])
        asset_id = await publish_story(live_app, "convoy")
        await withdraw(live_app, asset_id, "Wrong place")
        [got] = await sink.has(1)
    assert got.message["type"] == "asset.withdrawn"


async def test_what_happened_before_the_webhook_was_made_is_not_told(
    live_database: Database, keyring: Keyring, owner: Owner, sink: Sink
) -> None:
    await change(live_database, 3)
    async with telling(live_database, keyring):
        await active(owner, sink)
        await change(live_database)
        await sink.has(1)
    assert sink.sequences == [4]


async def test_other_features_tell_who_asked_for_it(
    live_database: Database, keyring: Keyring, owner: Owner, sink: Sink
) -> None:
    async with telling(live_database, keyring):
        webhook = await active(owner, sink, events=["saved_search.matched"])
        await active(owner, sink)
        row = await endpoint_row(live_database, webhook)
        async with live_database.transaction() as session:
            told = await webhooks.enqueue(
                session,
                row.account_id,
                "saved_search.matched",
                {"id": "a-search"},
                now=datetime.now(UTC),
            )
            none = await webhooks.enqueue(
                session,
                row.account_id,
                "saved_search.matched",
                {"id": "a-search"},
                now=datetime.now(UTC),
                endpoint_ids=[uuid4()],
            )
        [got] = await sink.has(1)
    assert (told, none) == (1, 0)
    assert got.message["data"] == {"id": "a-search"}
    assert [each["sequence"] for each in await owner.deliveries(webhook)] == [None]


async def test_new_matches_of_a_saved_search_are_told_in_parts(
    live_database: Database, keyring: Keyring, owner: Owner, sink: Sink
) -> None:
    ids = [str(uuid4()) for _ in range(1_000)]
    data = {"saved_search_id": str(uuid4()), "name": "\U0001f6a2" * 200, "asset_ids": ids}
    async with telling(live_database, keyring):
        webhook = await active(owner, sink, events=["saved_search.matched"])
        row = await endpoint_row(live_database, webhook)
        async with live_database.transaction() as session:
            await saved_search_events.announce(session, row.account_id, data, now=datetime.now(UTC))
        parts = [got.message["data"] for got in await sink.has(4)]
    assert sorted(len(part["asset_ids"]) for part in parts) == [100, 300, 300, 300]
    assert {each for part in parts for each in part["asset_ids"]} == set(ids)
    assert {part["name"] for part in parts} == {"\U0001f6a2" * 200}


async def test_message_that_is_too_large_is_refused_by_who_makes_it(
    live_database: Database, owner: Owner, sink: Sink
) -> None:
    webhook = await owner.create(sink.url)
    row = await endpoint_row(live_database, webhook)
    with pytest.raises(ValueError, match="too large"):
        async with live_database.transaction() as session:
            await webhooks.enqueue(
                session,
                row.account_id,
                "saved_search.matched",
                {"text": "x" * 20_000},
                now=datetime.now(UTC),
            )


# Signatures


def verified(webhook: dict[str, Any], got: Received) -> dict[str, Any]:
    """By the library that receivers use."""
    message: dict[str, Any] = Webhook(webhook["secret"]).verify(got.body, got.headers)
    return message


def check_ed25519(webhook: dict[str, Any], got: Received, body: bytes) -> None:
    """By the specification: v1a is Ed25519 over id, timestamp and body."""
    public = base64.b64decode(webhook["public_key"].removeprefix("whpk_"))
    [signature] = [
        each.removeprefix("v1a,")
        for each in got.headers["webhook-signature"].split(" ")
        if each.startswith("v1a,")
    ]
    signed = f"{got.id}.{got.headers['webhook-timestamp']}.".encode() + body
    Ed25519PublicKey.from_public_bytes(public).verify(base64.b64decode(signature), signed)


async def test_signatures_hold_and_nothing_else_does(
    live_database: Database, keyring: Keyring, owner: Owner, sink: Sink
) -> None:
    async with telling(live_database, keyring):
        webhook = await active(owner, sink)
        await change(live_database)
        [got] = await sink.has(1)
    assert verified(webhook, got)["type"] == "asset.created"
    check_ed25519(webhook, got, got.body)
    assert verified(webhook, sink.challenges[0])["type"] == "webhook.challenge"

    changed = Received(got.headers, got.body.replace(b"created", b"updated"))
    other_id = Received({**got.headers, "webhook-id": "msg_1"}, got.body)
    at = int(got.headers["webhook-timestamp"])
    old = Received({**got.headers, "webhook-timestamp": str(at - 301)}, got.body)
    for forged in (changed, other_id, old):
        with pytest.raises(WebhookVerificationError):
            verified(webhook, forged)
    with pytest.raises(InvalidSignature):
        check_ed25519(webhook, got, changed.body)
    assert abs(at - time.time()) < 60


class Receiver:
    """The verification that the documentation tells broadcasters to write."""

    def __init__(self, secret: str) -> None:
        self._webhook = Webhook(secret)
        self._seen: set[str] = set()

    def takes(self, got: Received) -> bool:
        try:
            self._webhook.verify(got.body, got.headers)
        except WebhookVerificationError:
            return False
        is_new = got.id not in self._seen
        self._seen.add(got.id)
        return is_new


async def test_documented_verification_refuses_what_is_replayed_old_or_unsigned(
    live_database: Database, keyring: Keyring, owner: Owner, sink: Sink
) -> None:
    async with telling(live_database, keyring):
        webhook = await active(owner, sink)
        await change(live_database, 2)
        first, second = await sink.has(2)
    receiver = Receiver(webhook["secret"])
    assert receiver.takes(first)
    assert not receiver.takes(first)
    assert receiver.takes(second)
    bare = {name: value for name, value in first.headers.items() if name != "webhook-signature"}
    assert not Receiver(webhook["secret"]).takes(Received(bare, first.body))
    # Signed rightly, but six minutes ago.
    sealed = (await endpoint_row(live_database, webhook)).sealed_secret
    from app.crypto.webhook_keys import WebhookSigner, new_key

    signer = WebhookSigner([keyring.unseal("webhook", sealed)], new_key())
    for age, is_taken in ((290, True), (310, False)):
        at = int(time.time()) - age
        signature = signer.sign("msg_a", at, first.body)
        headers = {"webhook-id": "msg_a", "webhook-timestamp": str(at)}
        got = Received({**headers, "webhook-signature": signature}, first.body)
        assert Receiver(webhook["secret"]).takes(got) is is_taken


async def test_previous_secret_signs_for_a_day_longer(
    live_database: Database, keyring: Keyring, owner: Owner, sink: Sink, clock: Clock
) -> None:
    async with telling(live_database, keyring):
        webhook = await active(owner, sink)
        rotated = (await owner.call("POST", f"/{webhook['id']}/rotate-secret", json={})).json()
        assert rotated["secret"] != webhook["secret"]
        assert rotated["public_key"] == webhook["public_key"]
        ends_at = datetime.fromisoformat(rotated["previous_secret_ends_at"])
        assert ends_at == clock.now + 24 * HOUR
        await change(live_database)
        [got] = await sink.has(1)
        for secret in (webhook, rotated):
            assert verified(secret, got)
        check_ed25519(webhook, got, got.body)
        assert len(got.headers["webhook-signature"].split(" ")) == 3
        await execute(live_database, "UPDATE webhook_endpoint SET previous_secret_ends_at = now()")
        await change(live_database)
        _, got = await sink.has(2)
    assert verified(rotated, got)
    with pytest.raises(WebhookVerificationError):
        verified(webhook, got)


async def test_worker_with_another_secret_key_leaves_deliveries_to_the_others(
    live_database: Database, keyring: Keyring, owner: Owner, sink: Sink
) -> None:
    async with telling(live_database, keyring):
        webhook = await active(owner, sink)
    other = Keyring("the secret of another installation, which is as long")
    async with telling(live_database, other):
        await change(live_database)

        async def is_given_back() -> bool:
            found = await rows_of_changes(live_database)
            return any(each.next_at > datetime.now(UTC) + 30 * SECOND for each in found)

        await eventually(is_given_back)
    [entry] = await rows_of_changes(live_database)
    assert (entry.state, entry.attempts, entry.leased_until) == ("pending", 0, None)
    assert (await owner.get(webhook))["failing_since"] is None
    await hurry(live_database)
    async with telling(live_database, keyring):
        await sink.has(1)


async def rows_of_changes(database: Database) -> Sequence[WebhookDelivery]:
    found = [each for each in await rows(database, WebhookDelivery) if each.sequence]
    return sorted(found, key=lambda each: each.sequence or 0)


# The challenge


@pytest.mark.usefixtures("hour_before_a_retry")
async def test_nothing_is_sent_before_the_challenge_is_answered(
    live_database: Database, keyring: Keyring, owner: Owner, sink: Sink
) -> None:
    sink.answers_challenges = False
    async with telling(live_database, keyring):
        webhook = await owner.create(sink.url)
        await change(live_database, 2)

        async def is_refused() -> bool:
            return any(each.error for each in await rows(live_database, WebhookDelivery))

        await eventually(is_refused)
        assert (await owner.get(webhook))["state"] == "pending"
        [entry] = await rows(live_database, WebhookDelivery)
        assert (entry.error, entry.response_excerpt) == ("challenge_not_answered", "What?")
        assert sink.received == []
        sink.answers_challenges = True
        again = await owner.call("POST", f"/{webhook['id']}/challenge", json={})
        assert again.status_code == 202
        # And then it gets what has happened since it was made.
        await owner.reaches(webhook, "active")
        await sink.has(2)
    asked = [each.message["data"]["challenge"] for each in sink.challenges]
    assert len(asked) == len(set(asked)) == 2


@pytest.mark.parametrize(
    ("answer", "is_proven"),
    [
        ('{"challenge": "%s"}', True),
        ('{"challenge": "%s", "more": [1]}', True),
        ("%s", True),
        ("%s\n", True),
        ('"%s"', True),
        ("the challenge is %s", False),
        ('{"type": "webhook.challenge", "data": {"challenge": "%s"}}', False),
        ('[{"challenge": "%s"}]', False),
        ('{"challenge": ["%s"]}', False),
        ('{"challenge": true}', False),
        ("[" * 10_000, False),
        ("", False),
    ],
)
def test_challenge_is_given_back_and_not_merely_echoed(answer: str, is_proven: bool) -> None:  # noqa: FBT001  # a column of the table
    body = answer.replace("%s", "abc-123").encode()
    payload = '{"type":"webhook.challenge","data":{"challenge":"abc-123"}}'
    assert webhook_states.is_answered(payload, body) is is_proven


async def test_answer_to_an_earlier_challenge_proves_nothing(
    live_database: Database, keyring: Keyring, owner: Owner, sink: Sink
) -> None:
    """A URL that answers late must not make active what has another URL by then."""
    sink.may_answer = asyncio.Event()
    async with receiving() as other, telling(live_database, keyring):
        other.answers_challenges = False
        webhook = await owner.create(sink.url)
        await has_challenges(sink, 1)
        await owner.call("PATCH", f"/{webhook['id']}", json={"url": other.url})
        await has_challenges(other, 1)
        sink.may_answer.set()
        await asyncio.sleep(0.5)
        assert (await owner.get(webhook))["state"] == "pending"
    first, second = sorted(await rows(live_database, WebhookDelivery), key=lambda each: each.id)
    assert (first.state, first.error) == ("failed", "superseded")
    assert (second.state, second.error) == ("pending", "challenge_not_answered")


async def has_challenges(sink: Sink, count: int) -> None:
    async def is_asked() -> bool:
        return len(sink.challenges) >= count

    await eventually(is_asked)


# Failures


async def test_retries_are_ten_over_three_days() -> None:
    delays, total = [], timedelta(0)
    for attempts in range(1, 10):
        delay = policy.webhook_retry_delay(attempts)
        assert delay is not None
        delays.append(delay)
        total += delay
    assert delays == [
        5 * SECOND,
        5 * MINUTE,
        30 * MINUTE,
        2 * HOUR,
        5 * HOUR,
        10 * HOUR,
        14 * HOUR,
        20 * HOUR,
        24 * HOUR,
    ]
    assert total == 75 * HOUR + 35 * MINUTE + 5 * SECOND
    assert policy.webhook_retry_delay(10) is None


def a_claim(attempts: int = 1, event: str = "asset.created") -> Claim:
    now = datetime.now(UTC)
    return Claim(
        uuid4(), uuid4(), "msg_1", event, "{}", attempts, now, False, None, "", b"", None, None, b""
    )


def test_retries_are_spread_by_a_tenth() -> None:
    now = datetime.now(UTC)
    pauses = []
    for _ in range(300):
        next_at = judge_failure(a_claim(3), "timed_out", now, 0).next_at
        assert next_at is not None
        pauses.append((next_at - now) / MINUTE)
    assert 27 <= min(pauses) < 28
    assert 32 < max(pauses) <= 33


def test_challenge_is_tried_four_times() -> None:
    now = datetime.now(UTC)
    tried = [judge_failure(a_claim(n, "webhook.challenge"), "x", now, 0) for n in (3, 4)]
    assert [each.state for each in tried] == ["pending", "failed"]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 5 ", 5),
        ("0", None),
        ("-5", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("1e3", None),
        ("\u0661", None),
        ("86400", 86_400),
        ("86401", 86_400),
        ("9" * 5000, 86_400),
        ("Mon, 23 Nov 2026 12:10:00 GMT", 600),
        ("Mon, 23 Nov 2026 11:00:00 GMT", None),
        ("Mon, 23 Nov 2099 12:00:00 GMT", 86_400),
        ("Mon, 23 Nov 2026 12:10:00", None),
        (f"Mon, 23 Nov {'9' * 20} 12:10:00 GMT", None),
    ],
)
def test_retry_after_is_heeded_up_to_a_day(value: str | None, seconds: int | None) -> None:
    wish = retry_after(value, datetime(2026, 11, 23, 12, tzinfo=UTC))
    assert wish == (None if seconds is None else timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("status", "error", "is_held"),
    [
        (500, "refused", False),
        (307, "redirected", False),
        (503, "refused", True),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in [
                (400, "refused", False),
                (404, "refused", False),
                (301, "redirected", False),
                (429, "refused", True),
                (502, "refused", True),
                (504, "refused", True),
            ]
        ),
    ],
)
@pytest.mark.usefixtures("hour_before_a_retry")
async def test_refused_message_is_tried_again_after_the_pause_with_the_same_id(
    live_database: Database,
    keyring: Keyring,
    owner: Owner,
    sink: Sink,
    status: int,
    error: str,
    is_held: bool,  # noqa: FBT001  # a column of the table
) -> None:
    location = {"Location": "http://169.254.169.254/latest/meta-data/"}
    sink.behave = answering(status, 200, text="No\0 thanks\x1b[31m", headers=location)
    async with telling(live_database, keyring):
        webhook = await active(owner, sink)
        await change(live_database)
        [entry] = await owner.concluded(webhook, 1)
        assert (entry["state"], entry["attempts"], entry["error"]) == ("pending", 1, error)
        assert entry["response_status"] == status
        assert entry["response_excerpt"] == "No  thanks [31m"
        last = datetime.fromisoformat(entry["last_attempt_at"])
        pause = datetime.fromisoformat(entry["next_attempt_at"]) - last
        assert 54 * MINUTE <= pause <= 66 * MINUTE
        row = await endpoint_row(live_database, webhook)
        assert row.failing_since == last
        assert row.held_until == (last + 5 * SECOND if is_held else None)
        await hurry(live_database)
        first, second = await sink.has(2)
        assert (first.id, first.body) == (second.id, second.body)

        async def is_delivered() -> bool:
            return [each["state"] for each in await owner.deliveries(webhook)] == ["delivered"]

        await eventually(is_delivered)
    [entry] = await owner.deliveries(webhook)
    assert (entry["attempts"], entry["error"], entry["next_attempt_at"]) == (2, None, None)
    shown = await owner.get(webhook)
    assert (shown["failing_since"], shown["state"]) == (None, "active")
    assert shown["last_success_at"] is not None


async def test_endpoint_that_asks_for_peace_gets_it_for_all_its_messages(
    live_database: Database, keyring: Keyring, owner: Owner, sink: Sink
) -> None:
    sink.behave = answering(429, 200, headers={"Retry-After": "3600"})
    async with telling(live_database, keyring):
        webhook = await active(owner, sink)
        await change(live_database)
        [entry] = await owner.concluded(webhook, 1)
        last = datetime.fromisoformat(entry["last_attempt_at"])
        assert datetime.fromisoformat(entry["next_attempt_at"]) == last + HOUR
        assert (await endpoint_row(live_database, webhook)).held_until == last + HOUR
        await change(live_database, 3)
        await asyncio.sleep(0.5)
        assert len(sink.received) == 1
        await execute(live_database, "UPDATE webhook_endpoint SET held_until = now()")
        await sink.has(4)


@pytest.mark.usefixtures("hour_before_a_retry")
async def test_after_the_tenth_attempt_a_message_has_failed(
    live_database: Database, keyring: Keyring, owner: Owner, sink: Sink
) -> None:
    sink.behave = answering(500)
    async with telling(live_database, keyring):
        webhook = await active(owner, sink)
        await change(live_database)
        for attempt in range(1, 11):
            await sink.has(attempt)

            async def is_noted(attempt: int = attempt) -> bool:
                [entry] = await rows_of_changes(live_database)
                return entry.attempts == attempt and entry.leased_until is None

            await eventually(is_noted)
            await hurry(live_database)
        [entry] = await owner.deliveries(webhook)
        assert (entry["state"], entry["attempts"]) == ("failed", 10)
        assert len({got.id for got in sink.received}) == 1
        assert (await owner.get(webhook))["state"] == "active"
        sink.behave = None
        path = f"/{webhook['id']}/deliveries/{entry['id']}/replay"
        replayed = await owner.call("POST", path, json={})
        assert (replayed.status_code, replayed.json()["state"]) == (202, "pending")
        *_, got = await sink.has(11)
        assert got.id == sink.received[0].id


async def test_endpoint_that_is_gone_is_disabled_at_once(
    live_database: Database,
    keyring: Keyring,
    owner: Owner,
    sink: Sink,
    live_mailbox: Mailbox,
) -> None:
    sink.behave = answering(410)
    async with telling(live_database, keyring):
        webhook = await active(owner, sink)
        await change(live_database)
        await owner.reaches(webhook, "disabled")
        await change(live_database, 2)
        await asyncio.sleep(0.3)
        shown = await owner.get(webhook)
        assert shown["disabled_reason"] == "gone"
        assert shown["missed"] == {"after_sequence": 0, "until_sequence": 1}
        # Nothing has piled up meanwhile.
        assert len(await owner.deliveries(webhook)) == 1
        mail = await live_mailbox.last("jane@example.org")
        assert (mail.kind, mail.params) == (
            "webhook_disabled",
            {"host": "127.0.0.1", "reason": "gone"},
        )
        for path in ("test", "replay"):
            body = {"after_sequence": 0} if path == "replay" else {}
            refused = await owner.call("POST", f"/{webhook['id']}/{path}", json=body)
            assert (refused.status_code, refused.json()["code"]) == (409, "webhook_not_proven")

        sink.behave = None
        await owner.call("PATCH", f"/{webhook['id']}", json={"state": "active"})
        await owner.reaches(webhook, "active")
        shown = await owner.get(webhook)
        assert (shown["disabled_reason"], shown["failing_since"]) == (None, None)
        assert shown["missed"] == {"after_sequence": 0, "until_sequence": 3}
        replayed = await owner.call("POST", f"/{webhook['id']}/replay", json=shown["missed"])
        assert replayed.json() == {
            "after_sequence": 0,
            "last_sequence": 3,
            "deliveries": 3,
            "is_complete": True,
        }
        await sink.has(4)
        assert (await owner.get(webhook))["missed"] is None
    assert sorted(sink.sequences) == [1, 1, 2, 3]


async def test_endpoint_is_disabled_after_exactly_five_days_of_failure(
    live_database: Database, keyring: Keyring, owner: Owner, sink: Sink, live_mailbox: Mailbox
) -> None:
    webhook = await owner.create(sink.url)
    since = datetime.now(UTC)
    await execute(
        live_database,
        "UPDATE webhook_endpoint SET state = 'active', failing_since = :since",
        since=since,
    )

    async def look(now: datetime) -> UUID | None:
        async with live_database.transaction() as session:
            return await webhook_states.disable_next(session, keyring=keyring, now=now)

    assert await look(since + 5 * DAY - timedelta(microseconds=1)) is None
    assert (await owner.get(webhook))["state"] == "active"
    assert await look(since + 5 * DAY) == UUID(webhook["id"])
    assert await look(since + 5 * DAY) is None
    shown = await owner.get(webhook)
    assert (shown["state"], shown["disabled_reason"]) == ("disabled", "failing")
    mail = await live_mailbox.last("jane@example.org")
    assert (mail.kind, mail.params["reason"]) == ("webhook_disabled", "failing")


async def test_what_was_missed_from_the_first_change_on_is_still_named_after_a_second_failure(
    live_database: Database, keyring: Keyring, owner: Owner, sink: Sink
) -> None:
    webhook = await owner.create(sink.url)
    await change(live_database, 5)
    await execute(
        live_database,
        "UPDATE webhook_endpoint SET state = 'active', missed_after = 0, missed_until = 3,"
        " read_until = 5, failing_since = now()",
    )
    await execute(
        live_database,
        "INSERT INTO webhook_delivery (id, endpoint_id, message_id, event, sequence, payload,"
        " state, attempts, next_at, created_at) SELECT gen_random_uuid(), id, 'msg_5',"
        " 'asset.created', 5, '{}', 'pending', 1, now(), now() FROM webhook_endpoint",
    )
    async with live_database.transaction() as session:
        later = datetime.now(UTC) + 6 * DAY
        await webhook_states.disable_next(session, keyring=keyring, now=later)
    missed = {"after_sequence": 0, "until_sequence": 5}
    assert (await owner.get(webhook))["missed"] == missed


async def test_worker_sweeps_up_endpoints_that_have_failed_for_long(
    live_database: Database, keyring: Keyring, owner: Owner, sink: Sink
) -> None:
    webhooks_made = [await owner.create(sink.url) for _ in range(3)]
    await execute(
        live_database,
        "UPDATE webhook_endpoint SET state = 'active', failing_since = now() - interval '120 h'",
    )

    async def are_disabled() -> bool:
        # One that is being claimed for at that moment is left to the next time.
        await sender.sweep()
        states = [(await owner.get(each))["state"] for each in webhooks_made]
        return states == ["disabled"] * 3

    async with telling(live_database, keyring) as sender:
        await eventually(are_disabled)


@pytest.mark.parametrize(
    "fault", ["hangs", *(pytest.param(f, marks=pytest.mark.slow) for f in ("is slow", "is closed"))]
)
async def test_receiver_without_an_answer_holds_up_nobody_else(
    live_database: Database, keyring: Keyring, owner: Owner, sink: Sink, fault: str
) -> None:
    others_are_done = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        await (asyncio.sleep(30) if fault == "hangs" else others_are_done.wait())
        return web.Response()

    async with (
        receiving() as slow,
        telling(live_database, keyring, total_timeout=2 if fault == "hangs" else 15) as _,
    ):
        slow.behave = hang
        webhook = await active(owner, slow)
        await active(owner, sink)
        if fault == "is closed":
            url = slow.url.replace(slow.url.split(":")[2], "1/hooks")
            await execute(
                live_database,
                "UPDATE webhook_endpoint SET url = :url WHERE id = :id",
                url=url,
                id=UUID(webhook["id"]),
            )
        await change_at_once(live_database, 200)
        began = time.monotonic()
        await sink.has(200)
        # If ten at a time waited for those of the slow one, it would take twenty times two seconds.
        assert time.monotonic() - began < 30
        assert len(slow.received) < 200
        others_are_done.set()
        if fault != "is slow":
            expected = "timed_out" if fault == "hangs" else "connection_failed"
            await has_errors(live_database, {expected})


async def has_errors(database: Database, expected: set[str]) -> None:
    async def are_there() -> bool:
        found = await rows_of_changes(database)
        return {each.error for each in found if each.error} == expected

    await eventually(are_there)


async def test_to_one_endpoint_ten_at_once_by_all_workers_and_one_while_it_fails(
    live_database: Database, keyring: Keyring, owner: Owner, sink: Sink
) -> None:
    may_answer = asyncio.Event()

    async def take_a_while(_: web.Request) -> web.Response:
        await may_answer.wait()
        await asyncio.sleep(0.05)
        return web.Response()

    sink.behave = take_a_while
    async with telling(live_database, keyring), telling(live_database, keyring):
        webhook = await active(owner, sink)
        await change_at_once(live_database, 120)
        await sink.has(10)
        may_answer.set()
        await sink.has(120)
        assert sink.most_at_once == 10
        await eventually_all_delivered(live_database)
        sink.received.clear()
        sink.most_at_once = 0
        await execute(live_database, "UPDATE webhook_endpoint SET failing_since = now()")

        async def fail(request: web.Request) -> web.Response:
            await take_a_while(request)
            return web.Response(status=500)

        sink.behave = fail
        await change_at_once(live_database, 10)
        await sink.has(10)
        assert sink.most_at_once == 1
        assert (await owner.get(webhook))["failing_since"] is not None


# Nothing is lost, nothing is doubled


async def test_two_workers_deliver_each_change_once(
    live_database: Database, keyring: Keyring, owner: Owner
) -> None:
    async with AsyncExitStack() as stack:
        sinks = [await stack.enter_async_context(receiving()) for _ in range(3)]
        for _ in range(2):
            await stack.enter_async_context(telling(live_database, keyring))
        made = [await active(owner, each) for each in sinks]
        await asyncio.gather(*(change(live_database, 20) for _ in range(4)))
        for each in sinks:
            await each.has(80)
        await eventually_all_delivered(live_database)
        assert {each.attempts for each in await rows_of_changes(live_database)} == {1}
        for each, webhook in zip(sinks, made, strict=True):
            assert sorted(each.sequences) == list(range(1, 81))
            assert (await endpoint_row(live_database, webhook)).read_until == 80
    # One change is one message, whoever gets it.
    ids = [sorted(got.id for got in each.received) for each in sinks]
    assert ids[0] == ids[1] == ids[2]


async def test_readers_at_once_write_each_delivery_once(
    live_database: Database, owner: Owner, sink: Sink
) -> None:
    for _ in range(3):
        await owner.create(sink.url)
    await execute(live_database, "UPDATE webhook_endpoint SET state = 'active'")
    await change(live_database, 50)

    async def read() -> None:
        for farthest_first in (True, False) * 3:
            async with live_database.transaction() as session:
                await webhook_fan_out.read_on(
                    session,
                    api_url="https://api.example",
                    now=datetime.now(UTC),
                    farthest_first=farthest_first,
                )

    await asyncio.gather(*(read() for _ in range(8)))
    found = await rows_of_changes(live_database)
    assert Counter(each.sequence for each in found) == dict.fromkeys(range(1, 51), 3)


async def test_who_is_far_behind_does_not_hold_up_the_others(
    live_database: Database, owner: Owner, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "WEBHOOK_FAN_OUT_ROWS", 20)
    await change_at_once(live_database, 300)
    behind, near = [await owner.create(sink.url) for _ in range(2)]
    await execute(live_database, "UPDATE webhook_endpoint SET state = 'active'")
    await execute(
        live_database,
        "UPDATE webhook_endpoint SET read_until = 0 WHERE id = :id",
        id=UUID(behind["id"]),
    )
    await change(live_database)

    async def read(*, farthest_first: bool) -> tuple[int, int]:
        async with live_database.transaction() as session:
            await webhook_fan_out.read_on(
                session,
                api_url="https://api.example",
                now=datetime.now(UTC),
                farthest_first=farthest_first,
            )
        found = [await endpoint_row(live_database, each) for each in (behind, near)]
        return found[0].read_until, found[1].read_until

    assert await read(farthest_first=True) == (0, 301)
    assert await read(farthest_first=False) == (20, 301)


@pytest.mark.parametrize("kills", [1, pytest.param(4, marks=pytest.mark.slow)])
async def test_killed_worker_loses_nothing(
    live_database: Database, keyring: Keyring, owner: Owner, sink: Sink, kills: int
) -> None:
    """Killed again and again while it sends, until one is let live."""
    left = 0

    async def fall_silent(_: web.Request) -> web.Response:
        nonlocal left
        left -= 1
        if left < 0:
            await asyncio.Event().wait()
        return web.Response()

    sink.behave = fall_silent
    async with telling(live_database, keyring):
        await active(owner, sink)
    await change_at_once(live_database, 150)
    secret = "a secret for tests that is long enough to be one"
    command = (sys.executable, "-m", "tests.killed_teller", live_database._url, secret)
    for _ in range(kills):
        process = await asyncio.create_subprocess_exec(*command)
        already, left = len(sink.received), 10
        try:
            await sink.has(already + 20)  # ten of which it waits for
        finally:
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()
        await let_leases_run_out(live_database)
    sink.behave = None
    async with telling(live_database, keyring):
        await eventually_all_delivered(live_database)
    assert set(sink.sequences) == set(range(1, 151))
    # What was under way when its worker was killed comes twice, with the same id.
    assert len(sink.received) - 150 <= kills * 10
    ids = {(got.id, got.message["data"]["sequence"]) for got in sink.received}
    assert len(ids) == 150


async def let_leases_run_out(database: Database) -> None:
    """As a minute would."""
    await execute(
        database,
        "UPDATE webhook_delivery SET leased_until = now(), next_at = now()"
        " WHERE leased_until IS NOT NULL",
    )


async def eventually_all_delivered(database: Database) -> None:
    async def is_done() -> bool:
        return all(each.state == "delivered" for each in await rows_of_changes(database))

    await eventually(is_done)


async def test_stopped_worker_finishes_what_is_under_way(
    live_database: Database, keyring: Keyring, owner: Owner, sink: Sink
) -> None:
    async def take_a_while(_: web.Request) -> web.Response:
        await asyncio.sleep(0.5)
        return web.Response()

    sink.behave = take_a_while
    async with telling(live_database, keyring):
        webhook = await active(owner, sink)
        await change(live_database)
        await sink.has(1)
    [entry] = await owner.deliveries(webhook)
    assert (entry["state"], entry["attempts"]) == ("delivered", 1)
    assert 400 < entry["duration_ms"] < 15_000


async def test_database_that_cuts_its_connections_costs_no_message(
    live_database: Database, keyring: Keyring, owner: Owner, sink: Sink
) -> None:
    cut = (
        "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    async with telling(live_database, keyring, lease=2 * SECOND):
        await active(owner, sink)
        await change_at_once(live_database, 100)
        await sink.has(20)
        await execute(live_database, cut)
        await sink.has(100)
        # The listener has come back as well, or looking once a second has to do.
        await asyncio.sleep(0.5)
        await change(live_database)

        async def has_all() -> bool:
            return set(sink.sequences) == set(range(1, 102))

        await eventually(has_all)


async def test_suspended_account_is_told_nothing(
    live_database: Database, keyring: Keyring, owner: Owner, sink: Sink
) -> None:
    async with telling(live_database, keyring):
        await active(owner, sink)
        async with live_database.transaction() as session:
            await session.execute(update(Account).values(suspended_at=datetime.now(UTC)))
        await change(live_database)
        await asyncio.sleep(0.4)
        assert sink.received == []
        assert await rows_of_changes(live_database) == []
        async with live_database.transaction() as session:
            await session.execute(update(Account).values(suspended_at=None))
        await sink.has(1)


async def test_paused_endpoint_gets_after_the_pause_what_has_happened(
    live_database: Database, keyring: Keyring, owner: Owner, sink: Sink
) -> None:
    async with telling(live_database, keyring):
        webhook = await active(owner, sink)
        paused = await owner.call("PATCH", f"/{webhook['id']}", json={"state": "paused"})
        assert paused.json()["state"] == "paused"
        await change(live_database, 2)
        await asyncio.sleep(0.3)
        assert sink.received == []
        await owner.call("PATCH", f"/{webhook['id']}", json={"state": "active"})
        await sink.has(2)
    assert sink.sequences == [1, 2]


async def test_of_a_long_pause_the_latest_changes_are_told_and_the_others_named(
    live_database: Database,
    keyring: Keyring,
    owner: Owner,
    sink: Sink,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert policy.WEBHOOK_CATCH_UP == 10_000
    monkeypatch.setattr(policy, "WEBHOOK_CATCH_UP", 5)
    async with telling(live_database, keyring):
        webhook = await active(owner, sink)
        await owner.call("PATCH", f"/{webhook['id']}", json={"state": "paused"})
        await change_at_once(live_database, 12)
        await owner.call("PATCH", f"/{webhook['id']}", json={"state": "active"})
        await sink.has(5)
        assert sorted(sink.sequences) == [8, 9, 10, 11, 12]
        missed = (await owner.get(webhook))["missed"]
        assert missed == {"after_sequence": 0, "until_sequence": 7}
        await owner.call("POST", f"/{webhook['id']}/replay", json=missed)
        await sink.has(12)
    assert sorted(sink.sequences) == list(range(1, 13))


async def test_moved_endpoint_is_asked_first_and_then_gets_what_waited(
    live_database: Database, keyring: Keyring, owner: Owner, sink: Sink
) -> None:
    async with receiving() as other, telling(live_database, keyring):
        other.answers_challenges = False
        webhook = await active(owner, sink)
        moved = await owner.call("PATCH", f"/{webhook['id']}", json={"url": other.url})
        assert (moved.status_code, moved.json()["state"]) == (200, "pending")
        await change(live_database)
        await has_challenges(other, 1)
        assert (sink.received, other.received) == ([], [])
        other.answers_challenges = True
        await hurry(live_database)
        await other.has(1)
        assert sink.received == []


async def test_ledger_of_an_endpoint_goes_with_it_while_it_sends(
    live_database: Database, keyring: Keyring, owner: Owner, sink: Sink
) -> None:
    async with telling(live_database, keyring):
        webhook = await active(owner, sink)
        await change_at_once(live_database, 300)
        await sink.has(20)
        deleted = await owner.call("DELETE", f"/{webhook['id']}")
        assert deleted.status_code == 204
        async with live_database.transaction() as session:
            assert (await session.scalars(select(WebhookEndpoint))).all() == []
            assert (await session.scalars(select(WebhookDelivery))).all() == []
        assert (await owner.call("GET", f"/{webhook['id']}")).status_code == 404


WAITING = (
    "SELECT query FROM pg_stat_activity"
    " WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


async def test_ledger_is_deleted_in_turn_with_a_worker_that_claims(
    live_database: Database, owner: Owner, sink: Sink
) -> None:
    """Each would else hold rows that the other waits for, and one of them be cut off."""
    webhook = await owner.create(sink.url)
    async with live_database.transaction() as session:
        [claim] = await webhook_claims.claim(session, room=1, failing_room=1, now=datetime.now(UTC))
        assert claim.endpoint_id == UUID(webhook["id"])
        deleting = asyncio.create_task(owner.call("DELETE", f"/{webhook['id']}"))
        waiting: list[str] = []

        async def is_waiting() -> bool:
            async with live_database.transaction() as other:
                waiting[:] = (await other.execute(text(WAITING))).scalars()
            return bool(waiting)

        await eventually(is_waiting)
        assert waiting[0].endswith("FOR NO KEY UPDATE")
    assert (await deleting).status_code == 204


async def test_account_is_erased_in_turn_with_a_search_that_tells_its_webhooks(
    live_app: FastAPI,
    live_database: Database,
    owner: Owner,
    sink: Sink,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await owner.create(sink.url, ["saved_search.matched"])
    await execute(live_database, "UPDATE webhook_endpoint SET state = 'active'")
    headers, search = bearer(owner.session), {"name": "Everything", "alert": "webhook"}
    saved = await owner.api.post("/v1/saved-searches", json=search, headers=headers)
    assert saved.status_code == 201
    later = datetime.now(UTC) + DAY
    await publish_story(live_app, "convoy", published_at=later)
    erasing: list[asyncio.Task[httpx.Response]] = []
    announce = saved_search_events.announce

    async def announce_while_erasing(*args: Any, **kwargs: Any) -> None:
        request = owner.api.request(
            "DELETE", "/v1/account", json={"password": PASSWORD}, headers=headers
        )
        erasing.append(asyncio.create_task(request))

        async def is_waiting() -> bool:
            async with live_database.transaction() as other:
                return bool((await other.execute(text(WAITING))).all())

        await eventually(is_waiting)
        await announce(*args, **kwargs)

    monkeypatch.setattr(saved_search_events, "announce", announce_while_erasing)
    async with live_database.transaction() as session:
        assert await saved_search_alerts.look_further(session, now=later)
    assert (await erasing[0]).status_code == 204
