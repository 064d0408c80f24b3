"""A worker in a hurry, and what the mail tests ask of the outbox.

Run as a program, it is a process that can be killed: `python -m tests.hurried_worker DATABASE_URL
SMTP_URL`.
"""

import asyncio
import atexit
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.crypto import Keyring
from app.db import Database
from app.jobs import worker
from app.jobs.consumer import Patience, Periodic
from app.jobs.worker import Pace
from app.models import OutboxMail
from app.services import mail_outbox, policy
from app.services.mail_kinds import MailKind
from app.settings import Settings
from tests.helpers import patient_database

SECRET_KEY = "only for tests, and long enough for the rule"
KEYRING = Keyring(SECRET_KEY)
FOLDER = Path(tempfile.mkdtemp(prefix="mma-worker-"))  # for the exports that workers write
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
SETTINGS = Settings(
    data_dir=FOLDER,
    secret_key=SecretStr(SECRET_KEY),
    mail_from="account@media.example",
    app_url="https://app.example",
)
# What takes seconds or minutes in production.
QUICK = Pace(
    sweep=0.1,
    mail_pause=0.1,
    mail_lease=timedelta(seconds=1),
    patience=Patience(heartbeat=0.6, poll=0.5, grace=5),
)
# On a machine that stands still a lease of a second ends, and a mail under way is sent again.
SURE = replace(QUICK, mail_lease=policy.MAIL_LEASE)


@asynccontextmanager
async def emptied(database_url: str) -> AsyncIterator[Database]:
    """A database of which everything that these tests write is deleted first."""
    database = patient_database(database_url, pool_size=20)
    async with database.transaction() as session:
        tables = "mail_outbox, verification_flow, account, pgqueuer, pgqueuer_log"
        await session.execute(text(f"TRUNCATE {tables} CASCADE"))
    yield database
    await database.close()


@asynccontextmanager
async def working(
    database: Database,
    smtp_url: str,
    *,
    pace: Pace = SURE,
    keyring: Keyring = KEYRING,
    periodic: Sequence[Periodic] = (),
) -> AsyncIterator[asyncio.Event]:
    """A worker in this process for as long as the block runs; yields the event that stops it."""
    stop = asyncio.Event()
    work = worker.run(
        database,
        settings=SETTINGS,
        keyring=keyring,
        smtp_url=smtp_url,
        stop=stop,
        periodic=periodic,
        pace=pace,
    )
    running = asyncio.create_task(work)
    try:
        yield stop
    finally:
        stop.set()
        await running


async def post(
    database: Database,
    kind: MailKind = "password_changed",
    *,
    to: str = "ada@example.org",
    locale: str = "en",
    **values: Any,
) -> UUID:
    """Write a mail into the outbox, in a transaction of its own."""
    values = {"params": {}, "keyring": KEYRING, "now": datetime.now(UTC), **values}
    async with database.transaction() as session:
        await mail_outbox.enqueue(session, kind=kind, to=to, locale=locale, **values)
        return await newest_mail(session)


async def newest_mail(session: AsyncSession) -> UUID:
    mail_id = await session.scalar(select(OutboxMail.id).order_by(OutboxMail.id.desc()).limit(1))
    assert mail_id is not None
    return mail_id


async def row_of(database: Database, mail_id: UUID) -> OutboxMail:
    async with database.transaction() as session:
        return await session.get_one(OutboxMail, mail_id)


async def jobs(database: Database) -> list[dict[str, Any]]:
    async with database.transaction() as session:
        result = await session.execute(text("SELECT * FROM pgqueuer ORDER BY id"))
        return [dict(row) for row in result.mappings()]


async def eventually(check: Callable[[], Awaitable[Any]], *, within: float = 60) -> None:
    """Wait until `check` gives something true."""
    deadline = time.monotonic() + within
    while not await check():
        assert time.monotonic() < deadline, "it did not come to pass"
        await asyncio.sleep(0.05)  # to ask costs those who are waited for


async def reaches(database: Database, mail_id: UUID, state: str, *, within: float = 60) -> None:
    async def has_state() -> bool:
        return (await row_of(database, mail_id)).state == state

    await eventually(has_state, within=within)


async def _work(database_url: str, smtp_url: str) -> None:
    database = Database(database_url)
    async with working(database, smtp_url) as stop:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await stop.wait()
    await database.close()


if __name__ == "__main__":
    asyncio.run(_work(sys.argv[1], sys.argv[2]))
