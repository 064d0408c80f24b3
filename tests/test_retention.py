"""What is kept for how long, each term spelled out, and that purging is safe at any time."""

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select, text

from app.db import Database
from app.jobs.retention import purge
from app.models import (
    Account,
    ApiKey,
    ApiKeySecret,
    ApiKeyUsage,
    AuditEvent,
    Base,
    Consent,
    Delivery,
    Edition,
    EmailChangeUndo,
    FailedCodes,
    IdempotencyKey,
    LoginFailures,
    OutboxMail,
    RevokedToken,
    SavedSearch,
    SavedSearchMatch,
    Session,
    Signup,
    StoredSigningKey,
    Subscriber,
    VerificationCode,
    VerificationFlow,
    WebhookDelivery,
    WebhookEndpoint,
)
from app.services import edition_stats, retention
from tests.helpers import (
    NEW_PASSWORD,
    Clock,
    Mailbox,
    bearer,
    login,
    register,
    rows,
    sign_up,
    verify,
)

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
OWNER = UUID("01936f6e-0000-7000-8000-00000000000a")


def flow(**changes: Any) -> VerificationFlow:
    return VerificationFlow(
        **{
            "purpose": "registration",
            "email": "a@b.org",
            "email_key": "a@b.org",
            "address_hash": b"a",
            "locale": "en",
            "created_at": NOON,
            **changes,
        }
    )


def session_row(**changes: Any) -> Session:
    return Session(
        **{
            "account_id": OWNER,
            "secret": b"s",
            "rotated_at": NOON,
            "transport": "bearer",
            "network": "unknown",
            "created_at": NOON,
            "last_used_at": NOON,
            "expires_at": NOON + 1000 * DAY,
            **changes,
        }
    )


def mail(**changes: Any) -> OutboxMail:
    state = {"kind": "no_account", "locale": "en", "due_at": NOON, "created_at": NOON}
    return OutboxMail(**{**state, "state": "sent", "finished_at": NOON, **changes})


def undo_link(**changes: Any) -> EmailChangeUndo:
    link = {"account_id": OWNER, "email": "a@b.org", "email_key": "a@b.org", "token_hash": b"t"}
    return EmailChangeUndo(**{**link, "expires_at": NOON, **changes})


def login_failures(**changes: Any) -> LoginFailures:
    counter = {"address_hash": b"a", "network": "*", "attempts": 1, "window_started_at": NOON}
    return LoginFailures(**{**counter, **changes})


def signing_key(**changes: Any) -> StoredSigningKey:
    key = {"kid": "k", "sealed_pem": b"", "created_at": NOON, "signs_from": NOON}
    return StoredSigningKey(**{**key, **changes})


def idempotency_key() -> IdempotencyKey:
    return IdempotencyKey(caller="c", route="r", key="k", request_hash=b"", created_at=NOON)


def audit_event() -> AuditEvent:
    return AuditEvent(occurred_at=NOON, action="login", details={})


def signup(**changes: Any) -> Signup:
    wish = {"email_key": "a@b.org", "email": "a@b.org", "token_hash": b"t", "request": {}}
    return Signup(**{**wish, "mailed_at": NOON, "expires_at": NOON, **changes})


def consent(event: str = "subscribed", **changes: Any) -> Consent:
    step = {"email_hash": b"a", "subscriber_id": OWNER, "event": event, "source": "form"}
    return Consent(**{**step, "details": {}, "occurred_at": NOON, **changes})


def webhook() -> WebhookEndpoint:
    keys = {"sealed_secret": b"s", "sealed_signing_key": b"k", "public_key": "p"}
    at = {"created_at": NOON, "updated_at": NOON}
    wish: dict[str, Any] = {"url": "https://hooks.example/", "events": ["asset.created"]}
    return WebhookEndpoint(id=OWNER, account_id=OWNER, read_until=0, **wish, **keys, **at)


def webhook_delivery(**changes: Any) -> WebhookDelivery:
    message = {"message_id": "msg_1", "event": "asset.created", "payload": "{}"}
    at = {"next_at": NOON, "created_at": NOON}
    of_this = {"endpoint_id": OWNER, "state": "delivered"}
    return WebhookDelivery(**{**of_this, **message, **at, **changes})


def subscriber(**changes: Any) -> Subscriber:
    choice = {"topics": [], "language": "en", "frequency": "each"}
    at = {"subscribed_at": NOON, "created_at": NOON, "updated_at": NOON}
    address = {"email": "a@b.org", "email_key": "a@b.org"}
    return Subscriber(**{"id": OWNER, **address, "state": "subscribed", **choice, **at, **changes})


