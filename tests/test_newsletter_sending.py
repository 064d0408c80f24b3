"""An edition on its way: who gets it, through every fault of mail server, database and worker."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy.exc import DBAPIError
from typing_extensions import override

from app.crypto import Keyring
from app.db import Database, open_connection
from app.jobs import newsletter_sending
from app.jobs.mail_rates import TokenBucket
from app.models import MailRate, Subscriber
from app.services import (
    deliveries,
    delivery_outcomes,
    edition_states,
    fan_out,
    mail_rates,
    newsletter_tokens,
)
from app.services.deliveries import Claim
from tests.conftest import copied_database
from tests.helpers import patient_database, rows
from tests.hurried_worker import eventually
from tests.newsletters import (
    LIMITS,
    add_subscribers,
    counts,
    edition_of,
    emptied,
    ledger,
    let_time_pass,
    reaches,
    sending,
    set_state,
    start_edition,
    states,
)
from tests.scripted_smtp import DROP, HOLD, STALL, ScriptedSmtp


@pytest.fixture(scope="module")
async def own_database(server_url: str, template: str) -> AsyncIterator[Database]:
    async with copied_database(server_url, template) as url:
        database = patient_database(url, pool_size=20)
        yield database
        await database.close()


@pytest.fixture
async def ledger_database(own_database: Database) -> Database:
    """One in which every statement commits, as workers share it."""
    await emptied(own_database)
    return own_database


@pytest.fixture
async def smtp() -> AsyncIterator[ScriptedSmtp]:
    async with ScriptedSmtp() as server:
        yield server


A_CLAIM = Claim(
    edition_id=UUID(int=1),
    edition_number=1,
    subscriber_id=UUID(int=2),
    variant=0,
    to="a@b.example",
    domain="b.example",
    attempts=0,
    doubts=0,
    has_slot=False,
    first_tried_at=None,
    leased_until=datetime(2026, 11, 24, tzinfo=UTC),
)


def recipients(smtp: ScriptedSmtp) -> Counter[str]:
    return Counter(mail.recipient for mail in smtp.taken)


async def test_everybody_gets_the_mail_of_their_language_with_links_of_their_own(
    ledger_database: Database, smtp: ScriptedSmtp, keyring: Keyring
) -> None:
    readers = await add_subscribers(ledger_database, 30)
    await add_subscribers(ledger_database, 1, domain="left.example", state="unsubscribed")
    await add_subscribers(ledger_database, 1, domain="dead.example", state="suppressed")
    await add_subscribers(ledger_database, 1, domain="daily.example", frequency="daily")
    await add_subscribers(ledger_database, 1, domain="other.example", topics=["audio"])
    await add_subscribers(ledger_database, 1, domain="same.example", topics=["stories", "videos"])
    edition_id = await start_edition(ledger_database, topics=["videos"])
    async with sending(ledger_database, smtp.url, keyring=keyring):
        edition = await reaches(ledger_database, edition_id, "sent")
    assert edition.recipients == len(smtp.taken) == 31
    assert edition.finished_at is not None
    assert set(recipients(smtp).values()) == {1}
    for mail in smtp.taken:
        message = mail.message
        number = int(mail.recipient.partition("@")[0].removeprefix("reader"))
        assert message["To"] == mail.recipient
        assert message["Subject"] == ("Harbour (en)" if number % 3 else "Harbour (fr)")
        bounced = newsletter_tokens.read_bounce_address(mail.sender, keyring=keyring)
        assert bounced is not None
        assert bounced.edition_number == edition.number
        url = message["List-Unsubscribe"].strip("<>")
        token = url.removeprefix("https://api.example/v1/newsletter/unsubscribe/")
        assert newsletter_tokens.read("unsubscribe", token, keyring=keyring) == bounced
        for subtype in ("plain", "html"):
            body = message.get_body((subtype,))
            assert body is not None
            assert f"#token={token}" in body.get_content()
        assert message["Message-ID"] == f"<n{edition.number}.{bounced.subscriber_id}@media.example>"
        assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    deliveries = await ledger(ledger_database, edition_id)
    assert {delivery.subscriber_id for delivery in deliveries} >= set(readers)
    assert {(each.state, each.attempts, each.smtp_code) for each in deliveries} == {
        ("sent", 1, 250)
    }


async def test_whoever_subscribes_after_the_start_waits_for_the_next_edition(
    ledger_database: Database,
) -> None:
    now = datetime.now(UTC)
    await add_subscribers(ledger_database, 5, domain="late.example")
    await add_subscribers(ledger_database, 5)
    await ledger_database.write(
        "UPDATE newsletter_subscriber SET subscribed_at = $1 WHERE domain = 'late.example'", now
    )
    edition_id = await start_edition(ledger_database, started_at=now - timedelta(seconds=1))
    chunks: list[fan_out.Progress] = []
    while not chunks or not chunks[-1].is_complete:
        chunk = await fan_out.write_chunk(ledger_database.write, edition_id, now=now, chunk=4)
        assert chunk is not None
        chunks.append(chunk)
    assert [(chunk.added, chunk.is_first) for chunk in chunks] == [
        (0, True),
        (3, False),
        (2, False),
    ]
    assert (await edition_of(ledger_database, edition_id)).recipients == 5


async def test_a_greylisted_recipient_waits_a_minute_and_nobody_else_does(
    ledger_database: Database, smtp: ScriptedSmtp, keyring: Keyring
) -> None:
    await add_subscribers(ledger_database, 20)
    edition_id = await start_edition(ledger_database)
    smtp.script("RCPT", "451 4.7.1 greylisted, come back", "450 4.2.0 greylisted")
    async with sending(ledger_database, smtp.url, keyring=keyring):
        await counts(ledger_database, edition_id, sent=18, deferred=2)
        entries = await ledger(ledger_database, edition_id)
        waiting = [entry for entry in entries if entry.state == "deferred"]
        assert len(waiting) == 2
        assert {each.smtp_status for each in waiting} == {"4.7.1", "4.2.0"}
        for each in waiting:
            assert each.first_tried_at is not None
            pause = each.due_at - each.first_tried_at
            assert timedelta(seconds=59) < pause < timedelta(seconds=70)
        await let_time_pass(ledger_database, edition_id)
        await reaches(ledger_database, edition_id, "sent")
    assert sorted(recipients(smtp).values()) == [1] * 20


async def test_no_mail_is_lost_when_the_server_closes_its_connections(
    ledger_database: Database, smtp: ScriptedSmtp, keyring: Keyring
) -> None:
    await add_subscribers(ledger_database, 40)
    edition_id = await start_edition(ledger_database)
    smtp.script("MAIL", *["421 4.3.2 restarting"] * 3)
    smtp.script("CONNECT", "220 hi", "421 4.3.2 busy", DROP)
    smtp.script("RCPT", DROP, "421 4.4.5 too busy")
    smtp.script("DATA", DROP)
    async with sending(ledger_database, smtp.url, keyring=keyring):
        await counts(ledger_database, edition_id, sent=37)

        async def is_sent_as_time_passes() -> bool:
            """What became of the last ones may not be written down at once."""
            await ledger_database.write("TRUNCATE newsletter_rate")
            await let_time_pass(ledger_database, edition_id)
            return (await edition_of(ledger_database, edition_id)).state == "sent"

        await eventually(is_sent_as_time_passes)
    assert sorted(recipients(smtp).values()) == [1] * 40


@pytest.mark.parametrize("fault", [DROP, STALL])
async def test_a_mail_whose_answer_is_lost_is_sent_again_under_the_same_id(
    ledger_database: Database, smtp: ScriptedSmtp, keyring: Keyring, fault: str
) -> None:
    await add_subscribers(ledger_database, 5)
    edition_id = await start_edition(ledger_database)
    smtp.script("MAIL", *["250 ok"] * 4, HOLD)
    smtp.script("DOT", *["250 ok"] * 4, fault)
    async with sending(ledger_database, smtp.url, keyring=keyring, connections=1) as sender:
        await counts(ledger_database, edition_id, sent=4)
        # A short limit for the one whose answer does not come, and for no other.
        pool = sender._courier._post.smtp
        pool._limits = replace(LIMITS, contents=1)
        smtp.let_go.set()
        await counts(ledger_database, edition_id, deferred=1)
        pool._limits = LIMITS
        await let_time_pass(ledger_database, edition_id)
        await reaches(ledger_database, edition_id, "sent")
    assert sorted(recipients(smtp).values()) == [1, 1, 1, 1, 2]
    assert len({mail.message["Message-ID"] for mail in smtp.taken}) == 5
    assert sorted(each.doubts for each in await ledger(ledger_database, edition_id)) == [
        *[0] * 4,
        1,
    ]


async def test_a_mail_that_stays_in_doubt_is_not_sent_for_ever(
    ledger_database: Database, smtp: ScriptedSmtp, keyring: Keyring
) -> None:
    await add_subscribers(ledger_database, 1)
    edition_id = await start_edition(ledger_database)
    smtp.script("DOT", *[DROP] * 9)
    async with sending(ledger_database, smtp.url, keyring=keyring):
        while (await edition_of(ledger_database, edition_id)).state != "sent":
            await let_time_pass(ledger_database, edition_id)
            await asyncio.sleep(0.02)
    assert len(smtp.taken) == 3
    assert await states(ledger_database, edition_id) == {"unknown": 1}


async def test_while_the_server_is_down_nobody_is_charged(
    ledger_database: Database, smtp: ScriptedSmtp, keyring: Keyring
) -> None:
    await add_subscribers(ledger_database, 30)
    edition_id = await start_edition(ledger_database)
    async with AsyncExitStack() as stack:
        async with smtp.away():
            await stack.enter_async_context(sending(ledger_database, smtp.url, keyring=keyring))
            await counts(ledger_database, edition_id, pending=30)
            await asyncio.sleep(0.5)
            assert not (await states(ledger_database, edition_id))["sent"]
        await reaches(ledger_database, edition_id, "sent")
    assert sorted(recipients(smtp).values()) == [1] * 30
    assert {each.attempts for each in await ledger(ledger_database, edition_id)} == {1}


async def test_a_refused_sender_pauses_the_edition_and_says_why(
    ledger_database: Database, smtp: ScriptedSmtp, keyring: Keyring
) -> None:
    await add_subscribers(ledger_database, 30)
    edition_id = await start_edition(ledger_database)
    smtp.script("MAIL", *["250 ok"] * 5, *["550 5.7.1 <newsletter@media.example> not ours"] * 30)
    async with sending(ledger_database, smtp.url, keyring=keyring):
        edition = await reaches(ledger_database, edition_id, "paused")
    assert edition.pause_reason is not None
    assert edition.pause_reason.startswith("sender_refused: ")
    assert "550 5.7.1" in edition.pause_reason
    # Fewer than five where the pause came in between the sender and the contents.
    found = await states(ledger_database, edition_id)
    assert found["sent"] == len(smtp.taken) <= 5
    assert found["pending"] == 30 - found["sent"]
    smtp._scripts.clear()
    await set_state(ledger_database, edition_id, "sending")
    async with sending(ledger_database, smtp.url, keyring=keyring):
        await reaches(ledger_database, edition_id, "sent")
    assert sorted(recipients(smtp).values()) == [1] * 30
    assert {each.attempts for each in await ledger(ledger_database, edition_id)} == {1}


async def test_an_edition_that_is_refused_for_what_it_says_is_paused(
    ledger_database: Database, smtp: ScriptedSmtp, keyring: Keyring
) -> None:
    await add_subscribers(ledger_database, 300)
    edition_id = await start_edition(ledger_database)
    smtp.script("DOT", *["554 5.7.1 looks like spam"] * 40, *[HOLD] * 260)
    async with sending(ledger_database, smtp.url, keyring=keyring):
        edition = await reaches(ledger_database, edition_id, "paused")
        smtp.let_go.set()
    assert edition.pause_reason is not None
    assert "5.7.1 looks like spam" in edition.pause_reason
    found = await states(ledger_database, edition_id)
    # At the 25th of 50, and those that were under way by then.
    assert 25 <= found["failed"] <= 40
    assert found["sent"] <= 8
    assert found["pending"] == 300 - found["failed"] - found["sent"]
    subscribers = await rows(ledger_database, Subscriber)
    assert {each.state for each in subscribers} == {"subscribed"}


@pytest.mark.parametrize(
    ("answer", "pauses"),
    [
        ("RCPT: 550 5.1.8 sender's domain does not exist", True),
        ("RCPT: 554 5.7.1 relay access denied", True),
        ("DATA: 552 5.3.4 too big for us", True),
        ("RCPT: 550 5.1.1 no such user", False),
        ("RCPT: 552 5.2.2 mailbox full", False),
    ],
)
def test_refusals_of_us_pause_an_edition_and_dead_mailboxes_do_not(
    *, answer: str, pauses: bool
) -> None:
    now = datetime.now(UTC)
    _, code, status, *_ = answer.split()
    refused = delivery_outcomes.refused(A_CLAIM, answer, code=int(code), status=status, now=now)
    taken = delivery_outcomes.taken(A_CLAIM, "250 ok", now=now)
    watch = delivery_outcomes.RefusalWatch()
    reasons = [watch.note(each) for each in [refused, taken] * 24 + [taken, refused]]
    assert [bool(reason) for reason in reasons] == [False] * 49 + [pauses]


async def test_a_server_that_knows_no_recipient_at_all_pauses_the_edition(
    ledger_database: Database, smtp: ScriptedSmtp, keyring: Keyring
) -> None:
    await add_subscribers(ledger_database, 200)
    edition_id = await start_edition(ledger_database)
    smtp.script("RCPT", *["550 5.1.1 no such user here"] * 60, *[HOLD] * 140)
    async with sending(ledger_database, smtp.url, keyring=keyring):
        edition = await reaches(ledger_database, edition_id, "paused")
        smtp.let_go.set()
    assert edition.pause_reason is not None
    assert edition.pause_reason.startswith("recipients_refused: ")
    # At the 45th of 50, and those that were under way by then.
    assert 45 <= (await states(ledger_database, edition_id))["failed"] <= 60
    # It was the server's fault, which ends few subscriptions.
    subscribers = Counter(each.state for each in await rows(ledger_database, Subscriber))
    assert subscribers == {"subscribed": 191, "suppressed": 9}


def test_refusals_are_believed_until_there_are_ten_in_a_row() -> None:
    now = datetime.now(UTC)
    no_such_user = delivery_outcomes.refused(
        A_CLAIM, "550 5.1.1 no", code=550, status="5.1.1", now=now
    )
    taken = delivery_outcomes.taken(A_CLAIM, "250 ok", now=now)
    waits = delivery_outcomes.given_back(A_CLAIM, now=now)
    watch = delivery_outcomes.RefusalWatch()
    believed = []
    for result in [*[no_such_user] * 5, waits, *[no_such_user] * 6, taken, no_such_user]:
        watch.note(result)
        believed.append(watch.believes(result))
    assert believed == [*[True] * 10, False, False, True, True]


async def test_a_dead_mailbox_is_suppressed_and_a_full_one_is_not(
    ledger_database: Database, smtp: ScriptedSmtp, keyring: Keyring
) -> None:
    await add_subscribers(ledger_database, 3)
    edition_id = await start_edition(ledger_database)
    smtp.script("RCPT", "550 5.1.1 no such user", "552 5.2.2 mailbox full")
    async with sending(ledger_database, smtp.url, keyring=keyring):
        await reaches(ledger_database, edition_id, "sent")
    failed = {
        each.smtp_status: each.subscriber_id
        for each in await ledger(ledger_database, edition_id)
        if each.state == "failed"
    }
    found = {each.id: each for each in await rows(ledger_database, Subscriber)}
    assert found[failed["5.1.1"]].state == "suppressed"
    assert found[failed["5.2.2"]].state == "subscribed"


async def test_who_leaves_between_fan_out_and_sending_gets_no_mail(
    ledger_database: Database, smtp: ScriptedSmtp, keyring: Keyring
) -> None:
    readers = await add_subscribers(ledger_database, 12)
    edition_id = await start_edition(ledger_database)
    now = datetime.now(UTC)
    await fan_out.write_chunk(ledger_database.write, edition_id, now=now)
    [claimed, *_] = claims = await deliveries.claim(
        ledger_database.write, (edition_id, 1), limit=4, now=now, lease=timedelta(minutes=1)
    )
    for reader in (claimed.subscriber_id, readers[-1]):
        await ledger_database.write(
            "UPDATE newsletter_subscriber SET state = 'unsubscribed' WHERE id = $1", reader
        )
    marked = await deliveries.write_down(ledger_database.write, [], claims, now=now)
    assert len(marked) == 3
    assert (edition_id, claimed.subscriber_id) not in marked
    # Their worker has died, and the time of its leases is over.
    later = "UPDATE newsletter_delivery SET due_at = $1 WHERE edition_id = $2"
    await ledger_database.write(later, now, edition_id)
    async with sending(ledger_database, smtp.url, keyring=keyring):
        await reaches(ledger_database, edition_id, "sent")
    assert await states(ledger_database, edition_id) == {"sent": 10, "skipped": 2}
    assert len(smtp.taken) == 10


async def test_who_leaves_after_a_mail_in_doubt_may_have_got_it(ledger_database: Database) -> None:
    await add_subscribers(ledger_database, 3)
    edition_id = await start_edition(ledger_database)
    write, now = ledger_database.write, datetime.now(UTC)
    await fan_out.write_chunk(write, edition_id, now=now)
    lease, edition = timedelta(minutes=1), (edition_id, 1)
    claims = await deliveries.claim(write, edition, limit=3, now=now, lease=lease)
    # The worker of one dies while it is on the wire; the answer of another does not come.
    cut, _, waiting = claims
    await deliveries.write_down(write, [], [cut, waiting], now=now)
    postponed = delivery_outcomes.postponed(
        waiting, "DATA: cut off", code=None, status=None, now=now, is_doubtful=True
    )
    await deliveries.write_down(write, [postponed], [], now=now)
    await write("UPDATE newsletter_subscriber SET state = 'unsubscribed'")
    later = now + timedelta(minutes=5)
    assert await deliveries.claim(write, edition, limit=3, now=later, lease=lease) == []
    assert await states(ledger_database, edition_id) == {"unknown": 2, "skipped": 1}
    assert {each.finished_at for each in await ledger(ledger_database, edition_id)} == {later}


async def test_pausing_stops_the_mails_within_a_second_and_resuming_misses_nobody(
    ledger_database: Database, smtp: ScriptedSmtp, keyring: Keyring
) -> None:
    smtp.delays["DATA"] = 0.01
    await add_subscribers(ledger_database, 300)
    edition_id = await start_edition(ledger_database)
    async with sending(ledger_database, smtp.url, keyring=keyring):
        await smtp.has_taken(50)
        await set_state(ledger_database, edition_id, "paused")
        taken = len(smtp.taken)

        async def nothing_is_under_way() -> bool:
            found = await states(ledger_database, edition_id)
            return found["sent"] + found["pending"] == 300

        await eventually(nothing_is_under_way)
        # Only those that were on the wire.
        assert len(smtp.taken) <= taken + 8
        taken = len(smtp.taken)
        await asyncio.sleep(0.3)
        assert len(smtp.taken) == taken < 300
        assert await nothing_is_under_way()
        await set_state(ledger_database, edition_id, "sending")
        await reaches(ledger_database, edition_id, "sent")
    assert sorted(recipients(smtp).values()) == [1] * 300
    assert {each.attempts for each in await ledger(ledger_database, edition_id)} == {1}


async def test_stopping_a_worker_gives_back_what_it_has_not_begun(
    ledger_database: Database, smtp: ScriptedSmtp, keyring: Keyring
) -> None:
    smtp.delays["DATA"] = 0.01
    await add_subscribers(ledger_database, 200)
    edition_id = await start_edition(ledger_database)
    async with sending(ledger_database, smtp.url, keyring=keyring):
        await smtp.has_taken(20)
    found = await states(ledger_database, edition_id)
    assert found["sent"] == len(smtp.taken) < 200
    assert found["pending"] == 200 - found["sent"]


async def test_workers_share_an_edition_and_send_nothing_twice(
    ledger_database: Database, smtp: ScriptedSmtp, keyring: Keyring
) -> None:
    await add_subscribers(ledger_database, 600)
    edition_id = await start_edition(ledger_database)
    async with (
        sending(ledger_database, smtp.url, keyring=keyring),
        sending(ledger_database, smtp.url, keyring=keyring),
    ):
        edition = await reaches(ledger_database, edition_id, "sent")
    assert edition.recipients == 600
    assert sorted(recipients(smtp).values()) == [1] * 600


async def test_a_limited_domain_does_not_hold_up_the_others(
    ledger_database: Database, smtp: ScriptedSmtp, keyring: Keyring
) -> None:
    await add_subscribers(ledger_database, 60, domain="slow.example")
    await add_subscribers(ledger_database, 60, domain="quick.example")
    await start_edition(ledger_database)
    now = datetime.now(UTC)
    async with ledger_database.transaction() as session:
        session.add(
            MailRate(
                scope="domain:slow.example", allowed=10, current=10, given_until=now, updated_at=now
            )
        )

    async def quick_ones_are_served() -> bool:
        return sum(mail.recipient.endswith("@quick.example") for mail in smtp.taken) == 60

    began = time.monotonic()
    async with sending(ledger_database, smtp.url, keyring=keyring):
        await eventually(quick_ones_are_served)
        elapsed = time.monotonic() - began
        slow = sum(mail.recipient.endswith("@slow.example") for mail in smtp.taken)
        assert slow <= 10 * elapsed + 6


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of the sender, as they are taken and given back."""
    changes: list[int] = []

    class Counted(TokenBucket):
        @override
        def take(self, want: int) -> int:
            changes.append(super().take(want))
            return changes[-1]

        @override
        def give_back(self, unused: int) -> None:
            changes.append(-unused)
            super().give_back(unused)

    monkeypatch.setattr(newsletter_sending, "TokenBucket", Counted)
    return changes


