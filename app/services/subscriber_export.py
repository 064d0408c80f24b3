"""All subscribers as CSV, in chunks by keyset: flat memory, and no connection while it is sent."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.crypto import Keyring
from app.services import audit_events, policy, subscriber_rows
from app.services.assets import Reader
from app.services.auth import Transactions
from app.services.consents import email_hash
from app.services.context import Editor
from app.services.subscriptions import check_topics


@dataclass(frozen=True, slots=True)
class Filters:
    """`topic` finds whoever gets it, and so also those who get every topic."""

    state: str | None = None
    topic: str | None = None


async def export(
    transactions: Transactions,
    reader: Reader,
    filters: Filters,
    *,
    editor: Editor,
    keyring: Keyring,
    now: datetime,
) -> AsyncIterator[bytes]:
    """Note who takes the addresses along, and give the file. Raises `UnknownTopic`."""
    topics = [filters.topic] if filters.topic else []
    async with transactions() as session:
        await check_topics(session, topics, pointer="/topic", allow_retired=topics)
        await audit_events.record(
            session,
            "newsletter.exported",
            account_id=editor.account_id,
            client=editor.client,
            details={"state": filters.state, "topic": filters.topic},
            now=now,
        )
    return _pieces(reader, filters, keyring)


async def _pieces(reader: Reader, filters: Filters, keyring: Keyring) -> AsyncIterator[bytes]:
    yield subscriber_rows.write([], with_header=True)
    last_key = ""
    while rows := await reader.fetch(
        _CHUNK, last_key, policy.EXPORT_CHUNK, filters.state, filters.topic
    ):
        last_key = rows[-1]["email_key"]
        wanted = [row for row in rows if row["is_wanted"]]
        reasons = await _reasons(reader, wanted, keyring)
        complete = [{**row, "suppression_reason": reasons.get(row["email_key"])} for row in wanted]
        if complete:
            yield await asyncio.to_thread(subscriber_rows.write, complete)


async def _reasons(
    reader: Reader, rows: Sequence[Mapping[str, Any]], keyring: Keyring
) -> Mapping[str, str]:
    """Why addresses are suppressed, which is only kept under their hashes."""
    suppressed = (row["email_key"] for row in rows if row["status"] == "suppressed")
    keys = {email_hash(key, keyring=keyring): key for key in suppressed}
    found = await reader.fetch(_REASONS, list(keys)) if keys else ()
    return {keys[row["email_hash"]]: row["reason"] for row in found}


# Looks at so many rows and no more, however few of them the filters let through; the last one is
# there in any case, to go on from.
_CHUNK = """
    WITH chunk AS MATERIALIZED (
        SELECT email, email_key, state AS status, topics, language, frequency, subscribed_at,
               ended_at, updated_at, bounce_score, bounced_at,
               ($3::text IS NULL OR state = $3)
               AND ($4::text IS NULL OR topics = '{}' OR $4 = ANY (topics)) AS is_wanted,
               row_number() OVER (ORDER BY email_key DESC) = 1 AS is_last
          FROM (
              SELECT * FROM newsletter_subscriber
               WHERE email_key > $1 ORDER BY email_key LIMIT $2
          ) AS next
    )
    SELECT * FROM chunk WHERE is_wanted OR is_last ORDER BY email_key
"""
_REASONS = "SELECT email_hash, reason FROM newsletter_suppression WHERE email_hash = ANY ($1)"
