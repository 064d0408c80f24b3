"""Subscribers as CSV: what an import keeps, what it never does, and what an export gives back."""

import asyncio
import random
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select
from starlette.requests import ClientDisconnect

from app.crypto import Keyring
from app.db import Database
from app.http.path_rules import body_limit
from app.models import AuditEvent, Consent, Subscriber, Suppression, Topic
from app.services import policy, subscriber_export, subscriber_import, subscriber_rows
from app.services import subscriptions as owners
from app.services.consents import Evidence, email_hash
from app.services.context import WORKER
from app.services.csv_lines import BrokenLine
from app.services.emails import InvalidEmail, parse_email
from app.services.subscriber_export import Filters
from app.services.subscriber_import import Import, Report
from app.services.subscriptions import Choice
from tests.helpers import Api, Clock, Mailbox, audited, bearer, make_admin, rows, sign_up

PATH = "/v1/newsletter/subscribers"
HEADER = (
    "email,status,topics,language,frequency,subscribed_at,ended_at,updated_at,"
    "suppression_reason,bounce_score,bounced_at"
)
CSV = {"Content-Type": "text/csv"}
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SPRING = datetime(2026, 4, 1, 8, 30, 0, 123456, tzinfo=UTC)


async def send(
    desk: httpx.AsyncClient, *lines: str, header: str = HEADER, **params: str
) -> dict[str, Any]:
    """The report of an import; columns at the end of a line may be left out."""
    commas = header.count(",")
    full = [line + "," * (commas - line.count(",")) for line in lines]
    response = await desk.post(
        PATH,
        params={"consent_source": "Form of 2025", **params},
        content="\r\n".join([header, *full]).encode(),
        headers=CSV,
    )
    assert response.status_code == 200, response.text
    report: dict[str, Any] = response.json()
    return report


def counts(report: dict[str, Any]) -> tuple[int, ...]:
    names = ("lines", "imported", "updated", "unchanged", "suppressed_kept", "errors_total")
    return tuple(report[name] for name in names)


async def stored(database: Database, email: str) -> Subscriber:
    return next(row for row in await rows(database, Subscriber) if row.email == email)


async def pieces_of(data: bytes, size: int = 50) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def import_bytes(
    database: Database, pieces: AsyncIterator[bytes], keyring: Keyring
) -> Report:
    order = Import(editor=WORKER, consent_source="Backup", defaults=Choice((), "en", "each"))
    return await subscriber_import.import_file(
        database.transaction, pieces, order, keyring=keyring, clock=lambda: NOON
    )


async def export_bytes(database: Database, keyring: Keyring) -> bytes:
    pieces = await subscriber_export.export(
        database.transaction, database.reader, Filters(), editor=WORKER, keyring=keyring, now=NOON
    )
    return b"".join([piece async for piece in pieces])


