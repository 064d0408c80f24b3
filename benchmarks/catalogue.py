"""The catalogue under load: `python benchmarks/catalogue.py [ASSETS [MORE_ASSETS]]`.

Rates are ratios to baselines of the same run; times are also ratios between two sizes, if two are
given. The API has one core; database and load share the other. All layers are on: requests come
through a trusted proxy from so many clients that none meets its rate limit.
"""

import asyncio
import json
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).parent.parent))

import asyncpg
import uvloop

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
from benchmarks.rig.load import Outcome, connect, request, run_load

SECONDS = 2.0
ROUNDS = 3
CONNECTIONS = 16
CLIENTS = 2_000
DEEP_PAGE = 4000
PAGE = "/v1/assets"
FACETS = "keyword,country,type,language"

NextRequest = Callable[[], bytes]


def main() -> None:
    sizes = [int(size) for size in sys.argv[1:3]] or [100_000]
    times = [benchmark(size) for size in sizes]
    for name in times[0] if len(times) > 1 else ():
        ratio = times[1][name] / times[0][name]
        limit = 2.5 if "search" in name or "facets" in name else 1.2
        show(f"{name}, {sizes[1]} / {sizes[0]} assets", ratio, "", limit)


def benchmark(size: int) -> dict[str, float]:
    """Everything about a catalogue of one size; gives the times that are compared."""
    print(f"--- {size} assets")
    settings = {"RATE_LIMITS": "on", "TRUSTED_PROXIES": "127.0.0.1"}
    with (
        tempfile.TemporaryDirectory() as folder,
        installation(
            smtp_url="smtp://127.0.0.1:9", with_worker=False, assets=size, **settings
        ) as site,
        on_core(LOAD_CORE),
    ):
        return uvloop.run(measure(site, Path(folder) / "page"))


async def measure(site: Installation, page_file: Path) -> dict[str, float]:
    database = await asyncpg.connect(site.environment["DATABASE_URL"])
    await database.execute("VACUUM (ANALYZE)")
    _, page = await get(site.port, PAGE)
    page_file.write_bytes(page)
    await rates(site, page_file, json.loads(page)["items"][0])
    times = await response_times(site, database)
    await visibility(site, database)
    await database.close()
    return times


# Rates against the baselines


async def rates(site: Installation, page_file: Path, document: dict[str, Any]) -> None:
    port = free_port()
    database_url = site.environment["DATABASE_URL"]
    script = str(ROOT / "benchmarks/rig/catalogue_baselines.py")
    command = (script, str(port), str(page_file), database_url)
    with started(*command, environment={"PYTHONPATH": str(ROOT)}, core=SERVER_CORE):
        wait_until_ready(port, path="/joined")
        tag = await etag_of(site.port, PAGE)
        runs: dict[str, tuple[int, NextRequest]] = {
            "FastAPI with fixed bytes": (port, lambda: request("GET", "/fixed")),
            "hot page": (site.port, asking(PAGE)),
            "hot document": (site.port, asking(f"{PAGE}/{document['slug']}")),
            "304": (site.port, asking(PAGE, {"If-None-Match": tag})),
            "joined documents": (port, lambda: request("GET", "/joined")),
            "first-time page": (
                site.port,
                asking_first(await page_paths(site.port, pages=200, limit=20)),
            ),
        }
        found = await in_turns(runs)
    for name, rate in found.items():
        print(f"{name:<45} {rate:10.0f} /s")
    fixed = found["FastAPI with fixed bytes"]
    show("hot page / fixed bytes", found["hot page"] / fixed, "", 1.5, at_least=True)
    show("hot document / fixed bytes", found["hot document"] / fixed, "", 1.5, at_least=True)
    show("304 / hot page", found["304"] / found["hot page"], "", 1, at_least=True)
    first = found["first-time page"] / found["joined documents"]
    show("first-time page / joined documents", first, "", 0.7, at_least=True)


