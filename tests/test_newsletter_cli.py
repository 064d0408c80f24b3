"""`python -m app newsletter …`: what it says, what it does, and how it exits."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update
from typer.testing import CliRunner, Result

from app.commands import editions, newsletter, runner
from app.commands.runner import Work
from app.crypto import Keyring
from app.db import Database
from app.errors import AppError
from app.models import Delivery, Edition
from app.services import edition_states
from app.settings import Settings
from tests.conftest import copied_database
from tests.edition_desk import NOON, add_delivery, add_reader_delivery, create, read, send, start
from tests.helpers import Api, audited, rows
from tests.hurried_worker import eventually
from tests.programs import run_to_end

Command = Callable[..., Awaitable[Result]]


def command_on(
    database: Database, settings: Settings, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Runs a command as `python -m app newsletter` does, on a database of the tests."""
    loop = asyncio.get_running_loop()

    def run(work: Work) -> None:
        asyncio.run_coroutine_threadsafe(work(settings, database, keyring), loop).result(60)

    monkeypatch.setattr(runner, "run", run)

    async def command(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, newsletter.commands, arguments)

    return command


@pytest.fixture
async def command(
    database: Database, settings: Settings, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> Command:
    return command_on(database, settings, keyring, monkeypatch)


@pytest.fixture
async def live_command(
    live_database: Database, settings: Settings, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> Command:
    """For what looks at the database while the test changes it."""
    return command_on(live_database, settings, keyring, monkeypatch)


async def set_edition(database: Database, edition: dict[str, Any], **columns: Any) -> None:
    async with database.transaction() as session:
        of_this = update(Edition).where(Edition.id == UUID(edition["id"]))
        await session.execute(of_this.values(**columns))


async def test_editions_are_listed_by_number_and_state(desk: Api, command: Command) -> None:
    draft = await create(desk, name="Winter")
    done = await command("list")
    assert done.exit_code == 0
    [line] = [line for line in done.output.splitlines() if "Winter" in line]
    assert line.split()[:3] == [str(draft["number"]), "draft", "Winter"]


async def test_steps_are_taken_by_number_or_id_and_say_what_holds_then(
    desk: Api, database: Database, command: Command
) -> None:
    edition = await create(desk)
    number = str(edition["number"])
    sent = await command("send", number, "--no-follow")
    assert (sent.exit_code, sent.output) == (0, "")
    await add_delivery(database, edition, "sent")
    await add_reader_delivery(database, edition, "failed", smtp_code=550, smtp_status="5.1.1")
    paused = await command("pause", edition["id"], "--reason", "Wrong picture")
    assert paused.output.splitlines() == [
        f"Edition {number}, November, second week: paused: Wrong picture",
        "recipients 2, sent 1, failed 1",
        "failed, 5.1.1: 1",
    ]
    resumed = await command("resume", number)
    assert resumed.output.splitlines()[0].endswith(": sending")
    retried = await command("retry-failed", number)
    assert retried.output.startswith("mails tried again: 1\n")
    assert (await command("cancel", number)).exit_code == 0
    status = await command("status", number)
    assert status.output.splitlines()[1] == "recipients 2, sent 1, cancelled 1"
    assert (await read(desk, edition))["state"] == "cancelled"
    assert (await audited(database))[-5:] == [
        "edition.started",
        "edition.paused",
        "edition.resumed",
        "edition.retried",
        "edition.cancelled",
    ]


async def test_refusals_name_what_is_wrong(desk: Api, command: Command) -> None:
    draft = await create(desk, translations={"en": {"subject": "No body"}})
    for arguments, words in (
        (("send", str(draft["number"])), "/translations/en/body: "),
        (("pause", draft["id"]), "It is draft"),
        (("status", "999999999999"), "There is no edition 999999999999"),
        (("status", "9" * 30), "There is no edition 999"),
        (("status", "²"), "There is no edition ²"),
    ):
        done = await command(*arguments)
        assert isinstance(done.exception, AppError)
        assert words in str(done.exception)
    assert await read(desk, draft) == draft


async def test_following_ends_with_the_edition(
    live_database: Database, live_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(editions, "INTERVAL", timedelta(milliseconds=10))
    edition = await start(live_database)
    await add_delivery(live_database, edition, "pending")
    following = asyncio.ensure_future(live_command("status", edition["id"], "--follow"))
    await asyncio.sleep(0.1)
    assert not following.done()
    async with live_database.transaction() as session:
        await session.execute(update(Delivery).values(state="sent", finished_at=NOON))
        assert await edition_states.finish_if_done(session, UUID(edition["id"]), now=NOON)
    done = await following
    assert done.exit_code == 0
    assert done.output.endswith(": sent\nrecipients 1, sent 1\n")


async def test_following_says_why_an_edition_stopped_and_fails(
    desk: Api, database: Database, command: Command
) -> None:
    edition = await send(desk)
    await set_edition(database, edition, state="paused", pause_reason="sender_refused: 550")
    done = await command("status", edition["id"], "--follow")
    assert done.exit_code == 1
    assert ": paused: sender_refused: 550\n" in done.output


async def test_interrupt_leaves_the_sending_going(
    live_database: Database, live_command: Command
) -> None:
    edition = await start(live_database)
    before = signal.getsignal(signal.SIGINT)
    following = asyncio.ensure_future(live_command("status", edition["id"], "--follow"))

    async def is_followed() -> bool:
        return signal.getsignal(signal.SIGINT) != before

    await eventually(is_followed)
    os.kill(os.getpid(), signal.SIGINT)
    done = await following
    assert done.exit_code == 0
    assert "It goes on." in done.output
    assert signal.getsignal(signal.SIGINT) == before
    [found] = await rows(live_database, Edition)
    assert found.state == "sending"


async def test_program_exits_with_two_and_one_line_for_what_is_not_there(
    tmp_path: Path, server_url: str, template: str
) -> None:
    command = partial(run_to_end, tmp_path, "newsletter", "status", "7")
    async with copied_database(server_url, template) as url:
        code, said = await asyncio.to_thread(command, DATABASE_URL=url)
    assert (code, said) == (2, "multimedia-account: There is no edition 7\n")