def api_key(**changes: Any) -> ApiKey:
    key = {"account_id": OWNER, "name": "k", "scopes": ["assets:read"], "created_at": NOON}
    return ApiKey(**{**key, **changes})


async def store(database: Database, *entries: Base) -> None:
    async with database.transaction() as session:
        if await session.get(Account, OWNER) is None:
            owner = {"email": "o@b.org", "email_key": "o@b.org", "password_hash": "none"}
            stamps = {"created_at": NOON, "updated_at": NOON}
            session.add(Account(id=OWNER, locale="en", **owner, **stamps))
            await session.flush()
        session.add_all(entries)


def saved_search() -> SavedSearch:
    at = {"watches_since": NOON, "created_at": NOON, "updated_at": NOON}
    return SavedSearch(id=OWNER, account_id=OWNER, name="All", last_sequence=0, **at)


async def left(database: Database, table: type[Base], now: datetime) -> int:
    """How many rows of a table are still there after a purge."""
    await purge(database, now=now)
    return len(await rows(database, table))


# The terms


@pytest.mark.parametrize(
    ("entry", "term"),
    [
        (flow, 48 * HOUR),
        (lambda: flow(completed_at=NOON), 48 * HOUR),
        (lambda: session_row(ended_at=NOON), 30 * DAY),
        (lambda: session_row(expires_at=NOON, last_used_at=NOON + DAY), 30 * DAY),
        (session_row, 60 * DAY),  # 30 idle days, and then 30 more
        (undo_link, timedelta(0)),
        (lambda: undo_link(used_at=NOON), timedelta(0)),
        (mail, 14 * DAY),
        (lambda: mail(state="failed"), 14 * DAY),
        (lambda: mail(state="cancelled"), 14 * DAY),
        (login_failures, DAY),
        (idempotency_key, 24 * HOUR),
        (audit_event, 365 * DAY),
        (lambda: signing_key(retires_at=NOON), timedelta(0)),
        (signup, timedelta(0)),
        (consent, 1095 * DAY),
        (lambda: api_key(revoked_at=NOON), 400 * DAY),
        (lambda: api_key(expires_at=NOON), 400 * DAY),
        (lambda: SavedSearchMatch(search_id=OWNER, asset_id=OWNER, matched_at=NOON), 60 * DAY),
    ],
    ids=[
        "pending_flow",
        "completed_flow",
        "ended_session",
        "expired_session",
        "idle_session",
        "undo_link",
        "used_undo_link",
        "sent_mail",
        "failed_mail",
        "cancelled_mail",
        "login_failures",
        "idempotency_key",
        "audit_event",
        "retired_signing_key",
        "signup",
        "consent",
        "revoked_api_key",
        "expired_api_key",
        "saved_search_match",
    ],
)
async def test_row_stays_to_the_end_of_its_term_and_no_longer(
    database: Database, entry: Callable[[], Base], term: timedelta
) -> None:
    made = entry()
    if isinstance(made, SavedSearchMatch):
        await store(database, saved_search())
    await store(database, made)
    assert await left(database, type(made), NOON + term) == 1
    assert await left(database, type(made), NOON + term + SECOND) == 0


@pytest.mark.parametrize(("days", "is_there"), [(7, True), (8, False)])
async def test_counts_of_wrong_codes_stay_for_seven_whole_days(
    database: Database, days: int, *, is_there: bool
) -> None:
    await store(database, FailedCodes(day=date(2026, 11, 23), scope=b"", failures=1))
    midnight = datetime(2026, 11, 23, tzinfo=UTC) + days * DAY
    for now in (midnight, midnight + DAY - SECOND):
        assert await left(database, FailedCodes, now) == int(is_there)


@pytest.mark.parametrize(
    "entry",
    [
        lambda key_id: ApiKeySecret(
            hash=b"h", key_id=key_id, hint="x", created_at=NOON, expires_at=NOON
        ),
        lambda key_id: RevokedToken(jti=OWNER, key_id=key_id, expires_at=NOON),
    ],
    ids=["former_secret", "revoked_token"],
)
async def test_what_ends_before_its_key_is_kept_until_then(
    database: Database, entry: Callable[[UUID], Base]
) -> None:
    key = api_key()
    await store(database, key)
    made = entry(key.id)
    current = ApiKeySecret(hash=b"c", key_id=key.id, hint="x", created_at=NOON)
    await store(database, made, current)
    assert await left(database, type(made), NOON) == 1 + isinstance(made, ApiKeySecret)
    assert await left(database, type(made), NOON + SECOND) == isinstance(made, ApiKeySecret)
    assert await left(database, ApiKey, NOON + 5000 * DAY) == 1


