"""Webhook endpoints over HTTP: who may make them, what they show, and what is refused."""

import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import event, text

from app.db import Database
from app.models import Change, IdempotencyKey, WebhookDelivery, WebhookEndpoint
from app.services import changes, policy
from tests.factories import PUBLISHED_AT
from tests.helpers import PASSWORD, Api, Clock, Mailbox, audited, bearer, login, rows, sign_up
from tests.webhook_sink import EVENTS, Owner

URL = "https://hooks.example.org/catalogue"
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
async def owner(client: httpx.AsyncClient, mailbox: Mailbox) -> Owner:
    return Owner(client, await sign_up(client, mailbox))


@pytest.fixture
async def stranger(app: FastAPI, mailbox: Mailbox) -> AsyncIterator[Owner]:
    async with Api(app) as api:
        yield Owner(api, await sign_up(api, mailbox, "john@example.org"))


def refusal(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


async def set_state(database: Database, webhook: dict[str, Any], state: str) -> None:
    async with database.transaction() as session:
        statement = text("UPDATE webhook_endpoint SET state = :state WHERE id = :id")
        await session.execute(statement, {"state": state, "id": UUID(webhook["id"])})


async def change(database: Database, count: int) -> list[Change]:
    async with database.transaction() as session:
        for _ in range(count):
            await changes.record(session, "created", asset_id=uuid4(), version=1, now=PUBLISHED_AT)
    return sorted(await rows(database, Change), key=lambda each: each.sequence or 0)


# Making one


async def test_new_webhook_shows_its_secret_once_and_waits_for_the_answer_to_its_challenge(
    owner: Owner, mailbox: Mailbox, database: Database
) -> None:
    response = await owner.call("POST", json={"url": URL, "events": EVENTS, "description": "TV"})
    assert response.status_code == 201
    made = response.json()
    assert response.headers["location"] == f"/v1/webhooks/{made['id']}"
    assert response.headers["cache-control"] == "no-store"
    secret, public_key = made.pop("secret"), made["public_key"]
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    assert len(base64.b64decode(public_key.removeprefix("whpk_"))) == 32
    assert (made["state"], made["events"], made["url"]) == ("pending", EVENTS, URL)
    assert await owner.get(made) == made
    assert (await owner.call("GET")).json() == {"items": [made]}
    mail = await mailbox.last("jane@example.org")
    assert (mail.kind, mail.params) == ("webhook_created", {"host": "hooks.example.org"})
    assert {"webhook.created", "webhook.challenge_sent"} <= set(await audited(database))
    [challenge] = await rows(database, WebhookDelivery)
    assert (challenge.event, challenge.state) == ("webhook.challenge", "pending")
    # Nothing that could be used is kept in the clear.
    [row] = await rows(database, WebhookEndpoint)
    key = base64.b64decode(secret.removeprefix("whsec_"))
    assert key not in row.sealed_secret
    assert secret not in str([mail.params for mail in await mailbox.mails()])


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"url": URL}, "/events"),
        ({"url": URL, "events": []}, "/events"),
        ({"url": URL, "events": ["asset.deleted"]}, "/events/0"),
        ({"url": URL, "events": ["webhook.test"]}, "/events/0"),
        ({"events": EVENTS}, "/url"),
        ({"url": URL, "events": EVENTS, "state": "active"}, "/state"),
        ({"url": URL, "events": EVENTS, "description": "a\nb"}, "/description"),
    ],
)
async def test_body_that_is_wrong_is_refused(
    owner: Owner, body: dict[str, Any], pointer: str
) -> None:
    response = await owner.call("POST", json=body)
    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]


async def test_url_that_leads_inside_is_refused_when_it_is_made_or_changed(
    owner: Owner, database: Database
) -> None:
    webhook = await owner.create(URL)
    for url in ("https://10.0.0.1/", "https://169.254.169.254/", "https://[fd00::1]/", "ftp://a/"):
        made = await owner.call("POST", json={"url": url, "events": EVENTS})
        changed = await owner.call("PATCH", f"/{webhook['id']}", json={"url": url})
        for response in (made, changed):
            assert refusal(response) == (422, "webhook_url_refused")
            assert response.json()["errors"][0]["pointer"] == "/url"
    [row] = await rows(database, WebhookEndpoint)
    assert row.url == URL


