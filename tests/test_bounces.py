"""Bounces and complaints: how reports are read, and what they change for a subscriber."""

import asyncio
import base64
import time
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from app.crypto import Keyring
from app.db import Database
from app.models import Consent, Delivery, Edition, Subscriber, Suppression
from app.services import (
    bounce_reports,
    bounces,
    newsletter_links,
    newsletter_tokens,
    policy,
    subscriptions,
)
from app.services.bounce_reports import Bounce, Complaint
from app.services.bounce_verdicts import Failure, Verdict, failure_of, judge
from app.services.bounces import Outcome
from app.services.consents import Evidence
from app.services.emails import parse_email
from app.services.newsletter_tokens import Recipient
from app.services.subscriptions import Choice
from tests.helpers import Clock, rows, somebody_waits
from tests.sample_reports import (
    ARF,
    EXCHANGE,
    EXCHANGE_STATUS,
    EXIM,
    GMAIL,
    ORIGINAL,
    OUT_OF_OFFICE,
    POSTFIX,
    QMAIL,
    VERP,
    fill,
)

# Reading


def failures(raw: bytes) -> list[tuple[str | None, int | None]]:
    report = bounce_reports.read(raw).report
    assert isinstance(report, Bounce)
    return [(each.status, each.code) for each in report.failures]


def exchange() -> bytes:
    status = EXCHANGE_STATUS.format(to="jane@example.org").replace("\n", "\r\n")
    return fill(EXCHANGE, status_part=base64.encodebytes(status.encode()).decode())


def test_reports_of_each_server_are_understood() -> None:
    assert failures(fill(POSTFIX)) == [("5.1.1", 550)]
    assert failures(exchange()) == [("5.1.10", 550)]
    blocked = "550-5.7.26 Unauthenticated email from media.example is not accepted 550 5.7.26 due"
    assert failures(fill(GMAIL, status="5.7.26", diagnostic=blocked)) == [("5.7.26", 550)]
    assert failures(fill(EXIM, diagnostic="550-5.1.1 The account\n 550 5.1.1 does not")) == [
        ("5.1.1", 550)
    ]
    words = "Sorry, no mailbox here by that name. (#5.1.1)"
    assert failures(fill(QMAIL, diagnostic=words)) == [("5.1.1", None)]
    assert failures(fill(QMAIL, diagnostic="User is over quota")) == [(None, None)]
    # With bare line feeds, as a pipe of a mail server may have it.
    assert failures(fill(POSTFIX).replace(b"\r\n", b"\n")) == [("5.1.1", 550)]


def test_recipients_of_a_report_come_in_the_order_of_their_trust() -> None:
    mail = b'To: "A, B" <a@x.example>, b@x.example\r\nX-Original-To: c@x.example\r\n'
    read = bounce_reports.read(mail + b"Delivered-To: d@x.example\r\n\r\n")
    assert read.recipients == ("d@x.example", "c@x.example", "a@x.example", "b@x.example")
    assert read.report is None


@pytest.mark.parametrize("action", ["delayed", "delivered", "relayed", "expanded"])
def test_mails_that_may_still_arrive_have_not_failed(action: str) -> None:
    assert failures(fill(POSTFIX, action=action, status="4.4.1")) == []


def test_address_of_several_mailboxes_fails_only_with_all_of_them() -> None:
    both = fill(POSTFIX).replace(
        b"\r\nFinal-Recipient",
        b"\r\nFinal-Recipient: rfc822; b@x.example\r\nAction: failed\r\nStatus: 5.2.2\r\n"
        b"\r\nFinal-Recipient",
        1,
    )
    assert failures(both) == [("5.2.2", None), ("5.1.1", 550)]
    assert failures(both.replace(b"Action: failed", b"Action: relayed", 1)) == []


