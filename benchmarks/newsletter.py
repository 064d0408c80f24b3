"""The newsletter under load, as ratios of one run: `python benchmarks/newsletter.py [SUBSCRIBERS]`.

Workers and the API have one core; database, mail server and everything else share the other.
"""

import asyncio
import os
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from subprocess import Popen
from uuid import UUID

sys.path.insert(0, str(Path(__file__).parent.parent))

import asyncpg
import uvloop
from typing_extensions import override
from uuid_utils.compat import uuid7

from app.crypto import Keyring
from app.db import Database
from app.models import Edition
from app.services import edition_messages, fan_out
from app.services.context import Newsroom
from app.services.edition_messages import (
    PREFERENCES_GAP,
    UNSUBSCRIBE_GAP,
    FrozenMessage,
    Letter,
    RenderedEdition,
)
from app.services.newsletter_tokens import Recipient
from benchmarks.account import show
from benchmarks.rig.installation import (
    LOAD_CORE,
    ROOT,
    SERVER_CORE,
    Installation,
    free_port,
    installation,
    on_core,
    started,
)
from benchmarks.rig.load import at_rate, connect, request
from benchmarks.rig.smtp_load import mails_taken, sink_ceiling

SUBSCRIBERS = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
# How many there are when memory is looked at; those beyond SUBSCRIBERS are left out.
SIZES = (1_000, 100_000, 1_000_000)
# A worker has shown what memory it needs when it has written the ledger and sent so many.
MAILS_FOR_MEMORY = 5_000
SECONDS = 15.0
DOMAINS = 500
CODES_PER_SECOND = 4
PASSWORD = "Correct-Horse-7-Battery"
NEWSROOM = Newsroom(
    sender="Newsroom <news@portal.example>",
    api_url="https://portal.example",
    pages_url="https://portal.example",
    bounce_domain="bounces.portal.example",
)


@dataclass(frozen=True)
class Bench:
    site: Installation
    sink_port: int
    log: Path
    connection: "asyncpg.Connection[asyncpg.Record]"
    database: Database

    async def count(self) -> int:
        return await mails_taken(self.sink_port)


@dataclass(frozen=True)
class Run:
    """What workers did in a while: mails a second, and CPU seconds of theirs for each."""

    rate: float
    cpu: float
    # Of their core: what they used, and what others did, who should have been quiet.
    busy: float
    disturbed: float

    @override
    def __str__(self) -> str:
        return (
            f"{self.rate:.0f} mails/s, {self.cpu * 1_000_000:.0f} µs of CPU for each"
            f" ({self.busy:.0%} of the core, others {self.disturbed:.0%})"
        )


def main() -> None:
    if SIZES[1] > SUBSCRIBERS:
        sys.exit(f"at least {SIZES[1]} subscribers, or an edition ends before it is measured")
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "mails"
        log.touch()
        sink_port = free_port()
        sink = (str(ROOT / "benchmarks/rig/smtp_sink.py"), str(sink_port), str(log))
        with (
            started(*sink, environment={}, core=LOAD_CORE),
            installation(
                smtp_url=f"smtp://127.0.0.1:{sink_port}",
                with_worker=False,
                NEWSLETTER_FROM=NEWSROOM.sender,
                BOUNCE_DOMAIN=NEWSROOM.bounce_domain or "",
            ) as site,
            on_core(LOAD_CORE),
        ):
            uvloop.run(measure(site, sink_port, log))


async def measure(site: Installation, sink_port: int, log: Path) -> None:
    connection = await asyncpg.connect(site.environment["DATABASE_URL"])
    database = Database(site.environment["DATABASE_URL"])
    bench = Bench(site, sink_port, log, connection, database)
    try:
        await memory(bench)
        await fan_out_rate(bench)
        ceiling = await ceiling_of_sink(bench)
        await one_and_two_workers(bench, ceiling)
        await two_throttled_workers(bench)
        await codes_beside_an_edition(bench)
        await compare_ledger(bench)
    finally:
        await database.close()
        await connection.close()


# The subscribers and an edition


