"""Programs that are stopped, killed, or given settings that they can't work with."""

import asyncio
import hashlib
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from app import __main__ as command_line
from app.adapters.storage import open_storage
from app.crypto import Keyring
from app.db import Database
from app.models import Account, OutboxMail
from app.services import download_tickets
from app.services.download_tickets import Ticket
from tests.conftest import copied_database
from tests.factories import publish_video
from tests.folders import folder_for_postgresql
from tests.helpers import PASSWORD, patient_database
from tests.programs import (
    PATIENCE,
    Program,
    all_gone,
    eventually,
    processes_of,
    program,
    run_to_end,
)

# Each starts programs of the project and waits for them.
pytestmark = pytest.mark.slow

SECRET = "a secret for tests that is long enough to be one"  # that of the keyring of the tests
CONTENTS = hashlib.shake_128(b"a long video").digest(24 * 1024 * 1024)


@pytest.fixture
async def database_url(server_url: str, template: str) -> AsyncIterator[str]:
    async with copied_database(server_url, template) as url:
        yield url


@pytest.fixture
def environment(database_url: str) -> dict[str, str]:
    return {"DATABASE_URL": database_url, "SECRET_KEY": SECRET}


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The database of the programs."""
    database = patient_database(database_url)
    yield database
    await database.close()


@pytest.fixture
async def download_path(database: Database, keyring: Keyring, tmp_path: Path) -> str:
    """The path of a signed link to a file that takes a while to send."""
    shell = FastAPI()
    shell.state.database = database
    shell.state.storage = open_storage(None, default_folder=tmp_path / "var/objects")
    video = await publish_video(shell, contents=CONTENTS)
    now = datetime.now(UTC)
    account = Account(
        email="jane@example.org",
        email_key="jane@example.org",
        password_hash="none",
        locale="en",
        created_at=now,
        updated_at=now,
    )
    async with database.transaction() as session:
        session.add(account)
    ticket = Ticket(video.rendition_id, account.id, None, now + timedelta(minutes=15))
    return f"/v1/files/{download_tickets.write(ticket, keyring)}/a.mp4"


# SIGTERM


async def test_terminated_server_finishes_a_slow_download_and_leaves_nothing_behind(
    tmp_path: Path, environment: dict[str, str], download_path: str
) -> None:
    with program(tmp_path, "serve", **environment) as serve:
        url = await asyncio.to_thread(serve.wait_until_it_serves)
        await worker_of(serve, tmp_path)
        received = hashlib.sha256()
        async with (
            httpx.AsyncClient(timeout=PATIENCE) as client,
            client.stream("GET", url + download_path) as response,
        ):
            pieces = response.aiter_raw(64 * 1024)
            received.update(await anext(pieces))
            serve.terminate()
            await asyncio.to_thread(eventually, lambda: not serve.answers())
            assert serve.process.poll() is None
            async for piece in pieces:
                received.update(piece)
        assert received.hexdigest() == hashlib.sha256(CONTENTS).hexdigest()
        assert await asyncio.to_thread(serve.exit_code) == 0
    assert all_gone(tmp_path)
    assert "Traceback" not in serve.log.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_worker_leaves_in_order(
    tmp_path: Path, environment: dict[str, str], database: Database, number: signal.Signals
) -> None:
    with program(tmp_path, "worker", SMTP_URL="smtp://127.0.0.1:1", **environment) as worker:
        await worker_waits_for_jobs(database)
        worker.process.send_signal(number)
        assert await asyncio.to_thread(worker.exit_code) == 0
    assert "Traceback" not in worker.log.read_text()


async def worker_of(serve: Program, folder: Path) -> int:
    """The process that the server has started beside itself, and no other."""

    def only_child() -> int | None:
        others = processes_of(folder) - {serve.pid}
        return others.pop() if len(others) == 1 else None

    return await asyncio.to_thread(eventually, only_child)


async def worker_waits_for_jobs(database: Database) -> None:
    """Until then a worker is only starting."""
    has_asked = (
        "SELECT FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid() AND query LIKE '%pgqueuer%'"
    )
    deadline = time.monotonic() + PATIENCE
    while not await database.reader.fetch(has_asked):
        assert time.monotonic() < deadline, "the worker does not start"
        await asyncio.sleep(0.02)


# kill -9


async def register(url: str, email: str) -> None:
    body = {"email": email, "password": PASSWORD}
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
        assert (await client.post("/v1/auth/register", json=body)).status_code == 202


async def mails_to(url: str, email: str) -> list[Any]:
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
        items: list[Any] = (await client.get(f"/dev/mail?to={email}")).json()["items"]
    return items


async def test_mail_goes_once_although_its_worker_is_killed_before_it_sends(
    tmp_path: Path, environment: dict[str, str], database: Database
) -> None:
    with program(tmp_path, "serve", "--no-worker", **environment) as serve:
        url = await asyncio.to_thread(serve.wait_until_it_serves)
        for number in range(3):
            await register(url, f"jane-{number}@example.org")
        for pause in (0.0, 0.3):
            with program(tmp_path, "worker", **environment) as worker:
                await asyncio.sleep(pause)
                worker.kill()
        with program(tmp_path, "worker", **environment):
            await sent(database, 3)
        for number in range(3):
            [mail] = await mails_to(url, f"jane-{number}@example.org")
            assert "code" in mail["subject"].lower()


async def sent(database: Database, count: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            async with database.transaction() as session:
                states = list(await session.scalars(select(OutboxMail.state)))
            if states == ["sent"] * count:
                return
            await asyncio.sleep(0.05)


async def test_killed_server_can_be_started_again_and_has_kept_what_it_promised(
    tmp_path: Path, environment: dict[str, str], database: Database
) -> None:
    with program(tmp_path, "serve", "--no-worker", **environment) as serve:
        await register(await asyncio.to_thread(serve.wait_until_it_serves), "jane@example.org")
        serve.kill()
    with program(tmp_path, "serve", **environment) as again:
        url = await asyncio.to_thread(again.wait_until_it_serves)
        await sent(database, 1)
        [mail] = await mails_to(url, "jane@example.org")
        assert mail["to"] == "jane@example.org"


async def test_worker_does_not_outlive_a_killed_server(
    tmp_path: Path, environment: dict[str, str], database: Database
) -> None:
    with program(tmp_path, "serve", **environment) as serve:
        await asyncio.to_thread(serve.wait_until_it_serves)
        await worker_waits_for_jobs(database)
        serve.kill()
        await asyncio.to_thread(eventually, lambda: processes_of(tmp_path) == set())


async def test_api_processes_do_not_outlive_the_killed_program_that_started_them(
    tmp_path: Path, environment: dict[str, str], database: Database
) -> None:
    """They would keep the port, without a worker, and nothing could be started in their place."""
    with program(tmp_path, "serve", "--workers", "2", **environment) as serve:
        await asyncio.to_thread(serve.wait_until_it_serves)
        await worker_waits_for_jobs(database)
        assert len(processes_of(tmp_path)) >= 4
        serve.kill()
        await asyncio.to_thread(eventually, lambda: processes_of(tmp_path) == set())


async def test_killed_worker_is_started_again(
    tmp_path: Path, environment: dict[str, str], database: Database
) -> None:
    with program(tmp_path, "serve", **environment) as serve:
        url = await asyncio.to_thread(serve.wait_until_it_serves)
        worker = await worker_of(serve, tmp_path)
        os.kill(worker, signal.SIGKILL)
        await register(url, "jane@example.org")
        await sent(database, 1)
        assert await worker_of(serve, tmp_path) != worker


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that PostgreSQL's user can enter, unlike tmp_path."""
    folder = folder_for_postgresql()
    yield folder
    shutil.rmtree(folder)


