"""What webhooks say (Standard Webhooks 1.0.0): thin messages, and the ledger's rows for them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from app.models import Change
from app.services import asset_documents, policy

# Where workers hear that there is something to send besides the changes of the catalogue.
CHANNEL = "webhooks"

Event = Literal["asset.created", "asset.updated", "asset.withdrawn", "saved_search.matched"]
EVENTS: tuple[Event, ...] = get_args(Event)
TEST, CHALLENGE = "webhook.test", "webhook.challenge"


@dataclass(frozen=True, slots=True)
class Message:
    """One event as it is told; the same to every endpoint, and at every attempt."""

    id: str
    event: str
    sequence: int | None
    payload: str


def compose(event: str, data: Mapping[str, Any], *, at: datetime) -> Message:
    """A message about something that happened `at` that time."""
    return Message(f"msg_{uuid7().hex}", event, None, _payload(event, data, at))


def about_change(change: Change, *, api_url: str) -> Message:
    """What is said of a change: where to look. Embargo and rights are heeded when one does.

    Its id is that of the change, so a receiver that is sent it again knows it.
    """
    event = f"asset.{change.kind}"
    data = {
        "id": str(change.asset_id),
        "version": change.version,
        "sequence": change.sequence,
        "url": f"{api_url}/v1/assets/{change.asset_id}",
    }
    payload = _payload(event, data, change.occurred_at)
    return Message(f"msg_{change.id.hex}", event, change.sequence, payload)


def _payload(event: str, data: Mapping[str, Any], at: datetime) -> str:
    body = {"type": event, "timestamp": asset_documents.time_text(at), "data": data}
    payload = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    if len(payload.encode()) >= policy.WEBHOOK_PAYLOAD_MAX_BYTES:
        raise ValueError(f"a message of {event} is too large for a webhook")
    return payload


async def add(
    session: AsyncSession, wanted: Iterable[tuple[UUID, Message]], *, now: datetime
) -> Sequence[UUID]:
    """Write a delivery for each endpoint and message; none twice. Returns the ids of the new.

    The caller has locked the endpoints, or has just made them.
    """
    return await _write(session, _ADD, wanted, now)


async def add_again(
    session: AsyncSession, wanted: Iterable[tuple[UUID, Message]], *, now: datetime
) -> Sequence[UUID]:
    """The same, and let those that are concluded begin anew; returns all that wait by that."""
    return await _write(session, _ADD_AGAIN, wanted, now)


async def wake(session: AsyncSession) -> None:
    """Let the workers look at once, when this transaction has committed."""
    await session.execute(_WAKE, {"channel": CHANNEL})


async def _write(
    session: AsyncSession, statement: Any, wanted: Iterable[tuple[UUID, Message]], now: datetime
) -> Sequence[UUID]:
    pairs = list(wanted)
    if not pairs:
        return []
    values = {
        "ids": [uuid7() for _ in pairs],
        "endpoint_ids": [endpoint_id for endpoint_id, _ in pairs],
        "message_ids": [message.id for _, message in pairs],
        "events": [message.event for _, message in pairs],
        "sequences": [message.sequence for _, message in pairs],
        "payloads": [message.payload for _, message in pairs],
        "now": now,
    }
    return (await session.execute(statement, values)).scalars().all()


_WAKE = text("SELECT pg_notify(:channel, '')")
_INSERT = """
    INSERT INTO webhook_delivery (id, endpoint_id, message_id, event, sequence, payload,
                                  state, attempts, next_at, created_at)
    SELECT wanted.*, 'pending', 0, :now, :now
      FROM unnest(CAST(:ids AS uuid[]), CAST(:endpoint_ids AS uuid[]),
                  CAST(:message_ids AS text[]), CAST(:events AS text[]),
                  CAST(:sequences AS bigint[]), CAST(:payloads AS text[])) AS wanted
    ON CONFLICT (endpoint_id, message_id)
"""
_ADD = text(f"{_INSERT} DO NOTHING RETURNING id")
_ADD_AGAIN = text(f"""{_INSERT}
    DO UPDATE SET state = 'pending', attempts = 0, next_at = :now, leased_until = NULL
            WHERE webhook_delivery.state <> 'pending'
    RETURNING id
""")