@pytest.mark.parametrize(
    "raw",
    [
        fill(OUT_OF_OFFICE),
        fill(QMAIL, diagnostic="It may be 5 or 6 days, the port is 587."),
        fill(QMAIL).replace(b"failure notice", b"Warning: message delayed 4 hours"),
        fill(QMAIL).replace(b"MAILER-DAEMON@", b"jane@"),
        fill(ORIGINAL),
        b"",
        b"\r\n",
    ],
)
def test_what_is_no_report_is_none(raw: bytes) -> None:
    assert bounce_reports.read(raw).report is None


def test_complaint_names_the_mail_it_is_about() -> None:
    report = bounce_reports.read(fill(ARF, unsubscribe="abc")).report
    link = "https://media.example/v1/newsletter/unsubscribe/abc"
    assert report == Complaint((f"<{VERP}>", VERP), (link,))


@pytest.mark.parametrize("kind", ["not-spam", "auth-failure", "virus", "other"])
def test_other_feedback_is_no_complaint(kind: str) -> None:
    assert bounce_reports.read(fill(ARF, kind=kind)).report is None


@given(raw=st.binary(max_size=2000))
@settings(max_examples=60)
def test_reading_never_raises(raw: bytes) -> None:
    bounce_reports.read(raw)


SAMPLES = [fill(POSTFIX), fill(EXIM), exchange(), fill(GMAIL), fill(QMAIL), fill(ARF)]


@given(data=st.data())
@settings(max_examples=80)
def test_reading_broken_reports_never_raises(data: st.DataObject) -> None:
    raw = bytearray(data.draw(st.sampled_from(SAMPLES)))
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(raw)))
        end = data.draw(st.integers(start, min(len(raw), start + 200)))
        raw[start:end] = data.draw(st.binary(max_size=20))
    mail = bounce_reports.read(bytes(raw))
    if isinstance(mail.report, Bounce):
        assert all(judge(failure) in {"hard", "soft", "ours"} for failure in mail.report.failures)


MEGABYTES = 4_000_000
NESTED = b"".join(
    b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (depth, depth)
    for depth in range(5_000)
)
MANY_PARTS = b"Content-Type: multipart/report; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 300_000
STATUS_HEAD = b"Content-Type: message/delivery-status\r\n\r\n"


@pytest.mark.parametrize(
    "raw",
    [
        NESTED + b"\r\n" * MEGABYTES,
        MANY_PARTS,
        b"To: " + b"a" * MEGABYTES,
        b"To: a b@c\r\n" * 300_000,
        b"Content-Type: multipart/x; " + b'a=";' * MEGABYTES,
        b"From: postmaster@x.example\r\n\r\n" + b"-" * MEGABYTES,
        b"From: postmaster@x.example\r\n\r\n" + b"user " * MEGABYTES,
        STATUS_HEAD + b"Action: failed\r\n\r\n" * 300_000,
        STATUS_HEAD + b"Action: failed\r\nDiagnostic-Code: smtp; " + b"5.1." * MEGABYTES,
        STATUS_HEAD + b" \t" * MEGABYTES,
    ],
    ids=range(10),
)
def test_hostile_mails_take_no_time(raw: bytes) -> None:
    started = time.process_time()
    bounce_reports.read(raw)
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    ("status", "code", "text", "verdict"),
    [
        ("5.1.1", 550, "", "hard"),
        ("5.1.2", 550, "", "hard"),
        ("5.1.10", 556, "domain does not accept mail", "hard"),
        ("5.2.1", 550, "mailbox disabled", "hard"),
        ("5.2.2", 552, "mailbox full", "soft"),
        ("4.2.2", 452, "mailbox full", "soft"),
        ("4.4.7", None, "delivery time expired", "soft"),
        ("4.1.1", 450, "user unknown for now", "soft"),
        ("5.7.1", 550, "blocked for spam", "ours"),
        ("5.7.26", 550, "unauthenticated", "ours"),
        ("5.6.0", 554, "bad MIME", "ours"),
        ("5.3.4", 552, "too large", "ours"),
        ("5.1.8", 550, "sender domain does not exist", "ours"),
        # Where the code says nothing, the words do.
        (None, 550, "No such user here", "hard"),
        (None, 450, "No such user here", "soft"),
        (None, 550, "Requested action not taken: mailbox unavailable", "soft"),
        ("5.5.0", 550, "mailbox unavailable (S2017062302).", "hard"),
        ("5.5.0", 550, "command out of order", "ours"),
        ("5.4.1", 550, "Recipient address rejected: Access denied. AS(201806281)", "hard"),
        ("5.0.0", 550, "Mailbox full, account not found in quota", "soft"),
        ("5.0.0", 550, "the account jane@example.org does not exist", "hard"),
        ("5.0.0", 550, "Sender address not found", "soft"),
        (None, None, "", "soft"),
    ],
)
def test_verdict_by_code_and_words(
    status: str | None, code: int | None, text: str, verdict: Verdict
) -> None:
    assert judge(Failure(status, code, text)) == verdict