@pytest.mark.parametrize(("days", "is_there"), [(400, True), (401, False)])
async def test_usage_of_keys_stays_for_four_hundred_whole_days(
    database: Database, days: int, *, is_there: bool
) -> None:
    key = api_key()
    await store(database, key)
    await store(database, ApiKeyUsage(key_id=key.id, day=date(2026, 11, 23), calls=1))
    midnight = datetime(2026, 11, 23, tzinfo=UTC) + days * DAY
    for now in (midnight, midnight + DAY - SECOND):
        assert await left(database, ApiKeyUsage, now) == int(is_there)


async def test_evidence_is_kept_while_its_subscription_runs_and_three_years_longer(
    database: Database,
) -> None:
    steps = [consent("requested"), consent(), consent("changed", occurred_at=NOON + 9 * DAY)]
    await store(database, subscriber(), *steps)
    assert await left(database, Consent, NOON + 5000 * DAY) == 3
    end = NOON + 5000 * DAY
    async with database.transaction() as session:
        running = await session.get_one(Subscriber, OWNER)
        running.state, running.ended_at = "unsubscribed", end
    assert await left(database, Consent, end + 1095 * DAY) == 3
    assert await left(database, Consent, end + 1095 * DAY + SECOND) == 0


async def test_evidence_outlives_an_erased_subscriber_by_three_years(database: Database) -> None:
    erased_at = NOON + 5000 * DAY
    await store(database, consent(), consent("erased", occurred_at=erased_at))
    assert await left(database, Consent, erased_at + 1095 * DAY) == 2
    assert await left(database, Consent, erased_at + 1095 * DAY + SECOND) == 0


@pytest.mark.parametrize("state", ["delivered", "failed", "pending"])
async def test_record_of_a_webhook_is_kept_for_thirty_days_after_its_last_attempt(
    database: Database, state: str
) -> None:
    """Also of one that waits, for an endpoint that is paused for longer than that."""
    await store(database, webhook())
    await store(
        database,
        webhook_delivery(state=state),
        webhook_delivery(state=state, message_id="msg_2", next_at=NOON + DAY),
    )
    assert await left(database, WebhookDelivery, NOON + 30 * DAY) == 2
    assert await left(database, WebhookDelivery, NOON + 30 * DAY + SECOND) == 1
    assert await left(database, WebhookDelivery, NOON + 31 * DAY) == 1
    assert await left(database, WebhookDelivery, NOON + 31 * DAY + SECOND) == 0


async def test_figures_of_an_edition_outlive_its_ledger(database: Database) -> None:
    made = {"kind": "edition", "frequency": "each", "topics": [], "name": "e", "translations": {}}
    at = {"created_at": NOON, "updated_at": NOON, "started_at": NOON, "finished_at": NOON}
    edition = Edition(language="en", state="sent", recipients=3, **made, **at)
    await store(database, edition)
    outcomes: list[dict[str, Any]] = [
        {"state": "sent", "unsubscribed_at": NOON},
        {"state": "sent", "bounced_at": NOON},
        {"state": "failed", "smtp_status": "5.1.1", "smtp_code": 550},
    ]
    for outcome in outcomes:
        row = {"subscriber_id": uuid4(), "variant": 0, "due_at": NOON}
        await store(database, Delivery(edition_id=edition.id, **row, **outcome))
    stats = []
    for now in (NOON + 365 * DAY, NOON + 365 * DAY + SECOND, NOON + 900 * DAY):
        await purge(database, now=now)
        async with database.transaction() as session:
            found = await session.get_one(Edition, edition.id)
            stats.append(await edition_stats.count(session, found, now=now))
    assert await rows(database, Delivery) == []
    assert stats[0] == stats[1] == stats[2]
    assert stats[2].deliveries == {"sent": 2, "failed": 1}
    assert (stats[2].recipients, stats[2].bounced, stats[2].unsubscribed) == (3, 1, 1)


async def test_ledger_is_kept_for_a_year_after_its_edition_finished(database: Database) -> None:
    made = {"kind": "edition", "frequency": "each", "topics": [], "name": "e", "translations": {}}
    at = {"created_at": NOON, "updated_at": NOON}
    editions = [
        Edition(language="en", state=state, finished_at=finished_at, **made, **at)
        for state, finished_at in (("sent", NOON), ("sending", None))
    ]
    await store(database, *editions)
    ids = [{"edition_id": each.id, "subscriber_id": OWNER} for each in editions]
    await store(database, *(Delivery(**each, variant=0, due_at=NOON) for each in ids))
    assert await left(database, Delivery, NOON + 365 * DAY) == 2
    assert await left(database, Delivery, NOON + 365 * DAY + SECOND) == 1
    [kept] = await rows(database, Delivery)
    assert kept.edition_id == editions[1].id
    assert len(await rows(database, Edition)) == 2


