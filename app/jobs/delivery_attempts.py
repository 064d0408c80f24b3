"""One attempt at one recipient's mail: compose, hand over, and judge what the server says."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parseaddr
from typing import Protocol
from uuid import UUID

import structlog

from app.adapters.dkim import DkimSigner
from app.adapters.smtp import (
    SmtpError,
    SmtpPermanent,
    SmtpPool,
    SmtpTemporary,
    SmtpUnavailable,
    SmtpWithheld,
)
from app.crypto import Keyring
from app.db import Database
from app.jobs import faults
from app.jobs.mail_outbox import Circuit
from app.jobs.mail_rates import DomainMeter
from app.services import (
    bounces,
    deliveries,
    delivery_outcomes,
    edition_states,
    mail_outbox,
    mail_rates,
    mails,
    newsletter_tokens,
)
from app.services.context import Newsroom
from app.services.deliveries import Claim, Result
from app.services.delivery_outcomes import RefusalWatch
from app.services.edition_messages import FrozenMessage, Letter
from app.services.newsletter_tokens import Recipient

log = structlog.get_logger(__name__)

# Digests have a message for each choice of topics; each is about a hundred kilobytes at most.
MESSAGES_KEPT = 256
SERVER_REFUSES = 500


class Mark(Protocol):
    """Notes that the contents are about to leave; False when they must not any more."""

    def __call__(self, claim: Claim) -> "asyncio.Future[bool]": ...


@dataclass(frozen=True)
class Post:
    """What makes a mail of a claim, and where it is handed over."""

    smtp: SmtpPool
    circuit: Circuit
    newsroom: Newsroom
    keyring: Keyring = field(repr=False)
    signer: DkimSigner | None = None

    def compose(self, message: FrozenMessage, claim: Claim, *, now: datetime) -> bytes:
        letter = Letter(_recipient(claim), mails.deliverable(claim.to))
        mail = message.fill(letter, keyring=self.keyring, now=now)
        return self.signer.sign(mail) if self.signer else mail

    def envelope_sender(self, claim: Claim) -> str:
        """By it a bounce tells whose mail came back (VERP)."""
        if self.newsroom.bounce_domain is None:
            return parseaddr(self.newsroom.sender)[1]
        return newsletter_tokens.bounce_address(
            _recipient(claim), domain=self.newsroom.bounce_domain, keyring=self.keyring
        )


class Courier:
    """Makes the attempts of all connections of one worker."""

    def __init__(self, database: Database, post: Post, mark: Mark) -> None:
        self._database = database
        self._post = post
        self._mark = mark
        self._messages: OrderedDict[tuple[UUID, int], FrozenMessage] = OrderedDict()
        self._refusals = RefusalWatch()
        self._meter = DomainMeter()

    async def attempt(self, claim: Claim) -> Result:
        """Try once; whatever goes wrong is a result too."""
        try:
            return await self._deliver(claim)
        except SmtpError as error:
            return await self._failed(claim, error)
        except Exception as error:  # noqa: BLE001  # of this mail alone; the others go on
            faults.report("delivery_failed", error, edition=claim.edition_number)
            reason, now = type(error).__name__, datetime.now(UTC)
            return delivery_outcomes.postponed(claim, reason, code=None, status=None, now=now)

    async def follow_up(self, result: Result) -> None:
        """What a result means beyond its own mail: a dead mailbox, or an edition nobody takes."""
        claim = result.claim
        reason = self._refusals.note(result)
        is_refused = result.state == "failed" and result.smtp_code is not None
        if is_refused and self._refusals.believes(result):
            async with self._database.transaction() as session:
                await bounces.refused(
                    session,
                    claim.subscriber_id,
                    claim.edition_number,
                    status=result.smtp_status,
                    code=result.smtp_code,
                    answer=result.reason or "",
                    keyring=self._post.keyring,
                    now=result.at,
                )
        if reason:
            await self._pause(claim, reason)

    async def _deliver(self, claim: Claim) -> Result:
        message = await self._message(claim)
        answer = await self._post.smtp.send(
            self._post.compose(message, claim, now=datetime.now(UTC)),
            sender=self._post.envelope_sender(claim),
            recipient=mails.deliverable(claim.to),
            clearance=lambda: self._mark(claim),
        )
        self._post.circuit.reset()
        self._meter.count(claim.domain)
        return delivery_outcomes.taken(claim, answer, now=datetime.now(UTC))

    async def _message(self, claim: Claim) -> FrozenMessage:
        key = (claim.edition_id, claim.variant)
        if key not in self._messages:
            frozen = await deliveries.frozen_message(self._database.write, *key)
            self._messages[key] = FrozenMessage(frozen)
            if len(self._messages) > MESSAGES_KEPT:
                self._messages.popitem(last=False)
        return self._messages[key]

    async def _failed(self, claim: Claim, error: SmtpError) -> Result:
        now = datetime.now(UTC)
        match error:
            case SmtpWithheld():
                return delivery_outcomes.given_back(claim, now=now)
            case SmtpUnavailable():
                pause = await self._meet_refusal_of_us(claim, error)
                return delivery_outcomes.given_back(claim, now=now, pause=pause)
            case SmtpPermanent():
                return delivery_outcomes.refused(
                    claim, error.reason, code=error.code, status=error.status, now=now
                )
            case SmtpTemporary(code=int(code)) if mail_rates.asks_for_less(
                code, error.status, error.reason
            ):
                pace = self._meter.per_second(claim.domain)
                write = self._database.write
                await _noted(mail_rates.slow_down(write, claim.domain, pace, now))
        return delivery_outcomes.postponed(
            claim,
            error.reason,
            code=error.code,
            status=error.status,
            now=now,
            is_doubtful=error.outcome_unknown,
        )

    async def _meet_refusal_of_us(self, claim: Claim, error: SmtpUnavailable) -> timedelta:
        """No mail passes: wait, and where waiting is of no use, let an editor know.

        Nobody's attempts are counted, for it is no recipient's fault.
        """
        pause = self._post.circuit.trip()
        said = mail_outbox.presentable(error.reason, claim.to)
        log.warning("mail_server_unavailable", edition=claim.edition_number, reason=said)
        if error.code is not None and error.code >= SERVER_REFUSES:
            await _noted(self._pause(claim, f"sender_refused: {said}"))
        return pause

    async def _pause(self, claim: Claim, reason: str) -> None:
        log.error("edition_paused", edition=claim.edition_number, reason=reason)
        async with self._database.transaction() as session:
            await edition_states.pause_for_fault(
                session, claim.edition_id, reason, now=datetime.now(UTC)
            )


async def _noted(noting: Awaitable[object]) -> None:
    """While the database is away, what became of the mail counts all the same.

    The next mail is refused in the same way, and then it is noted.
    """
    try:
        await noting
    except Exception as error:  # noqa: BLE001  # see above
        faults.report("refusal_not_noted", error)


def _recipient(claim: Claim) -> Recipient:
    return Recipient(claim.subscriber_id, claim.edition_number)
