"""How fast editions may leave: the limits that all workers share, by sender and by domain.

Each limit is one row with the time up to which its turns are given away (virtual scheduling, the
GCRA of ITU-T I.371): whoever moves that time forward has the turns in between. A row is locked for
one statement, so any number of workers on any number of hosts take from the same limit.

A mail server that asks for less is obeyed at once and by all workers; the limit of its domain then
grows again until it is of no use any more.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from app.services import policy

SENDER = "sender"
DOMAIN_PREFIX = "domain:"


class Write(Protocol):
    """Runs a statement as a transaction of its own (`Database.write`)."""

    async def __call__(self, query: str, *args: Any) -> Sequence[Any]: ...


async def take_from_sender(write: Write, want: int, now: datetime) -> int:
    """How many of so many mails may leave now; all of them where no limit is set."""
    if want <= 0:
        return 0
    rows = await write(_TAKE, SENDER, want, now, policy.RATE_BURST)
    return int(rows[0]["taken"]) if rows else want


async def give_back(write: Write, unused: int) -> None:
    """Return turns of the sender that were taken for mails which then had to wait for their own.

    A great many mails to one slow domain would use up everybody's turns otherwise.
    """
    if unused > 0:
        await write(_GIVE_BACK, SENDER, unused)


async def limited_domains(write: Write) -> Mapping[str, float]:
    """Mails per second of each domain that has a limit now."""
    rows = await write(_LIMITED, DOMAIN_PREFIX)
    return {row["domain"]: row["rate"] for row in rows}


async def reserve(write: Write, domain: str, count: int, now: datetime) -> list[datetime]:
    """Times for so many mails to a domain, in order; none is in the past.

    Those for which `is_given` holds are turns: nobody else has them, and they are 1/rate apart. The
    later ones are only when to ask again, spread so that by then there are about as many turns as
    mails. Turns are not given further ahead, since what was given keeps to the rate of its day.
    """
    if count <= 0:
        return []
    ahead, longest = policy.TURNS_AHEAD, policy.TURN_ASKED_AGAIN
    rows = await write(_RESERVE, f"{DOMAIN_PREFIX}{domain}", count, now, ahead, longest)
    if not rows:
        return [now] * count
    rate, given = rows[0]["rate"], rows[0]["given"]
    turns = [rows[0]["start"] + timedelta(seconds=number / rate) for number in range(given)]
    span, offset = (longest - ahead).total_seconds(), rows[0]["ask_offset"]
    waits = sorted((offset + number / rate) % span for number in range(count - given))
    return [*turns, *(now + ahead + timedelta(seconds=wait) for wait in waits)]


def is_given(turn: datetime, now: datetime) -> bool:
    """Whether one of the times that `reserve` gave at `now` is a turn of the mail's own."""
    return turn < now + policy.TURNS_AHEAD


# Answers that are about the domain, not the mailbox or the mail (RFC 3463, sections 3.4 to 3.8):
# system not accepting mail, congestion, and policy except what greylisting says.
_OVERLOADED = {"4.3.2", "4.4.5"}
_POLICY = "4.7."
_NOT_AUTHORIZED = "4.7.1"
_BAD_CONNECTION = "4.4.2"
_CLOSING, _BUSY = 421, 450
_PERMANENT = 500


def asks_for_less(code: int, status: str | None, text: str = "") -> bool:
    """Whether a server's answer means that mails come too fast for it.

    Greylisting asks a single mail to wait, and does not mean the others (RFC 6647).
    """
    is_greylisting = "greylist" in text.lower() or "graylist" in text.lower()
    if code >= _PERMANENT or is_greylisting:
        return False
    if code == _CLOSING:
        return status != _BAD_CONNECTION
    if status is None:
        return code == _BUSY
    return status in _OVERLOADED or (status.startswith(_POLICY) and status != _NOT_AUTHORIZED)


async def slow_down(write: Write, domain: str, measured: float, now: datetime) -> float:
    """Halve a domain's rate, and return it; answers that come together halve it once.

    `measured` is how many mails a second it got until now, for a domain without a limit.
    """
    scope, since = f"{DOMAIN_PREFIX}{domain}", now - policy.SLOW_DOWN_INTERVAL
    rows = await write(_SLOW_DOWN, scope, measured, now, since, policy.SLOWED_RATE_LOWEST)
    rows = rows or await write(_RATE, scope)
    return float(rows[0]["rate"]) if rows else measured


async def recover(write: Write, now: datetime) -> None:
    """Let slowed domains have a tenth more for each half-minute since it was last changed.

    Any worker may call it at any time: what is due is given once. A limit ends when it reaches the
    one that an admin has set, or is so far from where it began that it is none.
    """
    interval, factor = policy.RATE_RECOVERY_INTERVAL, policy.RATE_RECOVERY_FACTOR
    await write(_RECOVER, now, interval, factor)
    await write(_RELEASE, now - policy.RATE_RECOVERY_QUIET, policy.RATE_RECOVERY_ENOUGH)


