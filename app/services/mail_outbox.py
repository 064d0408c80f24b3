"""The outbox: mails written in the transaction of their cause, and how far their sending is.

A row is claimed under a lease, sent outside of any transaction, and concluded. Whatever dies in
between only lets the lease run out: the sweeper then enqueues the row again.
"""

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import Text, Update, and_, bindparam, cast, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.crypto import Keyring, UnsealError
from app.models import Account, OutboxMail
from app.services import job_queue, policy
from app.services.context import Deployment
from app.services.mail_kinds import MailKind, Notice

log = structlog.get_logger(__name__)

ENTRYPOINT = "send_mail"
# People wait for these mails, so their jobs go before any other.
PRIORITY = 100
SWEEP_BATCH = 500
REASON_MAX_LENGTH = 300
_SEALED_FOR = "mail"
# Spelled as literals, so that the planner finds the partial index on rows that are not concluded.
_is_live = OutboxMail.state.in_(
    bindparam("live", ("pending", "sending"), expanding=True, literal_execute=True)
)


@dataclass(frozen=True, slots=True)
class ClaimedMail:
    """A mail that one worker may send until its lease ends."""

    id: UUID
    kind: str
    locale: str
    to: str = field(repr=False)
    params: Mapping[str, str] = field(repr=False)
    code_id: UUID | None
    # Counted at each claim, so it also tells this claim from a later one.
    attempts: int
    created_at: datetime


async def enqueue(  # noqa: PLR0913  # one row, each of its columns by name
    session: AsyncSession,
    *,
    kind: MailKind,
    to: str,
    locale: str,
    params: Mapping[str, str],
    keyring: Keyring,
    now: datetime,
    code_id: UUID | None = None,
    account_id: UUID | None = None,
    suppressed: bool = False,
) -> None:
    """Write a mail and its job; both leave with the caller's commit.

    A suppressed mail costs the same work and is never sent: who asks can't tell from the time.
    """
    mail = OutboxMail(
        kind=kind,
        locale=locale,
        sealed=_seal(to, params, keyring),
        code_id=code_id,
        account_id=account_id,
        due_at=now,
        created_at=now,
    )
    if suppressed:
        mail.state, mail.sealed, mail.finished_at = "cancelled", None, now
    session.add(mail)
    await session.flush()
    await _enqueue_jobs(session, [mail.id])


async def notify(
    session: AsyncSession,
    account: Account,
    kind: Notice,
    *,
    deployment: Deployment,
    now: datetime,
    params: Mapping[str, str] | None = None,
) -> None:
    """Mail a notice to an account's stored address, in its own language."""
    await enqueue(
        session,
        kind=kind,
        to=account.email,
        locale=account.locale,
        params=params or {},
        keyring=deployment.keyring,
        now=now,
        account_id=account.id,
    )


async def claim(
    session: AsyncSession,
    mail_id: UUID,
    *,
    keyring: Keyring,
    now: datetime,
    lease: timedelta = policy.MAIL_LEASE,
) -> ClaimedMail | None:
    """Take a mail for sending, or None when it is concluded or another worker has it."""
    lease_ran_out = and_(OutboxMail.state == "sending", OutboxMail.due_at <= now)
    row = await session.scalar(
        update(OutboxMail)
        .where(OutboxMail.id == mail_id, or_(OutboxMail.state == "pending", lease_ran_out))
        .values(state="sending", attempts=OutboxMail.attempts + 1, due_at=now + lease)
        .returning(OutboxMail)
    )
    if row is None or row.sealed is None:
        return None
    mail = ClaimedMail(
        row.id, row.kind, row.locale, "", {}, row.code_id, row.attempts, row.created_at
    )
    try:
        contents = json.loads(keyring.unseal(_SEALED_FOR, row.sealed))
    except UnsealError:
        # This worker may be the one with the wrong key, so the mail is kept for the others.
        log.warning("mail_unreadable", mail_id=str(mail_id))
        reason, delay = "sealed under another SECRET_KEY", policy.mail_retry_delay(mail.attempts)
        await postpone(session, mail, reason=reason, delay=delay, now=now)
        return None
    return replace(mail, to=contents["to"], params=contents["params"])