async def test_in_production_this_host_is_refused_as_well(app: FastAPI, owner: Owner) -> None:
    url = "http://127.0.0.1:9000/"
    assert (await owner.create(url))["url"] == url
    app.state.settings = app.state.settings.model_copy(update={"environment": "production"})
    for refused in (url, "https://127.0.0.1/", "https://localhost/"):
        response = await owner.call("POST", json={"url": refused, "events": EVENTS})
        assert refusal(response) == (422, "webhook_url_refused")


async def test_events_are_kept_once_each(owner: Owner) -> None:
    webhook = await owner.create(URL, ["asset.updated", "asset.created", "asset.updated"])
    assert webhook["events"] == ["asset.updated", "asset.created"]


async def test_account_has_ten_webhooks(owner: Owner, stranger: Owner) -> None:
    made = [await owner.create(f"{URL}/{number}") for number in range(10)]
    body = {"url": URL, "events": EVENTS}
    assert refusal(await owner.call("POST", json=body)) == (409, "too_many_webhooks")
    assert len((await owner.call("GET")).json()["items"]) == 10
    await stranger.create(URL)
    assert (await owner.call("DELETE", f"/{made[0]['id']}")).status_code == 204
    await owner.create(URL)


@pytest.mark.parametrize(
    ("age", "status"), [(15 * MINUTE - SECOND, 201), (15 * MINUTE, 403), (30 * MINUTE, 403)]
)
async def test_password_must_have_been_proven_in_the_last_quarter_of_an_hour(
    owner: Owner, clock: Clock, age: timedelta, status: int
) -> None:
    session_began = clock.now
    clock.now = session_began + age
    if age > 10 * MINUTE:  # the access token has expired by then
        refreshed = await owner.api.post(
            "/v1/auth/refresh", json={"refresh_token": owner.session["refresh_token"]}
        )
        owner.session = refreshed.json()
    response = await owner.call("POST", json={"url": URL, "events": EVENTS})
    assert response.status_code == status
    if status == 403:
        assert response.json()["code"] == "reauthentication_required"
        assert (await owner.call("GET")).json()["items"] == []
        owner.session = (await login(owner.api, password=PASSWORD)).json()
        await owner.create(URL)


async def key_of(owner: Owner, *scopes: str) -> dict[str, str]:
    body = {"name": "A script", "scopes": scopes}
    made = await owner.api.post("/v1/api-keys", json=body, headers=bearer(owner.session))
    assert made.status_code == 201, made.text
    return {"Authorization": f"Bearer {made.json()['key']}"}


async def test_key_with_that_scope_manages_webhooks_but_says_not_where_they_go(
    owner: Owner, clock: Clock, database: Database
) -> None:
    """A webhook outlives the key, so making one takes the password, which no key can give."""
    headers = await key_of(owner, "webhooks:manage")
    webhook = await owner.create(URL)
    clock.now += 20 * MINUTE
    made = await owner.call("POST", json={"url": URL, "events": EVENTS}, headers=headers)
    moved = await owner.call(
        "PATCH", f"/{webhook['id']}", json={"url": f"{URL}/new"}, headers=headers
    )
    assert refusal(made) == refusal(moved) == (403, "reauthentication_required")
    await set_state(database, webhook, "active")
    renamed = await owner.call(
        "PATCH", f"/{webhook['id']}", json={"description": "Ours"}, headers=headers
    )
    assert renamed.status_code == 200
    for path in ("test", "rotate-secret"):
        sent = await owner.call("POST", f"/{webhook['id']}/{path}", json={}, headers=headers)
        assert sent.status_code in {200, 202}
    assert (await owner.call("DELETE", f"/{webhook['id']}", headers=headers)).status_code == 204