async def add_subscribers(bench: Bench, up_to: int) -> None:
    before = await bench.connection.fetchval("SELECT count(*) FROM newsletter_subscriber")
    if up_to == before:
        return
    begun = time.perf_counter()
    columns = ("id", "email", "email_key", "state", "topics", "language", "frequency")
    times = ("subscribed_at", "created_at", "updated_at")
    await bench.connection.copy_records_to_table(
        "newsletter_subscriber",
        records=subscribers(before, up_to),
        columns=(*columns, *times),
        timeout=600,
    )
    await bench.connection.execute("VACUUM ANALYZE newsletter_subscriber", timeout=600)
    seconds = time.perf_counter() - begun
    print(f"{up_to - before:,} subscribers written in {seconds:.1f} s", flush=True)


async def subscribers(start: int, stop: int) -> AsyncIterator[tuple[object, ...]]:
    now = datetime.now(UTC)
    for number in range(start, stop):
        email = f"reader{number}@domain{number % DOMAINS}.example"
        yield (uuid7(), email, email, "subscribed", [], "en", "each", now, now, now)


async def make_edition(bench: Bench) -> UUID:
    """An edition as it is the moment after somebody has sent it."""
    now = datetime.now(UTC)
    edition = Edition(
        kind="edition",
        frequency="each",
        topics=[],
        name="A benchmark",
        translations={},
        language="en",
        state="sending",
        created_at=now,
        updated_at=now,
        started_at=now,
    )
    async with bench.database.transaction() as session:
        session.add(edition)
        await session.flush()
        await session.refresh(edition)
        frozen = edition_messages.freeze(rendered(), edition=edition, newsroom=NEWSROOM)
    await bench.connection.execute(
        "INSERT INTO newsletter_message (edition_id, variant, language, subject, preheader,"
        " frozen, html, text) VALUES ($1, 0, 'en', 'News', '', $2, '', '')",
        edition.id,
        frozen,
    )
    return edition.id


def rendered() -> RenderedEdition:
    """As long as an edition of ten assets."""
    story = "<p style='margin:0 0 16px;font:16px/24px sans-serif'>Rescue crews of three countries "
    html = "<html><body>" + (story + "trained together in the harbour of Brest.</p>\n") * 90
    text = "Rescue crews of three countries trained together in the harbour of Brest.\n\n" * 30
    links = f"https://portal.example/u/{UNSUBSCRIBE_GAP} https://portal.example/p/{PREFERENCES_GAP}"
    return RenderedEdition(
        html=f"{html}<p>{links}</p></body></html>",
        text=text + links,
        language="en",
        subject="What is new this week",
        preheader="Ten new videos",
        archive_html="",
        archive_text="",
    )


@asynccontextmanager
async def edition(bench: Bench) -> AsyncIterator[UUID]:
    """An edition to everybody, until it is cancelled; no measurement comes to its end."""
    edition_id = await make_edition(bench)
    yield edition_id
    query = "UPDATE newsletter_edition SET state = 'cancelled' WHERE id = $1"
    await bench.connection.execute(query, edition_id)


# Workers


@contextmanager
def worker(bench: Bench, **settings: str) -> Iterator["Popen[bytes]"]:
    environment = {**bench.site.environment, **settings}
    with started("-m", "app", "worker", environment=environment, core=SERVER_CORE) as process:
        yield process


async def wait_until_idle(*workers: "Popen[bytes]") -> None:
    """Until they have started, which would count as CPU time of their mails."""
    quiet, deadline = 0, time.monotonic() + 60
    while quiet < 3:
        if time.monotonic() > deadline:
            raise TimeoutError("a worker does not start, or does not come to rest")
        before = [cpu_seconds(process) for process in workers]
        await asyncio.sleep(0.4)
        spent = [cpu_seconds(process) for process in workers]
        rests = all(b > 0.5 and s - b < 0.08 for b, s in zip(before, spent, strict=True))
        quiet = quiet + 1 if rests else 0


async def wait_for_mails(bench: Bench, count: int, *, patience: float = 60) -> None:
    deadline = time.monotonic() + patience
    while await bench.count() < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the mail server has {await bench.count()} of {count} mails")
        await asyncio.sleep(0.1)


async def watch(bench: Bench, *workers: "Popen[bytes]", seconds: float = SECONDS) -> Run:
    """Their rate and CPU time with an edition of their own, once they have found their pace."""
    await wait_until_idle(*workers)
    async with edition(bench) as edition_id:
        await wait_for_ledger(bench, edition_id)
        await wait_for_mails(bench, await bench.count() + 500)
        return await count_for(seconds, bench, *workers)


