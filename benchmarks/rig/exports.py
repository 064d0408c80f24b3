"""What an export costs, beside the bare `COPY` of the same documents to nowhere, in one run.

`measure` is for benchmarks of an installation. By itself it makes one:
`python benchmarks/rig/exports.py [ASSETS]`. The process that writes is a worker that has nothing
else to do: its memory and the pauses of its event loop are looked at from inside.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent.parent))

import uvloop
from structlog.testing import capture_logs

from app.adapters.storage import open_storage
from app.db import Database
from app.jobs import worker
from app.jobs.exports import AS_LINES, DOCUMENTS, Exporter
from app.jobs.stored_objects import Keeper
from benchmarks.rig.installation import ROOT, Installation, installation

DEFAULT_ASSETS = 100_000
ROUNDS = 3
TICK = 0.005
MEGABYTE = 1_000_000


async def measure(site: Installation, *, rounds: int = ROUNDS) -> None:
    """Print the figures for the catalogue of this installation."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        __file__,
        "--write",
        site.environment["DATABASE_URL"],
        site.environment["DATA_DIR"],
        str(rounds),
        cwd=ROOT,
        env={**site.environment, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    output, _ = await child.communicate()
    if child.returncode != 0:
        raise RuntimeError("the process that writes exports has failed")
    for line in output.splitlines():
        if line.startswith(b'{"round"'):
            _show(json.loads(line))


def _show(figures: dict[str, Any]) -> None:
    bare, read, whole = (figures[f"{name}seconds"] for name in ("bare_", "read_", ""))
    size = figures["bytes"]["ndjson"]
    print(
        f"export of {figures['assets']} assets ({size / MEGABYTE:.0f} MB):"
        f" bare COPY {bare:.2f} s ({size / bare / MEGABYTE:.0f} MB/s),"
        f" plain file {read:.2f} s ({bare / read:.2f} of COPY),"
        f" all three in store {whole:.2f} s ({bare / whole:.2f}; target ≥ 0.5),"
        f" {figures['cpu_seconds']:.2f} s of CPU"
    )
    print(
        f"  memory {figures['before_mb']:.1f} MB before, {figures['peak_mb']:.1f} MB at most"
        f" ({figures['peak_mb'] - figures['before_mb']:+.1f}; target ≤ +40);"
        f" event loop late by {figures['late_p99'] * 1000:.1f} ms (p99),"
        f" {figures['late_most'] * 1000:.1f} ms at most;"
        f" gzip {figures['bytes']['ndjson.gz'] / size:.1%},"
        f" zstd {figures['bytes']['ndjson.zst'] / size:.1%} of the size"
    )


async def _write(url: str, folder: Path, rounds: int) -> None:
    """What the child does."""
    assert worker.run is not None  # noqa: S101  # a worker has loaded all that
    database = Database(url)
    storage = open_storage(None, default_folder=folder / "objects")
    exporter = Exporter(Keeper(database, storage), database, folder / "tmp")
    await exporter.sweep()  # what is made once, such as connections and caches, is there now
    for number in range(rounds):
        print(json.dumps({"round": number, **await _round(exporter, database)}), flush=True)
    await database.close()


async def _round(exporter: Exporter, database: Database) -> dict[str, Any]:
    bare = await _bare_copy(database)
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    async with _lateness() as late:
        with capture_logs() as logs:
            cpu = time.process_time()
            await exporter.write()
            cpu = time.process_time() - cpu
    late.sort()
    [written] = [each for each in logs if each["event"] == "export_written"]
    return {
        **written,
        "bare_seconds": bare,
        "cpu_seconds": cpu,
        "before_mb": before,
        "peak_mb": _memory("VmHWM"),
        "late_p99": late[int(len(late) * 0.99)],
        "late_most": late[-1],
    }


async def _bare_copy(database: Database) -> float:
    """Seconds for the same rows, in the same order, of which nothing is kept."""

    async def forget(_: bytes) -> None:
        pass

    connection = await database.connect()
    await connection.execute("SET statement_timeout = 0; SET enable_sort = off")
    began = time.perf_counter()
    await connection.copy_from_query(DOCUMENTS, output=forget, timeout=3600, **AS_LINES)
    seconds = time.perf_counter() - began
    await connection.close()
    return seconds


@asynccontextmanager
async def _lateness() -> AsyncIterator[list[float]]:
    """By how many seconds the event loop is late for what is due every few milliseconds."""
    late: list[float] = []

    async def tick() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(TICK)
            late.append(time.perf_counter() - began - TICK)

    ticking = asyncio.create_task(tick())
    try:
        yield late
    finally:
        ticking.cancel()


def _memory(name: str) -> float:
    """Megabytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024 / MEGABYTE
    raise LookupError(name)


def main() -> None:
    if sys.argv[1:2] == ["--write"]:
        url, folder, rounds = sys.argv[2:]
        uvloop.run(_write(url, Path(folder), int(rounds)))
        return
    assets = int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_ASSETS
    with installation(smtp_url="smtp://127.0.0.1:9", with_worker=False, assets=assets) as site:
        uvloop.run(measure(site))


if __name__ == "__main__":
    main()