async def test_import_keeps_the_state_of_each_row_with_its_evidence(
    desk: Api, database: Database, keyring: Keyring
) -> None:
    report = await send(
        desk,
        "Jane.Doe@Example.org,subscribed,videos images,fr,daily,2025-01-02T03:04:05+01:00",
        "john@example.org,unsubscribed,,,,2024-01-01T00:00:00Z,2025-06-01T00:00:00Z",
        "bounced@example.org,suppressed,,,,,2025-07-01T00:00:00Z,,hard_bounce,6.5,"
        "2025-07-01T00:00:00Z",
        default_language="fr",
        default_frequency="weekly",
        default_topics="stories",
    )
    assert report == {
        "lines": 3,
        "imported": 3,
        "updated": 0,
        "unchanged": 0,
        "suppressed_kept": 0,
        "errors_total": 0,
        "errors": [],
    }
    jane = await stored(database, "Jane.Doe@Example.org")
    assert (jane.email_key, jane.state) == ("jane.doe@example.org", "subscribed")
    assert (jane.topics, jane.language, jane.frequency) == (["images", "videos"], "fr", "daily")
    begun = datetime(2025, 1, 2, 2, 4, 5, tzinfo=UTC)
    assert (jane.subscribed_at, jane.updated_at) == (begun, begun)
    assert NOON <= jane.created_at < NOON + timedelta(seconds=30)
    john = await stored(database, "john@example.org")
    assert (john.state, john.ended_at) == ("unsubscribed", datetime(2025, 6, 1, tzinfo=UTC))
    # An empty cell is every topic; only a file without the column takes the default.
    assert (john.topics, john.language, john.frequency) == ([], "fr", "weekly")
    bounced = await stored(database, "bounced@example.org")
    assert (bounced.state, bounced.bounce_score) == ("suppressed", 6.5)
    [suppression] = await rows(database, Suppression)
    assert suppression.email_hash == email_hash("bounced@example.org", keyring=keyring)
    assert suppression.reason == "hard_bounce"
    consents = {consent.subscriber_id: consent for consent in await rows(database, Consent)}
    evidence = consents[jane.id]
    assert (evidence.event, evidence.source) == ("imported", "import")
    assert evidence.email_hash == email_hash("jane.doe@example.org", keyring=keyring)
    assert evidence.details["line"] == 2
    assert evidence.details["consent_source"] == "Form of 2025"
    assert datetime.fromisoformat(evidence.details["subscribed_at"]) == begun
    assert "subscribed_at" not in consents[bounced.id].details  # the file does not tell
    assert (evidence.network, evidence.occurred_at) == (None, jane.created_at)
    started, ended = [e for e in await rows(database, AuditEvent) if "import" in e.action]
    assert evidence.details["import_id"] == started.details["import_id"]
    assert evidence.details["imported_by"] == started.subject
    assert (started.action, ended.action) == (
        "newsletter.import_started",
        "newsletter.import_ended",
    )
    assert started.actor_id is None
    assert started.subject == (await desk.get("/v1/account")).json()["id"]
    assert (ended.details["imported"], ended.details["is_complete"]) == (3, True)


async def test_file_of_addresses_alone_takes_the_defaults(desk: Api, database: Database) -> None:
    report = await send(
        desk,
        "a@example.org",
        header="Email",
        default_topics="videos stories",
        default_language="fr",
    )
    assert counts(report) == (1, 1, 0, 0, 0, 0)
    subscriber = await stored(database, "a@example.org")
    assert subscriber.state == "subscribed"
    assert NOON <= subscriber.subscribed_at == subscriber.updated_at <= subscriber.created_at
    assert (subscriber.topics, subscriber.language) == (["stories", "videos"], "fr")
    # Once there, it keeps what it has: this file says nothing of topics.
    again = await send(desk, "a@example.org", header="email", default_topics="images")
    assert counts(again) == (1, 0, 0, 1, 0, 0)


async def test_same_file_again_changes_nothing(desk: Api, database: Database, clock: Clock) -> None:
    lines = [
        "a@example.org,subscribed,videos",
        "b@example.org,unsubscribed",
        "c@example.org,suppressed",
        "a@EXAMPLE.org,subscribed,images",
    ]
    assert counts(await send(desk, *lines)) == (4, 3, 0, 0, 0, 1)
    before = [vars(row) for row in await rows(database, Subscriber)]
    clock.now += timedelta(minutes=5)
    again = await send(desk, *lines)
    assert counts(again) == (4, 0, 0, 3, 0, 1)
    assert [(error["line"], error["code"]) for error in again["errors"]] == [
        (5, "duplicate_address")
    ]
    after = [vars(row) for row in await rows(database, Subscriber)]
    for row in (*before, *after):
        del row["_sa_instance_state"]
    assert before == after
    assert len(await rows(database, Consent)) == 3


EARLY, LATE = "2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z"