def test_more_precise_of_two_codes_counts() -> None:
    assert failure_of("5.0.0", "smtp 550 5.7.1 blocked").status == "5.7.1"
    assert failure_of("5.1.1", "550 5.7.1 x").status == "5.1.1"
    assert failure_of(None, "from [192.5.1.1] by 5.1.1.2: 550 no").status is None
    assert failure_of(None, "421-4.7.0 slow down") == Failure("4.7.0", 421, "421-4.7.0 slow down")


# Counting


class Post:
    """A subscriber, editions that were sent to her, and what comes back."""

    def __init__(self, database: Database, keyring: Keyring, clock: Clock) -> None:
        self.database, self.keyring, self.clock = database, keyring, clock
        self.subscriber: Subscriber

    async def subscribe(self) -> None:
        async with self.database.transaction() as session:
            self.subscriber = await subscriptions.subscribe(
                session,
                parse_email("jane@example.org"),
                Choice((), "en", "each"),
                Evidence("test"),
                keyring=self.keyring,
                now=self.clock.now,
            )

    async def send(self) -> Recipient:
        """An edition, which the mail server took."""
        now = self.clock.now
        async with self.database.transaction() as session:
            edition = Edition(
                kind="edition",
                frequency="each",
                topics=[],
                name="Edition",
                translations={},
                language="en",
                state="sent",
                started_at=now,
                created_at=now,
                updated_at=now,
            )
            session.add(edition)
            await session.flush()
            session.add(
                Delivery(
                    edition_id=edition.id,
                    subscriber_id=self.subscriber.id,
                    variant=0,
                    state="sent",
                    due_at=now,
                    smtp_code=250,
                )
            )
            number = await session.scalar(select(Edition.number).where(Edition.id == edition.id))
        assert number is not None
        return Recipient(self.subscriber.id, number)

    def verp(self, recipient: Recipient) -> str:
        return newsletter_tokens.bounce_address(
            recipient, domain="bounces.media.example", keyring=self.keyring
        )

    def unsubscribe_token(self, recipient: Recipient) -> str:
        return newsletter_tokens.make("unsubscribe", recipient, keyring=self.keyring)

    async def take_in(self, raw: bytes, *envelope: str) -> Outcome:
        async with self.database.transaction() as session:
            return await bounces.take_in(
                session, raw, envelope, keyring=self.keyring, now=self.clock.now
            )

    async def bounce(self, recipient: Recipient, status: str, diagnostic: str = "no") -> Outcome:
        raw = fill(POSTFIX, status=status, diagnostic=diagnostic)
        return await self.take_in(raw, self.verp(recipient))

    async def now(self) -> Subscriber:
        async with self.database.transaction() as session:
            return await session.get_one(Subscriber, self.subscriber.id)

    async def delivery(self, recipient: Recipient) -> Delivery:
        edition = select(Edition.id).where(Edition.number == recipient.edition_number)
        async with self.database.transaction() as session:
            key = (await session.scalar(edition), recipient.subscriber_id)
            return await session.get_one(Delivery, key)

    async def events(self) -> list[tuple[str, str, dict[str, Any]]]:
        consents = sorted(await rows(self.database, Consent), key=lambda each: each.id)
        return [(each.event, each.source, each.details) for each in consents[1:]]


