"""Writes the ledger of an edition: who was subscribed when it started, chunk by chunk."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.services import policy
from app.services.deliveries import Write


@dataclass(frozen=True, slots=True)
class Progress:
    """What one chunk of a fan-out did."""

    added: int
    is_first: bool
    is_complete: bool


async def write_chunk(
    write: Write, edition_id: UUID, *, now: datetime, chunk: int = policy.FAN_OUT_CHUNK
) -> Progress | None:
    """Write the ledger for the next so many subscribers; None while another worker does.

    The ledger and how far it goes are committed together, so a fan-out that dies is taken up
    where it was, and pausing stops it between two chunks.
    """
    rows = await write(_FAN_OUT, edition_id, chunk, now)
    return Progress(**rows[0]) if rows else None


async def note_size(write: Write) -> None:
    """Let the planner know of a new edition's rows; it would sort them all for each claim."""
    await write("ANALYZE newsletter_delivery")


# Whoever subscribed after the start gets the next edition. A digest has messages only for those
# choices of topics for which there is something to show.
_FAN_OUT = """
    WITH edition AS MATERIALIZED (
        SELECT id, frequency, topics, started_at, fanned_out_to FROM newsletter_edition
         WHERE id = $1 AND state = 'sending' AND fanned_out_at IS NULL
           FOR NO KEY UPDATE SKIP LOCKED
    ), page AS MATERIALIZED (
        SELECT s.id, s.state, s.frequency, s.topics, s.language, s.subscribed_at
          FROM newsletter_subscriber AS s
         WHERE s.id > (SELECT coalesce(fanned_out_to, '00000000-0000-0000-0000-000000000000')
                         FROM edition)
         ORDER BY s.id LIMIT $2
    ), added AS (
        INSERT INTO newsletter_delivery (edition_id, subscriber_id, variant, due_at)
        SELECT e.id, p.id, m.variant, $3
          FROM page AS p CROSS JOIN edition AS e
          JOIN newsletter_message AS m ON m.edition_id = $1 AND m.language = p.language
               AND (m.topics IS NULL OR m.topics = p.topics)
         WHERE p.state = 'subscribed' AND p.frequency = e.frequency
           AND p.subscribed_at <= e.started_at
           AND (e.topics = '{}' OR p.topics = '{}' OR p.topics && e.topics)
         ORDER BY p.id
        ON CONFLICT DO NOTHING
        RETURNING subscriber_id
    ), counted AS (
        SELECT (SELECT count(*) FROM added) AS added, (SELECT count(*) FROM page) AS seen,
               (SELECT id FROM page ORDER BY id DESC LIMIT 1) AS last
    )
    UPDATE newsletter_edition AS x
       SET fanned_out_to = coalesce(counted.last, x.fanned_out_to),
           fanned_out_at = CASE WHEN counted.seen < $2 THEN $3::timestamptz END,
           recipients = x.recipients + counted.added
      FROM edition, counted
     WHERE x.id = edition.id
    RETURNING counted.added, edition.fanned_out_to IS NULL AS is_first,
              x.fanned_out_at IS NOT NULL AS is_complete
"""