# What is known since spring, what the file says, what comes of it, and the state from then on.
MERGED = (
    # What is later in the file counts, what is earlier does not.
    ("subscribed", f"unsubscribed,,,,,{LATE}", "updated", "unsubscribed"),
    ("subscribed", f"unsubscribed,,,,,{EARLY}", "unchanged", "subscribed"),
    ("subscribed", f"suppressed,,,,,{LATE},,complaint", "updated", "suppressed"),
    ("subscribed", f"suppressed,,,,,{EARLY},,complaint", "unchanged", "subscribed"),
    ("subscribed", f"subscribed,videos,,,{LATE}", "updated", "subscribed"),
    ("subscribed", f"subscribed,videos,,,{EARLY}", "unchanged", "subscribed"),
    ("subscribed", f"subscribed,,,,{EARLY},,{LATE}", "unchanged", "subscribed"),
    ("unsubscribed", f"suppressed,,,,,{LATE}", "updated", "suppressed"),
    # A list without times is as of its import: whoever is on it has left by now.
    ("subscribed", "unsubscribed", "updated", "unsubscribed"),
    # Nobody is brought back, whenever the file says that was.
    ("unsubscribed", f"subscribed,,,,{LATE}", "kept", "unsubscribed"),
    ("suppressed", f"subscribed,,,,{LATE}", "kept", "suppressed"),
    ("suppressed", f"unsubscribed,,,,,{LATE}", "kept", "suppressed"),
)


async def test_newer_rows_win_but_bring_nobody_back(
    desk: Api, database: Database, keyring: Keyring
) -> None:
    addresses = [f"n{number}@example.org" for number in range(len(MERGED))]
    for address, (known, *_) in zip(addresses, MERGED, strict=True):
        await make_known(database, keyring, known, address)
    lines = [f"{each},{line}" for each, (_, line, *_) in zip(addresses, MERGED, strict=True)]
    assert counts(await send(desk, *lines)) == (12, 0, 5, 4, 3, 0)
    imported = {row.subscriber_id for row in await rows(database, Consent) if is_import(row)}
    reasons = {row.email_hash: row.reason for row in await rows(database, Suppression)}
    for address, (known, line, outcome, state) in zip(addresses, MERGED, strict=True):
        subscriber = await stored(database, address)
        assert subscriber.state == state, line
        assert (subscriber.ended_at is None) == (state == "subscribed")
        assert (subscriber.id in imported) == (outcome == "updated"), line
        reason = "complaint" if "complaint" in line else "editor"
        expected = "hard_bounce" if known == "suppressed" else reason
        hashed = email_hash(address, keyring=keyring)
        assert reasons.get(hashed) == (expected if state == "suppressed" else None)


def is_import(consent: Consent) -> bool:
    return consent.event == "imported"


async def make_known(
    database: Database, keyring: Keyring, state: str, email: str = "jane@example.org"
) -> None:
    """Somebody who was last heard of in spring."""
    async with database.transaction() as session:
        proof = Evidence(source="account")
        subscriber = await owners.subscribe(
            session,
            parse_email(email),
            Choice((), "en", "each"),
            proof,
            keyring=keyring,
            now=SPRING,
        )
        if state == "unsubscribed":
            await owners.unsubscribe(session, subscriber, proof, keyring=keyring, now=SPRING)
        if state == "suppressed":
            await owners.suppress(
                session, subscriber, "hard_bounce", proof, keyring=keyring, now=SPRING
            )


async def test_list_of_leavers_from_before_somebody_came_back_does_not_end_it(
    desk: Api, database: Database, keyring: Keyring
) -> None:
    await make_known(database, keyring, "subscribed")
    made_at = (SPRING - timedelta(microseconds=1)).isoformat()
    report = await send(desk, "jane@example.org,unsubscribed", header="email,status", as_of=made_at)
    assert counts(report) == (1, 0, 0, 1, 0, 0)
    assert (await stored(database, "jane@example.org")).state == "subscribed"


async def test_nothing_is_stored_of_an_erased_address(
    desk: Api, database: Database, keyring: Keyring
) -> None:
    hashed = email_hash("jane@example.org", keyring=keyring)
    async with database.transaction() as session:
        session.add(Suppression(email_hash=hashed, reason="erased", created_at=SPRING))
    for status in ("subscribed", "unsubscribed", "suppressed"):
        assert counts(await send(desk, f"Jane@example.org,{status}")) == (1, 0, 0, 0, 1, 0)
    assert await rows(database, Subscriber) == []
    assert await rows(database, Consent) == []
    [suppression] = await rows(database, Suppression)
    assert (suppression.reason, suppression.created_at) == ("erased", SPRING)