async def test_everything_embedded_stops_with_its_server_and_starts_again(reachable: Path) -> None:
    with program(reachable, "serve") as serve:
        url = await asyncio.to_thread(serve.wait_until_it_serves)
        await register(url, "jane@example.org")
        assert len(processes_of(reachable)) > 5  # PostgreSQL has many
        await asyncio.to_thread(serve.terminate)
        assert await asyncio.to_thread(serve.exit_code) == 0
    assert all_gone(reachable)
    with program(reachable, "serve") as again:
        url = await asyncio.to_thread(again.wait_until_it_serves)
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
            body = {"email": "jane@example.org", "password": PASSWORD}
            too_soon = [await client.post("/v1/auth/register", json=body) for _ in range(5)]
        assert too_soon[-1].status_code == 429  # the first registration is still counted
    assert all_gone(reachable)


# Settings

EVERYWHERE = "0.0.0.0"  # noqa: S104  # what must be refused

PRODUCTION = {
    "ENVIRONMENT": "production",
    "DATABASE_URL": "postgresql://u:p@127.0.0.1:1/x",
    "SMTP_URL": "smtp://127.0.0.1:1",
    "STORAGE_URL": "file:///never-used",
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyz",
    "PUBLIC_URL": "https://media.example",
    "MAIL_FROM": "account@media.example",
}
REQUIRED = sorted(set(PRODUCTION) - {"ENVIRONMENT"})
REFUSED: dict[str, tuple[dict[str, str], list[str]]] = {
    "nothing set in production": ({"ENVIRONMENT": "production"}, REQUIRED),
    "weak secret": ({**PRODUCTION, "SECRET_KEY": "short"}, ["SECRET_KEY", "weak"]),
    "secret of one letter": ({**PRODUCTION, "SECRET_KEY": "a" * 64}, ["SECRET_KEY", "weak"]),
    "no limits in production": ({**PRODUCTION, "RATE_LIMITS": "off"}, ["RATE_LIMITS"]),
    "open host in development": ({"HOST": EVERYWHERE}, ["HOST", EVERYWHERE, "loopback"]),
    "name as host": ({"HOST": "media.example"}, ["HOST", "loopback"]),
    "port that is no number": ({"PORT": "http"}, ["PORT"]),
    "port out of range": ({"PORT": "99999"}, ["PORT"]),
    "negative port": ({"PORT": "-1"}, ["PORT"]),
    "unknown environment": ({"ENVIRONMENT": "staging"}, ["ENVIRONMENT"]),
    "unknown word for limits": ({"RATE_LIMITS": "maybe"}, ["RATE_LIMITS"]),
    "origin with a path": ({"CORS_ORIGINS": "https://a.example/x"}, ["CORS_ORIGINS"]),
    "public address without scheme": ({"PUBLIC_URL": "media.example"}, ["PUBLIC_URL"]),
    "proxy that is no network": ({"TRUSTED_PROXIES": "10.0.0.0/33"}, ["TRUSTED_PROXIES"]),
    "storage of an unknown kind": ({"STORAGE_URL": "ftp://x"}, ["STORAGE_URL"]),
    "mail server of an unknown kind": ({"SMTP_URL": "http://x"}, ["SMTP_URL"]),
    "counts of an unknown kind": ({"REDIS_URL": "http://x"}, ["REDIS_URL"]),
    "data in a file": ({"DATA_DIR": "/dev/null/var"}, ["DATA_DIR"]),
}
REFUSED |= {
    f"{name} missing in production": (
        {key: value for key, value in PRODUCTION.items() if key != name},
        [f"production needs {name}"],
    )
    for name in REQUIRED
}


