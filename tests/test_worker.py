"""The worker as a whole: it outlives its database, stops in order and keeps its schedule."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from pgqueuer import Queries
from pgqueuer.models import Schedule
from sqlalchemy import update
from typing_extensions import override

from app.adapters.smtp import SmtpLimits
from app.db import Database
from app.jobs import consumer, worker
from app.jobs.consumer import Periodic
from app.jobs.worker import Pace
from app.models import OutboxMail
from app.settings import SettingsError
from tests.conftest import copied_database
from tests.helpers import patient_database, rows
from tests.hurried_worker import (
    KEYRING,
    SETTINGS,
    SURE,
    emptied,
    eventually,
    jobs,
    post,
    reaches,
    row_of,
    working,
)
from tests.scripted_smtp import STALL, ScriptedSmtp


@pytest.fixture(scope="module")
async def database_url(server_url: str, template: str) -> AsyncIterator[str]:
    async with copied_database(server_url, template) as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with emptied(database_url) as database:
        yield database


@pytest.fixture
async def smtp() -> AsyncIterator[ScriptedSmtp]:
    async with ScriptedSmtp() as server:
        yield server


async def cut_all_connections(database_url: str) -> int:
    """What a restart of PostgreSQL does to its clients."""
    admin = await asyncpg.connect(database_url)
    cut = await admin.fetch(
        "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await admin.close()
    return len(cut)


async def test_lost_database_connections_need_no_restart(
    database: Database, database_url: str, smtp: ScriptedSmtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "RECONNECT_FIRST", 0.05)
    async with working(database, smtp.url):
        await reaches(database, await post(database), "sent")
        for _ in range(2):
            assert await cut_all_connections(database_url) > 0
            await reaches(database, await post(database), "sent")
    assert len(smtp.taken) == 3


async def test_mail_under_way_while_the_database_goes_is_sent_once(
    database: Database, database_url: str, smtp: ScriptedSmtp
) -> None:
    smtp.delays["DOT"] = 0.4
    async with working(database, smtp.url):
        mail_id = await post(database)
        await eventually(lambda: _in_step(smtp, "DATA"))
        await cut_all_connections(database_url)
        await reaches(database, mail_id, "sent")
        await asyncio.sleep(0.2)
    assert len(smtp.taken) == 1


async def _in_step(smtp: ScriptedSmtp, step: str) -> bool:
    return any(command.startswith(step) for command in smtp.commands)


async def test_worker_that_starts_before_its_database_waits_for_it(
    database: Database, smtp: ScriptedSmtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "RECONNECT_FIRST", 0.05)
    connect, refusals = database.connect, [ConnectionRefusedError(), OSError("no route")]

    async def flaky(**arguments: object) -> object:
        if refusals:
            raise refusals.pop()
        return await connect(**arguments)

    monkeypatch.setattr(database, "connect", flaky)
    async with working(database, smtp.url):
        await reaches(database, await post(database), "sent")


async def test_told_to_stop_it_finishes_what_it_is_sending(
    database: Database, smtp: ScriptedSmtp
) -> None:
    smtp.delays["DOT"] = 0.3
    pace = replace(SURE, patience=replace(SURE.patience, grace=60))
    async with working(database, smtp.url, pace=pace) as stop:
        mail_id = await post(database)
        await eventually(lambda: _in_step(smtp, "DATA"))
        stop.set()
    assert (await row_of(database, mail_id)).state == "sent"
    assert await jobs(database) == []
    await eventually(lambda: _has_left(smtp))


async def _has_left(smtp: ScriptedSmtp) -> bool:
    return smtp.commands[-1] == "QUIT"


async def test_told_to_stop_it_does_not_wait_for_ever(
    database: Database, smtp: ScriptedSmtp
) -> None:
    assert Pace().patience.grace == 30
    smtp.script("RCPT", STALL)
    pace = replace(SURE, patience=replace(SURE.patience, grace=0.2))
    async with working(database, smtp.url, pace=pace):
        mail_id = await post(database)
        await smtp.struck.wait()
        told = time.monotonic()
    assert time.monotonic() - told < SmtpLimits().command / 2
    assert (await row_of(database, mail_id)).state == "sending"
    # Once its lease has run out, another worker sends it.
    async with database.transaction() as session:
        await session.execute(update(OutboxMail).values(due_at=datetime.now(UTC)))
    async with working(database, smtp.url):
        await reaches(database, mail_id, "sent")


async def test_told_to_stop_while_the_mail_server_is_away_it_stops_at_once(
    database: Database, smtp: ScriptedSmtp
) -> None:
    await smtp.stop()
    mail_ids = [await post(database) for _ in range(30)]
    # No grace ends the waiting, and the pause between two tries is of 15 seconds at least.
    pace = replace(SURE, mail_pause=60, patience=replace(SURE.patience, grace=600))
    async with working(database, smtp.url, pace=pace):
        await eventually(lambda: _has_tried(database))
        told = time.monotonic()
    assert time.monotonic() - told < 14
    states = {(await row_of(database, mail_id)).state for mail_id in mail_ids}
    assert states == {"pending"}


async def _has_tried(database: Database) -> bool:
    return any(mail.attempts and mail.reason for mail in await rows(database, OutboxMail))


async def test_each_time_of_a_schedule_is_run_by_one_of_the_workers(
    database: Database, database_url: str, smtp: ScriptedSmtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[str] = []
    is_time = asyncio.Event()
    looked: set[int] = set()

    async def note() -> None:
        runs.append("note")

    async def fail() -> None:
        runs.append("fail")
        raise RuntimeError("must not stop the others")

    class WatchedQueries(Queries):
        """Notes who has looked for work since the time has come."""

        @override
        async def fetch_schedule(self, *args: Any) -> list[Schedule]:
            had_come = is_time.is_set()
            found = await super().fetch_schedule(*args)
            if had_come:
                looked.add(id(self))
            return found

    async def both_have_looked() -> bool:
        return len(looked) == 2 and runs.count("note") >= times and "fail" in runs

    monkeypatch.setattr(consumer, "Queries", WatchedQueries)
    # The sixth field of the crontab is seconds: for it, both workers look every other second. The
    # time of the other one is a leap day, so it comes when this test says so, and at no other time.
    schedule = [
        Periodic("fail", "* * * * * */2", fail),
        Periodic("note", "0 0 29 2 *", note),
    ]
    other = patient_database(database_url)
    async with (
        working(database, smtp.url, periodic=schedule),
        working(other, smtp.url, periodic=schedule),
    ):
        for times in (1, 2):
            await eventually(lambda: _comes_now(database_url, "note"))
            is_time.set()
            await eventually(both_have_looked)
            assert runs.count("note") == times
            is_time.clear()
            looked.clear()
    await other.close()


async def _comes_now(database_url: str, task: str) -> bool:
    """Let the time of a task be now; whether a worker has written it down yet."""
    admin = await asyncpg.connect(database_url)
    done = await admin.execute(
        "UPDATE pgqueuer_schedules SET next_run = now() WHERE entrypoint = $1", task
    )
    await admin.close()
    return bool(done == "UPDATE 1")


async def test_retention_is_kept_hourly(
    database: Database, smtp: ScriptedSmtp, database_url: str
) -> None:
    async with working(database, smtp.url):
        await eventually(lambda: _is_scheduled(database_url))


async def _is_scheduled(database_url: str) -> bool:
    admin = await asyncpg.connect(database_url)
    found = await admin.fetchval(
        "SELECT expression FROM pgqueuer_schedules WHERE entrypoint = 'purge'"
    )
    await admin.close()
    return bool(found == "17 * * * *")


async def test_unusable_smtp_url_is_a_setting_to_mend(database: Database) -> None:
    with pytest.raises(SettingsError, match="SMTP_URL: write it as"):
        await worker.run(
            database,
            settings=SETTINGS,
            keyring=KEYRING,
            smtp_url="mail.example",
            stop=asyncio.Event(),
        )


def test_worker_notices_things_within_seconds() -> None:
    pace = Pace()
    assert (pace.sweep, pace.mail_pause, pace.mail_lease.total_seconds()) == (2, 2, 120)
    assert (pace.patience.heartbeat, pace.patience.poll) == (5, 5)