BROKEN = {
    b"jane.example.org,subscribed,": "invalid_email",
    b",subscribed,": "invalid_email",
    b"a b@example.org,subscribed,": "invalid_email",
    b"jane@example.org": "wrong_columns",
    b"jane@example.org,subscribed,,more": "wrong_columns",
    b"jane@example.org,active,": "invalid_status",
    b"jane@example.org,,": "invalid_status",
    b"jane@example.org,subscribed,sport": "unknown_topic",
    b"jan\xe9@example.org,subscribed,": "invalid_utf8",
    b"jane@example.org,subscribed,\0": "nul_character",
    b'"jane@example.org,subscribed,': "unclosed_quote",
    b'jane@example.org,subscribed,"videos': "unclosed_quote",
    b'"jane"x@example.org,subscribed,': "misplaced_quote",
    b"jane@example.org,subscribed," + b"videos " * 3_000: "line_too_long",
    b"jane@example.org,subscribed," + b"videos " * 1_000: "field_too_long",
}


async def test_broken_lines_are_reported_by_number_and_the_rest_is_imported(
    desk: Api, database: Database
) -> None:
    lines = [b"email,status,topics"]
    for number, broken in enumerate(BROKEN):
        lines += [broken, b'"good%d@example.org",subscribed,"videos"' % number]
    response = await desk.post(
        PATH, params={"consent_source": "x"}, content=b"\n".join(lines), headers=CSV
    )
    report = response.json()
    assert counts(report) == (30, 15, 0, 0, 0, 15)
    assert {error["line"]: error["code"] for error in report["errors"]} == dict(
        zip(range(2, 32, 2), BROKEN.values(), strict=True)
    )
    assert "jan" not in str(report["errors"])  # addresses stay out of logs of clients
    assert {row.email for row in await rows(database, Subscriber)} == {
        f"good{number}@example.org" for number in range(15)
    }


WRONG_VALUES = (
    ("language=de", "invalid_language"),
    ("frequency=hourly", "invalid_frequency"),
    ("status=suppressed,suppression_reason=erased", "invalid_suppression_reason"),
    ("subscribed_at=2026-02-30T00:00:00Z", "invalid_time"),
    ("subscribed_at=2026-02-03", "invalid_time"),
    ("subscribed_at=2026-02-03T00:00:00", "invalid_time"),
    ("subscribed_at=2026-11-23T13:00:00Z", "invalid_time"),
    ("subscribed_at=1969-12-31T23:59:59Z", "invalid_time"),
    ("subscribed_at=0001-01-01T00:00:00+23:59", "invalid_time"),
    ("status=subscribed,ended_at=2026-02-03T00:00:00Z", "contradictory_times"),
    (
        "status=unsubscribed,subscribed_at=2026-02-03T00:00:00Z,ended_at=2026-02-02T00:00:00Z",
        "contradictory_times",
    ),
    ("bounce_score=-1", "invalid_bounce_score"),
    ("bounce_score=nan", "invalid_bounce_score"),
    ("bounce_score=1_0", "invalid_bounce_score"),
    ("bounce_score=1000001", "invalid_bounce_score"),
)


async def test_wrong_value_is_named_by_its_column(desk: Api) -> None:
    for line, code in WRONG_VALUES:
        cells = dict(cell.split("=") for cell in line.split(","))
        row = ",".join(["jane@example.org", *cells.values()])
        report = await send(desk, row, header=",".join(["email", *cells]))
        assert [error["code"] for error in report["errors"]] == [code], line


