"""Deliveries that are due, each claimed by one worker under a lease.

Whoever changes deliveries locks their endpoint first, so that nobody waits in a circle. A worker
that dies leaves its claims to run out: then another takes them up, with the same message ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.services import policy

# Endpoints looked at for one claim.
ENDPOINTS_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that one worker may make until its lease ends, and what it needs for that."""

    id: UUID
    endpoint_id: UUID
    message_id: str
    event: str
    payload: str
    # This one counted.
    attempts: int
    # Tells this claim from a later one.
    leased_until: datetime
    is_failing: bool
    last_success_at: datetime | None
    url: str
    sealed_secret: bytes = field(repr=False)
    sealed_previous_secret: bytes | None = field(repr=False)
    previous_secret_ends_at: datetime | None
    sealed_signing_key: bytes = field(repr=False)


async def claim(
    session: AsyncSession,
    *,
    room: int,
    failing_room: int,
    now: datetime,
    lease: timedelta = policy.WEBHOOK_LEASE,
) -> Sequence[Claim]:
    """Take up to `room` deliveries that are due, of these `failing_room` to endpoints that fail.

    To one endpoint at most ten at once are on their way, by all workers; to one that fails, one.
    """
    locked = (await session.execute(_LOCK_DUE, {"now": now, "limit": ENDPOINTS_AT_ONCE})).all()
    failing = [row for row in locked if row.is_single][: max(0, failing_room)]
    chosen = [row for row in locked if not row.is_single] + failing
    if not chosen or room <= 0:
        return []
    values = {
        "ids": [row.id for row in chosen],
        "most": [1 if row.is_single else policy.WEBHOOKS_AT_ONCE for row in chosen],
        "only_challenge": [row.is_pending for row in chosen],
        "now": now,
        "until": now + lease,
        "room": room,
    }
    rows = (await session.execute(_CLAIM, values)).mappings()
    claims = [Claim(**row) for row in rows]
    return sorted(claims, key=lambda each: each.id)


async def give_back(session: AsyncSession, claims: Sequence[Claim], *, until: datetime) -> None:
    """Let deliveries that were not even tried wait, with that attempt uncounted."""
    values = {
        "ids": [each.id for each in claims],
        "leases": [each.leased_until for each in claims],
        "until": until,
    }
    await session.execute(_GIVE_BACK, values)


# An endpoint that is locked is being claimed for by another worker, and is left to it.
_LOCK_DUE = text("""
    SELECT endpoint.id, endpoint.state = 'pending' AS is_pending,
           endpoint.state = 'pending' OR endpoint.failing_since IS NOT NULL AS is_single
      FROM webhook_endpoint AS endpoint JOIN account ON account.id = endpoint.account_id
     WHERE account.suspended_at IS NULL
       AND (endpoint.held_until IS NULL OR endpoint.held_until <= :now)
       AND CASE endpoint.state
           WHEN 'active' THEN EXISTS (
               SELECT FROM webhook_delivery AS due
                WHERE due.endpoint_id = endpoint.id AND due.state = 'pending'
                  AND due.next_at <= :now)
           WHEN 'pending' THEN EXISTS (
               SELECT FROM webhook_delivery AS due
                WHERE due.endpoint_id = endpoint.id AND due.state = 'pending'
                  AND due.event = 'webhook.challenge' AND due.next_at <= :now)
           ELSE false END
     ORDER BY random() LIMIT :limit
       FOR NO KEY UPDATE OF endpoint SKIP LOCKED
""")
# A statement of its own: its snapshot is later than the locks, so the count is exact.
_CLAIM = text("""
    WITH room AS (
        SELECT wanted.id, wanted.only_challenge, greatest(0, wanted.most - (
                   SELECT count(*) FROM webhook_delivery AS leased
                    WHERE leased.endpoint_id = wanted.id AND leased.leased_until IS NOT NULL
                      AND leased.leased_until > :now)) AS free
          FROM unnest(CAST(:ids AS uuid[]), CAST(:most AS int[]), CAST(:only_challenge AS bool[]))
               AS wanted (id, most, only_challenge)
    ), chosen AS (
        SELECT due.id
          FROM room CROSS JOIN LATERAL (
              SELECT waiting.id FROM webhook_delivery AS waiting
               WHERE waiting.endpoint_id = room.id AND waiting.state = 'pending'
                 AND waiting.next_at <= :now
                 AND (NOT room.only_challenge OR waiting.event = 'webhook.challenge')
               ORDER BY waiting.next_at, waiting.id
               LIMIT room.free) AS due
         LIMIT :room
    )
    UPDATE webhook_delivery AS taken
       SET attempts = taken.attempts + 1, leased_until = :until, next_at = :until
      FROM chosen, webhook_endpoint AS endpoint
     WHERE taken.id = chosen.id AND endpoint.id = taken.endpoint_id
    RETURNING taken.id, taken.endpoint_id, taken.message_id, taken.event, taken.payload,
              taken.attempts, taken.leased_until, endpoint.failing_since IS NOT NULL AS is_failing,
              endpoint.last_success_at, endpoint.url, endpoint.sealed_secret,
              endpoint.sealed_previous_secret, endpoint.previous_secret_ends_at,
              endpoint.sealed_signing_key
""")
_GIVE_BACK = text("""
    UPDATE webhook_delivery AS taken
       SET attempts = taken.attempts - 1, leased_until = NULL, next_at = :until
      FROM unnest(CAST(:ids AS uuid[]), CAST(:leases AS timestamptz[])) AS given (id, lease)
     WHERE taken.id = given.id AND taken.state = 'pending' AND taken.leased_until = given.lease
""")
