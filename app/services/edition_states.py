"""The life of an edition: scheduled, sent, paused, resumed, cancelled, and ended by itself.

These only set the state. Senders look at it for every mail, so that each step acts at once.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import AppError
from app.models import Edition
from app.services import asset_fields, delivery_ledger, edition_freezing, editions
from app.services.asset_versions import VersionCheck
from app.services.context import WORKER, Editor, Newsroom
from app.services.delivery_ledger import RETRIED, Retried
from app.services.editions import EditionState
from app.services.mails import UnsendableMail

log = structlog.get_logger(__name__)

# Why an edition is paused whose mails could not be made when its time had come.
RENDERING_FAILED = "rendering_failed"
REASON_MAX_LENGTH = 300


async def schedule(
    session: AsyncSession,
    edition_id: UUID,
    send_at: datetime,
    *,
    check: VersionCheck,
    newsroom: Newsroom,
    editor: Editor,
    now: datetime,
) -> Edition:
    """Have the worker send it at a time to come; what its mails lack is refused now, not then."""
    edition = await _in_state(session, edition_id, {"draft", "scheduled"}, check)
    if send_at <= now:
        raise asset_fields.invalid("/send_at", "in_the_past", "This must be in the future")
    await edition_freezing.freeze(session, edition, newsroom=newsroom, now=now)
    edition.state, edition.send_at = "scheduled", send_at
    details = {"send_at": send_at.isoformat()}
    await editions.record(
        session, "edition.scheduled", edition, editor=editor, now=now, details=details
    )
    return edition


async def send(
    session: AsyncSession,
    edition_id: UUID,
    *,
    check: VersionCheck,
    newsroom: Newsroom,
    editor: Editor,
    now: datetime,
) -> Edition:
    """Freeze its mails and let the workers begin."""
    edition = await _in_state(session, edition_id, {"draft", "scheduled"}, check)
    edition.send_at = None
    await _start(session, edition, newsroom=newsroom, editor=editor, now=now)
    return edition


async def start_due(session: AsyncSession, *, newsroom: Newsroom, now: datetime) -> UUID | None:
    """Start the scheduled edition that has waited longest; None when none is due.

    Any number of workers may do it: each edition is started by one of them, once. Its mails are
    made anew, of the assets as they are by then. If that fails, the edition is paused and says
    why, so that neither it nor those behind it are lost.
    """
    is_due = (Edition.state == "scheduled", Edition.send_at <= now)
    waiting = select(Edition).where(*is_due).order_by(Edition.send_at, Edition.id).limit(1)
    edition = (await session.scalars(waiting.with_for_update(skip_locked=True))).one_or_none()
    if edition is None:
        return None
    try:
        async with session.begin_nested():
            await _start(session, edition, newsroom=newsroom, editor=WORKER, now=now)
    except (SQLAlchemyError, OSError):
        raise  # nothing is wrong with the edition; the next round tries again
    except Exception as error:
        await session.refresh(edition)
        is_unforeseen = not isinstance(error, AppError | UnsendableMail)
        log.warning("edition_not_rendered", edition=edition.number, exc_info=is_unforeseen)
        reason = f"{RENDERING_FAILED}: {_words(error)}"
        await _pause(session, edition, reason, editor=WORKER, now=now)
    return edition.id


async def pause(
    session: AsyncSession,
    edition_id: UUID,
    reason: str | None,
    *,
    check: VersionCheck,
    editor: Editor,
    now: datetime,
) -> Edition:
    """Let no further mail leave until somebody resumes it."""
    edition = await _in_state(session, edition_id, {"sending"}, check)
    await _pause(session, edition, reason, editor=editor, now=now)
    return edition


async def pause_for_fault(
    session: AsyncSession, edition_id: UUID, reason: str, *, now: datetime
) -> bool:
    """Stop for a fault of our own, such as "sender_refused: …"; False if it had stopped before.

    Many connections meet the same fault; the first to say so is the one that is noted.
    """
    edition = await editions.lock(session, edition_id)
    if edition.state != "sending":
        return False
    await _pause(session, edition, reason, editor=WORKER, now=now)
    return True


async def resume(
    session: AsyncSession,
    edition_id: UUID,
    *,
    check: VersionCheck,
    newsroom: Newsroom,
    editor: Editor,
    now: datetime,
) -> Edition:
    """Go on where it was paused. One that could not start when its time came starts now."""
    edition = await _in_state(session, edition_id, {"paused"}, check)
    if edition.started_at is None:
        await _start(session, edition, newsroom=newsroom, editor=editor, now=now)
    else:
        edition.state, edition.pause_reason = "sending", None
        await editions.record(session, "edition.resumed", edition, editor=editor, now=now)
    return edition


async def cancel(
    session: AsyncSession,
    edition_id: UUID,
    *,
    check: VersionCheck,
    editor: Editor,
    now: datetime,
) -> Edition:
    """Send no more of it, for good. One that has not started yet becomes a draft again."""
    edition = await _in_state(session, edition_id, {"scheduled", "sending", "paused"}, check)
    if edition.started_at is None:
        edition.state, edition.send_at, edition.pause_reason = "draft", None, None
        action = "edition.unscheduled"
    else:
        edition.state, edition.finished_at, edition.pause_reason = "cancelled", now, None
        action = "edition.cancelled"
    await editions.record(session, action, edition, editor=editor, now=now)
    return edition


async def retry_failed(
    session: AsyncSession,
    edition_id: UUID,
    states: Collection[Retried] = RETRIED,
    *,
    check: VersionCheck,
    editor: Editor,
    now: datetime,
) -> int:
    """Try again what failed, or may have; returns how many mails those are.

    Nobody gets it who is known to have got it. Such an edition is on its way again, unless it is
    paused: then these mails wait with the others.
    """
    edition = await _in_state(session, edition_id, {"sending", "paused", "sent"}, check)
    count = await delivery_ledger.make_pending(session, edition_id, states, now=now)
    if count:
        if edition.state == "sent":
            edition.state, edition.finished_at = "sending", None
        details = {"count": count, "states": sorted(states)}
        await editions.record(
            session, "edition.retried", edition, editor=editor, now=now, details=details
        )
    return count


async def finish_if_done(session: AsyncSession, edition_id: UUID, *, now: datetime) -> bool:
    """Mark an edition as sent once its ledger is complete and all of it concluded."""
    if await delivery_ledger.has_live(session, edition_id):
        return False
    edition = await editions.lock(session, edition_id)
    if edition.state != "sending" or edition.fanned_out_at is None:
        return False
    # Once more, now that nobody can make concluded mails pending again.
    if await delivery_ledger.has_live(session, edition_id):
        return False
    edition.state, edition.finished_at = "sent", now
    await editions.record(session, "edition.sent", edition, editor=WORKER, now=now)
    return True


def in_words(refusal: AppError) -> str:
    """A refusal on one line, with what each of its pointers points at."""
    wrong = (f"{each['pointer']}: {each['message']}" for each in refusal.errors)
    return "; ".join(wrong) or str(refusal)


async def _in_state(
    session: AsyncSession, edition_id: UUID, allowed: Collection[str], check: VersionCheck
) -> Edition:
    edition = await editions.lock(session, edition_id)
    check(edition.version)
    if edition.state not in allowed:
        raise EditionState(f"It is {edition.state}; this needs one that is {_either(allowed)}")
    return edition


def _either(states: Collection[str]) -> str:
    return " or ".join(sorted(states))


async def _start(
    session: AsyncSession, edition: Edition, *, newsroom: Newsroom, editor: Editor, now: datetime
) -> None:
    await edition_freezing.freeze(session, edition, newsroom=newsroom, now=now)
    edition.state, edition.started_at, edition.pause_reason = "sending", now, None
    await editions.record(session, "edition.started", edition, editor=editor, now=now)


async def _pause(
    session: AsyncSession, edition: Edition, reason: str | None, *, editor: Editor, now: datetime
) -> None:
    edition.state = "paused"
    edition.pause_reason = reason[:REASON_MAX_LENGTH] if reason else None
    details: dict[str, Any] = {"reason": edition.pause_reason}
    await editions.record(
        session, "edition.paused", edition, editor=editor, now=now, details=details
    )


def _words(error: Exception) -> str:
    """What is wrong, for the editor; the words of an unforeseen error are for the log alone."""
    if isinstance(error, AppError):
        return in_words(error)
    return str(error) if isinstance(error, UnsendableMail) else type(error).__name__
