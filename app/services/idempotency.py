"""Idempotency-Key: a POST that is sent again is answered again, and done once."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import crypto
from app.crypto import Keyring, UnsealError
from app.errors import AppError
from app.models import IdempotencyKey
from app.services import policy


class IdempotencyKeyReused(AppError):
    status, code = 422, "idempotency_key_reused"
    title = "This Idempotency-Key was sent before, with another body"


class IdempotencySecretShown(AppError):
    status, code = 409, "idempotency_secret_shown"
    title = "This was done, and its answer held a secret that is not shown again"


class IdempotencyKeyRunning(AppError):
    status, code = 409, "idempotency_key_running"
    title = "The first request with this Idempotency-Key is still running"


@dataclass(frozen=True, slots=True)
class Claim:
    """Who sent which key to which route."""

    caller: str
    route: str
    key: str
    request_hash: bytes
    # Tells this claim from one that took the key over after the lease.
    claimed_at: datetime


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    status: int
    body: Any


async def claim(
    session: AsyncSession, wanted: Claim, *, keyring: Keyring, now: datetime
) -> StoredAnswer | None:
    """Take the key for this request, or give the answer that it got before.

    A claim without an answer that is older than a minute belonged to a process that died.
    """
    fresh = {"request_hash": wanted.request_hash, "created_at": now, "status": None}
    identity = {"caller": wanted.caller, "route": wanted.route, "key": wanted.key}
    is_dead = or_(
        IdempotencyKey.created_at <= now - policy.KEEP_IDEMPOTENCY_KEY,
        (IdempotencyKey.status.is_(None))
        & (IdempotencyKey.created_at <= now - policy.IDEMPOTENCY_LEASE),
    )
    statement = (
        insert(IdempotencyKey)
        .values(**identity, **fresh)
        .on_conflict_do_update(constraint="pk_idempotency_key", set_=fresh, where=is_dead)
        .returning(IdempotencyKey.key)
    )
    if await session.scalar(statement) is not None:
        return None
    stored = (await session.scalars(select(IdempotencyKey).filter_by(**identity))).one_or_none()
    if stored is None or (stored.status is None and stored.request_hash == wanted.request_hash):
        raise IdempotencyKeyRunning(retry_after=policy.IDEMPOTENCY_LEASE)
    if not crypto.equal(stored.request_hash, wanted.request_hash):
        raise IdempotencyKeyReused
    if stored.sealed_answer is None:
        raise IdempotencySecretShown
    try:
        body = json.loads(keyring.unseal("idempotency", stored.sealed_answer))
    except UnsealError:  # kept under an earlier SECRET_KEY
        raise IdempotencyKeyReused from None
    return StoredAnswer(stored.status or 200, body)


async def complete(
    session: AsyncSession, claimed: Claim, answer: StoredAnswer, *, keyring: Keyring
) -> None:
    """Keep the answer, sealed, in the transaction that did the work."""
    sealed = keyring.seal("idempotency", json.dumps(answer.body).encode())
    await _conclude(session, claimed, answer.status, sealed)


async def complete_with_secret(session: AsyncSession, claimed: Claim, status: int) -> None:
    """Keep that it was done, but nothing of an answer with a secret in it."""
    await _conclude(session, claimed, status, None)


async def _conclude(
    session: AsyncSession, claimed: Claim, status: int, sealed: bytes | None
) -> None:
    kept = await session.scalar(
        update(IdempotencyKey)
        .filter_by(**_identity(claimed))
        .values(status=status, sealed_answer=sealed)
        .returning(IdempotencyKey.key)
    )
    if kept is None:  # another request has the key by now: what this one did is rolled back
        raise IdempotencyKeyRunning(retry_after=policy.IDEMPOTENCY_LEASE)


def claimed_by(account_id: UUID) -> ColumnElement[bool]:
    """The rows of an account and of its API keys, each of which is a caller of its own."""
    caller = IdempotencyKey.caller
    return or_(caller == str(account_id), caller.startswith(f"{account_id}/"))


def caller_name(account_id: UUID, key_id: UUID | None) -> str:
    return f"{account_id}/{key_id}" if key_id else str(account_id)


async def release(session: AsyncSession, claimed: Claim) -> None:
    """Give the key back after a request that failed: sent again, it is tried again."""
    await session.execute(
        delete(IdempotencyKey)
        .filter_by(**_identity(claimed))
        .where(IdempotencyKey.status.is_(None))
    )


def _identity(claimed: Claim) -> dict[str, Any]:
    return {
        "caller": claimed.caller,
        "route": claimed.route,
        "key": claimed.key,
        "created_at": claimed.claimed_at,
    }
