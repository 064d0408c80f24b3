"""Loads a large demo catalogue: blocks of assets by COPY, from as many processes as there are."""

import asyncio
import gc
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, fields
from multiprocessing import active_children, get_context, parent_process
from multiprocessing import connection as pipes
from operator import attrgetter
from threading import Thread
from typing import TypeAlias

import asyncpg

from app.jobs.demo_assets import BLOCK, DemoAsset, DemoCatalogue, demo_collections
from app.jobs.demo_rows import asset_tables, collection_rows, keyword_rows
from app.services import asset_search
from app.services.search_texts import SearchRow, search_row

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

# Search rows wait here, without indexes, until all are there: PostgreSQL builds the index on a
# million texts ten times faster than it adds to it. While this table is there, a load is not done.
_STAGING = "demo_search"
_ROW_COLUMNS = (
    "asset_id uuid, published_at timestamptz, updated_at timestamptz, title text,"
    " duration_ms int, height int, terms text[], labels text[], head text[], rest text[]"
)
_row_values = attrgetter(*(column.name for column in fields(SearchRow)))
_BLOCK_SECONDS = 120  # it needs two of them
_ADVISORY_LOCK = 7_301_944_881_203


@dataclass(frozen=True, slots=True)
class Terms:
    """How many assets have each term, and all the ways in which terms are written."""

    counts: Counter[str] = field(default_factory=Counter)
    written: set[tuple[str, str]] = field(default_factory=set)

    def add(self, other: "Terms") -> None:
        self.counts.update(other.counts)
        self.written.update(other.written)

    def labelled(self) -> Iterator[tuple[str, str, int]]:
        """Each term with the first of its labels, whatever the order in which they came."""
        labels = dict(sorted(self.written, reverse=True))
        return ((term, labels[term], count) for term, count in self.counts.items())


async def load(url: str, catalogue: DemoCatalogue, *, on_progress: Callable[[int], None]) -> None:
    """Fill an empty catalogue; `on_progress` is told how many assets are there.

    Nothing is listed before the last step, which is one transaction; if anything fails before,
    all is removed again. Raises ChildProcessError when one of the processes died.
    """
    async with _only_one(url) as connection:
        if connection is None:
            raise ChildProcessError("another process is filling the catalogue")
        try:
            async with connection.transaction():
                await _prepare(connection, catalogue)
            terms = await _load_blocks(url, catalogue, on_progress)
            async with connection.transaction():
                await _finish(connection, terms)
        except BaseException:
            # Where the database is what failed, the next run sees to it.
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await _discard(connection)
            raise


async def discard_unfinished(url: str) -> None:
    """Remove what a run has left that was killed, or lost its database."""
    async with _only_one(url) as connection:
        if connection is not None:
            await _discard(connection)


@asynccontextmanager
async def _only_one(url: str) -> "AsyncIterator[Connection | None]":
    """A connection, unless another process has this one now."""
    connection = await _connect(url)
    try:
        alone = await connection.fetchval("SELECT pg_try_advisory_lock($1)", _ADVISORY_LOCK)
        yield connection if alone else None
    finally:
        await connection.close()


async def _connect(url: str) -> Connection:
    # The time limits of requests are not for this.
    settings = {"statement_timeout": "0", "synchronous_commit": "off"}
    return await asyncpg.connect(url, server_settings=settings)


async def _prepare(connection: Connection, catalogue: DemoCatalogue) -> None:
    await connection.execute(
        f"CREATE UNLOGGED TABLE {_STAGING} (LIKE asset_search INCLUDING STORAGE)"
    )
    for new in (keyword_rows(), collection_rows(catalogue.collections)):
        places = ", ".join(f"${number}" for number, _ in enumerate(new.columns, start=1))
        await connection.executemany(
            f"INSERT INTO {new.table} ({', '.join(new.columns)})"  # noqa: S608  # our own names
            f" VALUES ({places}) ON CONFLICT DO NOTHING",
            new.rows,
        )


async def _load_blocks(
    url: str, catalogue: DemoCatalogue, on_progress: Callable[[int], None]
) -> Terms:
    terms = Terms()
    # Not forked: the threads of the storage adapter would not be in the child.
    spawned = get_context("spawn")
    given = (url, catalogue)
    with ProcessPoolExecutor(os.cpu_count(), spawned, _become_loader, given) as pool:
        loading = [
            asyncio.wrap_future(pool.submit(_load_block, number)) for number in catalogue.blocks
        ]
        try:
            for done, block in enumerate(asyncio.as_completed(loading), start=1):
                terms.add(await block)
                on_progress(min(done * BLOCK, catalogue.size))
        except BaseException as error:
            # They may wait for ever, for a database that has gone.
            for child in active_children():
                child.kill()
            await asyncio.gather(*loading, return_exceptions=True)
            if isinstance(error, BrokenProcessPool):
                raise ChildProcessError("a process that filled the catalogue died") from None
            raise
    return terms


@dataclass(frozen=True, slots=True)
class _Loader:
    """What a process that does nothing but load blocks keeps from one to the next."""

    runner: asyncio.Runner
    connection: Connection
    catalogue: DemoCatalogue