async def test_key_without_that_scope_manages_none(owner: Owner) -> None:
    webhook = await owner.create(URL)
    headers = await key_of(owner, "assets:read", "assets:download", "changes:read")
    for method, path in (
        ("GET", ""),
        ("GET", f"/{webhook['id']}"),
        ("DELETE", f"/{webhook['id']}"),
    ):
        refused = await owner.call(method, path, headers=headers)
        assert refusal(refused) == (403, "insufficient_scope")
    refused = await owner.call("POST", json={"url": URL, "events": EVENTS}, headers=headers)
    assert refusal(refused) == (403, "insufficient_scope")


async def test_new_url_needs_the_password_too_and_other_changes_do_not(
    owner: Owner, clock: Clock
) -> None:
    webhook = await owner.create(URL)
    clock.now += 20 * MINUTE
    refreshed = await owner.api.post(
        "/v1/auth/refresh", json={"refresh_token": owner.session["refresh_token"]}
    )
    owner.session = refreshed.json()
    path = f"/{webhook['id']}"
    moved = await owner.call("PATCH", path, json={"url": f"{URL}/new"})
    assert refusal(moved) == (403, "reauthentication_required")
    same = await owner.call("PATCH", path, json={"url": URL, "events": ["asset.created"]})
    assert (same.status_code, same.json()["events"]) == (200, ["asset.created"])
    assert same.json()["url"] == URL


async def test_answer_with_a_secret_is_not_given_twice(owner: Owner, database: Database) -> None:
    body, key = {"url": URL, "events": EVENTS}, {"Idempotency-Key": "a-key"}
    first = await owner.call("POST", json=body, headers=key)
    again = await owner.call("POST", json=body, headers=key)
    other = await owner.call("POST", json={**body, "events": ["asset.created"]}, headers=key)
    assert first.status_code == 201
    assert refusal(again) == (409, "idempotency_secret_shown")
    assert refusal(other) == (422, "idempotency_key_reused")
    assert len((await owner.call("GET")).json()["items"]) == 1
    [row] = await rows(database, IdempotencyKey)
    assert (row.status, row.sealed_answer) == (201, None)
    path = f"/{first.json()['id']}/rotate-secret"
    rotated = [await owner.call("POST", path, json={}, headers=key) for _ in range(2)]
    assert [each.status_code for each in rotated] == [200, 409]


# Changing one


async def test_patch_changes_what_it_names(owner: Owner, database: Database) -> None:
    webhook = await owner.create(URL)
    await set_state(database, webhook, "active")
    path = f"/{webhook['id']}"
    named = await owner.call("PATCH", path, json={"description": "The news desk"})
    assert (named.json()["description"], named.json()["state"]) == ("The news desk", "active")
    emptied = await owner.call("PATCH", path, json={"description": None})
    assert emptied.json()["description"] is None
    for body in ({"url": None}, {"events": None}, {"state": None}, {"state": "disabled"}):
        assert (await owner.call("PATCH", path, json=body)).status_code == 422
    assert (await owner.call("PATCH", path, json={"secret": "x"})).json()["code"] == "unknown_field"


@pytest.mark.parametrize(
    ("state", "wanted", "outcome"),
    [
        ("active", "paused", "paused"),
        ("active", "active", "active"),
        ("paused", "active", "active"),
        ("paused", "paused", "paused"),
        ("disabled", "active", "pending"),
        ("disabled", "paused", "webhook_not_proven"),
        ("pending", "active", "webhook_not_proven"),
        ("pending", "paused", "webhook_not_proven"),
    ],
)
async def test_only_what_was_proven_becomes_active_by_asking_for_it(
    owner: Owner, database: Database, state: str, wanted: str, outcome: str
) -> None:
    webhook = await owner.create(URL)
    await set_state(database, webhook, state)
    response = await owner.call("PATCH", f"/{webhook['id']}", json={"state": wanted})
    if outcome == "webhook_not_proven":
        assert refusal(response) == (409, outcome)
        assert (await owner.get(webhook))["state"] == state
    else:
        assert (response.status_code, response.json()["state"]) == (200, outcome)