async def test_values_at_their_limits_are_taken(desk: Api, database: Database) -> None:
    report = await send(
        desk,
        "a@example.org,subscribed,,,,2026-11-23T12:00:00Z,,,,1e-400",
        "b@example.org,subscribed,,,,2026-11-23T23:59:00+11:59,,,,1000000",
        "c@example.org,subscribed,,,,1970-01-01t23:59:00+23:59,,,,0.1",
        f"{'d' * 64}@example.org,subscribed",
    )
    assert counts(report) == (4, 4, 0, 0, 0, 0)
    assert (await stored(database, "b@example.org")).subscribed_at == NOON


SAME_FILES = (
    "\ufeffEMAIL;Status;topics\r\na%d@example.org;unsubscribed;videos images\r\n",
    "topics\t email \tstatus\nvideos images\ta%d@example.org\tunsubscribed\n\n\r\n",
    '"email","status","topics"\r\n"a%d@example.org","unsubscribed","images videos"',
)


async def test_delimiter_order_mark_and_line_ends_are_found_out(
    desk: Api, database: Database
) -> None:
    for number, file in enumerate(SAME_FILES):
        response = await desk.post(
            PATH,
            params={"consent_source": "x"},
            content=(file % number).encode(),
            headers={"Content-Type": 'text/csv; charset="UTF-8"'},
        )
        assert counts(response.json()) == (1, 1, 0, 0, 0, 0)
        subscriber = await stored(database, f"a{number}@example.org")
        assert (subscriber.state, subscriber.topics) == ("unsubscribed", ["images", "videos"])


async def test_header_that_is_not_understood_refuses_the_file(
    desk: Api, database: Database
) -> None:
    names = ("", "\n", "a@example.org", "email,name", "email,email", "status", "email,,", '"email')
    for header in (*names, "e\0mail", "email" * 10_000):
        response = await desk.post(
            PATH,
            params={"consent_source": "x"},
            content=f"{header}\nb@example.org,x".encode(),
            headers=CSV,
        )
        assert (response.status_code, response.json()["code"]) == (422, "invalid_header"), header
    assert not [action for action in await audited(database) if "import" in action]


async def test_what_is_said_of_the_file_is_checked_before_it_is_read(
    desk: Api, database: Database
) -> None:
    wrong = (
        ({"consent_source": " "}, "/consent_source"),
        ({"default_topics": "videos sport"}, "/default_topics/1"),
        ({"default_language": "de"}, "/default_language"),
        ({"as_of": "2026-11-23T12:30:00Z"}, "/as_of"),
        ({"as_of": "2026-11-23T11:00:00"}, "/as_of"),
    )
    for params, pointer in wrong:
        said = {"consent_source": "x", **params}
        response = await desk.post(PATH, params=said, content=b"email\na@b.org", headers=CSV)
        assert response.status_code == 422
        assert [error["pointer"] for error in response.json()["errors"]] == [pointer]
    nothing_said = await desk.post(PATH, content=b"email\na@b.org", headers=CSV)
    assert nothing_said.json()["errors"][0]["pointer"] == "/consent_source"
    assert await rows(database, Subscriber) == []


async def test_other_types_and_bodies_over_a_gibibyte_are_refused(desk: Api) -> None:
    params = {"consent_source": "x"}
    for kind in ("application/json", "text/csv; charset=latin-1", "text/plain"):
        fields = {"Content-Type": kind}
        refused = await desk.post(PATH, params=params, content=b"email", headers=fields)
        assert (refused.status_code, refused.json()["code"]) == (415, "unsupported_media_type")
    limit = body_limit(10**15, PATH)
    assert limit is not None
    assert (limit.max_bytes, limit.stall, limit.total) == (2**30, timedelta(seconds=60), None)
    announced = {**CSV, "Content-Length": str(2**30 + 1)}
    large = await desk.post(PATH, params=params, content=b"email", headers=announced)
    assert (large.status_code, large.json()["code"]) == (413, "body_too_large")


async def test_no_more_than_a_thousand_errors_are_listed(desk: Api) -> None:
    report = await send(desk, *["nobody"] * 2_500, header="email")
    assert (report["errors_total"], len(report["errors"])) == (2_500, 1_000)
    assert report["errors"][-1]["line"] == 1_001