# The first turn is at `start`: a pause of any length leaves no more turns than a burst behind.
# The millionth part makes up for what floating point loses.
_TAKE = """
    WITH locked AS MATERIALIZED (
        SELECT least(allowed, current) AS rate,
               greatest(given_until, $3::timestamptz - $4::interval) AS start
          FROM newsletter_rate
         WHERE scope = $1 AND least(allowed, current) IS NOT NULL
           FOR NO KEY UPDATE
    ), turns AS (
        SELECT rate, start,
               greatest(0, least($2::int, 1 + floor(
                   extract(epoch FROM $3::timestamptz - start)::float8 * rate + 1e-6))) AS taken
          FROM locked
    ), moved AS (
        UPDATE newsletter_rate AS r
           SET given_until = turns.start + make_interval(secs => turns.taken / turns.rate)
          FROM turns WHERE r.scope = $1 AND turns.taken > 0
    )
    SELECT taken FROM turns
"""

_GIVE_BACK = """
    UPDATE newsletter_rate
       SET given_until = given_until - make_interval(secs => $2::int / least(allowed, current))
     WHERE scope = $1 AND least(allowed, current) IS NOT NULL
"""

_LIMITED = """
    SELECT substr(scope, length($1) + 1) AS domain, least(allowed, current) AS rate
      FROM newsletter_rate
     WHERE starts_with(scope, $1) AND least(allowed, current) IS NOT NULL
"""

_RESERVE = """
    WITH locked AS MATERIALIZED (
        SELECT least(allowed, current) AS rate, greatest(given_until, $3::timestamptz) AS start,
               $3::timestamptz + $4::interval AS horizon, asked_until
          FROM newsletter_rate
         WHERE scope = $1 AND least(allowed, current) IS NOT NULL
           FOR NO KEY UPDATE
    ), turns AS (
        SELECT rate, start, horizon,
               greatest(0, least($2::int, ceil(
                   extract(epoch FROM horizon - start)::float8 * rate - 1e-6)))::int AS given,
               greatest(0, extract(epoch FROM asked_until - horizon))::float8 AS ask_offset,
               extract(epoch FROM $5::interval - $4::interval)::float8 AS span
          FROM locked
    ), moved AS (
        UPDATE newsletter_rate AS r
           SET given_until = turns.start + make_interval(secs => turns.given / turns.rate),
               asked_until = turns.horizon + make_interval(secs =>
                   turns.ask_offset + ($2::int - turns.given) / turns.rate - turns.span * floor(
                       (turns.ask_offset + ($2::int - turns.given) / turns.rate) / turns.span))
          FROM turns WHERE r.scope = $1
    )
    SELECT rate, start, given, ask_offset FROM turns
"""

_SLOW_DOWN = """
    INSERT INTO newsletter_rate AS r
           (scope, current, slowed_to, given_until, slowed_at, updated_at)
    VALUES ($1, greatest($2::float8 / 2, $5::float8), greatest($2::float8 / 2, $5::float8),
            $3, $3, $3)
    ON CONFLICT (scope) DO UPDATE
       SET current = greatest(least(r.allowed, coalesce(r.current, $2::float8)) / 2, $5::float8),
           slowed_to = coalesce(
               r.slowed_to, greatest(least(r.allowed, $2::float8) / 2, $5::float8)),
           slowed_at = $3, updated_at = $3
     WHERE r.slowed_at IS NULL OR r.slowed_at <= $4
    RETURNING least(r.allowed, r.current) AS rate
"""

_RATE = """
    SELECT least(allowed, current) AS rate FROM newsletter_rate
     WHERE scope = $1 AND least(allowed, current) IS NOT NULL
"""

# After a hundred steps the factor is beyond any limit, and a higher power might not be a number.
_RECOVER = """
    WITH due AS MATERIALIZED (
        SELECT scope, allowed, current, updated_at,
               floor(extract(epoch FROM $1::timestamptz - updated_at)
                     / extract(epoch FROM $2::interval))::float8 AS steps
          FROM newsletter_rate
         WHERE current IS NOT NULL AND updated_at <= $1::timestamptz - $2::interval
         ORDER BY scope
           FOR NO KEY UPDATE
    ), grown AS (
        SELECT scope, updated_at + steps * $2::interval AS updated_at,
               nullif(least(allowed, current * power($3::float8, least(steps, 100))), allowed)
               AS current
          FROM due
    )
    UPDATE newsletter_rate AS r
       SET current = grown.current, updated_at = grown.updated_at,
           slowed_to = CASE WHEN grown.current IS NOT NULL THEN r.slowed_to END
      FROM grown WHERE r.scope = grown.scope
"""

_RELEASE = """
    DELETE FROM newsletter_rate
     WHERE allowed IS NULL AND (slowed_at <= $1 OR current >= $2::float8 * slowed_to)
"""
