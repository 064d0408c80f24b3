"""API keys as their owners see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import NotFound
from app.models import ApiKey, ApiKeySecret, ApiKeyUsage
from app.services import policy

State = Literal["active", "expired", "revoked"]


@dataclass(frozen=True, slots=True)
class KeyDetails:
    """A key as its owner sees it: with the secrets that work, and what it was used for today."""

    key: ApiKey
    state: State
    secrets: Sequence[ApiKeySecret]
    usage: ApiKeyUsage | None = None


async def get(
    session: AsyncSession, account_id: UUID, key_id: UUID, *, now: datetime
) -> KeyDetails:
    """One key of the account, in whatever state. Raises `NotFound` for those of others too."""
    key = await own_key(session, account_id, key_id)
    return (await details_of(session, [key], now=now))[0]


async def list_keys(
    session: AsyncSession, account_id: UUID, *, before: UUID | None, limit: int, now: datetime
) -> Sequence[KeyDetails]:
    """All keys of the account, ended ones too, the newest first."""
    query = select(ApiKey).where(ApiKey.account_id == account_id)
    if before is not None:
        query = query.where(ApiKey.id < before)
    keys = (await session.scalars(query.order_by(ApiKey.id.desc()).limit(limit))).all()
    return await details_of(session, keys, now=now)


async def describe_live(session: AsyncSession, account_id: UUID, *, now: datetime) -> str:
    """The account's live keys in one line, for its owner; empty where there are none."""
    query = (
        select(ApiKey.name, ApiKeySecret.hint)
        .join(ApiKeySecret, ApiKeySecret.key_id == ApiKey.id)
        .where(ApiKey.account_id == account_id, is_live(now))
        .where(ApiKeySecret.expires_at.is_(None))
        .order_by(ApiKey.id)
    )
    return ", ".join(described(*row) for row in await session.execute(query))


def described(name: str, hint: str) -> str:
    return f"{name} (…{hint})"


async def own_key(
    session: AsyncSession, account_id: UUID, key_id: UUID, *, lock: bool = False
) -> ApiKey:
    query = select(ApiKey).where(ApiKey.id == key_id, ApiKey.account_id == account_id)
    key = await session.scalar(query.with_for_update(key_share=True) if lock else query)
    if key is None:
        raise NotFound
    return key


def state_of(key: ApiKey, now: datetime) -> State:
    if key.revoked_at is not None:
        return "revoked"
    is_expired = key.expires_at is not None and policy.is_expired(key.expires_at, now)
    return "expired" if is_expired else "active"


def is_live(now: datetime) -> ColumnElement[bool]:
    not_expired = or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now)
    return and_(ApiKey.revoked_at.is_(None), not_expired)


async def details_of(
    session: AsyncSession, keys: Sequence[ApiKey], *, now: datetime
) -> Sequence[KeyDetails]:
    ids = [key.id for key in keys]
    working = or_(ApiKeySecret.expires_at.is_(None), ApiKeySecret.expires_at > now)
    query = select(ApiKeySecret).where(ApiKeySecret.key_id.in_(ids), working)
    # The current one, which has no end, comes first.
    secrets = list(await session.scalars(query.order_by(ApiKeySecret.expires_at.desc())))
    today = ApiKeyUsage.day == now.astimezone(UTC).date()
    used = await session.scalars(select(ApiKeyUsage).where(ApiKeyUsage.key_id.in_(ids), today))
    usage = {each.key_id: each for each in used}
    return [
        KeyDetails(
            key,
            state_of(key, now),
            [each for each in secrets if each.key_id == key.id],
            usage.get(key.id),
        )
        for key in keys
    ]