async def in_turns(runs: dict[str, tuple[int, NextRequest]]) -> dict[str, float]:
    """The median rate of each; in turns, so that the machine's moods meet all of them."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, (port, next_request) in runs.items():
            run = await run_load(port, next_request, connections=CONNECTIONS, seconds=SECONDS)
            check(name, run)
            found[name].append(run.rate)
    return {name: sorted(each)[ROUNDS // 2] for name, each in found.items()}


def asking(path: str, headers: dict[str, str] | None = None) -> NextRequest:
    """The same again and again, from many clients."""
    prepared = [request("GET", path, headers={**(headers or {}), **client}) for client in clients()]
    turns = count()
    return lambda: prepared[next(turns) % CLIENTS]


def asking_first(paths: list[str]) -> NextRequest:
    """Pages that nobody has asked for in this way: each time with an Accept of its own."""
    addresses = [client["X-Forwarded-For"] for client in clients()]
    turns = count()

    def next_request() -> bytes:
        turn = next(turns)
        own = {
            "Accept": f"application/json, x/{turn}",
            "X-Forwarded-For": addresses[turn % CLIENTS],
        }
        return request("GET", paths[turn % len(paths)], headers=own)

    return next_request


def clients() -> Iterator[dict[str, str]]:
    for number in range(CLIENTS):
        high, low = divmod(number, 250)
        yield {"X-Forwarded-For": f"203.{high // 250}.{high % 250}.{low + 1}"}


def check(name: str, run: Outcome) -> None:
    if bad := {status: number for status, number in run.statuses.items() if status >= 400}:
        raise RuntimeError(f"{name}: {bad}")


# Times by the size of the catalogue


async def response_times(site: Installation, database: Any) -> dict[str, float]:
    """Of one request at a time, none of which the cache can answer; in milliseconds."""
    words = await some_words(database)
    deep = await deep_pages(site.port)
    slugs = await database.fetch("SELECT slug FROM asset WHERE state = 'published' LIMIT 5000")
    documents = [f"{PAGE}/{row[0]}" for row in slugs]
    chance = random.Random(1)  # noqa: S311  # no secret
    searches = [f"{PAGE}?q={quote(question(words, chance))}" for _ in range(3000)]
    faceted = [f"{path}&facets={FACETS}" for path in searches]
    runs: dict[str, tuple[list[str], float, float | None]] = {
        "list, p50": ([PAGE], 0.5, None),
        f"page {DEEP_PAGE}, p50": (deep, 0.5, None),
        "document, p50": (documents, 0.5, None),
        "search, p50": (searches, 0.5, None),
        "search, p95": (searches, 0.95, 50),
        "search with facets, p95": (faceted, 0.95, 150),
    }
    times = {}
    for name, (paths, share, limit) in runs.items():
        run = await run_load(site.port, asking_first(paths), connections=1, seconds=2 * SECONDS)
        check(name, run)
        times[name] = run.percentile(share) * 1000
        if limit is None:
            print(f"{name:<45} {times[name]:10.3f} ms")
        else:
            show(name, times[name], "ms", limit)
    return times


async def some_words(database: Any) -> list[str]:
    """Words that really occur, common and rare ones."""
    rows = await database.fetch(
        "SELECT document FROM asset WHERE id IN"
        " (SELECT asset_id FROM asset_search ORDER BY random() LIMIT 300)"
    )
    documents = [json.loads(row[0]) for row in rows]
    texts = [text for each in documents for text in (each["title"], each["summary"]) if text]
    return sorted({word for text in texts for word in re.findall(r"\w{4,}", text)})


def question(words: list[str], chance: random.Random) -> str:
    """One to three words, sometimes a phrase, an alternative or an exclusion."""
    chosen = chance.sample(words, chance.randint(1, 3))
    kind = chance.random()
    if kind < 0.1:
        return " or ".join(chosen)
    if kind < 0.2 and len(chosen) > 1:
        return f"{chosen[0]} -{chosen[1]}"
    if kind < 0.3:
        return f'"{" ".join(chosen[:2])}"'
    return " ".join(chosen)


async def deep_pages(port: int) -> list[str]:
    """The 4,000th page of 20, or the last one of a smaller catalogue."""
    paths = await page_paths(port, pages=DEEP_PAGE * 20 // 100, limit=100)
    return [paths[-1].replace("limit=100", "limit=20")]


async def page_paths(port: int, *, pages: int, limit: int) -> list[str]:
    """The addresses of the first pages, as one leads to the next."""
    paths = [f"{PAGE}?limit={limit}"]
    connection = await connect(port)
    for number in range(pages - 1):
        client = {"X-Forwarded-For": f"198.18.{number // 250}.1"}
        _, body = await connection.send(request("GET", paths[-1], headers=client))
        cursor = json.loads(body)["next_cursor"]
        if cursor is None:
            break
        paths.append(f"{PAGE}?limit={limit}&cursor={quote(cursor)}")
    connection.close()
    return paths


# How soon a change is seen


async def visibility(site: Installation, database: Any) -> None:
    """From a commit elsewhere to the first answer of this process with the change."""
    row = await database.fetchrow(
        "SELECT id, slug, document FROM asset WHERE state = 'published' LIMIT 1"
    )
    document = json.loads(row["document"])
    connection = await connect(site.port)
    ask = request("GET", f"{PAGE}/{row['slug']}", headers={"X-Forwarded-For": "198.19.0.1"})
    delays = []
    for number in range(20):
        await connection.send(ask)  # it is in the cache
        title = f"changed for the {number + 1}. time"
        await write(database, row, {**document, "title": title})
        committed = time.perf_counter()
        while title.encode() not in (await connection.send(ask))[1]:
            await asyncio.sleep(0.0005)
        delays.append((time.perf_counter() - committed) * 1000)
    connection.close()
    show("change is seen by another process, p50", sorted(delays)[10], "ms", 100)
    show("change is seen by another process, worst", max(delays), "ms", 100)


async def write(database: Any, row: Any, document: dict[str, Any]) -> None:
    async with database.transaction():
        query = "UPDATE asset SET document = $2, version = version + 1 WHERE id = $1"
        await database.execute(query, row["id"], json.dumps(document))
        await database.execute("SELECT pg_notify('catalogue', $1)", f"{row['id']} {row['slug']}")


# Small things


async def get(port: int, path: str) -> tuple[bytes, bytes]:
    """Head and body, on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request("GET", path, headers={"Connection": "close"}))
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return head, body


async def etag_of(port: int, path: str) -> str:
    head, _ = await get(port, path)
    return head.partition(b"etag: ")[2].partition(b"\r\n")[0].decode()


def show(what: str, value: float, unit: str, target: float, *, at_least: bool = False) -> None:
    met = value >= target if at_least else value <= target
    sign, mark = "≥" if at_least else "≤", "met" if met else "MISSED"
    print(f"{what:<45} {value:10.3f} {unit:<3} (target {sign} {target:g}: {mark})", flush=True)


if __name__ == "__main__":
    main()