async def test_slow_domain_leaves_the_senders_turns_to_the_others(
    ledger_database: Database, smtp: ScriptedSmtp, keyring: Keyring, turns: list[int]
) -> None:
    await add_subscribers(ledger_database, 100, domain="slow.example")
    await add_subscribers(ledger_database, 10, domain="quick.example")
    await start_edition(ledger_database)
    now = datetime.now(UTC)
    async with ledger_database.transaction() as session:
        session.add(
            MailRate(scope="domain:slow.example", allowed=1, given_until=now, updated_at=now)
        )

    async def quick_ones_are_served() -> bool:
        return sum(mail.recipient.endswith("@quick.example") for mail in smtp.taken) == 10

    async with sending(ledger_database, smtp.url, keyring=keyring, rate=20):
        await eventually(quick_ones_are_served)
        # The others have used no turns: had they, the quick ones would have come behind them.
        assert sum(turns) - len(smtp.taken) < 30


async def test_edition_that_waits_for_a_few_holds_up_no_other(
    ledger_database: Database, smtp: ScriptedSmtp, keyring: Keyring, turns: list[int]
) -> None:
    await add_subscribers(ledger_database, 20)
    waiting = await start_edition(ledger_database)
    smtp.script("RCPT", *["450 4.2.0 greylisted"] * 20)
    async with sending(ledger_database, smtp.url, keyring=keyring, rate=100):
        await counts(ledger_database, waiting, deferred=20)
        edition_id = await start_edition(ledger_database)
        # Neither does the end of the first one come before, which waits for a minute, nor do turns
        # of the sender get lost to it.
        await reaches(ledger_database, edition_id, "sent", within=40)
        assert sum(turns) < len(smtp.taken) + 20 + 40  # some have just been taken
    assert await states(ledger_database, waiting) == {"deferred": 20}