@pytest.mark.parametrize("state", ["active", "paused", "disabled"])
async def test_new_url_has_to_prove_itself(owner: Owner, database: Database, state: str) -> None:
    webhook = await owner.create(URL)
    await set_state(database, webhook, state)
    body = {"url": f"{URL}/new", "state": "active"}
    response = await owner.call("PATCH", f"/{webhook['id']}", json=body)
    assert (response.status_code, response.json()["state"]) == (200, "pending")
    challenges = sorted(await rows(database, WebhookDelivery), key=lambda each: each.id)
    assert [each.state for each in challenges] == ["failed", "pending"]
    assert challenges[0].error == "superseded"


async def test_challenge_is_sent_again_while_it_is_not_answered(
    owner: Owner, database: Database
) -> None:
    webhook = await owner.create(URL)
    path = f"/{webhook['id']}/challenge"
    assert (await owner.call("POST", path, json={})).status_code == 202
    await set_state(database, webhook, "disabled")
    again = await owner.call("POST", path, json={})
    assert (again.status_code, again.json()["state"]) == (202, "pending")
    for state in ("active", "paused"):
        await set_state(database, webhook, state)
        assert refusal(await owner.call("POST", path, json={})) == (409, "webhook_proven")
    payloads = {each.payload for each in await rows(database, WebhookDelivery)}
    assert len(payloads) == 3


async def test_twenty_challenges_an_hour_are_sent_whoever_they_go_to(
    owner: Owner, stranger: Owner, clock: Clock
) -> None:
    began = clock.now
    for number in range(20):
        webhook = await owner.create(f"{URL}/{number}")
        await owner.call("DELETE", f"/{webhook['id']}")
        clock.now += SECOND
    body = {"url": URL, "events": EVENTS}
    refused = await owner.call("POST", json=body)
    assert refusal(refused) == (429, "too_many_challenges")
    assert refused.headers["retry-after"] == "3580"
    await stranger.create(URL)
    clock.now = began + HOUR
    owner.session = (await login(owner.api)).json()
    await owner.create(URL)
    assert (await owner.call("POST", json=body)).status_code == 429


async def test_everything_of_a_stranger_is_not_there(
    owner: Owner, stranger: Owner, database: Database
) -> None:
    webhook = await owner.create(URL)
    await set_state(database, webhook, "active")
    tested = (await owner.call("POST", f"/{webhook['id']}/test", json={})).json()
    theirs = await stranger.create(URL)
    await set_state(database, theirs, "active")
    delivery = f"deliveries/{tested['id']}"
    calls: list[tuple[str, str, dict[str, Any] | None]] = [
        ("GET", "", None),
        ("PATCH", "", {"state": "paused"}),
        ("DELETE", "", None),
        ("POST", "/challenge", {}),
        ("POST", "/rotate-secret", {}),
        ("POST", "/test", {}),
        ("POST", "/replay", {"after_sequence": 0}),
        ("GET", "/deliveries", None),
        ("GET", f"/{delivery}", None),
        ("POST", f"/{delivery}/replay", {}),
    ]
    for method, path, body in calls:
        response = await stranger.call(method, f"/{webhook['id']}{path}", json=body)
        assert refusal(response) == (404, "not_found"), path
    # Nor a delivery by the way of one's own webhook.
    for method, path in (("GET", delivery), ("POST", f"{delivery}/replay")):
        body = {} if method == "POST" else None
        response = await stranger.call(method, f"/{theirs['id']}/{path}", json=body)
        assert refusal(response) == (404, "not_found")
    assert (await owner.get(webhook))["state"] == "active"
    assert [item["id"] for item in await owner.deliveries(webhook)] == [tested["id"]]


# Deliveries and replays


async def test_deliveries_are_paged_newest_first_and_by_state(
    owner: Owner, database: Database
) -> None:
    webhook = await owner.create(URL)
    await set_state(database, webhook, "active")
    await change(database, 5)
    await owner.call("POST", f"/{webhook['id']}/replay", json={"after_sequence": 0})
    path = f"/{webhook['id']}/deliveries"
    seen: list[int | None] = []
    query: dict[str, Any] = {"limit": "2"}
    while len(seen) < 6:
        page = (await owner.call("GET", path, params=query)).json()
        seen += [item["sequence"] for item in page["items"]]
        query["cursor"] = page["next_cursor"]
    assert query["cursor"] is None
    assert seen == [5, 4, 3, 2, 1, None]
    for state, count in (("pending", 6), ("delivered", 0), ("failed", 0)):
        found = (await owner.call("GET", path, params={"state": state})).json()["items"]
        assert len(found) == count
    bad = await owner.call("GET", path, params={"cursor": "x"})
    assert refusal(bad) == (400, "invalid_cursor")