@pytest.fixture
async def post(database: Database, keyring: Keyring, clock: Clock) -> Post:
    post = Post(database, keyring, clock)
    await post.subscribe()
    return post


async def test_hard_bounce_ends_the_subscription_and_stands_in_the_ledger(post: Post) -> None:
    recipient = await post.send()
    words = "550 5.1.1 <jane@example.org>: User jane unknown"
    assert await post.bounce(recipient, "5.1.1", words) == "hard_bounce"
    assert (await post.now()).state == "suppressed"
    assert [each.reason for each in await rows(post.database, Suppression)] == ["hard_bounce"]
    delivery = await post.delivery(recipient)
    assert delivery.bounced_at == post.clock.now
    assert delivery.state == "sent"
    assert (delivery.smtp_code, delivery.smtp_status) == (550, "5.1.1")
    assert delivery.reason == "550 5.1.1 <…>: User … unknown"
    number = recipient.edition_number
    told = {"edition": number, "status": "5.1.1", "code": 550, "reason": "hard_bounce"}
    assert await post.events() == [("suppressed", "bounce", told)]


async def test_soft_bounces_end_it_at_the_fifth_and_fade_with_time(post: Post) -> None:
    for expected in (1, 2, 3, 4):
        assert await post.bounce(await post.send(), "5.2.2") == "soft_bounce"
        subscriber = await post.now()
        assert (subscriber.state, subscriber.bounce_score) == ("subscribed", expected)
    post.clock.now += timedelta(days=14)
    assert await post.bounce(await post.send(), "4.4.7") == "soft_bounce"
    subscriber = await post.now()
    assert (subscriber.state, subscriber.bounce_score) == ("subscribed", 3)  # 4 ÷ 2 + 1
    for _ in range(2):
        await post.bounce(await post.send(), "4.4.7")
    subscriber = await post.now()
    assert (subscriber.state, subscriber.bounce_score) == ("suppressed", 5)
    assert [each.reason for each in await rows(post.database, Suppression)] == ["soft_bounces"]
    assert (timedelta(days=14), 5) == (policy.BOUNCE_HALF_LIFE, policy.BOUNCE_SCORE_LIMIT)


async def test_score_never_grows_by_a_clock_that_goes_back(clock: Clock) -> None:
    assert bounces.worsened(2, clock.now, clock.now - timedelta(days=28)) == 3
    assert bounces.worsened(0, None, clock.now) == 1


async def test_same_report_counts_once(post: Post) -> None:
    recipient = await post.send()
    assert await post.bounce(recipient, "5.2.2") == "soft_bounce"
    assert await post.bounce(recipient, "5.2.2") == "repeated"
    assert await post.bounce(recipient, "5.1.1") == "repeated"
    assert (await post.now()).bounce_score == 1


async def test_same_report_twice_at_once_counts_once(
    live_database: Database, keyring: Keyring, clock: Clock
) -> None:
    post = Post(live_database, keyring, clock)
    await post.subscribe()
    recipient = await post.send()
    outcomes = await asyncio.gather(*(post.bounce(recipient, "5.2.2") for _ in range(8)))
    assert sorted(outcomes) == ["repeated"] * 7 + ["soft_bounce"]
    assert (await post.now()).bounce_score == 1
    # Of different mails each counts, also when they come at the same time.
    others = [await post.send() for _ in range(3)]
    await asyncio.gather(*(post.bounce(each, "5.2.2") for each in others))
    assert (await post.now()).bounce_score == 4


