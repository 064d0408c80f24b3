"""Those who change the catalogue all at once, and one that is killed while it commits."""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from app.db import Database, open_connection
from app.services import asset_editing, changes, publication
from app.services.changes import Kind
from app.services.context import WORKER
from tests.factories import PUBLISHED_AT, any_version, create, publish


class Undone(Exception):
    """A transaction that shall come to nothing."""


@dataclass(frozen=True)
class Deed:
    """What one transaction does, how long it stays open after it, and how it ends."""

    kind: Kind
    pause: float
    is_undone: bool


@dataclass
class Writer:
    """Publishes, corrects and withdraws assets of its own, one transaction after the other.

    Those who publish real assets wait for each other at the counts of the facets; who writes
    nothing `but_changes` meets the others first where the numbers are given.
    """

    database: Database
    but_changes: bool = False
    public: list[UUID] = field(default_factory=list)
    # Of each asset, the kinds of its changes in the order in which they were committed.
    done: dict[UUID, list[str]] = field(default_factory=dict)

    async def work(self, deeds: list[Deed]) -> None:
        for deed in deeds:
            with suppress(Undone):
                await self._do(deed)

    async def _do(self, deed: Deed) -> None:
        kind: Kind = deed.kind if self.public else "created"
        async with self.database.transaction() as session:
            write = self._record if self.but_changes else self._write
            asset_id = await write(session, kind)
            await asyncio.sleep(deed.pause)
            if deed.is_undone:
                raise Undone
        self.done.setdefault(asset_id, []).append(kind)
        if kind == "created":
            self.public.append(asset_id)
        elif kind == "withdrawn":
            self.public.remove(asset_id)

    async def _write(self, session: AsyncSession, kind: Kind) -> UUID:
        if kind == "created":
            asset = await create(session, f"asset-{uuid4()}", "story", fields={})
            await publish(session, asset)
            return asset.id
        asset_id = self.public[0]
        if kind == "updated":
            await correct(session, asset_id, f"Corrected {uuid4()}")
        else:
            await publication.withdraw(
                session,
                str(asset_id),
                reason="Wrong place",
                check=any_version,
                editor=WORKER,
                now=PUBLISHED_AT,
            )
        return asset_id

    async def _record(self, session: AsyncSession, kind: Kind) -> UUID:
        asset_id = uuid4() if kind == "created" else self.public[0]
        await changes.record(session, kind, asset_id=asset_id, version=1, now=PUBLISHED_AT)
        return asset_id


async def correct(session: AsyncSession, asset_id: UUID, title: str) -> None:
    await asset_editing.change(
        session,
        str(asset_id),
        {"title": title},
        note=None,
        check=any_version,
        editor=WORKER,
        now=PUBLISHED_AT,
    )


async def _die_committing(url: str) -> None:
    """Send COMMIT, and be killed before the answer can come."""
    connection = await open_connection(url)
    await connection.execute(
        "BEGIN; INSERT INTO change (id, kind, asset_id, version, occurred_at, is_latest)"
        " VALUES (gen_random_uuid(), 'created', gen_random_uuid(), 1, now(), true)"
    )
    committing = asyncio.ensure_future(connection.execute("COMMIT"))
    await asyncio.sleep(0)  # by now the kernel has it
    assert not committing.done()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    asyncio.run(_die_committing(sys.argv[1]))
