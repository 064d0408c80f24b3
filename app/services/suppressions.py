"""Addresses that are not written to, whoever asks; kept as keyed hashes alone."""

from datetime import datetime
from typing import Literal

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.crypto import Keyring
from app.models import Suppression
from app.services.consents import email_hash

Reason = Literal["hard_bounce", "soft_bounces", "complaint", "erased", "editor"]


async def add(
    session: AsyncSession, email_key: str, reason: Reason, *, keyring: Keyring, now: datetime
) -> None:
    """Suppress an address. The first reason stays, but a complaint outweighs every other.

    Who complained gets no mail that asks whether to come back, as the others do.
    """
    hashed = email_hash(email_key, keyring=keyring)
    row = insert(Suppression).values(email_hash=hashed, reason=reason, created_at=now)
    await session.execute(
        row.on_conflict_do_update(
            constraint="pk_newsletter_suppression",
            set_={"reason": row.excluded.reason, "created_at": row.excluded.created_at},
            where=(row.excluded.reason == "complaint") & (Suppression.reason != "complaint"),
        )
    )


async def lift(session: AsyncSession, email_key: str, *, keyring: Keyring) -> None:
    """Write to the address again; only its owner may bring that about."""
    hashed = email_hash(email_key, keyring=keyring)
    await session.execute(delete(Suppression).where(Suppression.email_hash == hashed))


async def reason(session: AsyncSession, email_key: str, *, keyring: Keyring) -> str | None:
    """Why the address is suppressed; None when it is not."""
    hashed = email_hash(email_key, keyring=keyring)
    return await session.scalar(select(Suppression.reason).where(Suppression.email_hash == hashed))


async def is_suppressed(session: AsyncSession, email_key: str, *, keyring: Keyring) -> bool:
    return await reason(session, email_key, keyring=keyring) is not None