async def test_short_edition_need_not_wait_for_the_end_of_a_long_one(
    ledger_database: Database,
    smtp: ScriptedSmtp,
    keyring: Keyring,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(newsletter_sending, "BATCH", 10)
    smtp.script("DOT", *[HOLD] * 8)
    smtp.delays["DOT"] = 0.03  # so that the queue is rarely empty
    await add_subscribers(ledger_database, 1, domain="daily.example", frequency="daily")
    await add_subscribers(ledger_database, 200)
    await start_edition(ledger_database)
    async with sending(ledger_database, smtp.url, keyring=keyring):
        await smtp.has_taken(8)  # which are on the wire until the short one has begun
        short = await start_edition(ledger_database, frequency="daily")
        smtp.let_go.set()
        await counts(ledger_database, short, sent=1)
    [place] = [
        place for place, mail in enumerate(smtp.taken) if mail.recipient.endswith("@daily.example")
    ]
    # Behind those in the queue, which are twice the batch, and those claimed meanwhile.
    assert place < 80


async def test_refusals_that_cannot_be_noted_end_no_connection(
    ledger_database: Database,
    smtp: ScriptedSmtp,
    keyring: Keyring,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise ConnectionRefusedError("the database is away")

    monkeypatch.setattr(mail_rates, "slow_down", fail)
    monkeypatch.setattr(edition_states, "pause_for_fault", fail)
    await add_subscribers(ledger_database, 20)
    edition_id = await start_edition(ledger_database)
    smtp.script("MAIL", *["550 5.7.1 not you"] * 8)
    smtp.script("RCPT", *["450 4.7.0 slower"] * 8)
    async with sending(ledger_database, smtp.url, keyring=keyring):
        await counts(ledger_database, edition_id, sent=12, deferred=8)
    entries = await ledger(ledger_database, edition_id)
    assert {each.smtp_status for each in entries if each.state == "deferred"} == {"4.7.0"}
    assert {each.attempts for each in entries} == {1}


async def test_a_database_that_cuts_its_connections_costs_no_mail(
    ledger_database: Database, smtp: ScriptedSmtp, keyring: Keyring
) -> None:
    smtp.delays["DATA"] = 0.005
    await add_subscribers(ledger_database, 300)
    edition_id = await start_edition(ledger_database)
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    async def is_sent() -> bool:
        with suppress(OSError, DBAPIError):  # on a connection that has just been cut
            return (await edition_of(ledger_database, edition_id)).state == "sent"
        return False

    killer = await open_connection(ledger_database._url)
    # A claim whose answer was cut off is known to nobody until its lease ends.
    lease = timedelta(seconds=10)
    async with sending(ledger_database, smtp.url, keyring=keyring, lease=lease):
        for count in (50, 120):
            await smtp.has_taken(count)
            await killer.execute(cut)
        await eventually(is_sent)
    await killer.close()
    assert len(recipients(smtp)) == 300
    assert set(recipients(smtp).values()) == {1}


async def test_a_worker_that_slept_through_its_lease_sends_nothing_of_it(
    ledger_database: Database,
) -> None:
    await add_subscribers(ledger_database, 3)
    edition_id = await start_edition(ledger_database)
    now = datetime.now(UTC)
    await fan_out.write_chunk(ledger_database.write, edition_id, now=now)
    lease = timedelta(minutes=1)
    edition = (edition_id, 1)
    asleep = await deliveries.claim(
        ledger_database.write, edition, limit=3, now=now - lease, lease=lease
    )
    assert asleep == []
    first = await deliveries.claim(ledger_database.write, edition, limit=3, now=now, lease=lease)
    second = await deliveries.claim(
        ledger_database.write, edition, limit=3, now=now + lease, lease=lease
    )
    assert len(first) == len(second) == 3
    assert await deliveries.write_down(ledger_database.write, [], first, now=now) == set()
    marked = await deliveries.write_down(ledger_database.write, [], second, now=now)
    assert len(marked) == 3


async def test_an_answer_that_was_late_keeps_its_mail_from_being_sent_again(
    ledger_database: Database,
) -> None:
    await add_subscribers(ledger_database, 2)
    edition_id = await start_edition(ledger_database)
    now = datetime.now(UTC)
    await fan_out.write_chunk(ledger_database.write, edition_id, now=now)
    lease = timedelta(minutes=1)
    edition = (edition_id, 1)
    first = await deliveries.claim(ledger_database.write, edition, limit=2, now=now, lease=lease)
    await deliveries.write_down(ledger_database.write, [], first, now=now)
    # The database was away until after the lease, and both are claimed once more.
    second = await deliveries.claim(
        ledger_database.write, edition, limit=2, now=now + lease, lease=lease
    )
    again = {claim.subscriber_id: claim for claim in second}
    answers = [delivery_outcomes.taken(claim, "250 ok", now=now) for claim in first]
    refused = delivery_outcomes.postponed(
        again[first[0].subscriber_id], "RCPT: 450 later", code=450, status=None, now=now + lease
    )
    marked = await deliveries.write_down(
        ledger_database.write,
        [answers[0], refused, answers[1]],
        [again[first[1].subscriber_id]],
        now=now + lease,
    )
    assert marked == set()
    assert await states(ledger_database, edition_id) == {"sent": 2}


async def killed_senders(
    database: Database, smtp: ScriptedSmtp, *, readers: int, kills: int
) -> UUID:
    await add_subscribers(database, readers)
    edition_id = await start_edition(database)
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.killed_sender",
        database._url,
        smtp.url,
        str(edition_id),
        str(kills),
        cwd=Path(__file__).parent.parent,
    )
    assert await asyncio.wait_for(program.wait(), 300) == 0
    return edition_id


async def assert_nobody_is_missed(
    database: Database, smtp: ScriptedSmtp, edition_id: UUID, *, readers: int, kills: int
) -> None:
    assert (await edition_of(database, edition_id)).state == "sent"
    taken = recipients(smtp)
    assert len(taken) == readers
    assert len(smtp.taken) - readers <= kills * 8
    entries = await ledger(database, edition_id)
    assert {entry.state for entry in entries} == {"sent"}
    addresses = {each.id: each.email for each in await rows(database, Subscriber)}
    doubtful = {addresses[each.subscriber_id] for each in entries if each.doubts}
    assert {address for address, count in taken.items() if count > 1} <= doubtful


async def test_three_killed_workers_miss_nobody(
    ledger_database: Database, smtp: ScriptedSmtp
) -> None:
    smtp.delays["DOT"] = 0.01
    edition_id = await killed_senders(ledger_database, smtp, readers=500, kills=3)
    await assert_nobody_is_missed(ledger_database, smtp, edition_id, readers=500, kills=3)


@pytest.mark.slow
async def test_twenty_killed_workers_miss_nobody(
    ledger_database: Database, smtp: ScriptedSmtp
) -> None:
    smtp.delays["DOT"] = 0.01
    edition_id = await killed_senders(ledger_database, smtp, readers=5000, kills=20)
    await assert_nobody_is_missed(ledger_database, smtp, edition_id, readers=5000, kills=20)
