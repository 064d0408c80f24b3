"""API keys: what an account lets its programs do. Made, named, rotated and revoked by people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from app import crypto
from app.errors import AppError, FieldError, InvalidInput
from app.models import Account, ApiKey, ApiKeySecret
from app.services import audit_events, key_events, mail_outbox, policy
from app.services.api_key_details import (
    KeyDetails,
    described,
    details_of,
    is_live,
    own_key,
    state_of,
)
from app.services.auth import KEY_SCOPES
from app.services.context import Client, Deployment


class TooManyApiKeys(AppError):
    status, code = 409, "too_many_api_keys"
    title = f"An account has at most {policy.MAX_API_KEYS_PER_ACCOUNT} keys; revoke one first"


class ApiKeyEnded(AppError):
    status, code, title = 409, "api_key_ended", "This key is revoked or expired; make another"


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A key with a secret that nobody can be shown again."""

    details: KeyDetails
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Wish:
    name: str
    scopes: Sequence[str]
    expires_at: datetime | None


async def create(
    session: AsyncSession,
    account: Account,
    wish: Wish,
    *,
    client: Client,
    deployment: Deployment,
    now: datetime,
) -> NewSecret:
    """Make a key of a locked account, and mail its owner that there is one more."""
    _check_expiry(wish.expires_at, now)
    live = select(func.count()).where(ApiKey.account_id == account.id, is_live(now))
    if (await session.scalar(live) or 0) >= policy.MAX_API_KEYS_PER_ACCOUNT:
        raise TooManyApiKeys
    key = ApiKey(
        id=uuid7(),
        account_id=account.id,
        name=wish.name,
        scopes=[scope for scope in KEY_SCOPES if scope in wish.scopes],
        created_at=now,
        expires_at=wish.expires_at,
    )
    session.add(key)
    await session.flush()
    made = await _add_secret(session, key, now=now)
    await _record(session, "api_key_created", key, client=client, now=now, scopes=key.scopes)
    await _tell(session, "api_key_created", account, made, deployment=deployment, now=now)
    return made


async def rotate(
    session: AsyncSession,
    account: Account,
    key_id: UUID,
    *,
    overlap: timedelta,
    client: Client,
    deployment: Deployment,
    now: datetime,
) -> NewSecret:
    """Give a key another secret. Those it has work until the overlap's end, and none longer."""
    key = await own_key(session, account.id, key_id, lock=True)
    if state_of(key, now) != "active":
        raise ApiKeyEnded
    ends_at = now + overlap
    outlasting = or_(ApiKeySecret.expires_at.is_(None), ApiKeySecret.expires_at > ends_at)
    await session.execute(
        update(ApiKeySecret)
        .where(ApiKeySecret.key_id == key.id, outlasting)
        .values(expires_at=ends_at)
    )
    made = await _add_secret(session, key, now=now)
    seconds = int(overlap.total_seconds())
    await _record(session, "api_key_rotated", key, client=client, now=now, overlap=seconds)
    await _tell(session, "api_key_rotated", account, made, deployment=deployment, now=now)
    await key_events.announce(session, account.id)
    return made


async def revoke(
    session: AsyncSession, account_id: UUID, key_id: UUID, *, client: Client, now: datetime
) -> None:
    """End a key and all access tokens that it got; it stays in the list. Repeating it is fine."""
    key = await own_key(session, account_id, key_id, lock=True)
    if key.revoked_at is None:
        key.revoked_at = now
        await _record(session, "api_key_revoked", key, client=client, now=now)
        await key_events.announce(session, account_id)


async def rename(
    session: AsyncSession,
    account_id: UUID,
    key_id: UUID,
    name: str | None,
    *,
    client: Client,
    now: datetime,
) -> KeyDetails:
    key = await own_key(session, account_id, key_id, lock=True)
    if name is not None and name != key.name:
        key.name = name
        await _record(session, "api_key_renamed", key, client=client, now=now)
    return (await details_of(session, [key], now=now))[0]


def _check_expiry(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and policy.is_expired(expires_at, now):
        error: FieldError = {
            "pointer": "/expires_at",
            "code": "not_in_future",
            "message": "Must be in the future",
        }
        raise InvalidInput(errors=[error])


async def _add_secret(session: AsyncSession, key: ApiKey, *, now: datetime) -> NewSecret:
    secret = crypto.new_api_key()
    session.add(
        ApiKeySecret(
            hash=crypto.api_key_hash(secret),
            key_id=key.id,
            hint=crypto.api_key_hint(secret),
            created_at=now,
        )
    )
    await session.flush()
    return NewSecret((await details_of(session, [key], now=now))[0], secret)


async def _record(
    session: AsyncSession, action: str, key: ApiKey, *, client: Client, now: datetime, **more: Any
) -> None:
    details: Mapping[str, Any] = {"key_id": str(key.id), "name": key.name, **more}
    await audit_events.record(
        session, action, account_id=key.account_id, client=client, now=now, details=dict(details)
    )


async def _tell(
    session: AsyncSession,
    kind: Literal["api_key_created", "api_key_rotated"],
    account: Account,
    made: NewSecret,
    *,
    deployment: Deployment,
    now: datetime,
) -> None:
    key, [newest, *_] = made.details.key, made.details.secrets
    params = {"key": described(key.name, newest.hint), "scopes": ", ".join(key.scopes)}
    await mail_outbox.notify(session, account, kind, deployment=deployment, now=now, params=params)
