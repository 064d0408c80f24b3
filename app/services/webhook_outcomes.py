"""What became of deliveries, in the ledger and in what is known about their endpoints."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.services.webhook_claims import Claim

# Nobody asks for more.
SUCCESS_NOTED_EVERY = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt."""

    claim: Claim
    at: datetime
    is_delivered: bool = False
    # When to try again; None when it is delivered, or is not tried again.
    next_at: datetime | None = None
    status: int | None = None
    excerpt: str | None = None
    error: str | None = None
    duration_ms: int | None = None
    # Until when the endpoint asked for peace.
    held_until: datetime | None = None
    # The endpoint has answered that it is not there any more, for good.
    is_gone: bool = False

    @property
    def state(self) -> str:
        if self.is_delivered:
            return "delivered"
        return "failed" if self.next_at is None else "pending"


async def note(session: AsyncSession, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
    """Write down what became of claims; returns those that counted.

    Not a failure whose claim had run out and was taken over. A success always counts, except of a
    challenge in whose place there is another by now.
    """
    endpoint_ids = sorted({outcome.claim.endpoint_id for outcome in outcomes})
    await session.execute(_LOCK, {"ids": endpoint_ids})
    values = {name: [getter(each) for each in outcomes] for name, getter in _COLUMNS.items()}
    noted = set((await session.execute(_NOTE, values)).scalars())
    counted = [each for each in outcomes if each.claim.id in noted]
    health = [_health(endpoint_id, counted) for endpoint_id in endpoint_ids]
    await session.execute(_NOTE_HEALTH, {name: [row[name] for row in health] for name in health[0]})
    return counted


def _health(endpoint_id: UUID, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """What the attempts at one endpoint say about it; challenges say nothing."""
    succeeded_at = failing_since = held_until = None
    for each in sorted(outcomes, key=lambda outcome: outcome.at):
        if each.claim.endpoint_id != endpoint_id or each.claim.event == "webhook.challenge":
            continue
        if each.is_delivered:
            succeeded_at, failing_since = each.at, None
        else:
            failing_since = failing_since or each.at
            held_until = max(filter(None, (held_until, each.held_until)), default=None)
    return {
        "ids": endpoint_id,
        "succeeded": succeeded_at,
        "failing": failing_since,
        "held": held_until,
    }


_COLUMNS: dict[str, Callable[[Outcome], Any]] = {
    "ids": lambda each: each.claim.id,
    "leases": lambda each: each.claim.leased_until,
    "states": lambda each: each.state,
    "next": lambda each: each.next_at,
    "at": lambda each: each.at,
    "statuses": lambda each: each.status,
    "excerpts": lambda each: each.excerpt,
    "errors": lambda each: each.error,
    "durations": lambda each: each.duration_ms,
}
_LOCK = text("""
    SELECT id FROM webhook_endpoint WHERE id = ANY(CAST(:ids AS uuid[]))
     ORDER BY id FOR NO KEY UPDATE
""")
_NOTE = text("""
    UPDATE webhook_delivery AS made
       SET state = said.state, next_at = coalesce(said.next_at, made.next_at), leased_until = NULL,
           last_attempt_at = said.at, response_status = said.status,
           response_excerpt = said.excerpt, error = said.error, duration_ms = said.duration
      FROM unnest(CAST(:ids AS uuid[]), CAST(:leases AS timestamptz[]), CAST(:states AS text[]),
                  CAST(:next AS timestamptz[]), CAST(:at AS timestamptz[]),
                  CAST(:statuses AS int[]), CAST(:excerpts AS text[]), CAST(:errors AS text[]),
                  CAST(:durations AS int[]))
           AS said (id, lease, state, next_at, at, status, excerpt, error, duration)
     WHERE made.id = said.id
       AND (made.state = 'pending' AND made.leased_until = said.lease
            OR said.state = 'delivered'
               AND (made.state = 'pending' OR made.event <> 'webhook.challenge'))
    RETURNING made.id
""")
_NOTE_HEALTH = text("""
    UPDATE webhook_endpoint AS endpoint
       SET last_success_at = coalesce(said.succeeded, endpoint.last_success_at),
           failing_since = CASE WHEN said.succeeded IS NOT NULL THEN said.failing
                                ELSE coalesce(endpoint.failing_since, said.failing) END,
           held_until = coalesce(greatest(endpoint.held_until, said.held), said.held)
      FROM unnest(CAST(:ids AS uuid[]), CAST(:succeeded AS timestamptz[]),
                  CAST(:failing AS timestamptz[]), CAST(:held AS timestamptz[]))
           AS said (id, succeeded, failing, held)
     WHERE endpoint.id = said.id
       AND (said.held IS NOT NULL
            OR said.failing IS NOT NULL AND
               (endpoint.failing_since IS NULL OR said.succeeded IS NOT NULL)
            OR said.succeeded IS NOT NULL AND
               (endpoint.failing_since IS NOT NULL OR endpoint.last_success_at IS NULL
                OR said.succeeded >= endpoint.last_success_at + interval '1 second'))
""")
