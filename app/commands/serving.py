"""The processes that run until SIGTERM: the API and its worker."""

import asyncio
import signal
import sys
from collections.abc import Callable
from typing import Annotated

import structlog
import typer
from fastapi import FastAPI

from app.commands import runner
from app.crypto import Keyring
from app.db import Database
from app.log import configure_logging
from app.settings import Settings, SettingsError, load_settings

log = structlog.get_logger(__name__)


def serve(
    *,
    demo: Annotated[bool, typer.Option("--demo", help="Fill an empty catalogue first.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="How many API processes.")] = 1,
    worker: Annotated[bool, typer.Option(help="Also start the worker.")] = True,
) -> None:
    """Migrate, then run the API and its worker until SIGTERM."""
    from app import processes
    from app.migrate import migrate_apart

    given = load_settings()
    processes.check_addresses(given)
    with processes.embedded_database(given) as settings:
        migrate_apart(runner.direct_url(settings))
        if demo and asyncio.run(_is_catalogue_empty(settings)):
            processes.run_command(settings, "demo")
        log.info("serving", url=settings.base_url, environment=settings.environment)
        with (
            processes.mail_catcher(settings) as complete,
            processes.worker_process(complete, wanted=worker),
        ):
            processes.serve_api(complete, workers=workers)


async def _is_catalogue_empty(settings: Settings) -> bool:
    """Ask here first: only an empty one is worth starting the process that fills it."""
    from app.services import assets

    database = Database(runner.direct_url(settings))
    try:
        async with database.transaction() as session:
            return not await assets.has_any(session)
    finally:
        await database.close()


def worker(
    *, until_input_ends: Annotated[bool, typer.Option("--until-input-ends", hidden=True)] = False
) -> None:
    """Send mail and do everything else that no request waits for, until SIGTERM."""
    from app import processes
    from app.jobs.worker import run

    async def work(settings: Settings, database: Database, keyring: Keyring) -> None:
        smtp_url = processes.known_smtp_url(settings)
        if smtp_url is None:
            raise SettingsError("SMTP_URL is not set, and no mail catcher runs on this DATA_DIR")
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        if until_input_ends:
            _call_when_input_ends(stop.set)
        await run(database, settings=settings, keyring=keyring, smtp_url=smtp_url, stop=stop)

    runner.run(work)


def _call_when_input_ends(call: Callable[[], None]) -> None:
    """Standard input is a pipe that only the parent holds: its end is the parent's."""
    loop = asyncio.get_running_loop()

    def end() -> None:
        loop.remove_reader(sys.stdin)
        call()

    loop.add_reader(sys.stdin, end)


def app_from_environment() -> FastAPI:
    """The application of one API process, for uvicorn."""
    from app.main import create_app
    from app.processes import end_with_parent

    end_with_parent()
    settings = load_settings()
    configure_logging(json_lines=settings.is_production)
    return create_app(settings)
