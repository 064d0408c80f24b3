"""The keys that sign access tokens: made, published ahead of use, rotated, retired."""

import secrets
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import crypto
from app.crypto import Keyring, SigningKey, UnsealError
from app.models import StoredSigningKey
from app.services import policy

# Any number; held while a first key is made, so that ten starting processes make one.
ADVISORY_LOCK = 7_226_113_381


async def load(session: AsyncSession, *, keyring: Keyring, now: datetime) -> Sequence[SigningKey]:
    """Every key whose tokens may still be valid, and the next one. Makes the first key."""
    keys = await _usable(session, keyring, now)
    if any(key.signs_from <= now for key in keys):
        return keys
    await session.execute(select(func.pg_advisory_xact_lock(ADVISORY_LOCK)))
    keys = await _usable(session, keyring, now)
    if not any(key.signs_from <= now for key in keys):
        # The clocks of programs that start together differ, and one key must do for all of them.
        _add(session, keyring, signs_from=now - crypto.CLOCK_LEEWAY, now=now)
        await session.flush()
        keys = await _usable(session, keyring, now)
    return keys


async def rotate(session: AsyncSession, *, keyring: Keyring, now: datetime) -> str:
    """Publish a new key now and sign with it in 15 minutes; nobody is logged out.

    The older keys are kept until the last token that they signed has expired.
    """
    signs_from = now + policy.SIGNING_KEY_LEAD
    retires_at = signs_from + policy.ACCESS_TOKEN_LIFETIME + crypto.CLOCK_LEEWAY
    current = select(StoredSigningKey).where(StoredSigningKey.retires_at.is_(None))
    for key in await session.scalars(current.with_for_update()):
        key.retires_at = retires_at
    kid = _add(session, keyring, signs_from=signs_from, now=now)
    await session.flush()
    return kid


async def _usable(session: AsyncSession, keyring: Keyring, now: datetime) -> list[SigningKey]:
    not_retired = or_(StoredSigningKey.retires_at.is_(None), StoredSigningKey.retires_at > now)
    stored = await session.scalars(select(StoredSigningKey).where(not_retired))
    return [key for row in stored if (key := _unseal(row, keyring))]


def _unseal(row: StoredSigningKey, keyring: Keyring) -> SigningKey | None:
    """The key, or None where it was sealed under an earlier SECRET_KEY: it can't sign any more."""
    try:
        pem = keyring.unseal("signing-key", row.sealed_pem)
    except UnsealError:
        return None
    return crypto.load_signing_key(pem, kid=row.kid, signs_from=row.signs_from)


def _add(session: AsyncSession, keyring: Keyring, *, signs_from: datetime, now: datetime) -> str:
    kid = secrets.token_hex(8)
    session.add(
        StoredSigningKey(
            kid=kid,
            sealed_pem=keyring.seal("signing-key", crypto.generate_signing_key()),
            created_at=now,
            signs_from=signs_from,
        )
    )
    return kid
