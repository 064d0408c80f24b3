"""What an edition's ledger says of each recipient, and who is missing from it."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Delivery, Edition, EditionMessage, Subscriber
from app.models.editions import LIVE
from app.services import policy

Retried = Literal["failed", "unknown"]
RETRIED: tuple[Retried, ...] = ("failed", "unknown")
LedgerState = Literal[
    "pending",
    "sending",
    "deferred",
    "sent",
    "failed",
    "unknown",
    "skipped",
    "cancelled",
    "missing",
]
# What of a cancelled edition has not left and never will. The rows stay as they are: a million
# of them would take longer to write than the senders take to stop.
_HELD_BACK = frozenset({"pending", "leased", "deferred"})
STORED = ("pending", "leased", "sending", "deferred", "sent", "failed", "unknown", "skipped")


@dataclass(frozen=True, slots=True)
class Entry:
    """One recipient; without an address where that was erased."""

    subscriber_id: UUID
    email: str | None
    state: LedgerState
    attempts: int = 0
    doubts: int = 0
    smtp_code: int | None = None
    smtp_status: str | None = None
    reason: str | None = None
    next_try_at: datetime | None = None
    first_tried_at: datetime | None = None
    finished_at: datetime | None = None
    bounced_at: datetime | None = None
    complained_at: datetime | None = None
    unsubscribed_at: datetime | None = None


_SHOWN = tuple(
    field.name
    for field in fields(Entry)
    if field.name not in {"subscriber_id", "email", "state", "next_try_at"}
)


async def list_entries(
    session: AsyncSession,
    edition: Edition,
    *,
    state: LedgerState | None,
    email_key: str | None,
    after: UUID | None,
    limit: int,
    now: datetime,
) -> Sequence[Entry]:
    """In the order of subscribers; `after` is the one that the previous page ended with."""
    if state == "missing":
        return await _missing(session, edition, email_key=email_key, after=after, limit=limit)
    query = (
        select(Delivery, Subscriber.email)
        .outerjoin(Subscriber, Subscriber.id == Delivery.subscriber_id)
        .where(Delivery.edition_id == edition.id)
    )
    if state is not None:
        query = query.where(Delivery.state.in_(_stored(state, edition, now)))
    if email_key is not None:
        query = query.where(Subscriber.email_key == email_key)
    if after is not None:
        query = query.where(Delivery.subscriber_id > after)
    rows = await session.execute(query.order_by(Delivery.subscriber_id).limit(limit))
    return [_entry(delivery, email, edition, now) for delivery, email in rows]


def shown_state(stored: str, edition: Edition, now: datetime) -> LedgerState:
    """A claimed mail still waits; one that a cancelled edition holds back is cancelled with it.

    Nobody claims mails of a cancelled edition again. So one that is still on the wire when its
    lease is over has lost its worker, and may have arrived.
    """
    if edition.state == "cancelled" and stored in _HELD_BACK:
        return "cancelled"
    ended = edition.finished_at if edition.state == "cancelled" else None
    if stored == "sending" and ended and now - ended >= policy.DELIVERY_LEASE:
        return "unknown"
    return "pending" if stored == "leased" else stored  # type: ignore[return-value]  # by its check


async def count_audience(session: AsyncSession, edition: Edition) -> int:
    """How many would get it if it started now."""
    query = select(func.count()).select_from(Subscriber).where(*_chosen_by(edition))
    return await session.scalar(query) or 0


def _chosen_by(edition: Edition) -> Iterator[ColumnElement[bool]]:
    """Who wants such an edition; no topics stand for all of them, on both sides."""
    yield Subscriber.state == "subscribed"
    yield Subscriber.frequency == edition.frequency
    if edition.topics:
        yield or_(Subscriber.topics == [], Subscriber.topics.overlap(edition.topics))


async def has_live(session: AsyncSession, edition_id: UUID) -> bool:
    """Whether any mail of the ledger is not concluded."""
    live = select(Delivery.due_at).where(Delivery.edition_id == edition_id, text(LIVE))
    # Ordered as the partial index is: without, the planner may prefer to read the whole edition,
    # since it believes that a live one turns up soon, as in an edition that has just begun.
    return await session.scalar(live.order_by(Delivery.due_at).limit(1)) is not None


async def make_pending(
    session: AsyncSession, edition_id: UUID, states: Collection[Retried], *, now: datetime
) -> int:
    """Let mails that are concluded in these states begin anew, with all their attempts.

    Not those of who has left or is suppressed since: what became of their mail stays known.
    In chunks, each well within the time that a statement may take.
    """
    total, after = 0, UUID(int=0)
    while True:
        count, last = await _make_chunk_pending(session, edition_id, states, after, now=now)
        if last is None:
            return total
        total, after = total + count, last


async def _make_chunk_pending(
    session: AsyncSession,
    edition_id: UUID,
    states: Collection[Retried],
    after: UUID,
    *,
    now: datetime,
) -> tuple[int, UUID | None]:
    """How many of the next so many it was, and the last of these."""
    is_concluded = (Delivery.edition_id == edition_id, Delivery.state.in_(states))
    chosen = (
        select(Delivery.subscriber_id)
        .where(*is_concluded, Delivery.subscriber_id > after)
        .order_by(Delivery.subscriber_id)
        .limit(policy.FAN_OUT_CHUNK)
        .cte("chosen")
    )
    anew = {"state": "pending", "due_at": now, "has_slot": False, "finished_at": None}
    changed = (
        update(Delivery)
        # The state once more: a late answer may have come since, and that mail has arrived.
        .where(*is_concluded, Delivery.subscriber_id == chosen.c.subscriber_id)
        .where(Subscriber.id == Delivery.subscriber_id, Subscriber.state == "subscribed")
        .values(**anew, attempts=0, doubts=0, first_tried_at=None)
        .returning(Delivery.subscriber_id)
        .cte("changed")
    )
    last = select(chosen.c.subscriber_id).order_by(chosen.c.subscriber_id.desc()).limit(1)
    count = select(func.count()).select_from(changed)
    row = (await session.execute(select(count.scalar_subquery(), last.scalar_subquery()))).one()
    return row[0], row[1]


def _stored(state: LedgerState, edition: Edition, now: datetime) -> Collection[str]:
    """The states of rows that are shown as this one."""
    return [each for each in STORED if shown_state(each, edition, now) == state]


def _entry(delivery: Delivery, email: str | None, edition: Edition, now: datetime) -> Entry:
    state = shown_state(delivery.state, edition, now)
    waits = delivery.state in {"pending", "deferred"} and state != "cancelled"
    return Entry(
        subscriber_id=delivery.subscriber_id,
        email=email,
        state=state,
        next_try_at=delivery.due_at if waits else None,
        **{name: getattr(delivery, name) for name in _SHOWN},
    )


async def _missing(
    session: AsyncSession,
    edition: Edition,
    *,
    email_key: str | None,
    after: UUID | None,
    limit: int,
) -> Sequence[Entry]:
    """Those whom the fan-out has passed by although they had chosen such an edition.

    Whoever has changed anything since its start is left out: nobody can say any more what they
    had chosen when it reached them.
    """
    if edition.started_at is None or edition.fanned_out_to is None:
        return []
    query = select(Subscriber.id, Subscriber.email).where(
        *_chosen_by(edition),
        Subscriber.updated_at <= edition.started_at,
        Subscriber.id <= edition.fanned_out_to,
        exists().where(
            EditionMessage.edition_id == edition.id,
            EditionMessage.language == Subscriber.language,
            or_(EditionMessage.topics.is_(None), EditionMessage.topics == Subscriber.topics),
        ),
        ~exists().where(Delivery.edition_id == edition.id, Delivery.subscriber_id == Subscriber.id),
    )
    if email_key is not None:
        query = query.where(Subscriber.email_key == email_key)
    if after is not None:
        query = query.where(Subscriber.id > after)
    rows = await session.execute(query.order_by(Subscriber.id).limit(limit))
    return [Entry(subscriber_id, email, "missing") for subscriber_id, email in rows]