async def replace_code(
    session: AsyncSession, mail: ClaimedMail, *, code: str, token: str, keyring: Keyring
) -> ClaimedMail:
    """Put a renewed code into a claimed mail; a later attempt must not send the dead one."""
    renewed = replace(mail, params={**mail.params, "code": code, "token": token})
    sealed = _seal(renewed.to, renewed.params, keyring)
    await session.execute(update(OutboxMail).where(OutboxMail.id == mail.id).values(sealed=sealed))
    return renewed


async def finish(session: AsyncSession, mail: ClaimedMail, *, answer: str, now: datetime) -> None:
    """Note that the mail server took the mail, whoever has the lease by now."""
    await session.execute(
        update(OutboxMail)
        .where(OutboxMail.id == mail.id, _is_live)
        .values(state="sent", sealed=None, finished_at=now, reason=presentable(answer, mail.to))
    )


async def postpone(
    session: AsyncSession, mail: ClaimedMail, *, reason: str, delay: timedelta, now: datetime
) -> None:
    """Let a claimed mail wait for its next attempt, or give it up when it is too old for one."""
    if now - mail.created_at >= policy.MAIL_GIVE_UP:
        await fail(session, mail, reason=f"given up: {reason}", now=now)
        return
    await session.execute(
        _if_still_claimed(mail).values(
            state="pending", due_at=now + delay, reason=presentable(reason, mail.to)
        )
    )


async def fail(session: AsyncSession, mail: ClaimedMail, *, reason: str, now: datetime) -> None:
    """Conclude a mail that can't be delivered; its contents are wiped, the reason stays."""
    values = {"reason": presentable(reason, mail.to), "sealed": None, "finished_at": now}
    await session.execute(_if_still_claimed(mail).values(state="failed", **values))


async def cancel(session: AsyncSession, mail: ClaimedMail, *, reason: str, now: datetime) -> None:
    """Conclude a mail that nobody needs any more."""
    values = {"reason": reason, "sealed": None, "finished_at": now}
    await session.execute(_if_still_claimed(mail).values(state="cancelled", **values))


async def enqueue_due(session: AsyncSession, *, now: datetime) -> int:
    """Enqueue mails whose time has come and that have no job; returns how many those were.

    Safe in many workers at once: of two jobs with one dedupe key the second is skipped.
    """
    job_key = literal("mail:") + cast(OutboxMail.id, Text)
    due = (
        select(OutboxMail.id)
        .where(_is_live, OutboxMail.due_at <= now, ~job_queue.has_job(job_key))
        .order_by(OutboxMail.due_at)
        .limit(SWEEP_BATCH)
    )
    if ids := list(await session.scalars(due)):
        await _enqueue_jobs(session, ids)
    return len(ids)


_ADDRESS = re.compile(r"[^\s<>]+@[^\s<>]+")


def presentable(answer: str, to: str) -> str:
    """A mail server's answer on one line, without the address or its local part."""
    printable = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in answer)
    anonymous = _ADDRESS.sub("…", printable)
    local_part = to.rpartition("@")[0]
    # Hardly any answer has it, and a pattern for each address would take longer than the rest.
    if local_part and local_part.casefold() in anonymous.casefold():
        whole_word = rf"(?<!\w){re.escape(local_part)}(?!\w)"
        anonymous = re.sub(whole_word, "…", anonymous, flags=re.IGNORECASE)
    return " ".join(anonymous.split())[:REASON_MAX_LENGTH]


def _seal(to: str, params: Mapping[str, str], keyring: Keyring) -> bytes:
    return keyring.seal(_SEALED_FOR, json.dumps({"to": to, "params": dict(params)}).encode())


async def _enqueue_jobs(session: AsyncSession, mail_ids: Sequence[UUID]) -> None:
    jobs = {f"mail:{mail_id}": str(mail_id).encode() for mail_id in mail_ids}
    await job_queue.enqueue(session, ENTRYPOINT, jobs, priority=PRIORITY)


def _if_still_claimed(mail: ClaimedMail) -> Update:
    """Change the row unless the lease ran out and another worker has claimed it since."""
    mine = and_(OutboxMail.state == "sending", OutboxMail.attempts == mail.attempts)
    return update(OutboxMail).where(OutboxMail.id == mail.id, mine)
