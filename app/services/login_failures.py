"""How often log-ins to one address may fail: per client network a block, over all a delay.

Nobody can be locked out by a stranger's guesses: a block holds for the stranger's network only,
the delay is 30 s at most and does not touch a device that logged in before (ASVS 6.1.1).
"""

from datetime import datetime, timedelta

from sqlalchemy import case, func, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import AppError
from app.models import LoginFailures
from app.services import policy

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
    session: AsyncSession, address_hash: bytes, network: str, *, now: datetime
) -> None:
    """Note when the attempt failed; it is counted already."""
    await _update(session, address_hash, network, last_failed_at=now)


async def take_back(session: AsyncSession, address_hash: bytes, network: str) -> None:
    """Uncount one attempt that did not fail: it succeeded, or no password was checked.

    Earlier failures stay. Without this, trying again too early would prolong the wait.
    """
    await _update(
        session, address_hash, network, failures=func.greatest(LoginFailures.failures - 1, 0)
    )


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


async def _update(
    session: AsyncSession, address_hash: bytes, network: str, **values: object
) -> None:
    await session.execute(
        update(LoginFailures)
        .where(LoginFailures.address_hash == address_hash)
        .where(LoginFailures.network.in_([network, ANYWHERE]))
        .values(**values)
        .execution_options(synchronize_session=False)
    )