async def test_delivery_shows_its_payload_but_not_that_of_a_challenge(
    owner: Owner, database: Database
) -> None:
    webhook = await owner.create(URL)
    await set_state(database, webhook, "active")
    tested = (await owner.call("POST", f"/{webhook['id']}/test", json={})).json()
    path = f"/{webhook['id']}/deliveries/"
    shown = (await owner.call("GET", path + tested["id"])).json()
    assert shown["payload"]["type"] == "webhook.test"
    [challenge] = [
        each for each in await rows(database, WebhookDelivery) if each.event == "webhook.challenge"
    ]
    hidden = await owner.call("GET", f"{path}{challenge.id}")
    assert hidden.json()["payload"] is None
    secret = challenge.payload.split('"challenge":"')[1].split('"')[0]
    assert secret not in hidden.text
    replayed = await owner.call("POST", f"{path}{challenge.id}/replay", json={})
    assert refusal(replayed) == (409, "challenge_not_replayable")


@pytest.mark.parametrize("state", ["pending", "disabled"])
async def test_test_and_replay_need_a_proven_endpoint(
    owner: Owner, database: Database, state: str
) -> None:
    webhook = await owner.create(URL)
    await set_state(database, webhook, state)
    for path, body in (("test", {}), ("replay", {"after_sequence": 0})):
        response = await owner.call("POST", f"/{webhook['id']}/{path}", json=body)
        assert refusal(response) == (409, "webhook_not_proven")


@pytest.mark.parametrize(
    ("body", "sequences"),
    [
        ({"after_sequence": 0}, [1, 2, 3, 4, 5, 6]),
        ({"after_sequence": 4}, [5, 6]),
        ({"after_sequence": 6}, []),
        ({"after_sequence": 1, "until_sequence": 3}, [2, 3]),
        ({"after_sequence": 1, "until_sequence": 300}, [2, 3, 4, 5, 6]),
        ({"since": "2026-11-23T09:00:00Z"}, [1, 2, 3, 4, 5, 6]),
        ({"since": "2026-11-23T09:00:02Z"}, [3, 4, 5, 6]),
        ({"since": "2026-11-23T09:00:02Z", "until": "2026-11-23T09:00:04Z"}, [3, 4]),
        ({"after_sequence": 1, "until": "2026-11-23T11:00:03+02:00"}, [2, 3]),
        ({"since": "2026-11-23T09:00:05.5Z"}, []),
    ],
)
async def test_range_is_replayed_by_numbers_or_times(
    owner: Owner, database: Database, body: dict[str, Any], sequences: list[int]
) -> None:
    webhook = await owner.create(URL)
    await set_state(database, webhook, "active")
    for each in await change(database, 6):
        async with database.transaction() as session:
            statement = text("UPDATE change SET committed_at = :at WHERE id = :id")
            at = PUBLISHED_AT + ((each.sequence or 0) - 1) * SECOND
            await session.execute(statement, {"at": at, "id": each.id})
    response = await owner.call("POST", f"/{webhook['id']}/replay", json=body)
    assert response.status_code == 202, response.text
    answer = response.json()
    assert (answer["deliveries"], answer["is_complete"]) == (len(sequences), True)
    assert [item["sequence"] for item in await owner.deliveries(webhook)] == sequences


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"after_sequence": 0, "since": "2026-11-23T09:00:00Z"},
        {"after_sequence": 0, "until_sequence": 3, "until": "2026-11-23T09:00:00Z"},
        {"after_sequence": -1},
        {"since": "2026-11-23T09:00:00"},
        {"after_sequence": 3, "until_sequence": 2},
        {"after_sequence": 9_000},
        {"since": "2026-11-23T09:00:00Z", "until": "2026-11-23T08:00:00Z", "until_sequence": 1},
    ],
)
async def test_range_that_is_none_is_refused(
    owner: Owner, database: Database, body: dict[str, Any]
) -> None:
    webhook = await owner.create(URL)
    await set_state(database, webhook, "active")
    await change(database, 4)
    response = await owner.call("POST", f"/{webhook['id']}/replay", json=body)
    assert refusal(response) == (422, "invalid_input")