async def test_complaint_and_one_click_at_once_do_not_wait_for_each_other(
    live_database: Database, keyring: Keyring, clock: Clock
) -> None:
    post = Post(live_database, keyring, clock)
    await post.subscribe()
    recipient = await post.send()
    async with live_database.transaction() as session:
        await session.get_one(Subscriber, recipient.subscriber_id, with_for_update=True)
        complaint = asyncio.create_task(post.take_in(fill(ARF, verp=post.verp(recipient))))
        await somebody_waits(live_database)
        token = post.unsubscribe_token(recipient)
        proof = Evidence("one_click")
        await newsletter_links.leave(session, token, proof, keyring=keyring, now=clock.now)
    assert await complaint == "complaint"
    delivery = await post.delivery(recipient)
    assert delivery.complained_at == delivery.unsubscribed_at == clock.now
    assert (await post.now()).state == "suppressed"


async def test_what_is_our_fault_stands_in_the_ledger_alone(post: Post) -> None:
    recipient = await post.send()
    assert await post.bounce(recipient, "5.7.26", "550 5.7.26 unauthenticated") == "our_fault"
    assert ((await post.now()).state, (await post.now()).bounce_score) == ("subscribed", 0)
    assert (await post.delivery(recipient)).smtp_status == "5.7.26"


async def test_delays_and_answers_of_people_change_nothing(post: Post) -> None:
    verp = post.verp(recipient := await post.send())
    for raw in (fill(POSTFIX, action="delayed", status="4.4.1"), fill(OUT_OF_OFFICE)):
        assert await post.take_in(raw, verp) == "ignored"
    assert (await post.delivery(recipient)).bounced_at is None
    assert await post.events() == []


async def test_report_without_our_token_counts_for_nobody(post: Post) -> None:
    recipient = await post.send()
    verp = post.verp(recipient)
    forged = verp[:10] + ("a" if verp[10] != "a" else "b") + verp[11:]
    for address in (forged, "jane@example.org", "b+@bounces.media.example", ""):
        assert await post.take_in(fill(POSTFIX, verp=address), address) == "ignored"
    # That of the embedded mail does not count for a bounce: it says who got it, not who failed.
    elsewhere = fill(POSTFIX).replace(b"Return-Path: <b+", f"Return-Path: <{verp}> <b+".encode())
    assert await post.take_in(elsewhere) == "ignored"
    assert (await post.now()).state == "subscribed"


@pytest.mark.parametrize("place", ["envelope", "Delivered-To", "X-Original-To", "To"])
async def test_token_is_found_wherever_the_mail_was_delivered_by(post: Post, place: str) -> None:
    recipient = await post.send()
    verp = post.verp(recipient).upper()  # as some servers write it
    raw = fill(POSTFIX).replace(f"To: {VERP}".encode(), b"To: undisclosed-recipients:;")
    if place == "envelope":
        assert await post.take_in(raw, f"<{verp}>") == "hard_bounce"
    else:
        assert await post.take_in(f"{place}: <{verp}>\r\n".encode() + raw) == "hard_bounce"


async def test_complaint_ends_it_at_once_and_for_good(post: Post) -> None:
    recipient = await post.send()
    raw = fill(ARF, verp=post.verp(recipient))
    assert await post.take_in(raw, "complaints@bounces.media.example") == "complaint"
    assert (await post.now()).state == "suppressed"
    assert [each.reason for each in await rows(post.database, Suppression)] == ["complaint"]
    delivery = await post.delivery(recipient)
    assert (delivery.complained_at, delivery.bounced_at) == (post.clock.now, None)
    assert await post.take_in(raw) == "repeated"
    told = {"edition": recipient.edition_number, "reason": "complaint"}
    assert await post.events() == [("suppressed", "complaint", told)]


@pytest.mark.parametrize("place", ["mail_from", "return_path", "list_unsubscribe"])
async def test_complaint_is_known_by_any_token_that_is_not_blacked_out(
    post: Post, place: str
) -> None:
    recipient = await post.send()
    black = {"mail_from": "X: 1", "original": ORIGINAL.replace("<{verp}>", "<redacted>")}
    shown: dict[str, dict[str, str]] = {
        "mail_from": {**black, "mail_from": "Original-Mail-From: {verp}"},
        "return_path": {"mail_from": "X: 1"},
        "list_unsubscribe": {**black, "unsubscribe": post.unsubscribe_token(recipient)},
    }
    raw = fill(ARF, **{"verp": post.verp(recipient), **shown[place]})
    assert await post.take_in(raw) == "complaint"
    assert await post.take_in(fill(ARF, **black)) == "ignored"


