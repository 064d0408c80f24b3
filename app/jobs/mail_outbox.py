"""Sends what is in the outbox. The mail server is never spoken to inside a transaction."""

import asyncio
import random
import time
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import parseaddr
from functools import partial
from typing import Protocol
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.adapters.dkim import DkimSigner
from app.adapters.smtp import SmtpPermanent, SmtpPool, SmtpTemporary, SmtpUnavailable
from app.adapters.smtp_session import Delivery
from app.crypto import Keyring
from app.db import Database
from app.jobs import faults
from app.services import mail_outbox, mails, one_time_codes, policy
from app.services.mail_kinds import FINISHED_KIND, KINDS_WITH_CODE
from app.services.mail_outbox import ClaimedMail
from app.services.mails import UnsendableMail
from app.services.one_time_codes import CodeSuperseded

log = structlog.get_logger(__name__)

# How long a result is kept ready for a database that is away: a mail that was taken by the mail
# server and not noted as sent would be sent twice.
RECORD_PATIENCE = timedelta(minutes=10)
RECORD_PAUSE = timedelta(seconds=0.5)


class Conclude(Protocol):
    """What is to be written once an attempt is over."""

    def __call__(
        self, session: AsyncSession, mail: ClaimedMail, *, now: datetime
    ) -> Awaitable[None]: ...