async def test_long_range_is_replayed_in_parts(
    owner: Owner, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert policy.WEBHOOK_REPLAY_MAX == 10_000
    monkeypatch.setattr(policy, "WEBHOOK_REPLAY_MAX", 3)
    webhook = await owner.create(URL)
    await set_state(database, webhook, "active")
    await change(database, 7)
    answers: list[dict[str, Any]] = []
    after = 0
    while not answers or not answers[-1]["is_complete"]:
        body = {"after_sequence": after}
        answers.append((await owner.call("POST", f"/{webhook['id']}/replay", json=body)).json())
        after = answers[-1]["last_sequence"]
    assert [each["last_sequence"] for each in answers] == [3, 6, 7]
    found = await owner.deliveries(webhook)
    assert [item["sequence"] for item in found] == [1, 2, 3, 4, 5, 6, 7]


async def test_replay_is_written_a_thousand_changes_at_a_time(
    owner: Owner, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten thousand at once would let everybody else wait for more than half a second."""
    assert policy.WEBHOOK_FAN_OUT_ROWS == 1_000
    monkeypatch.setattr(policy, "WEBHOOK_FAN_OUT_ROWS", 3)
    webhook = await owner.create(URL)
    await set_state(database, webhook, "active")
    await change(database, 8)
    written: list[int] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "INTO webhook_delivery" in statement:
            written.append(max(len(each) for each in parameters if isinstance(each, list)))

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        body = {"after_sequence": 1}
        answer = (await owner.call("POST", f"/{webhook['id']}/replay", json=body)).json()
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert written == [3, 3, 1]
    assert (answer["deliveries"], answer["last_sequence"]) == (7, 8)
    found = await owner.deliveries(webhook)
    assert [item["sequence"] for item in found] == [2, 3, 4, 5, 6, 7, 8]


async def test_replay_keeps_ids_and_never_doubles_a_row(owner: Owner, database: Database) -> None:
    webhook = await owner.create(URL, ["asset.created"])
    await set_state(database, webhook, "active")
    await change(database, 3)
    path = f"/{webhook['id']}/replay"
    counts = []
    for _ in range(2):
        replayed = await owner.call("POST", path, json={"after_sequence": 0})
        counts.append(replayed.json()["deliveries"])
    before = await owner.deliveries(webhook)
    async with database.transaction() as session:
        await session.execute(text("UPDATE webhook_delivery SET state = 'delivered', attempts = 4"))
    counts.append((await owner.call("POST", path, json={"after_sequence": 1})).json()["deliveries"])
    after = await owner.deliveries(webhook)
    assert counts == [3, 0, 2]
    assert [each["message_id"] for each in after] == [each["message_id"] for each in before]
    assert [(each["state"], each["attempts"]) for each in after] == [
        ("delivered", 4),
        ("pending", 0),
        ("pending", 0),
    ]


async def test_webhooks_go_with_their_account(
    owner: Owner, stranger: Owner, database: Database
) -> None:
    webhook, theirs = await owner.create(URL), await stranger.create(URL)
    await set_state(database, webhook, "active")
    await owner.call("POST", f"/{webhook['id']}/test", json={})
    deleted = await owner.api.request(
        "DELETE", "/v1/account", json={"password": PASSWORD}, headers=bearer(owner.session)
    )
    assert deleted.status_code == 204, deleted.text
    assert [str(each.id) for each in await rows(database, WebhookEndpoint)] == [theirs["id"]]
    assert [str(each.endpoint_id) for each in await rows(database, WebhookDelivery)] == [
        theirs["id"]
    ]
