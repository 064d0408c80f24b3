"""The ledger of an edition's mails: who gets it, who is next, and what became of each.

A delivery is claimed under a lease, marked as `sending` in the instant before its contents leave,
and concluded. Whatever dies in between lets the lease run out: a claimed one then is due again,
and one that was being sent is sent again with one more doubt, under the same Message-ID. So nobody
is missed, and at most the mails on the wire are doubled.

These statements run thousands of times for one edition, so each is one round trip without the ORM.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol
from uuid import UUID

State = Literal["pending", "deferred", "sent", "failed", "unknown", "skipped"]
# So often is a mail tried again whose worker died while it was being sent.
MOST_CRASHES = 5


class Write(Protocol):
    """Runs a statement as a transaction of its own (`Database.write`)."""

    async def __call__(self, query: str, *args: Any) -> Sequence[Any]: ...


@dataclass(frozen=True, slots=True)
class Claim:
    """One recipient's mail, which one worker may send until the lease ends."""

    edition_id: UUID
    edition_number: int
    subscriber_id: UUID
    variant: int
    to: str
    domain: str
    attempts: int
    doubts: int
    has_slot: bool
    first_tried_at: datetime | None
    leased_until: datetime


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a claim; without `due_at` its state is final."""

    claim: Claim
    state: State
    at: datetime
    due_at: datetime | None = None
    smtp_code: int | None = None
    smtp_status: str | None = None
    reason: str | None = None
    # The contents have left and no answer came.
    is_doubtful: bool = False
    # It was no attempt at all: the fault was ours, or the edition was paused.
    is_free: bool = False
    has_slot: bool = False


async def active_editions(write: Write) -> Sequence[tuple[UUID, int, bool]]:
    """Editions that are being sent: id, number, and whether their fan-out is complete."""
    rows = await write(_ACTIVE)
    return [(row["id"], row["number"], row["is_complete"]) for row in rows]


async def claim(
    write: Write, edition: tuple[UUID, int], *, limit: int, now: datetime, lease: timedelta
) -> Sequence[Claim]:
    """Take deliveries that are due. Of those who left meanwhile, the ledger says so at once.

    They were skipped, unless their mail has left in doubt before, and so may have arrived.
    """
    edition_id, number = edition
    until = now + lease
    rows = await write(_CLAIM, edition_id, now, limit, until, MOST_CRASHES)
    return [
        Claim(
            edition_id=edition_id,
            edition_number=number,
            subscriber_id=row["subscriber_id"],
            variant=row["variant"],
            to=row["email"],
            domain=row["domain"],
            attempts=row["attempts"],
            doubts=row["doubts"],
            has_slot=row["has_slot"],
            first_tried_at=row["first_tried_at"],
            leased_until=until,
        )
        for row in rows
        if row["state"] == "leased"
    ]


async def write_down(
    write: Write, results: Sequence[Result], marks: Sequence[Claim], *, now: datetime
) -> set[tuple[UUID, UUID]]:
    """Conclude some deliveries and mark others as `sending`, in one commit.

    Returns the edition and subscriber of the marked ones. Not marked is what must not be sent any
    more: its edition was paused, its subscriber left, its lease ended, or it has been taken.
    """
    results, marks = _without_taken(results, marks)
    rows = await write(
        _WRITE_DOWN,
        [result.claim.edition_id for result in results],
        [result.claim.subscriber_id for result in results],
        [result.claim.leased_until for result in results],
        [result.state for result in results],
        [result.due_at for result in results],
        [result.at for result in results],
        [result.smtp_code for result in results],
        [result.smtp_status for result in results],
        [result.reason for result in results],
        [int(result.is_doubtful) for result in results],
        [int(result.is_free) for result in results],
        [result.has_slot for result in results],
        [mark.edition_id for mark in marks],
        [mark.subscriber_id for mark in marks],
        [mark.leased_until for mark in marks],
        now,
    )
    return {(row["edition_id"], row["subscriber_id"]) for row in rows}


def _without_taken(
    results: Sequence[Result], marks: Sequence[Claim]
) -> tuple[list[Result], list[Claim]]:
    """Leave out whatever else is to be noted of a mail that was taken.

    After a long fault of the database an answer may be written down together with what a second
    claim has come to. One statement changes a row once, and it would not be the answer's turn.
    """
    taken = {_key(each.claim) for each in results if each.state == "sent"}
    return (
        [each for each in results if each.state == "sent" or _key(each.claim) not in taken],
        [mark for mark in marks if _key(mark) not in taken],
    )


def _key(claim: Claim) -> tuple[UUID, UUID]:
    return claim.edition_id, claim.subscriber_id


async def frozen_message(write: Write, edition_id: UUID, variant: int) -> bytes:
    """The mail of one variant, as it was frozen when its edition started."""
    return bytes((await write(_FROZEN, edition_id, variant))[0]["frozen"])


async def remaining(write: Write, edition_id: UUID) -> int:
    """How many of an edition's deliveries are not concluded."""
    return int((await write(_REMAINING, edition_id))[0]["remaining"])


