"""Mails that came back and complaints: what they change for a subscriber and in the ledger.

A report counts only with a token that we gave out with the mail it is about, so nobody can end
the subscription of others by writing reports. Each mail counts once, however often it is reported.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import exp2
from typing import Any, Literal
from uuid import UUID

import structlog
from sqlalchemy import exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from app.crypto import Keyring
from app.models import Delivery, Edition, Subscriber
from app.services import bounce_reports, mail_outbox, newsletter_tokens, policy, subscriptions
from app.services.bounce_reports import Bounce, Complaint
from app.services.bounce_verdicts import MILDEST_FIRST, Failure, Verdict, judge
from app.services.consents import Evidence
from app.services.newsletter_tokens import Recipient, TokenRefused

log = structlog.get_logger(__name__)

# What a mail that came in turned out to be. A bounce that was our own fault counts for nobody.
Outcome = Literal["hard_bounce", "soft_bounce", "our_fault", "complaint", "repeated", "ignored"]
_OUTCOMES: dict[Verdict, Outcome] = {
    "hard": "hard_bounce",
    "soft": "soft_bounce",
    "ours": "our_fault",
}


async def take_in(
    session: AsyncSession,
    raw: bytes,
    envelope_recipients: Sequence[str],
    *,
    keyring: Keyring,
    now: datetime,
) -> Outcome:
    """Count what a mail reports. Whatever it is, it never has to be sent again."""
    mail = bounce_reports.read(raw)
    outcome: Outcome = "ignored"
    if isinstance(mail.report, Complaint):
        if complainant := _complainant(mail.report, keyring):
            outcome = await _take_complaint(session, complainant, keyring=keyring, now=now)
    elif isinstance(mail.report, Bounce) and mail.report.failures:
        # The envelope knows best whose mail it was; the headers are what it is delivered by.
        addresses = (*envelope_recipients, *mail.recipients)
        if recipient := _of_first_token(addresses, keyring):
            outcome = await _take_bounce(session, mail.report, recipient, keyring=keyring, now=now)
    log.info("inbound_mail", outcome=outcome, size=len(raw))
    return outcome


async def refused(
    session: AsyncSession,
    subscriber_id: UUID,
    edition_number: int,
    *,
    status: str | None,
    code: int | None,
    answer: str = "",
    keyring: Keyring,
    now: datetime,
) -> Verdict:
    """Count a mail that the server refused for good, by the same rules as one that came back.

    Once for each mail: the caller has noted the refusal in the ledger, and does not ask again.
    """
    failure = Failure(status, code, answer)
    verdict = judge(failure)
    subject = _Subject(Recipient(subscriber_id, edition_number), failure, verdict)
    await _count(session, subject, None, keyring=keyring, now=now)
    return verdict


def worsened(score: float, bounced_at: datetime | None, now: datetime) -> float:
    """What the soft bounces of an address weigh with one more: each counts one at first."""
    age = now - bounced_at if bounced_at else timedelta(0)
    return 1 + score * exp2(-max(age / policy.BOUNCE_HALF_LIFE, 0))


@dataclass(frozen=True, slots=True)
class _Subject:
    """Whose mail failed, and what that says."""

    recipient: Recipient
    failure: Failure
    verdict: Verdict

    def evidence(self) -> Evidence:
        said = {"edition": self.recipient.edition_number, "status": self.failure.status}
        return Evidence("bounce", details={**said, "code": self.failure.code})


def _complainant(complaint: Complaint, keyring: Keyring) -> Recipient | None:
    """Whom the mail that was complained about was for; some providers black out one or the other.

    Its own envelope sender tells, and so does the link in its List-Unsubscribe.
    """
    if recipient := _of_first_token(complaint.senders, keyring):
        return recipient
    for link in complaint.unsubscribe_links:
        token = link.rpartition("/unsubscribe/")[2][: newsletter_tokens.TOKEN_LENGTH]
        try:
            return newsletter_tokens.read("unsubscribe", token, keyring=keyring)
        except TokenRefused:
            continue
    return None


def _of_first_token(addresses: Sequence[str], keyring: Keyring) -> Recipient | None:
    found = (newsletter_tokens.read_bounce_address(each, keyring=keyring) for each in addresses)
    return next(filter(None, found), None)


async def _take_bounce(
    session: AsyncSession, bounce: Bounce, recipient: Recipient, *, keyring: Keyring, now: datetime
) -> Outcome:
    # An address that stands for several is as good as the best of them.
    failure = min(bounce.failures, key=lambda each: MILDEST_FIRST.index(judge(each)))
    subject = _Subject(recipient, failure, judge(failure))
    edition = await _edition(session, recipient.edition_number)
    await _lock(session, recipient)
    values = {"bounced_at": now, **await _what_is_said(session, subject)}
    noted = await _note(session, edition, recipient, Delivery.bounced_at, values)
    if noted == "repeated":
        return "repeated"
    if noted == "forgotten" and subject.verdict == "soft":
        return "ignored"  # nobody could tell whether it has been counted before
    await _count(session, subject, edition, keyring=keyring, now=now)
    return _OUTCOMES[subject.verdict]


async def _take_complaint(
    session: AsyncSession, recipient: Recipient, *, keyring: Keyring, now: datetime
) -> Outcome:
    """Whoever complains gets nothing any more, also if their subscription has ended before."""
    edition = await _edition(session, recipient.edition_number)
    subscriber = await _lock(session, recipient)
    values = {"complained_at": now}
    if await _note(session, edition, recipient, Delivery.complained_at, values) == "repeated":
        return "repeated"
    if subscriber is not None:
        evidence = Evidence("complaint", details={"edition": recipient.edition_number})
        await subscriptions.suppress(
            session, subscriber, "complaint", evidence, keyring=keyring, now=now
        )
    return "complaint"


async def _lock(session: AsyncSession, recipient: Recipient) -> Subscriber | None:
    """Before the ledger's row, as leaving by a link does, which a complaint often comes with.

    In another order the two could wait for each other.
    """
    return await session.get(
        Subscriber, recipient.subscriber_id, with_for_update=True, populate_existing=True
    )


async def _edition(session: AsyncSession, number: int) -> Edition | None:
    return (await session.scalars(select(Edition).where(Edition.number == number))).one_or_none()


async def _what_is_said(session: AsyncSession, subject: _Subject) -> dict[str, Any]:
    """For the ledger, without the address."""
    of_this = select(Subscriber.email).where(Subscriber.id == subject.recipient.subscriber_id)
    email, failure = await session.scalar(of_this) or "", subject.failure
    reason = mail_outbox.presentable(failure.text, email) or None
    return {"smtp_code": failure.code, "smtp_status": failure.status, "reason": reason}


async def _note(
    session: AsyncSession,
    edition: Edition | None,
    recipient: Recipient,
    mark: InstrumentedAttribute[datetime | None],
    values: dict[str, Any],
) -> Literal["noted", "repeated", "forgotten"]:
    """Write into the ledger, unless it says so already or has let go of this mail.

    Of two reports at once the second waits for the first, and then finds its mark.
    """
    if edition is None:
        return "forgotten"
    row = (Delivery.edition_id == edition.id, Delivery.subscriber_id == recipient.subscriber_id)
    noting = update(Delivery).where(*row, mark.is_(None)).values(values)
    if await session.scalar(noting.returning(Delivery.subscriber_id)):
        return "noted"
    return "repeated" if await session.scalar(select(exists().where(*row))) else "forgotten"


async def _count(
    session: AsyncSession,
    subject: _Subject,
    edition: Edition | None,
    *,
    keyring: Keyring,
    now: datetime,
) -> None:
    """Let the subscription that holds now bear it, and end one whose address is dead."""
    if subject.verdict == "ours":
        return
    subscriber = await _lock(session, subject.recipient)
    if subscriber is None or subscriber.state != "subscribed":
        return
    if edition and edition.started_at and edition.started_at < subscriber.subscribed_at:
        return  # they have come back since, by a mail that did arrive
    if subject.verdict == "soft":
        score = worsened(subscriber.bounce_score, subscriber.bounced_at, now)
        subscriber.bounce_score, subscriber.bounced_at = score, now
        await session.flush()
        if score < policy.BOUNCE_SCORE_LIMIT:
            return
    reason: Literal["hard_bounce", "soft_bounces"] = (
        "hard_bounce" if subject.verdict == "hard" else "soft_bounces"
    )
    await subscriptions.suppress(
        session, subscriber, reason, subject.evidence(), keyring=keyring, now=now
    )