async def count_for(seconds: float, bench: Bench, *workers: "Popen[bytes]") -> Run:
    mails, cpu, core = await bench.count(), cpu_seconds(*workers), core_seconds(SERVER_CORE)
    begun = time.perf_counter()
    await asyncio.sleep(seconds)
    mails = await bench.count() - mails
    elapsed = time.perf_counter() - begun
    cpu, core = cpu_seconds(*workers) - cpu, core_seconds(SERVER_CORE) - core
    return Run(mails / elapsed, cpu / max(1, mails), cpu / elapsed, max(0, core - cpu) / elapsed)


def cpu_seconds(*processes: "Popen[bytes]") -> float:
    ticks = 0
    for process in processes:
        after_name = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(after_name[11]) + int(after_name[12])  # in user and in kernel mode
    return ticks / os.sysconf("SC_CLK_TCK")


def core_seconds(core: int) -> float:
    """How long a core has been busy, whoever with."""
    line = Path("/proc/stat").read_text().partition(f"cpu{core} ")[2].partition("\n")[0]
    user, nice, system, _, _, *interrupts = map(int, line.split())
    return (user + nice + system + sum(interrupts[:2])) / os.sysconf("SC_CLK_TCK")


def most_megabytes(process: "Popen[bytes]") -> float:
    """The most memory that a process has had resident."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1_000_000


# What is measured


async def memory(bench: Bench) -> None:
    """Of a worker that writes the ledger of an edition and sends it, or its beginning."""
    at_first = 0.0
    for size in SIZES:
        if size > SUBSCRIBERS:
            print(f"memory at {size:,} subscribers: for those who have the time, `{size}`")
            continue
        await add_subscribers(bench, size)
        before = await bench.count()
        async with edition(bench) as edition_id:
            with worker(bench) as process:
                await wait_for_ledger(bench, edition_id)
                await wait_for_mails(bench, before + min(size, MAILS_FOR_MEMORY))
                megabytes = most_megabytes(process)
        print(f"most memory of a worker, {size:,} subscribers: {megabytes:.1f} MB")
        if at_first:
            show(f"memory at {size:,} / at {SIZES[0]:,}", megabytes / at_first, "", 1.1)
        at_first = at_first or megabytes
    await add_subscribers(bench, SUBSCRIBERS)


async def wait_for_ledger(bench: Bench, edition_id: UUID) -> None:
    query = "SELECT fanned_out_at IS NOT NULL FROM newsletter_edition WHERE id = $1"
    deadline = time.monotonic() + 60 + SUBSCRIBERS / 5_000
    while not await bench.connection.fetchval(query, edition_id):
        if time.monotonic() > deadline:
            raise TimeoutError("the ledger is not complete")
        await asyncio.sleep(0.1)


async def fan_out_rate(bench: Bench) -> None:
    """By a worker's own statements, one chunk after the other, while nothing is sent."""
    rates = []
    for _ in range(3):
        async with edition(bench) as edition_id:
            begun, is_complete = time.perf_counter(), False
            while not is_complete:
                done = await fan_out.write_chunk(
                    bench.database.write, edition_id, now=datetime.now(UTC)
                )
                assert done is not None, "nobody else writes it"  # noqa: S101
                is_complete = done.is_complete
            rates.append(SUBSCRIBERS / (time.perf_counter() - begun))
    await fan_out.note_size(bench.database.write)
    show(f"fan-out to {SUBSCRIBERS:,}", sorted(rates)[1], "/s", 100_000, at_least=True)


async def ceiling_of_sink(bench: Bench) -> float:
    """What the mail server takes from a bare client with as many connections as a worker has."""
    frozen = await bench.connection.fetchval("SELECT frozen FROM newsletter_message LIMIT 1")
    letter = Letter(Recipient(uuid7(), 1), "reader@domain.example")
    keyring = Keyring(bench.site.secret_key)
    mail = FrozenMessage(frozen).fill(letter, keyring=keyring, now=datetime.now(UTC))
    with on_core(SERVER_CORE):
        ceiling = await sink_ceiling(bench.sink_port, mail, connections=20, seconds=4)
    print(f"the mail server alone: {ceiling:.0f} mails/s of {len(mail) / 1000:.1f} kB")
    return ceiling