async def test_what_came_before_a_cut_stays_and_no_connection_waits_for_the_client(
    live_database: Database, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "IMPORT_CHUNK", 2)
    pool: Any = live_database.engine.pool
    in_use = []

    async def cut() -> AsyncIterator[bytes]:
        for piece in (b"email\na@b.o", b"rg\nb@b.org\nc@b.org\nd", b"@b.org\ne@b.org\nf@b"):
            in_use.append(pool.checkedout())
            yield piece
        raise ClientDisconnect

    with pytest.raises(ClientDisconnect):
        await import_bytes(live_database, cut(), keyring)
    assert in_use == [0, 0, 0]
    kept = {row.email for row in await rows(live_database, Subscriber)}
    assert kept == {"a@b.org", "b@b.org", "c@b.org", "d@b.org"}
    ended = (await rows(live_database, AuditEvent))[-1]
    assert (ended.details["imported"], ended.details["is_complete"]) == (4, False)


async def test_imports_at_once_of_the_same_addresses_leave_one_row_each(
    live_database: Database, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "IMPORT_CHUNK", 50)
    addresses = [f"n{number}@example.org" for number in range(200)]
    orders = [addresses, addresses[::-1], random.Random(4).sample(addresses, 200)]  # noqa: S311
    reports = await asyncio.gather(
        *(
            import_bytes(live_database, pieces_of("\n".join(["email", *order]).encode()), keyring)
            for order in orders
        )
    )
    assert sum(report.imported for report in reports) == 200
    assert sum(report.unchanged for report in reports) == 400
    assert len(await rows(live_database, Subscriber)) == 200
    assert len(await rows(live_database, Consent)) == 200


async def test_file_of_too_many_lines_is_imported_as_far_as_it_may_go(
    desk: Api, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert policy.IMPORT_MAX_LINES == 5_000_000
    monkeypatch.setattr(policy, "IMPORT_MAX_LINES", 4)
    monkeypatch.setattr(policy, "IMPORT_CHUNK", 2)
    body = "\n".join(["email", *(f"n{number}@example.org" for number in range(5))])
    response = await desk.post(
        PATH, params={"consent_source": "x"}, content=body.encode(), headers=CSV
    )
    assert (response.status_code, response.json()["code"]) == (413, "too_many_lines")
    assert "Line 6" in response.json()["detail"]
    assert len(await rows(database, Subscriber)) == 4


async def test_export_is_a_file_of_every_state_with_formulas_defused(
    desk: Api, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "EXPORT_CHUNK", 2)
    first, ended, updated = ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z")
    exact = "2026-04-01T08:30:00.123456Z"
    lines = [
        f"=cmd+1@example.org,subscribed,images videos,en,each,{exact},,{exact},,0.0,",
        f"a@example.org,suppressed,,fr,daily,{first},{ended},{updated},complaint,0.25,{ended}",
        f"b@example.org,unsubscribed,audio,fr,weekly,{first},{ended},{ended},,0.0,",
    ]
    assert counts(await send(desk, *lines)) == (3, 3, 0, 0, 0, 0)
    response = await desk.get(PATH)
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert 'filename="subscribers-2026-11-23.csv"' in response.headers["content-disposition"]
    assert response.text == "\r\n".join([HEADER, f"'{lines[0]}", *lines[1:], ""])
    assert (await audited(database))[-1] == "newsletter.exported"

    async def addresses(**params: str) -> list[str]:
        text = (await desk.get(PATH, params=params)).text
        return [line.split("@")[0] for line in text.splitlines()[1:]]

    assert await addresses(state="suppressed") == ["a"]
    assert await addresses(topic="videos") == ["'=cmd+1", "a"]
    assert await addresses(topic="audio", state="unsubscribed") == ["b"]
    assert await addresses(topic="stories", state="unsubscribed") == []
    unknown = await desk.get(PATH, params={"topic": "sport"})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "unknown_topic")