async def test_who_has_left_and_complains_is_not_written_to_at_all(post: Post) -> None:
    recipient = await post.send()
    async with post.database.transaction() as session:
        await subscriptions.unsubscribe(
            session, await post.now(), Evidence("test"), keyring=post.keyring, now=post.clock.now
        )
    other = await post.send()
    assert await post.bounce(other, "5.1.1") == "hard_bounce"
    assert (await post.now()).state == "unsubscribed"
    assert await rows(post.database, Suppression) == []
    assert await post.take_in(fill(ARF, verp=post.verp(recipient))) == "complaint"
    assert (await post.now()).state == "suppressed"


async def test_address_of_several_mailboxes_is_as_good_as_the_best_of_them(post: Post) -> None:
    full = b"\r\nFinal-Recipient: rfc822; b@x.example\r\nAction: failed\r\nStatus: 5.2.2\r\n"
    dead_and_full = fill(POSTFIX).replace(b"\r\nFinal-", full + b"\r\nFinal-", 1)
    verp = post.verp(await post.send())
    assert await post.take_in(dead_and_full, verp) == "soft_bounce"
    assert (await post.now()).state == "subscribed"


async def test_late_report_does_not_end_what_began_after_its_mail(post: Post) -> None:
    old = await post.send()
    assert await post.bounce(await post.send(), "5.1.1") == "hard_bounce"
    post.clock.now += timedelta(days=1)
    await post.subscribe()
    assert await post.bounce(old, "5.1.1") == "hard_bounce"
    assert (await post.now()).state == "subscribed"
    assert (await post.delivery(old)).bounced_at == post.clock.now


async def test_mails_of_no_edition_count_where_once_is_as_good_as_twice(post: Post) -> None:
    """The ledger has no row of them that would tell whether they were reported before."""
    recipient = Recipient(post.subscriber.id)
    assert await post.bounce(recipient, "5.2.2") == "ignored"
    assert (await post.now()).bounce_score == 0
    for _ in range(2):
        assert await post.bounce(recipient, "5.1.1") == "hard_bounce"
    assert len(await post.events()) == 1


async def test_report_on_somebody_who_was_erased_is_taken(post: Post) -> None:
    recipient = await post.send()
    async with post.database.transaction() as session:
        await session.delete(await session.get_one(Subscriber, post.subscriber.id))
    assert await post.bounce(recipient, "5.1.1", "550 5.1.1 a@b.example") == "hard_bounce"
    assert (await post.delivery(recipient)).reason == "550 5.1.1 …"
    assert await post.take_in(fill(ARF, verp=post.verp(recipient))) == "complaint"


@pytest.mark.parametrize(
    ("status", "code", "answer", "verdict", "state", "score"),
    [
        ("5.1.1", 550, "", "hard", "suppressed", 0),
        (None, 550, "RCPT: 550 unknown user", "hard", "suppressed", 0),
        ("5.2.2", 552, "", "soft", "subscribed", 1),
        ("4.2.1", 450, "", "soft", "subscribed", 1),
        ("5.7.1", 550, "", "ours", "subscribed", 0),
    ],
)
async def test_refusals_while_sending_count_by_the_same_rules(
    post: Post,
    status: str | None,
    code: int,
    answer: str,
    verdict: Verdict,
    state: str,
    score: float,
) -> None:
    recipient = await post.send()
    async with post.database.transaction() as session:
        found = await bounces.refused(
            session,
            recipient.subscriber_id,
            recipient.edition_number,
            status=status,
            code=code,
            answer=answer,
            keyring=post.keyring,
            now=post.clock.now,
        )
    subscriber = await post.now()
    assert (found, subscriber.state, subscriber.bounce_score) == (verdict, state, score)
