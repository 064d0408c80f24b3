"""How many webhooks a worker delivers to a receiver that costs nothing.

`measure(site)` for an installation without a worker; alone: `python benchmarks/rig/webhooks.py`.
"""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from subprocess import Popen

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

import asyncpg
import uvloop
from uuid_utils.compat import uuid7

from app.crypto import Keyring
from app.services import webhook_secrets
from benchmarks.rig.installation import (
    LOAD_CORE,
    ROOT,
    SERVER_CORE,
    Installation,
    free_port,
    installation,
    on_core,
    started,
    wait_until_ready,
)
from benchmarks.rig.load import connect, request

TARGET = 500
SECONDS = 15.0
EVENTS = ["asset.created"]
# As long as a real one.
BODY = {
    "type": "asset.created",
    "timestamp": "2026-11-23T09:00:00.000000Z",
    "data": {
        "id": "01936f6e-0000-7000-8000-00000000000a",
        "version": 2,
        "sequence": 123_456,
        "url": "http://127.0.0.1:8000/v1/assets/01936f6e-0000-7000-8000-00000000000a",
    },
}
SIGNATURES = {"webhook-id": "m" * 36, "webhook-timestamp": "1" * 10, "webhook-signature": "s" * 140}

Connection = "asyncpg.Connection[asyncpg.Record]"


async def measure(site: Installation, *, seconds: float = SECONDS) -> None:
    """Print deliveries a second by one worker, beside what the receiver can take."""
    port = free_port()
    sink = (str(ROOT / "benchmarks/rig/webhook_sink.py"), str(port))
    with started(*sink, environment=dict(os.environ), core=LOAD_CORE):
        wait_until_ready(port, path="/")
        ceiling = await _ceiling(port, connections=100, seconds=min(5, seconds))
        print(f"the receiver itself: {ceiling:.0f} messages/s over 100 connections", flush=True)
        for endpoints in (1, 10, 50):
            rate, cpu = await _deliveries(site, port, endpoints, seconds)
            print(
                f"webhooks to {endpoints} endpoints: {rate:.0f}/s by one worker"
                f" ({rate / TARGET:.1f} of the wanted {TARGET}/s, {rate / ceiling:.2f} of the"
                f" receiver), {cpu * 1_000_000:.0f} µs of its CPU for each",
                flush=True,
            )


async def _ceiling(port: int, *, connections: int, seconds: float) -> float:
    message = request("POST", "/hooks", body=BODY, headers=SIGNATURES)
    deadline = time.perf_counter() + seconds

    async def send() -> int:
        connection, sent = await connect(port), 0
        while time.perf_counter() < deadline:
            await connection.send(message)
            sent += 1
        connection.close()
        return sent

    with on_core(SERVER_CORE):
        began = time.perf_counter()
        sent = await asyncio.gather(*(send() for _ in range(connections)))
        return sum(sent) / (time.perf_counter() - began)


async def _deliveries(
    site: Installation, port: int, endpoints: int, seconds: float
) -> tuple[float, float]:
    """Deliveries a second, and CPU seconds of the worker for each."""
    connection = await asyncpg.connect(site.environment["DATABASE_URL"])
    counter = await connect(port)

    async def count() -> int:
        return int((await counter.send(request("GET", "/")))[1])

    try:
        await _add_endpoints(connection, site, port, endpoints)
        await _add_changes(connection, int(seconds * 2_000 / endpoints) + 200)
        with started("-m", "app", "worker", environment=site.environment, core=SERVER_CORE) as run:
            before = await count()
            while await count() < before + 200:
                await asyncio.sleep(0.05)
            return await _watch(run, count, seconds)
    finally:
        await connection.execute("DELETE FROM account WHERE email LIKE 'webhooks%'", timeout=120)
        await connection.close()
        counter.close()


async def _watch(
    run: "Popen[bytes]", count: Callable[[], Awaitable[int]], seconds: float
) -> tuple[float, float]:
    delivered, cpu, began = await count(), _cpu_seconds(run), time.perf_counter()
    last = began
    done = delivered
    while time.perf_counter() - began < seconds:
        await asyncio.sleep(0.1)
        now = await count()
        if now == done and time.perf_counter() - last > 1:
            break  # all have been delivered
        if now != done:
            done, last = now, time.perf_counter()
    total = max(1, done - delivered)
    return total / (last - began), (_cpu_seconds(run) - cpu) / total


async def _add_endpoints(
    connection: "asyncpg.Connection[asyncpg.Record]", site: Installation, port: int, count: int
) -> None:
    """Ten for each account, as many as it may have, and all proven."""
    keyring, now = Keyring(site.secret_key), datetime.now(UTC)
    head = await connection.fetchval("SELECT last_sequence FROM change_feed")
    account_id = uuid7()
    for number in range(count):
        if number % 10 == 0:
            account_id, email = uuid7(), f"webhooks{number}@example.org"
            await connection.execute(
                "INSERT INTO account (id, email, email_key, password_hash, locale, role,"
                " created_at, updated_at) VALUES ($1, $2, $2, 'none', 'en', 'member', $3, $3)",
                account_id,
                email,
                now,
            )
        await connection.execute(
            "INSERT INTO webhook_endpoint (id, account_id, url, events, state, sealed_secret,"
            " sealed_signing_key, public_key, created_at, updated_at, read_until)"
            " VALUES ($1, $2, $3, $4, 'active', $5, $6, '', $7, $7, $8)",
            uuid7(),
            account_id,
            f"http://127.0.0.1:{port}/hooks/{number}",
            EVENTS,
            webhook_secrets.new_secret(keyring)[1],
            webhook_secrets.new_signing_key(keyring)[1],
            now,
            head,
        )


async def _add_changes(connection: "asyncpg.Connection[asyncpg.Record]", count: int) -> None:
    """As if so many assets had just been published."""
    now = datetime.now(UTC)
    head = await connection.fetchval("SELECT last_sequence FROM change_feed")
    records: Sequence[tuple[object, ...]] = [
        (uuid7(), head + number, "created", uuid7(), 1, now, now, True)
        for number in range(1, count + 1)
    ]
    names = ("id", "sequence", "kind", "asset_id", "version", "occurred_at", "committed_at")
    async with connection.transaction():
        await connection.copy_records_to_table(
            "change", records=records, columns=(*names, "is_latest")
        )
        await connection.execute("UPDATE change_feed SET last_sequence = $1", head + count)


def _cpu_seconds(process: "Popen[bytes]") -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    with installation(smtp_url="smtp://127.0.0.1:9", with_worker=False) as site:
        uvloop.run(measure(site, seconds=seconds))


if __name__ == "__main__":
    main()