@pytest.mark.parametrize(
    "entry",
    [
        session_row,
        lambda: mail(state="pending", finished_at=None, sealed=b"x"),
        lambda: mail(state="sending", finished_at=None, sealed=b"x"),
        signing_key,
    ],
    ids=["live_session", "pending_mail", "mail_on_its_way", "signing_key"],
)
async def test_row_in_use_is_never_purged(database: Database, entry: Callable[[], Base]) -> None:
    made = entry()
    await store(database, made)
    now = NOON + (59 if isinstance(made, Session) else 5000) * DAY
    assert await left(database, type(made), now) == 1


def test_every_table_has_a_term_or_a_reason_for_none() -> None:
    """A new table fails here until somebody has decided how long its rows are kept."""
    # Until their owners delete them.
    kept = {
        *("account", "asset", "collection", "keyword", "newsletter_edition", "newsletter_topic"),
        *("saved_search", "webhook_endpoint"),
    }
    # For ever: that something was there, and was withdrawn, stays true.
    feed = {"change", "change_feed"}
    # So that nobody is written to who has left: until they are erased, and then as a bare hash.
    refusals = {"newsletter_subscriber", "newsletter_suppression"}
    with_their_edition = {"newsletter_message"}
    # A row for each frequency, and one for each domain.
    bare_states = {"newsletter_digest", "newsletter_rate"}
    with_their_asset = {
        *("asset_relation", "asset_search", "asset_version", "caption", "collection_item"),
        *("facet_count", "rendition"),
    }
    bare_counts = {"download"}
    with_their_flow = {"verification_code"}
    # By jobs that delete their bytes from the store first.
    collected = {
        *("stored_object", "condemned_object", "upload", "upload_part", "export", "export_file")
    }
    purged = {table.__tablename__ for table in retention.TABLES}
    of_newsletter = (refusals, with_their_edition, bare_states)
    others = (kept, feed, with_their_asset, bare_counts, with_their_flow, collected, *of_newsletter)
    assert purged.union(*others) == Base.metadata.tables.keys()
    assert not any(purged & each for each in others)


# Flows that are still of use


async def test_codes_go_with_their_flow(client: httpx.AsyncClient, database: Database) -> None:
    await register(client)
    assert len(await rows(database, VerificationCode)) == 1
    assert await left(database, VerificationCode, NOON + 48 * HOUR) == 1
    assert await left(database, VerificationCode, NOON + 48 * HOUR + SECOND) == 0
    assert await rows(database, VerificationFlow) == []


async def test_mail_that_waits_out_an_outage_finds_its_code(
    client: httpx.AsyncClient, database: Database
) -> None:
    """A mail is tried for 31 hours; without its code the worker would have to drop it."""
    await register(client)
    await purge(database, now=NOON + 31 * HOUR)
    [waiting] = await rows(database, OutboxMail)
    assert waiting.state == "pending"
    [code] = await rows(database, VerificationCode)
    assert waiting.code_id == code.id


async def test_purge_does_not_kill_a_code_that_was_sent_in_the_last_hour_of_its_flow(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock, database: Database
) -> None:
    flow_id = (await register(client)).json()["flow_id"]
    clock.now += 48 * HOUR - SECOND
    again = await client.post("/v1/verification-codes", json={"flow_id": flow_id})
    assert again.status_code == 202
    clock.now += timedelta(minutes=29)
    await purge(database, now=clock.now)
    assert (
        await verify(client, flow_id, await mailbox.code("jane@example.org"))
    ).status_code == 200


async def test_purge_does_not_kill_a_reset_that_is_under_way(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock, database: Database
) -> None:
    await sign_up(client, mailbox)
    body = {"email": "jane@example.org", "purpose": "password_reset"}
    flow_id = (await client.post("/v1/verification-codes", json=body)).json()["flow_id"]
    clock.now += 48 * HOUR - SECOND
    await client.post("/v1/verification-codes", json={"flow_id": flow_id})
    granted = await verify(client, flow_id, await mailbox.code("jane@example.org"))
    clock.now += timedelta(minutes=14)
    await purge(database, now=clock.now)
    body = {"reset_token": granted.json()["reset_token"], "new_password": NEW_PASSWORD}
    assert (await client.post("/v1/auth/password-reset", json=body)).status_code == 200


