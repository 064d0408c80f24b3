"""How often log-ins to one address may fail: per client network a block, over all a delay.

Nobody can be locked out by a stranger's guesses (ASVS 6.1.1). A block holds for the stranger's
network only. The delay is 30 s at most, runs for each network by itself, whatever others do, and
does not touch a device that logged in before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, case, delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import AppError
from app.models import LoginFailures
from app.services import audit_events, policy
from app.services.context import Client

ANYWHERE = "*"
IN_FLIGHT_RETRY_AFTER = timedelta(seconds=2)


class TooManyFailedLogins(AppError):
    status, code = 429, "too_many_failed_logins"
    title = "Too many log-ins failed for this address. Wait a little, or reset the password."


class DelayedLogin(TooManyFailedLogins):
    """The wait has begun, and is remembered although the request fails."""

    keep_changes = True


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that has been counted, and how long an unknown device must wait for one."""

    here: LoginFailures
    anywhere: LoginFailures

    @property
    def delay(self) -> timedelta:
        return policy.login_delay(self.anywhere.failures)


async def begin_attempt(
    session: AsyncSession, address_hash: bytes, network: str, *, now: datetime
) -> Attempt:
    """Count an attempt before its password is checked.

    Raises `TooManyFailedLogins` where ten failed within 15 minutes, or ten are under way.
    """
    counters = await _count(session, address_hash, network, now)
    attempt = Attempt(counters[network], counters[ANYWHERE])
    blocked_until = attempt.here.blocked_until
    if blocked_until is not None and blocked_until > now:
        raise TooManyFailedLogins(retry_after=blocked_until - now)
    if attempt.here.attempts > policy.LOGIN_FAILURES_PER_NETWORK:
        raise TooManyFailedLogins(retry_after=IN_FLIGHT_RETRY_AFTER)
    return attempt


def hold_back(attempt: Attempt, now: datetime) -> None:
    """Let a network try once each time it has waited, and raise `DelayedLogin` meanwhile."""
    here = attempt.here
    if here.may_try_at is not None and here.may_try_at <= now:
        here.may_try_at = None
        return
    here.may_try_at = here.may_try_at or now + attempt.delay
    for counter in (here, attempt.anywhere):
        counter.attempts -= 1
    raise DelayedLogin(retry_after=here.may_try_at - now)


async def record_failure(
    session: AsyncSession,
    address_hash: bytes,
    client: Client,
    *,
    account_id: UUID | None,
    now: datetime,
) -> None:
    """Note that an attempt failed; the tenth of a network within 15 minutes blocks it."""
    for counter in await _locked(session, address_hash, client.network):
        counter.failures += 1
        is_here = counter.network != ANYWHERE
        if is_here and counter.failures >= policy.LOGIN_FAILURES_PER_NETWORK:
            counter.blocked_until = now + policy.login_block(counter.blocks)
            counter.blocks += 1
            counter.attempts = counter.failures = 0
    await audit_events.record(
        session, "login_failed", account_id=account_id, client=client, now=now
    )


async def take_back(session: AsyncSession, address_hash: bytes, network: str) -> None:
    """Uncount an attempt that did not fail, and only this one: earlier failures stay."""
    values = {"address_hash": address_hash, "networks": [network, ANYWHERE]}
    await session.execute(_TAKE_BACK, values)


async def forgive(session: AsyncSession, address_hash: bytes, network: str) -> None:
    """Start from nothing: whoever is here has just proven the mailbox."""
    await session.execute(delete(LoginFailures).where(*_of(address_hash, network)))


# A counter that says nothing any more is not kept: it would only tell who was here. Both are locked
# first, in the order in which they are counted, so that they are judged by what others who log in
# at the same moment have left.
_TAKE_BACK = text("""
    WITH counter AS MATERIALIZED (
        SELECT address_hash, network, attempts <= 1 AND failures = 0 AND blocks = 0 AS is_idle
          FROM login_failures
         WHERE address_hash = :address_hash AND network = ANY(:networks)
         ORDER BY network COLLATE "C"
           FOR UPDATE
    ), forgotten AS (
        DELETE FROM login_failures AS f USING counter AS c
         WHERE f.address_hash = c.address_hash AND f.network = c.network AND c.is_idle
    )
    UPDATE login_failures AS f SET attempts = f.attempts - 1
      FROM counter AS c
     WHERE f.address_hash = c.address_hash AND f.network = c.network
       AND f.attempts >= 1 AND NOT c.is_idle
""")


async def _count(
    session: AsyncSession, address_hash: bytes, network: str, now: datetime
) -> dict[str, LoginFailures]:
    rows = [
        {"address_hash": address_hash, "network": each, "attempts": 1, "window_started_at": now}
        for each in sorted({network, ANYWHERE})
    ]
    statement = insert(LoginFailures).values([{**row, "failures": 0, "blocks": 0} for row in rows])
    is_over = LoginFailures.window_started_at <= now - policy.LOGIN_FAILURE_WINDOW
    statement = statement.on_conflict_do_update(
        index_elements=["address_hash", "network"],
        set_={
            "attempts": case((is_over, 1), else_=LoginFailures.attempts + 1),
            "failures": case((is_over, 0), else_=LoginFailures.failures),
            "window_started_at": case((is_over, now), else_=LoginFailures.window_started_at),
        },
    )
    counters = await session.scalars(
        statement.returning(LoginFailures), execution_options={"populate_existing": True}
    )
    return {counter.network: counter for counter in counters}


async def _locked(
    session: AsyncSession, address_hash: bytes, network: str
) -> Sequence[LoginFailures]:
    """Both counters, locked in the order in which they are counted."""
    query = select(LoginFailures).where(*_of(address_hash, network)).with_for_update()
    ordered = query.order_by(LoginFailures.network.collate("C"))
    return (await session.scalars(ordered)).all()


def _of(address_hash: bytes, network: str) -> tuple[ColumnElement[bool], ...]:
    return (
        LoginFailures.address_hash == address_hash,
        LoginFailures.network.in_([network, ANYWHERE]),
    )