_loaders: list[_Loader] = []  # one, in such a process


def _become_loader(url: str, catalogue: DemoCatalogue) -> None:
    # A block has no cycles, and looking for some takes a third of the time.
    gc.disable()
    # Ctrl-C is for the parent, which ends these.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    runner = asyncio.Runner()
    _loaders.append(_Loader(runner, runner.run(_connect(url)), catalogue))


def _end_with_parent() -> None:
    """The pool's processes wait for work for ever, also when nobody is left to give any."""
    parent = parent_process()
    if parent is not None:
        pipes.wait([parent.sentinel])
        os._exit(1)


def _load_block(number: int) -> Terms:
    """Runs in a process of its own."""
    (loader,) = _loaders
    return loader.runner.run(_copy_block(loader.connection, loader.catalogue.block(number)))


async def _copy_block(connection: Connection, made: Sequence[DemoAsset]) -> Terms:
    """Add assets in one transaction; their search rows to those that wait."""
    # A COPY does not notice that the database has gone (asyncpg 0.32).
    async with asyncio.timeout(_BLOCK_SECONDS), connection.transaction():
        for table in asset_tables(made):
            await connection.copy_records_to_table(
                table.table, columns=table.columns, records=table.rows
            )
        return await _copy_search_rows(connection, made)


async def _copy_search_rows(connection: Connection, made: Sequence[DemoAsset]) -> Terms:
    terms, rows = Terms(), []
    for each in made:
        captions = [(caption.language, caption.webvtt) for caption in each.captions]
        row = search_row(each.document, captions)
        terms.counts.update(row.terms)
        terms.written.update(zip(row.terms, row.labels, strict=True))
        rows.append(_row_values(row))
    await connection.execute(f"CREATE TEMP TABLE demo_row ({_ROW_COLUMNS}) ON COMMIT DROP")
    await connection.copy_records_to_table("demo_row", records=rows)
    await connection.execute(asset_search.insert_rows("demo_row", into=_STAGING))
    return terms


async def _finish(connection: Connection, terms: Terms) -> None:
    """Let all be seen at once: search rows with their indexes, and the counts of the facets."""
    await connection.execute("SET LOCAL maintenance_work_mem = '512MB'")
    indexes = await connection.fetch(_INDEXES)
    for index in indexes:
        await connection.execute(f"DROP INDEX {index['name']}")
    await connection.execute(
        f"INSERT INTO asset_search SELECT * FROM {_STAGING} ORDER BY published_at, asset_id"  # noqa: S608  # our own name
    )
    for index in indexes:
        await connection.execute(index["definition"])
    await connection.execute(_COUNTS, *zip(*terms.labelled(), strict=True))
    await connection.execute(_CHANGES)
    await connection.execute(f"DROP TABLE {_STAGING}")
    for table in ("asset", "asset_search", "rendition", "facet_count", "collection_item", "change"):
        await connection.execute(f"ANALYZE {table}")


# But for that of the primary key.
_INDEXES = """
    SELECT indexname AS name, indexdef AS definition FROM pg_indexes
     WHERE tablename = 'asset_search' AND indexname <> 'pk_asset_search'
       AND schemaname = current_schema()
"""
_COUNTS = """
    INSERT INTO facet_count (term, label, count)
    SELECT * FROM unnest($1::text[], $2::text[], $3::int[]) ORDER BY 1
    ON CONFLICT (term) DO UPDATE SET count = facet_count.count + excluded.count
"""
# The feed of changes begins with all of them, in the order in which they were published.
_CHANGES = """
    WITH loaded AS (
        SELECT asset.*, row_number() OVER (ORDER BY published_at, id) AS number
          FROM asset
         WHERE state = 'published' AND NOT EXISTS (SELECT FROM change WHERE asset_id = asset.id)
    ), feed AS (
        UPDATE change_feed SET last_sequence = last_sequence + (SELECT count(*) FROM loaded)
        RETURNING last_sequence - (SELECT count(*) FROM loaded) AS before
    )
    INSERT INTO change (id, sequence, kind, asset_id, version, occurred_at, committed_at, is_latest)
    SELECT gen_random_uuid(), feed.before + number, 'created', loaded.id, version, published_at,
           clock_timestamp(), true
      FROM loaded, feed ORDER BY number
"""


async def _discard(connection: Connection) -> None:
    """Remove what was loaded: published assets are found by search, but for these."""
    if await connection.fetchval("SELECT to_regclass($1)", _STAGING) is None:
        return
    async with connection.transaction():
        # A block may still be about to be committed.
        await connection.execute(f"LOCK TABLE {_STAGING}")
        await connection.execute(
            "DELETE FROM asset WHERE state = 'published'"
            " AND NOT EXISTS (SELECT FROM asset_search WHERE asset_id = asset.id)"
        )
        for made in (keyword_rows(), collection_rows(demo_collections())):
            ids = [row[0] for row in made.rows]
            await connection.execute(f"DELETE FROM {made.table} WHERE id = ANY($1)", ids)  # noqa: S608  # our own name
        await connection.execute(f"DROP TABLE {_STAGING}")