async def test_flow_goes_forty_eight_hours_after_its_newest_code(
    client: httpx.AsyncClient, clock: Clock, database: Database
) -> None:
    flow_id = (await register(client)).json()["flow_id"]
    clock.now += 40 * HOUR
    await client.post("/v1/verification-codes", json={"flow_id": flow_id})
    assert await left(database, VerificationFlow, NOON + 88 * HOUR) == 1
    assert await left(database, VerificationFlow, NOON + 88 * HOUR + SECOND) == 0


async def test_account_outlives_all_that_led_to_it(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock, database: Database
) -> None:
    await sign_up(client, mailbox)
    clock.now += 1000 * DAY
    deleted = await purge(database, now=clock.now)
    assert {table for table, count in deleted.items() if count} == {
        "verification_flow",
        "session",
        "audit_event",
    }
    session = (await login(client)).json()
    assert (await client.get("/v1/account", headers=bearer(session))).status_code == 200


async def test_purged_counters_forget_a_block_only_when_it_is_over(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock, database: Database
) -> None:
    await sign_up(client, mailbox)
    for _ in range(10):
        await login(client, password="Wrong-Horse-7-Battery")
    assert (await login(client)).status_code == 429
    clock.now += timedelta(minutes=14)
    await purge(database, now=clock.now)
    assert (await login(client)).status_code == 429


# Safe at any time


async def test_purging_twice_deletes_nothing_more(database: Database) -> None:
    old, young = NOON, NOON + 300 * DAY
    await store(
        database,
        audit_event(),
        mail(),
        flow(),
        AuditEvent(occurred_at=young, action="login", details={}),
        mail(finished_at=young + 99 * DAY),
        flow(created_at=young + 99 * DAY),
    )
    now = old + 400 * DAY
    first = await purge(database, now=now)
    assert {table: count for table, count in first.items() if count} == {
        "audit_event": 1,
        "mail_outbox": 1,
        "verification_flow": 1,
    }
    assert set((await purge(database, now=now)).values()) == {0}
    for table in (AuditEvent, OutboxMail, VerificationFlow):
        assert len(await rows(database, table)) == 1


async def test_purge_goes_on_batch_by_batch(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert retention.BATCH == 1000
    monkeypatch.setattr(retention, "BATCH", 2)
    await store(database, *(audit_event() for _ in range(5)))
    now = NOON + 366 * DAY
    async with database.transaction() as session:
        assert await retention.purge_batch(session, AuditEvent, now=now) == 2
    assert len(await rows(database, AuditEvent)) == 3
    assert (await purge(database, now=now))["audit_event"] == 3
    assert await rows(database, AuditEvent) == []


async def test_purge_waits_for_nobody_and_takes_the_rest_next_time(
    live_database: Database,
) -> None:
    await store(live_database, *(audit_event() for _ in range(3)))
    now = NOON + 366 * DAY
    async with live_database.transaction() as busy:
        locked = await busy.scalar(select(AuditEvent).limit(1).with_for_update())
        assert locked is not None
        async with asyncio.timeout(60):  # whoever waited for this transaction would do so for ever
            assert (await purge(live_database, now=now))["audit_event"] == 2
    assert (await purge(live_database, now=now))["audit_event"] == 1


async def test_purges_at_once_share_the_work(live_database: Database) -> None:
    await store(live_database, *(audit_event() for _ in range(50)))
    now = NOON + 366 * DAY
    counts = await asyncio.gather(*(purge(live_database, now=now) for _ in range(4)))
    assert sum(count["audit_event"] for count in counts) == 50


async def test_log_of_the_queue_is_kept_for_a_day_and_until_it_is_counted(
    database: Database,
) -> None:
    insert = text(
        "INSERT INTO pgqueuer_log (created, job_id, status, priority, entrypoint, aggregated)"
        " VALUES (:created, :id, 'successful', 0, 'x', :aggregated)"
    )
    entries = [
        (1, NOON - DAY - SECOND, True),
        (2, NOON - DAY - SECOND, False),
        (3, NOON - DAY, True),
    ]
    async with database.transaction() as session:
        for number, created, aggregated in entries:
            values = {"id": number, "created": created, "aggregated": aggregated}
            await session.execute(insert, values)
    await purge(database, now=NOON)
    async with database.transaction() as session:
        kept = await session.scalars(text("SELECT job_id FROM pgqueuer_log ORDER BY job_id"))
        assert list(kept) == [2, 3]
