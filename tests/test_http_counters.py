import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.http import shared_counters
from app.http.counters import InProcessCounters, open_counters
from app.http.shared_counters import SharedCounters

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
# A store that answers may take its time on a busy machine; one that never does is not waited for.
PATIENT, IMPATIENT = timedelta(minutes=1), timedelta(milliseconds=100)


class FakeClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_each_key_counts_for_itself() -> None:
    counters = InProcessCounters()
    assert [await counters.increment("a", 60) for _ in range(3)] == [1, 2, 3]
    assert await counters.increment("b", 60) == 1


async def test_counter_is_kept_for_its_lifetime_and_then_forgotten() -> None:
    clock = FakeClock()
    counters = InProcessCounters(clock=clock)
    await counters.increment("a", 60)
    clock.now += 59
    assert await counters.increment("a", 60) == 2
    for _ in range(2):  # two turns without a use
        clock.now += 60
        await counters.increment("other", 60)
    assert await counters.increment("a", 60) == 1


async def test_short_lifetimes_do_not_shorten_long_ones() -> None:
    clock = FakeClock()
    counters = InProcessCounters(clock=clock)
    await counters.increment("day", 86_400)
    for _ in range(100):
        clock.now += 60
        await counters.increment("minute", 60)
    assert await counters.increment("day", 86_400) == 2


async def test_memory_is_bounded_and_the_quietest_are_forgotten() -> None:
    counters = InProcessCounters(max_keys=100)
    for number in range(1000):
        await counters.increment(f"client {number}", 60)
        await counters.increment("busy", 60)
    assert len(counters._recent) + len(counters._older) <= 200
    assert await counters.increment("busy", 60) == 1001


async def test_counters_are_in_process_without_a_url() -> None:
    assert isinstance(open_counters(None), InProcessCounters)
    assert isinstance(open_counters(""), InProcessCounters)
    await open_counters(None).aclose()


# A server that speaks as much of Redis's protocol as the counters need.


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    async with server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"


@asynccontextmanager
async def shared(url: str, *, patience: timedelta = PATIENT) -> AsyncIterator[SharedCounters]:
    counters = SharedCounters(url, timeout=patience)
    try:
        yield counters
    finally:
        await counters.aclose()


def redis_like(counts: Counter[str]) -> Handler:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            words = []
            for _ in range(int(line[1:])):
                length = int((await reader.readline())[1:])
                words.append((await reader.readexactly(length + 2))[:-2].decode())
            if words[0] == "EVALSHA":
                key, lifetime, amount = words[3:]
                assert lifetime == "60"
                counts[key] += int(amount)
                writer.write(b":%d\r\n" % counts[key])
            else:
                writer.write(b"%1\r\n+proto\r\n:3\r\n" if words[0] == "HELLO" else b"+OK\r\n")
        writer.close()

    return serve


async def test_shared_counters_count_in_the_store() -> None:
    counts: Counter[str] = Counter()
    async with serving(redis_like(counts)) as url, shared(url) as one, shared(url) as other:
        assert await one.increment("a", 60) == 1
        assert await other.increment("a", 60) == 2
    assert counts == {"LIMITS:a": 2}


async def test_burst_shares_a_few_connections() -> None:
    counts: Counter[str] = Counter()
    connections = []
    serve = redis_like(counts)

    async def counting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        await serve(reader, writer)

    async with serving(counting) as url:
        counters = SharedCounters(url, timeout=PATIENT)
        results = await asyncio.gather(*(counters.increment("a", 60) for _ in range(200)))
        await counters.aclose()
    assert sorted(results, key=str) == sorted(range(1, 201), key=str)
    assert len(connections) <= 20


async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


@pytest.fixture
def long_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is not over by itself, however slow the machine."""
    assert timedelta(seconds=1) == shared_counters.STORE_PAUSE
    monkeypatch.setattr(shared_counters, "STORE_PAUSE", timedelta(hours=1))


@pytest.mark.usefixtures("long_pause")
async def test_store_that_hangs_refuses_nobody_and_is_left_alone_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving(hangs) as url, shared(url, patience=IMPATIENT) as counters:
        ask, asked = counters._store.incr, []

        async def noted(*arguments: Any) -> int:
            asked.append(arguments)
            return await ask(*arguments)

        monkeypatch.setattr(counters._store, "incr", noted)
        with capture_logs() as events:
            assert [await counters.increment("a", 60) for _ in range(50)] == [None] * 50
    assert len(asked) == 1
    [event] = events
    assert event["event"] == "rate_limit_store_unavailable"
    assert event["log_level"] == "warning"


async def test_store_that_is_down_is_reported_once_a_minute_and_asked_again() -> None:
    async with serving(hangs) as url:
        pass  # nobody listens there any more
    async with shared(url, patience=IMPATIENT) as counters:
        with capture_logs() as events:
            for _ in range(5):
                counters._paused_until = 0.0
                assert await counters.increment("a", 60) is None
            assert len(events) == 1
            counters._silent_until = 0.0
            counters._paused_until = 0.0
            await counters.increment("a", 60)
        assert len(events) == 2


@pytest.mark.usefixtures("long_pause")
async def test_recovered_store_counts_again() -> None:
    counts: Counter[str] = Counter()
    async with serving(redis_like(counts)) as url, shared(url) as counters:
        counters._report(OSError())
        assert await counters.increment("a", 60) is None
        counters._paused_until = 0.0
        assert await counters.increment("a", 60) == 1


@pytest.mark.parametrize("scheme", ["redis", "valkey"])
async def test_valkey_is_spoken_to_like_redis(scheme: str) -> None:
    counts: Counter[str] = Counter()
    async with (
        serving(redis_like(counts)) as url,
        shared(url.replace("redis", scheme)) as counters,
    ):
        assert await counters.increment("a", 60) == 1


@pytest.mark.parametrize("url", ["https://:hunter2@host", "memcached://hunter2", "hunter2"])
def test_foreign_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="Redis") as refusal:
        open_counters(url)
    assert "hunter2" not in str(refusal.value)
