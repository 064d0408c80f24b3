"""How often log-ins to one address may fail: per client network a block, over all a delay.

Nobody can be locked out by a stranger's guesses: a block holds for the stranger's network only,
the delay is 30 s at most and does not touch a device that logged in before (ASVS 6.1.1).
"""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import case, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import AppError
from app.models import LoginFailures
from app.services import audit_events, policy
from app.services.context import Client

ANYWHERE = "*"


class TooManyFailedLogins(AppError):
    status, code = 429, "too_many_failed_logins"
    title = "Too many log-ins failed for this address. Wait a little, or reset the password."
    keep_changes = True


async def begin_attempt(
    session: AsyncSession, address_hash: bytes, network: str, *, now: datetime
) -> LoginFailures:
    """Count an attempt before its password is checked; returns the counter for all networks.

    Raises `TooManyFailedLogins` for the eleventh from one network within 15 minutes.
    """
    counters = await _count(session, address_hash, network, now)
    here = counters[network]
    if here.blocked_until is None or here.blocked_until <= now:
        if here.failures <= policy.LOGIN_FAILURES_PER_NETWORK:
            return counters[ANYWHERE]
        here.blocked_until = now + policy.login_block(here.blocks)
        here.blocks += 1
    wait = here.blocked_until - now
    await take_back(session, address_hash, network)
    raise TooManyFailedLogins(retry_after=wait)


def remaining_delay(anywhere: LoginFailures, now: datetime) -> timedelta:
    """How long an unknown device must still wait before its next try at this address."""
    earlier_failures = anywhere.failures - 1  # without the attempt that asks
    if anywhere.last_failed_at is None:
        return timedelta(0)
    return anywhere.last_failed_at + policy.login_delay(earlier_failures) - now


async def record_failure(
    session: AsyncSession,
    address_hash: bytes,
    client: Client,
    *,
    account_id: UUID | None,
    now: datetime,
) -> None:
    """Note when the attempt failed, also in the audit trail; it is counted already."""
    await session.execute(
        update(LoginFailures)
        .where(LoginFailures.address_hash == address_hash)
        .where(LoginFailures.network.in_([client.network, ANYWHERE]))
        .values(last_failed_at=now)
        .execution_options(synchronize_session=False)
    )
    await audit_events.record(
        session, "login_failed", account_id=account_id, client=client, now=now
    )


async def take_back(session: AsyncSession, address_hash: bytes, network: str) -> None:
    """Uncount an attempt that succeeded, and only this one: earlier failures stay."""
    values = {"address_hash": address_hash, "networks": [network, ANYWHERE]}
    await session.execute(_TAKE_BACK, values)


# A counter that says nothing any more is not kept: it would only tell who was here.
_TAKE_BACK = text("""
    WITH forgotten AS (
        DELETE FROM login_failures
         WHERE address_hash = :address_hash AND network = ANY(:networks)
           AND failures <= 1 AND blocks = 0
    )
    UPDATE login_failures SET failures = failures - 1
     WHERE address_hash = :address_hash AND network = ANY(:networks)
       AND failures >= 1 AND NOT (failures <= 1 AND blocks = 0)
""")


async def _count(
    session: AsyncSession, address_hash: bytes, network: str, now: datetime
) -> dict[str, LoginFailures]:
    rows = [
        {"address_hash": address_hash, "network": each, "failures": 1, "window_started_at": now}
        for each in sorted({network, ANYWHERE})
    ]
    statement = insert(LoginFailures).values([{**row, "blocks": 0} for row in rows])
    is_over = LoginFailures.window_started_at <= now - policy.LOGIN_FAILURE_WINDOW
    statement = statement.on_conflict_do_update(
        index_elements=["address_hash", "network"],
        set_={
            "failures": case((is_over, 1), else_=LoginFailures.failures + 1),
            "window_started_at": case((is_over, now), else_=LoginFailures.window_started_at),
        },
    )
    counters = await session.scalars(
        statement.returning(LoginFailures), execution_options={"populate_existing": True}
    )
    return {counter.network: counter for counter in counters}