class Circuit:
    """A pause for all mails while the mail server is away, doubling up to half a minute."""

    def __init__(self, stop: asyncio.Event, *, shortest: float = 2, longest: float = 30) -> None:
        self._stop = stop
        self._shortest = shortest
        self._longest = longest
        self._pause = 0.0
        self._open_until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether it is a pause now."""
        return time.monotonic() < self._open_until

    async def passage(self) -> bool:
        """Wait until sending makes sense; False when the worker stops first."""
        while not self._stop.is_set():
            remaining = self._open_until - time.monotonic()
            if remaining <= 0:
                return True
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), remaining)
        return False

    def trip(self) -> timedelta:
        """Begin a pause, or join the one that others have begun; returns what is left of it."""
        now = time.monotonic()
        if now >= self._open_until:
            self._pause = min(max(2 * self._pause, self._shortest), self._longest)
            jitter = random.uniform(0.5, 1)  # noqa: S311  # spreads load, guards nothing
            self._open_until = now + self._pause * jitter
        return timedelta(seconds=self._open_until - now)

    def reset(self) -> None:
        """The server has answered, so the next fault starts with a short pause again."""
        self._pause = self._open_until = 0.0


@dataclass(frozen=True)
class MailSender:
    database: Database
    keyring: Keyring = field(repr=False)
    smtp: SmtpPool
    circuit: Circuit
    # MAIL_FROM, and where the site of the links is.
    sender: str
    site: str
    lease: timedelta = policy.MAIL_LEASE
    dkim: DkimSigner | None = None

    async def handle(self, payload: bytes) -> None:
        """Run a job. What fails here is left to the sweeper, so no error gets out.

        PgQueuer would keep the traceback in its log table, with whatever address it mentions.
        """
        try:
            await self.send(UUID(payload.decode()))
        except Exception as error:  # noqa: BLE001  # see above
            faults.report("mail_job_failed", error)

    async def sweep(self) -> None:
        """Enqueue what is due and has no job: after a retry's pause, a lost job, a dead worker."""
        async with self.database.transaction() as session:
            await mail_outbox.enqueue_due(session, now=datetime.now(UTC))

    async def send(self, mail_id: UUID) -> None:
        """Try once to send a mail, unless it is concluded or another worker has it."""
        if not await self.circuit.passage():
            return
        mail = await self._claim(mail_id)
        if mail is not None:
            conclude = await self._attempt(mail)
            await self._record(conclude, mail)

    async def _claim(self, mail_id: UUID) -> ClaimedMail | None:
        now = datetime.now(UTC)
        async with self.database.transaction() as session:
            mail = await mail_outbox.claim(
                session, mail_id, keyring=self.keyring, now=now, lease=self.lease
            )
            if mail is None or mail.kind not in KINDS_WITH_CODE:
                return mail
            try:
                return await self._with_live_code(session, mail, now)
            except CodeSuperseded:
                reason = "its code was used or replaced"
                await mail_outbox.cancel(session, mail, reason=reason, now=now)
                return None

    async def _with_live_code(
        self, session: AsyncSession, mail: ClaimedMail, now: datetime
    ) -> ClaimedMail:
        """Renew a code that would arrive too late."""
        if mail.code_id is None:  # deleted with its flow
            raise CodeSuperseded
        renewed = await one_time_codes.renew_for_sending(
            session, mail.code_id, keyring=self.keyring, now=now
        )
        if renewed is None:
            return mail
        return await mail_outbox.replace_code(
            session, mail, code=renewed.code, token=renewed.token, keyring=self.keyring
        )

    async def _attempt(self, mail: ClaimedMail) -> Conclude:
        retry_delay = policy.mail_retry_delay(mail.attempts)
        try:
            answer = await self._deliver(mail)
        except (UnsendableMail, SmtpPermanent) as error:
            _warn("mail_failed", mail, str(error))
            return partial(mail_outbox.fail, reason=str(error))
        except SmtpUnavailable as error:
            _warn("mail_server_unavailable", mail, error.reason)
            return partial(mail_outbox.postpone, reason=error.reason, delay=self.circuit.trip())
        except SmtpTemporary as error:
            _warn("mail_postponed", mail, error.reason, outcome_unknown=error.outcome_unknown)
            return partial(mail_outbox.postpone, reason=error.reason, delay=retry_delay)
        except Exception as error:  # noqa: BLE001  # a kind that only a newer release knows, say
            faults.report("mail_not_processed", error, mail_id=str(mail.id))
            return partial(mail_outbox.postpone, reason=type(error).__name__, delay=retry_delay)
        self.circuit.reset()
        log.info("mail_sent", mail_id=str(mail.id), kind=mail.kind, attempts=mail.attempts)
        return partial(mail_outbox.finish, answer=answer)

    async def _deliver(self, mail: ClaimedMail) -> str:
        recipient = mails.deliverable(mail.to)
        message, sender = self._message(mail, recipient)
        if self.dkim is not None:
            message = self.dkim.sign(Delivery(message, sender, recipient).contents())
        return await self.smtp.send(message, sender=sender, recipient=recipient)

    def _message(self, mail: ClaimedMail, recipient: str) -> tuple[EmailMessage | bytes, str]:
        """The mail and its envelope sender."""
        if mail.kind == FINISHED_KIND:
            return mail.params["message"].encode(), mail.params["sender"]
        message = mails.compose(
            mails.render(mail.kind, mail.locale, mail.params, site=self.site),
            mail_id=mail.id,
            sender=self.sender,
            recipient=recipient,
            now=datetime.now(UTC),
        )
        return message, parseaddr(self.sender)[1]

    async def _record(self, conclude: Conclude, mail: ClaimedMail) -> None:
        """Note the result, also through a restart of the database."""
        patience_ends = time.monotonic() + RECORD_PATIENCE.total_seconds()
        while True:
            try:
                async with self.database.transaction() as session:
                    await conclude(session, mail, now=datetime.now(UTC))
            except Exception as error:
                if time.monotonic() > patience_ends:
                    raise
                faults.report("mail_result_waits", error, mail_id=str(mail.id))
                await asyncio.sleep(RECORD_PAUSE.total_seconds())
            else:
                return


def _warn(event: str, mail: ClaimedMail, reason: str, **details: object) -> None:
    said = mail_outbox.presentable(reason, mail.to)
    attempt = {"mail_id": str(mail.id), "kind": mail.kind, "attempts": mail.attempts}
    log.warning(event, reason=said, **attempt, **details)
