"""Editions that are on their way to an address when its owner changes to another one."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import case, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Delivery, Edition

_ON_THEIR_WAY = ("sending", "paused")


async def hand_over(
    session: AsyncSession, former_id: UUID, present_id: UUID, *, now: datetime
) -> None:
    """Let what has not left yet go to the new subscriber, in its own domain's turn.

    Called while the former one still exists. What a worker holds of theirs it will find gone, and
    not send; only what is on the wire by now is still sent to the old address.
    """
    # First where the ledger has yet to come to the former one: the new one joined too late for it.
    ids = {"former": former_id, "present": present_id, "now": now}
    await session.execute(_JOIN_UNFINISHED, ids)
    on_their_way = select(Edition.id).where(Edition.state.in_(_ON_THEIR_WAY))
    is_claimed = Delivery.state == "leased"
    await session.execute(
        update(Delivery)
        .where(Delivery.edition_id.in_(on_their_way), Delivery.subscriber_id == former_id)
        .where(Delivery.state.in_(["pending", "leased", "deferred"]))
        .values(
            subscriber_id=present_id,
            has_slot=False,
            state=case((is_claimed, "pending"), else_=Delivery.state),
            due_at=case((is_claimed, now), else_=Delivery.due_at),
        )
    )


# By the same rules as the fan-out. Its edition is locked, so that it comes before or after. Who has
# changed their address before is in the ledger although the fan-out has not come to them.
_JOIN_UNFINISHED = text("""
    WITH behind AS MATERIALIZED (
        SELECT id, frequency, topics, started_at FROM newsletter_edition
         WHERE state IN ('sending', 'paused') AND fanned_out_at IS NULL
           AND started_at IS NOT NULL
           AND (fanned_out_to IS NULL OR fanned_out_to < CAST(:former AS uuid))
         ORDER BY id
           FOR NO KEY UPDATE
    ), joined AS (
        INSERT INTO newsletter_delivery (edition_id, subscriber_id, variant, due_at)
        SELECT e.id, CAST(:present AS uuid), m.variant, CAST(:now AS timestamptz)
          FROM behind AS e
          JOIN newsletter_subscriber AS p ON p.id = CAST(:former AS uuid)
          JOIN newsletter_message AS m ON m.edition_id = e.id AND m.language = p.language
               AND (m.topics IS NULL OR m.topics = p.topics)
         WHERE p.state = 'subscribed' AND p.frequency = e.frequency
           AND p.subscribed_at <= e.started_at
           AND (e.topics = '{}' OR p.topics = '{}' OR p.topics && e.topics)
           AND NOT EXISTS (
               SELECT FROM newsletter_delivery AS d
                WHERE d.edition_id = e.id AND d.subscriber_id = p.id
           )
        RETURNING edition_id
    )
    UPDATE newsletter_edition AS x SET recipients = x.recipients + 1
      FROM joined WHERE x.id = joined.edition_id
""")