async def one_and_two_workers(bench: Bench, ceiling: float) -> None:
    """In turns, of which the least disturbed counts."""
    ones, twos = [], []
    for _ in range(2):
        with worker(bench) as process:
            ones.append(await watch(bench, process, seconds=SECONDS / 2))
        print(f"one worker: {ones[-1]}")
        with worker(bench) as first, worker(bench) as second:
            twos.append(await watch(bench, first, second, seconds=SECONDS / 2))
        print(f"two workers on one core: {twos[-1]}")
    rate = max(run.rate for run in ones)
    show("mails a second of one worker", rate, "/s", min(1_000, 0.8 * ceiling), at_least=True)
    one, two = (min(run.cpu for run in runs) for runs in (ones, twos))
    show("CPU of a mail, two workers / one", two / one, "", 1.1)


async def two_throttled_workers(bench: Bench) -> None:
    limit = {"NEWSLETTER_RATE": "300"}
    with worker(bench, **limit) as first, worker(bench, **limit) as second:
        run = await watch(bench, first, second)
    print(f"two workers at 300/s each: {run}")
    show("two workers at 300/s each, together", run.rate, "/s", 580, at_least=True)
    show("the same, and not more than is allowed", run.rate, "/s", 600 * 1.02)


async def codes_beside_an_edition(bench: Bench) -> None:
    """Registrations while an edition leaves as fast as it can: from the 202 to the mail's 250."""
    accepted: dict[str, float] = {}
    run, begun_at = secrets.token_hex(4), bench.log.stat().st_size

    async def register(number: int) -> None:
        email = f"{run}-{number}@example.org"
        connection = await connect(bench.site.port)
        body = {"email": email, "password": PASSWORD}
        status, _ = await connection.send(request("POST", "/v1/auth/register", body=body))
        connection.close()
        if status == 202:
            accepted[email] = time.time()

    with worker(bench) as process:
        await wait_until_idle(process)
        async with edition(bench):
            await wait_for_mails(bench, await bench.count() + 2_000)
            mails, begun = await bench.count(), time.perf_counter()
            await at_rate(CODES_PER_SECOND, SECONDS, register)
            rate = (await bench.count() - mails) / (time.perf_counter() - begun)
            await asyncio.sleep(3)
    taken = dict(reversed([(email, at) for at, email in mails_in(bench.log, begun_at)]))
    delays = sorted(max(0.0, taken[email] - at) for email, at in accepted.items() if email in taken)
    print(f"codes: {len(accepted)} beside {rate:.0f} mails/s of an edition")
    show("codes lost", len(accepted) - len(delays), "", 0)
    show("202 to the mail server's 250, p50", delays[len(delays) // 2] * 1000, "ms", 250)
    show("202 to the mail server's 250, p99", delays[int(len(delays) * 0.99)] * 1000, "ms", 1000)


async def compare_ledger(bench: Bench) -> None:
    """All that was sent, by workers each of which was told to stop in the middle of an edition."""
    await asyncio.sleep(0.5)  # the sink writes its last lines
    query = (
        "SELECT s.email FROM newsletter_delivery AS d JOIN newsletter_subscriber AS s"
        " ON s.id = d.subscriber_id WHERE d.state = 'sent'"
    )
    sent = Counter(row["email"] for row in await bench.connection.fetch(query, timeout=120))
    emails = (email for _, email in mails_in(bench.log, 0))
    taken = Counter(email for email in emails if email.startswith("reader"))
    print(f"{sent.total():,} mails sent, says the ledger")
    show("in the ledger, but never taken", (sent - taken).total(), "", 0)
    show("taken, but not in the ledger, or twice", (taken - sent).total(), "", 0)


def mails_in(log: Path, start: int) -> Iterator[tuple[float, str]]:
    """When and for whom the mails since a place in the sink's log were taken."""
    with log.open() as lines:
        lines.seek(start)
        for line in lines:
            at, _, email = line.rstrip("\n").partition(" ")
            yield float(at), email


if __name__ == "__main__":
    main()
