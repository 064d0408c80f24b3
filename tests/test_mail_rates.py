"""How fast editions leave: shared limits, turns of domains, servers that ask for less, admins."""

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, TypeVar

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from app.db import Database
from app.jobs.mail_rates import DomainMeter, TokenBucket
from app.models import AuditEvent, MailRate
from app.services import mail_rates
from app.services.mail_limits import InvalidScope, canonical_scope
from app.services.mail_rates import Write, asks_for_less, is_given
from tests.helpers import Api, Mailbox, bearer, make_admin, rows, sign_up
from tests.hurried_worker import eventually

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
GMAIL = "domain:gmail.example"
T = TypeVar("T")


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.fixture
def write(database: Database) -> Write:
    """Statements on the test's one connection."""
    return database.reader.fetch


async def set_rate(database: Database, scope: str, per_second: float) -> None:
    rate = MailRate(scope=scope, allowed=per_second, given_until=NOON, updated_at=NOON)
    async with database.transaction() as session:
        session.add(rate)


async def rate_of_gmail(write: Write) -> float | None:
    return (await mail_rates.limited_domains(write)).get("gmail.example")


async def all_at_once(database: Database, calls: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Let all of them begin, and meet at the row before any can have it."""
    waiting = """
        SELECT count(*) AS count FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock'
    """
    async with database.transaction() as session:
        await session.scalars(select(MailRate).with_for_update())
        tasks = [asyncio.create_task(call) for call in calls]

        async def are_waiting() -> bool:
            [found] = await database.reader.fetch(waiting)
            return bool(found["count"] == len(tasks))

        await eventually(are_waiting)
    return await asyncio.gather(*tasks)


class HandClock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


# One worker's own bucket


@given(
    rate=st.floats(50, 2000),
    pauses=st.lists(st.floats(0.0, 0.5), min_size=1, max_size=60),
    want=st.integers(1, 500),
)
def test_bucket_never_gives_more_than_its_rate_and_two_percent_over_ten_seconds(
    rate: float, pauses: list[float], want: int
) -> None:
    clock = HandClock()
    bucket = TokenBucket(rate, clock=clock)
    taken: list[tuple[float, int]] = []
    for pause in pauses:
        clock.now += pause
        taken.append((clock.now, bucket.take(want)))
    for first, (began, _) in enumerate(taken):
        in_ten_seconds = sum(count for at, count in taken[first:] if at <= began + 10)
        assert in_ten_seconds <= rate * 10 * 1.02 + 1


@pytest.mark.parametrize("rate", [0.5, 3, 300, 1000])
def test_bucket_gives_its_whole_rate_to_who_sleeps_as_long_as_it_says(rate: float) -> None:
    clock = HandClock()
    bucket = TokenBucket(rate, clock=clock)
    assert bucket.take(10) == 0
    began, taken = clock.now, 0
    while clock.now < began + 10:
        clock.now += bucket.wait_time()
        got = bucket.take(10)
        assert got > 0, "the wait was too short"
        taken += got
    assert taken == pytest.approx(rate * 10, rel=0.02, abs=1)


def test_bucket_without_a_rate_lets_everything_pass() -> None:
    bucket = TokenBucket(None)
    assert (bucket.take(1000), bucket.wait_time()) == (1000, 0)


def test_bucket_takes_back_what_was_not_used_but_saves_no_more_than_before() -> None:
    clock = HandClock()
    bucket = TokenBucket(100, clock=clock)
    clock.now += 0.1
    assert (bucket.take(50), bucket.take(50)) == (10, 0)
    bucket.give_back(7)
    assert bucket.take(50) == 7
    bucket.give_back(7)
    clock.now += 60
    assert bucket.take(50) == 20


def test_meter_follows_a_domains_rate_and_forgets_it_within_twenty_seconds() -> None:
    clock = HandClock()
    meter = DomainMeter(clock=clock)
    for number in range(300):
        clock.now += 0.1
        meter.count("gmail.example")
        if number == 19:  # after two seconds, none of which may be taken for ten
            assert meter.per_second("gmail.example") == pytest.approx(10, rel=0.1)
    assert meter.per_second("gmail.example") == pytest.approx(10, rel=0.1)
    assert meter.per_second("example.org") == 0
    clock.now += 20
    assert meter.per_second("gmail.example") == 0


# The limit of all workers


async def test_sender_without_a_limit_takes_what_it_wants(write: Write) -> None:
    assert await mail_rates.take_from_sender(write, 1000, NOON) == 1000
    assert await mail_rates.take_from_sender(write, 0, NOON) == 0


async def test_sender_gets_its_rate_and_after_a_pause_a_fifth_of_a_second_more(
    database: Database, write: Write
) -> None:
    await set_rate(database, "sender", 100)

    async def take(at: float, want: int = 1000) -> int:
        return await mail_rates.take_from_sender(write, want, after(at))

    assert [await take(0), await take(0), await take(0.005), await take(0.01)] == [1, 0, 0, 1]
    # Half of what has come together, then the other half, then nothing.
    assert [await take(0.11, 5), await take(0.11), await take(0.11)] == [5, 5, 0]
    # An hour's silence leaves 0.2 s of turns, and the one that is always there.
    assert [await take(3600), await take(3600), await take(3601)] == [21, 0, 21]
    # A worker whose clock is behind by a second has to wait for the others' turns.
    assert await take(3600) == 0


async def test_turns_that_were_not_used_go_to_whoever_asks_next(
    database: Database, write: Write
) -> None:
    await mail_rates.give_back(write, 5)  # without a limit, there is nothing to give back to
    await set_rate(database, "sender", 100)
    assert await mail_rates.take_from_sender(write, 1000, after(1)) == 21
    await mail_rates.give_back(write, 8)
    assert await mail_rates.take_from_sender(write, 1000, after(1)) == 8
    await mail_rates.give_back(write, 8)
    assert await mail_rates.take_from_sender(write, 1000, after(60)) == 21


async def test_eight_workers_at_once_share_one_rate_to_the_last_mail(
    live_database: Database,
) -> None:
    await set_rate(live_database, "sender", 1000)
    takings = [mail_rates.take_from_sender(live_database.write, 20, after(0.1)) for _ in range(8)]
    taken = await all_at_once(live_database, takings)
    assert sorted(taken) == [0, 0, 1, 20, 20, 20, 20, 20]
    [row] = await rows(live_database, MailRate)
    assert row.given_until == after(0.101)


# Turns of a domain


async def test_eight_workers_at_once_get_turns_that_are_all_different(
    live_database: Database,
) -> None:
    await set_rate(live_database, GMAIL, 10)
    reserving = [
        mail_rates.reserve(live_database.write, "gmail.example", 20, NOON) for _ in range(8)
    ]
    given = sorted(turn for turns in await all_at_once(live_database, reserving) for turn in turns)
    assert given == [NOON + number * timedelta(milliseconds=100) for number in range(160)]
    assert all(is_given(turn, NOON) for turn in given)


async def test_mails_beyond_the_next_half_minute_ask_again_as_their_turns_would_come(
    database: Database, write: Write
) -> None:
    await set_rate(database, GMAIL, 2)
    first = await mail_rates.reserve(write, "gmail.example", 100, NOON)
    assert first == [after(number / 2) for number in range(100)]
    assert [is_given(turn, NOON) for turn in first] == [True] * 60 + [False] * 40
    second = await mail_rates.reserve(write, "gmail.example", 10, NOON)
    assert second == [after(50 + number / 2) for number in range(10)]
    # Ten seconds later there are turns for twenty more.
    third = await mail_rates.reserve(write, "gmail.example", 30, after(10))
    assert third[:20] == [after(30 + number / 2) for number in range(20)]
    assert [is_given(turn, after(10)) for turn in third] == [True] * 20 + [False] * 10


async def test_a_great_many_mails_ask_again_within_fifteen_minutes_evenly_spread(
    database: Database, write: Write
) -> None:
    await set_rate(database, GMAIL, 1)
    turns = [
        turn
        for _ in range(5)
        for turn in await mail_rates.reserve(write, "gmail.example", 500, NOON)
    ]
    asking = [turn for turn in turns if not is_given(turn, NOON)]
    assert len(asking) == 2500 - 30
    assert min(asking) >= after(30)
    assert max(asking) < after(15 * 60)
    each_minute = [
        sum(after(60 * minute) <= turn < after(60 * minute + 60) for turn in asking)
        for minute in range(1, 15)
    ]
    assert max(each_minute) - min(each_minute) <= 60  # as many as come by in one round
    # Those have all asked by then, and the next are not kept waiting because of them.
    later = await mail_rates.reserve(write, "gmail.example", 40, after(16 * 60))
    assert later == [after(16 * 60 + number) for number in range(40)]


@pytest.mark.parametrize("rate", [0.05, 0.3, 7, 333.3])
async def test_turns_of_many_calls_are_one_row_of_equal_steps(
    database: Database, write: Write, rate: float
) -> None:
    await set_rate(database, GMAIL, rate)
    given: list[datetime] = []
    for second in range(0, 120, 5):
        at = after(second)
        times = await mail_rates.reserve(write, "gmail.example", 1 + int(rate * 5), at)
        assert times == sorted(times)
        assert times[0] >= at
        given += [turn for turn in times if is_given(turn, at)]
    steps = [(b - a).total_seconds() for a, b in pairwise(given)]
    assert min(steps) >= 1 / rate - 0.00001
    # Where more are asked for than there are turns, none is left out.
    assert len(given) == pytest.approx(min(rate * 150, (1 + int(rate * 5)) * 24), rel=0.02, abs=1)


async def test_domain_without_a_limit_may_have_its_mails_now(write: Write) -> None:
    assert await mail_rates.reserve(write, "gmail.example", 3, NOON) == [NOON] * 3
    assert await mail_rates.reserve(write, "gmail.example", 0, NOON) == []


# Servers that ask for less


@pytest.mark.parametrize(
    ("code", "status", "text"),
    [
        (421, None, ""),
        (421, "4.7.28", "Gmail has detected an unusual rate of unsolicited mail"),
        (421, "4.7.0", "[TSS04] Messages temporarily deferred due to user complaints"),
        (450, None, "slow down"),
        (450, "4.7.0", ""),
        (451, "4.7.500", "Server busy. Please try again later"),
        (451, "4.7.650", "The mail server has been temporarily rate limited"),
        (452, "4.3.2", "try again later"),
        (451, "4.4.5", "congestion"),
    ],
)
def test_server_asks_for_less(code: int, status: str | None, text: str) -> None:
    assert asks_for_less(code, status, text)


@pytest.mark.parametrize(
    ("code", "status", "text"),
    [
        (450, "4.2.0", "Greylisted, see http://postgrey.example"),
        (450, "4.7.1", "Client host rejected: cannot find your hostname"),
        (451, "4.7.0", "Graylisting in action"),
        (421, "4.7.0", "You are greylisted, come back"),
        (450, "4.2.1", "The user you are trying to contact is receiving mail too quickly"),
        (452, "4.2.2", "Mailbox full"),
        (421, "4.4.2", "Timeout waiting for data from client"),
        (451, None, "local error"),
        (451, "4.3.0", "local problem"),
        (550, "5.7.1", "blocked"),
        (554, "4.7.0", "a status that contradicts its code"),
    ],
)
def test_answer_is_about_one_mail_or_final(code: int, status: str | None, text: str) -> None:
    assert not asks_for_less(code, status, text)


async def test_domain_that_asks_for_less_gets_half_at_most_each_five_seconds(write: Write) -> None:
    async def slow_down(at: float) -> float:
        return await mail_rates.slow_down(write, "gmail.example", 80.0, after(at))

    assert await slow_down(0) == 40
    assert await slow_down(0.5) == 40
    assert await slow_down(4.999) == 40
    assert await slow_down(5) == 20
    assert await rate_of_gmail(write) == 20
    for step in range(2, 12):
        await slow_down(step * 5)
    assert await rate_of_gmail(write) == 0.2
    assert await mail_rates.slow_down(write, "idle.example", 0.0, NOON) == 0.2


async def test_of_eight_workers_that_are_asked_for_less_at_once_one_halves_the_rate(
    live_database: Database,
) -> None:
    write = live_database.write
    first = [mail_rates.slow_down(write, "gmail.example", 80.0, NOON) for _ in range(8)]
    assert await asyncio.gather(*first) == [40] * 8
    second = [mail_rates.slow_down(write, "gmail.example", 80.0, after(5)) for _ in range(8)]
    assert await all_at_once(live_database, second) == [20] * 8
    await all_at_once(live_database, [mail_rates.recover(write, after(35)) for _ in range(8)])
    assert await rate_of_gmail(write) == pytest.approx(22)
    # A word that comes in the instant of recovering is obeyed, whichever is first.
    at = after(65)
    both: list[Coroutine[Any, Any, Any]] = [
        mail_rates.slow_down(write, "gmail.example", 80.0, at),
        mail_rates.recover(write, at),
    ]
    await all_at_once(live_database, both)
    assert await rate_of_gmail(write) in (pytest.approx(11), pytest.approx(12.1))


async def test_slowed_domain_gets_a_tenth_more_each_half_minute(write: Write) -> None:
    await mail_rates.slow_down(write, "gmail.example", 20.0, NOON)

    async def recovered(at: float) -> float | None:
        await mail_rates.recover(write, after(at))
        return await rate_of_gmail(write)

    assert await recovered(29.9) == 10
    assert await recovered(30) == pytest.approx(11)
    assert await recovered(59.9) == pytest.approx(11)
    # No worker was there for three of its half-minutes; the next is counted from the last of them.
    assert await recovered(125) == pytest.approx(10 * 1.1**4)
    assert await recovered(149) == pytest.approx(10 * 1.1**4)
    # Another word, and the half-minute begins again.
    await mail_rates.slow_down(write, "gmail.example", 99.0, after(149))
    assert await recovered(178) == pytest.approx(5 * 1.1**4)
    assert await recovered(179) == pytest.approx(5 * 1.1**5)


async def test_slow_down_ends_at_twenty_times_its_beginning(write: Write) -> None:
    await mail_rates.slow_down(write, "gmail.example", 20.0, NOON)
    await mail_rates.recover(write, after(31 * 30))  # 1.1 ** 31 is 19.2
    assert await rate_of_gmail(write) == pytest.approx(10 * 1.1**31)
    await mail_rates.recover(write, after(32 * 30))
    assert await rate_of_gmail(write) is None


async def test_slow_down_ends_after_a_quiet_hour_however_slow_it_is(write: Write) -> None:
    """Twenty times of what it began with is far when it went down to a ten-thousandth."""
    for step in range(15):
        await mail_rates.slow_down(write, "gmail.example", 4000.0, after(5 * step))
    assert await rate_of_gmail(write) == pytest.approx(0.2)
    await mail_rates.recover(write, after(70 + 3599))
    assert await rate_of_gmail(write) == pytest.approx(0.2 * 1.1**100)
    await mail_rates.recover(write, after(70 + 3600))
    assert await rate_of_gmail(write) is None


async def test_recovery_ends_at_what_an_admin_has_set(database: Database, write: Write) -> None:
    await set_rate(database, GMAIL, 30)
    # As fast as it was measured, but never taken for faster than it may be.
    assert await mail_rates.slow_down(write, "gmail.example", 500.0, NOON) == 15
    await mail_rates.recover(write, after(24 * 3600))
    [row] = await rows(database, MailRate)
    assert (row.allowed, row.current, row.slowed_to) == (30, None, None)
    assert await rate_of_gmail(write) == 30


# What admins see and set


@pytest.fixture
async def admin(client: Api, mailbox: Mailbox, database: Database) -> Api:
    session = await sign_up(client, mailbox, "admin@example.org")
    await make_admin(database, "admin@example.org")
    client.headers.update(bearer(session))
    return client


async def put(admin: httpx.AsyncClient, scope: str, per_second: Any) -> httpx.Response:
    body = {"per_second": per_second}
    return await admin.put(f"/v1/newsletter/rates/{scope}", json=body)


async def listed(admin: httpx.AsyncClient, **query: int) -> Sequence[dict[str, Any]]:
    """All pages of the list."""
    items: list[dict[str, Any]] = []
    params: dict[str, Any] = query
    while True:
        page = (await admin.get("/v1/newsletter/rates", params=params)).json()
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        params = {**query, "cursor": page["next_cursor"]}


async def test_admin_sets_changes_and_lifts_limits(
    admin: Api, database: Database, write: Write
) -> None:
    assert await listed(admin) == []
    assert (await put(admin, "sender", 300)).json() == {
        "scope": "sender",
        "allowed": 300,
        "current": None,
        "slowed_at": None,
    }
    # However the domain is written, it is that of its addresses.
    assert (await put(admin, "domain:Bücher.Example", 5)).status_code == 200
    answer = await put(admin, "domain:xn--bcher-kva.example", 2.5)
    assert answer.json()["scope"] == "domain:xn--bcher-kva.example"
    assert await mail_rates.limited_domains(write) == {"xn--bcher-kva.example": 2.5}
    await mail_rates.slow_down(write, "gmail.example", 8.0, NOON)
    items = await listed(admin, limit=1)
    assert [(item["scope"], item["allowed"], item["current"]) for item in items] == [
        ("domain:gmail.example", None, 4),
        ("domain:xn--bcher-kva.example", 2.5, None),
        ("sender", 300, None),
    ]
    assert items[0]["slowed_at"] == "2026-11-23T12:00:00Z"
    for scope in ("domain:gmail.example", "sender"):
        assert (await admin.delete(f"/v1/newsletter/rates/{scope}")).status_code == 204
    assert (await admin.delete("/v1/newsletter/rates/sender")).status_code == 404
    assert await mail_rates.take_from_sender(write, 1000, NOON) == 1000
    events = [event for event in await rows(database, AuditEvent) if "mail_rate" in event.action]
    told = [(event.action, event.details) for event in sorted(events, key=lambda one: one.id)]
    assert told == [
        ("mail_rate.set", {"scope": "sender", "per_second": 300.0}),
        ("mail_rate.set", {"scope": "domain:xn--bcher-kva.example", "per_second": 5.0}),
        ("mail_rate.set", {"scope": "domain:xn--bcher-kva.example", "per_second": 2.5}),
        ("mail_rate.removed", {"scope": "domain:gmail.example"}),
        ("mail_rate.removed", {"scope": "sender"}),
    ]


async def test_new_limit_does_not_wait_for_the_turns_of_a_slow_one(
    admin: Api, write: Write
) -> None:
    await put(admin, "domain:gmail.example", 0.01)
    turns = await mail_rates.reserve(write, "gmail.example", 2, NOON)
    assert [is_given(turn, NOON) for turn in turns] == [True, False]  # the next is in 100 seconds
    await put(admin, "domain:gmail.example", 10)
    assert await mail_rates.reserve(write, "gmail.example", 1, NOON) == [after(30)]
    assert await mail_rates.reserve(write, "gmail.example", 2, after(1)) == [
        after(30),
        after(30.1),
    ]


@pytest.mark.parametrize("per_second", [0, -1, 0.001, 1e9, "5", True, None])
async def test_limit_must_be_a_sensible_number(admin: Api, per_second: Any) -> None:
    answer = await put(admin, "sender", per_second)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/per_second"


@pytest.mark.parametrize(
    "scope",
    ["senders", "", "domain", "domain:", "domain:x", "domain:a b.org", "domain:a@b.org", "SENDER"],
)
def test_scope_must_be_the_sender_or_a_domain(scope: str) -> None:
    with pytest.raises(InvalidScope):
        canonical_scope(scope)


async def test_unknown_scope_is_refused(admin: Api) -> None:
    for answer in (
        await put(admin, "everything", 5),
        await admin.delete("/v1/newsletter/rates/domain:1.2.3.4"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_scope")