@pytest.fixture
def signals() -> Iterator[None]:
    """A command of ours changes what signals do."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize("case", REFUSED)
def test_setting_that_can_not_work_is_refused_in_one_clear_line(
    case: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    environment, words = REFUSED[case]
    for name in (*PRODUCTION, "HOST", "PORT", "RATE_LIMITS", "CORS_ORIGINS", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"DATA_DIR": str(tmp_path / "var"), "PORT": "8000", **environment}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["python -m app", "serve"])
    monkeypatch.setattr(command_line, "configure_logging", lambda **_: None)
    with pytest.raises(SystemExit) as leaving:
        command_line.main()
    said = capsys.readouterr()
    assert leaving.value.code == 2, said.err
    assert said.out == ""
    [line] = said.err.splitlines()
    assert line.startswith("multimedia-account: ")
    for word in words:
        assert word in line
    for secret in ("short", "u:p@"):
        assert secret not in line or secret in words


async def test_refusal_is_the_program_s_exit_code_and_its_only_word(tmp_path: Path) -> None:
    status, said = await asyncio.to_thread(run_to_end, tmp_path, "serve", HOST=EVERYWHERE)
    assert status == 2
    expected = "multimedia-account: HOST=0.0.0.0: development serves a loopback address only\n"
    assert said == expected
    assert not (tmp_path / "var").exists()


async def test_unknown_command_is_wrong_usage(tmp_path: Path) -> None:
    status, said = await asyncio.to_thread(run_to_end, tmp_path, "sevre")
    assert status == 2
    assert "Traceback" not in said


async def test_database_that_is_away_at_the_start_is_one_clear_line(tmp_path: Path) -> None:
    url = "postgresql://user:password-of-ours@127.0.0.1:1/x"
    status, said = await asyncio.to_thread(run_to_end, tmp_path, "migrate", DATABASE_URL=url)
    assert status == 1
    assert "the database does not answer" in said
    assert "Traceback" not in said
    assert "password-of-ours" not in said