# Spelled as in the partial index, so that the planner finds it.
_LIVE = "state IN ('pending', 'leased', 'sending', 'deferred')"

_ACTIVE = """
    SELECT id, number, fanned_out_at IS NOT NULL AS is_complete
      FROM newsletter_edition WHERE state = 'sending' ORDER BY started_at, id
"""

_CLAIM = f"""
    WITH due AS MATERIALIZED (
        SELECT subscriber_id, state FROM newsletter_delivery
         WHERE edition_id = $1 AND {_LIVE} AND due_at <= $2
         ORDER BY due_at, subscriber_id LIMIT $3
           FOR UPDATE SKIP LOCKED
    ), next AS MATERIALIZED (
        SELECT due.subscriber_id, s.email, s.domain, (due.state = 'sending')::int AS doubt,
               CASE WHEN s.state IS DISTINCT FROM 'subscribed' THEN 'skipped' ELSE 'leased' END
               AS state
          FROM due LEFT JOIN newsletter_subscriber AS s ON s.id = due.subscriber_id
    )
    UPDATE newsletter_delivery AS d
       SET state = CASE WHEN d.doubts + next.doubt > $5 THEN 'unknown'
                        WHEN next.state = 'skipped' AND d.doubts + next.doubt > 0 THEN 'unknown'
                        ELSE next.state END,
           doubts = d.doubts + next.doubt, due_at = $4,
           finished_at = CASE WHEN next.state = 'skipped' OR d.doubts + next.doubt > $5
                              THEN $2::timestamptz END
      FROM next
     WHERE d.edition_id = $1 AND d.subscriber_id = next.subscriber_id
    RETURNING d.subscriber_id, d.variant, d.state, d.attempts, d.doubts, d.has_slot,
              d.first_tried_at, next.email, next.domain
"""  # noqa: S608  # a constant of ours

# A result counts while its claim holds; that a mail was taken counts whoever holds it by now.
_WRITE_DOWN = """
    WITH result AS MATERIALIZED (
        SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[],
                             $5::timestamptz[], $6::timestamptz[], $7::smallint[], $8::text[],
                             $9::text[], $10::int[], $11::int[], $12::boolean[])
            AS r (edition_id, subscriber_id, lease, state, due_at, at, smtp_code,
                  smtp_status, reason, doubt, free, has_slot)
    ), concluded AS (
        UPDATE newsletter_delivery AS d
           SET state = r.state, due_at = coalesce(r.due_at, d.due_at),
               finished_at = CASE WHEN r.due_at IS NULL THEN r.at END, has_slot = r.has_slot,
               smtp_code = coalesce(r.smtp_code, d.smtp_code),
               smtp_status = coalesce(r.smtp_status, d.smtp_status),
               reason = coalesce(r.reason, d.reason),
               doubts = d.doubts + r.doubt,
               attempts = d.attempts - r.free + CASE WHEN d.state = 'leased' THEN 1 ELSE 0 END,
               first_tried_at = coalesce(d.first_tried_at, CASE WHEN r.free = 0 THEN r.at END)
          FROM result AS r
         WHERE d.edition_id = r.edition_id AND d.subscriber_id = r.subscriber_id
           AND (d.due_at = r.lease AND d.state IN ('leased', 'sending')
                OR r.state = 'sent' AND d.state <> 'sent')
    )
    UPDATE newsletter_delivery AS d
       SET state = 'sending', attempts = d.attempts + 1,
           first_tried_at = coalesce(d.first_tried_at, $16::timestamptz)
      FROM unnest($13::uuid[], $14::uuid[], $15::timestamptz[])
           AS m (edition_id, subscriber_id, lease)
      JOIN newsletter_edition AS e ON e.id = m.edition_id AND e.state = 'sending'
      JOIN newsletter_subscriber AS s ON s.id = m.subscriber_id AND s.state = 'subscribed'
     WHERE d.edition_id = m.edition_id AND d.subscriber_id = m.subscriber_id
       AND d.due_at = m.lease AND d.state = 'leased'
    RETURNING d.edition_id, d.subscriber_id
"""

_REMAINING = f"""
    SELECT count(*) AS remaining FROM newsletter_delivery WHERE edition_id = $1 AND {_LIVE}
"""  # noqa: S608  # a constant of ours

_FROZEN = "SELECT frozen FROM newsletter_message WHERE edition_id = $1 AND variant = $2"