LOCAL_PARTS = st.text("ab'=+-.é\uff1d", min_size=1, max_size=6).filter(
    lambda text: "" not in text.split(".")
)
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2026, 11, 23), timezones=st.just(UTC))  # noqa: DTZ001  # hypothesis adds the zone
SUBSCRIBERS = st.fixed_dictionaries(
    {
        "email": st.builds(
            "{}@{}".format, LOCAL_PARTS, st.sampled_from(["Example.org", "dépôt.fr", "x.co"])
        ),
        "state": st.sampled_from(["subscribed", "unsubscribed", "suppressed"]),
        "topics": st.sets(st.sampled_from(["audio", "images", "videos"])).map(sorted),
        "language": st.sampled_from(["en", "fr"]),
        "frequency": st.sampled_from(["each", "daily", "weekly"]),
        "times": st.lists(TIMES, min_size=3, max_size=3).map(sorted),
        "bounce_score": st.floats(0, 1000),
        "bounced_at": st.none() | TIMES,
        "reason": st.sampled_from(["hard_bounce", "soft_bounces", "complaint", "editor"]),
    }
)


def run_in(loop: asyncio.AbstractEventLoop, work: Any) -> Any:
    return asyncio.run_coroutine_threadsafe(work, loop).result(300)


async def test_export_imported_into_an_empty_installation_gives_the_same_rows(
    database: Database, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "EXPORT_CHUNK", 3)
    monkeypatch.setattr(policy, "IMPORT_CHUNK", 3)
    loop = asyncio.get_running_loop()

    @settings(max_examples=8)
    @given(people=st.lists(SUBSCRIBERS, max_size=8, unique_by=key_of))
    def check(people: list[dict[str, Any]]) -> None:
        run_in(loop, fill(database, keyring, people))
        first = run_in(loop, export_bytes(database, keyring))
        before = run_in(loop, everything(database))
        run_in(loop, fill(database, keyring, []))
        report = run_in(loop, import_bytes(database, pieces_of(first), keyring))
        assert (report.imported, report.errors) == (len(people), [])
        assert run_in(loop, everything(database)) == before
        assert run_in(loop, export_bytes(database, keyring)) == first

    await asyncio.to_thread(check)


def key_of(person: dict[str, Any]) -> str:
    return parse_email(person["email"]).key


async def everything(database: Database) -> list[Any]:
    columns = (
        *(Subscriber.email, Subscriber.email_key, Subscriber.state, Subscriber.topics),
        *(Subscriber.language, Subscriber.frequency, Subscriber.subscribed_at),
        *(Subscriber.ended_at, Subscriber.updated_at, Subscriber.bounce_score),
        Subscriber.bounced_at,
    )
    async with database.transaction() as session:
        people = await session.execute(select(*columns).order_by(Subscriber.email_key))
        query = select(Suppression.email_hash, Suppression.reason).order_by(Suppression.email_hash)
        return [*map(tuple, people), *map(tuple, await session.execute(query))]


async def fill(database: Database, keyring: Keyring, people: list[dict[str, Any]]) -> None:
    """These subscribers and no others."""
    async with database.transaction() as session:
        await session.execute(delete(Subscriber))
        await session.execute(delete(Suppression))
        for person in people:
            address = parse_email(person["email"])
            begun, ended, updated = person["times"]
            is_on = person["state"] == "subscribed"
            same = ("state", "topics", "language", "frequency", "bounce_score", "bounced_at")
            values = {
                **{name: person[name] for name in same},
                "email": address.typed,
                "email_key": address.key,
                "subscribed_at": begun,
                "ended_at": None if is_on else ended,
                "created_at": begun,
                "updated_at": updated,
            }
            await session.execute(insert(Subscriber).values(values))
            if person["state"] == "suppressed":
                hashed = email_hash(address.key, keyring=keyring)
                values = {"email_hash": hashed, "reason": person["reason"], "created_at": ended}
                await session.execute(insert(Suppression).values(values))


