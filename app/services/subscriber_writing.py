"""Rows of an import, merged into the subscribers with their evidence by one statement."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.services.subscriber_rows import Row
from app.services.subscriptions import Choice


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the rows; the others have changed nothing."""

    added: int = 0
    changed: int = 0
    kept: int = 0


async def write(
    session: AsyncSession,
    rows: Sequence[Row],
    defaults: Choice,
    *,
    details: Mapping[str, Any],
    now: datetime,
) -> Counts:
    """Merge rows, none of which have the same address.

    What is newer wins, but nobody who has left or is suppressed is subscribed again, and of an
    address that is suppressed without a subscriber nothing is stored: its owner was erased.
    """
    # In one order, so that imports at the same time wait for each other and not in a circle.
    ordered = sorted(rows, key=lambda row: row.email_key)
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        _MERGE,
        (
            *map(_joined, zip(*ordered, strict=True)),
            list(defaults.topics),
            defaults.language,
            defaults.frequency,
            json.dumps(dict(details)),
            now,
        ),
    )
    row = result.one()
    return Counts(row.added, row.changed, row.kept)


def _joined(column: Iterable[str | None]) -> str:
    """A column as one text, which the driver sends in a fraction of the time of an array.

    No value can have a line break or this backslash in it, and none is empty.
    """
    return "\n".join(["\\N" if value is None else value for value in column])


# PostgreSQL takes these arrays for ten rows, and plans once, when the tables may still be empty.
# Therefore LATERAL looks up row by row, by an index; and IS TRUE keeps the list of what was written
# in a hash table, where a join might go through it again for each row.
_TYPES = (
    *("uuid", "uuid", "int", "text", "text", "text", "text", "text", "text", "text"),
    *("timestamptz", "timestamptz", "timestamptz", "text", "float8", "timestamptz"),
)
_COLUMNS = ", ".join(
    f"string_to_array(${number}, E'\\n', '\\N')::{name}[]" for number, name in enumerate(_TYPES, 1)
)
_MERGE = f"""
    WITH looked AS MATERIALIZED (
        SELECT row.*, decode(row.hex_hash, 'hex') AS email_hash,
               known.id AS known_id, known.state AS known_state,
               known.updated_at AS known_at, coalesce(known.id, row.id) AS subscriber_id,
               CASE
                   WHEN erased.is_there THEN 'kept'
                   WHEN known.id IS NULL THEN 'added'
                   WHEN row.state = 'subscribed' AND known.state <> 'subscribed'
                     OR row.state <> 'suppressed' AND known.state = 'suppressed' THEN 'kept'
                   WHEN row.changed_at > known.updated_at
                    AND (row.state <> known.state
                         OR row.topics::text[] <> known.topics
                         OR row.language <> known.language
                         OR row.frequency <> known.frequency) THEN 'changed'
                   ELSE 'same'
               END AS fate
          FROM unnest(
                   {_COLUMNS}
               )
               AS row (id, evidence_id, number, email, email_key, hex_hash, state, topics,
                       language, frequency, subscribed_at, ended_at, changed_at, reason,
                       bounce_score, bounced_at)
          LEFT JOIN LATERAL (
              SELECT id, state, topics, language, frequency, updated_at
                FROM newsletter_subscriber WHERE email_key = row.email_key LIMIT 1
          ) AS known ON true
          LEFT JOIN LATERAL (
              SELECT true AS is_there FROM newsletter_suppression
               WHERE known.id IS NULL AND email_hash = decode(row.hex_hash, 'hex') LIMIT 1
          ) AS erased ON true
    ), added AS (
        INSERT INTO newsletter_subscriber (
            id, email, email_key, state, topics, language, frequency, subscribed_at, ended_at,
            created_at, updated_at, bounce_score, bounced_at
        )
        SELECT id, email, email_key, state, coalesce(topics::text[], $17::text[]),
               coalesce(language, $18::text), coalesce(frequency, $19::text),
               coalesce(subscribed_at, ended_at, changed_at),
               CASE WHEN state <> 'subscribed' THEN coalesce(ended_at, changed_at) END,
               $21::timestamptz, changed_at, bounce_score, bounced_at
          FROM looked WHERE fate = 'added'
        ON CONFLICT ON CONSTRAINT uq_newsletter_subscriber_email_key DO NOTHING
        RETURNING id
    ), changed AS (
        -- Whoever did something meanwhile has done it later.
        UPDATE newsletter_subscriber AS s
           SET state = row.state, topics = coalesce(row.topics::text[], s.topics),
               language = coalesce(row.language, s.language),
               frequency = coalesce(row.frequency, s.frequency),
               ended_at = CASE WHEN row.state <> 'subscribed'
                               THEN coalesce(s.ended_at, row.ended_at, row.changed_at) END,
               updated_at = row.changed_at
          FROM looked AS row
         WHERE row.fate = 'changed' AND s.id = row.known_id
           AND s.state = row.known_state AND s.updated_at = row.known_at
        RETURNING s.id
    ), written AS (
        SELECT * FROM looked
         WHERE (subscriber_id IN (SELECT id FROM added UNION ALL SELECT id FROM changed)) IS TRUE
    ), suppressed AS (
        INSERT INTO newsletter_suppression (email_hash, reason, created_at)
        SELECT email_hash, reason, changed_at FROM written WHERE state = 'suppressed'
        ON CONFLICT ON CONSTRAINT pk_newsletter_suppression DO NOTHING
    ), evidence AS (
        INSERT INTO newsletter_consent (
            id, email_hash, subscriber_id, event, source, details, occurred_at
        )
        SELECT evidence_id, email_hash, subscriber_id, 'imported', 'import',
               $20::jsonb || jsonb_strip_nulls(jsonb_build_object(
                   'line', number, 'status', state, 'topics', topics::text[],
                   'language', language, 'frequency', frequency, 'reason', reason,
                   'subscribed_at', subscribed_at, 'ended_at', ended_at
               )),
               $21::timestamptz
          FROM written
    )
    SELECT (SELECT count(*) FROM added) AS added, (SELECT count(*) FROM changed) AS changed,
           (SELECT count(*) FROM looked WHERE fate = 'kept') AS kept
"""  # noqa: S608  # a constant of ours
