"""The evidence about one person, for who must prove a consent."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.crypto import Keyring
from app.models import Consent
from app.services import audit_events
from app.services.consents import email_hash
from app.services.context import Editor
from app.services.emails import EmailAddress


async def list_consents(
    session: AsyncSession,
    email: EmailAddress,
    *,
    before: tuple[datetime, UUID] | None,
    limit: int,
    admin: Editor,
    keyring: Keyring,
    now: datetime,
) -> Sequence[Consent]:
    """Newest first, also of somebody who was erased; `before` is the last one's time and id.

    Who looked is noted with the address's hash alone: the trail must not keep what was erased.
    """
    hashed = email_hash(email.key, keyring=keyring)
    query = select(Consent).where(Consent.email_hash == hashed)
    if before is not None:
        query = query.where(tuple_(Consent.occurred_at, Consent.id) < before)
    newest_first = query.order_by(Consent.occurred_at.desc(), Consent.id.desc())
    found = (await session.scalars(newest_first.limit(limit))).all()
    await audit_events.record(
        session,
        "newsletter.consents_read",
        account_id=admin.account_id,
        client=admin.client,
        details={"email_hash": hashed.hex()},
        now=now,
    )
    return found