async def test_random_damage_harms_no_line_but_its_own(
    database: Database, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "IMPORT_CHUNK", 3)
    loop = asyncio.get_running_loop()
    damage = st.binary(min_size=1, max_size=12).map(lambda raw: raw.replace(b"\n", b'"'))
    lines = st.lists(st.none() | damage, min_size=1, max_size=8)

    @settings(max_examples=10)
    @given(lines=lines, size=st.integers(1, 40))
    def check(lines: list[bytes | None], size: int) -> None:
        run_in(loop, fill(database, keyring, []))
        good = [f"good{number}@example.org" for number, line in enumerate(lines) if line is None]
        names = iter(good)
        content = [next(names).encode() if line is None else b"," + line for line in lines]
        data = b"\n".join([b"email,status,topics", *(full_line(line) for line in content)])
        report = run_in(loop, import_bytes(database, pieces_of(data, size), keyring))
        assert (report.imported, report.errors_total) == (len(good), len(lines) - len(good))
        broken = [number for number, line in enumerate(lines, 2) if line is not None]
        assert [error.line for error in report.errors] == broken
        stored_rows = run_in(loop, rows(database, Subscriber))
        assert sorted(row.email for row in stored_rows) == sorted(good)

    await asyncio.to_thread(check)


def full_line(line: bytes) -> bytes:
    return line if line.startswith(b",") else line + b",subscribed,"


TYPED = st.text("aZ9.'+-_ \té\uff20ßİ\u200b@\u3002", max_size=12)


@settings(max_examples=80, phases=[Phase.generate])
@given(local=TYPED, domain=st.sampled_from(["Example.org", "EXAMPLE.org.", "1.2.3.4", "a", "-a.b"]))
def test_addresses_of_files_are_read_like_all_others(local: str, domain: str) -> None:
    text = f"{local}@{domain}"
    # An apostrophe that was put before a formula is taken away again.
    meant = text[1:] if re.match("'['=+-]", text) else text
    try:
        expected = parse_email(meant)
    except InvalidEmail:
        with pytest.raises(BrokenLine):
            subscriber_rows._address(text)
    else:
        assert subscriber_rows._address(text) == expected


async def test_admins_read_the_evidence_about_one_address_and_that_is_recorded(
    desk: Api, database: Database, mailbox: Mailbox, app: FastAPI, clock: Clock, keyring: Keyring
) -> None:
    for status in ("subscribed", "unsubscribed", "suppressed"):
        clock.now += timedelta(minutes=1)
        await send(desk, f"Jane@example.org,{status}", "other@example.org,subscribed")
    async with Api(app) as admin:
        admin.headers.update(bearer(await sign_up(admin, mailbox, "admin@example.org")))
        await make_admin(database, "admin@example.org")
        first = await admin.get(
            "/v1/newsletter/consents", params={"email": "jane@EXAMPLE.org", "limit": "2"}
        )
        assert first.headers["cache-control"] == "no-store"
        second = await admin.get(first.links["next"]["url"])
    items = [*first.json()["items"], *second.json()["items"]]
    assert [item["details"]["status"] for item in items] == [
        "suppressed",
        "unsubscribed",
        "subscribed",
    ]
    assert {item["event"] for item in items} == {"imported"}
    assert second.json()["next_cursor"] is None
    read = [e for e in await rows(database, AuditEvent) if e.action == "newsletter.consents_read"]
    hashed = email_hash("jane@example.org", keyring=keyring)
    assert [event.details for event in read] == [{"email_hash": hashed.hex()}] * 2


async def test_topics_that_are_retired_can_be_kept_by_an_import(
    desk: Api, database: Database
) -> None:
    async with database.transaction() as session:
        topic = await session.get_one(Topic, "audio")
        topic.retired_at = SPRING
    assert counts(await send(desk, "a@example.org,subscribed,audio")) == (1, 1, 0, 0, 0, 0)
    refused = await desk.post(
        PATH,
        params={"consent_source": "x", "default_topics": "audio"},
        content=b"email\n",
        headers=CSV,
    )
    assert refused.json()["code"] == "unknown_topic"
