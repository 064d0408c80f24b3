"""The command line: `python -m app <command>`. Thin; each command calls the layers below.

Exit codes: 0 fine, 2 wrong usage or setting (one line says which), 1 anything else.
"""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Annotated, Any, NoReturn

import asyncpg
import structlog
import typer
import uvloop
from asyncpg.exceptions import ClientConfigurationError
from fastapi import FastAPI

from app import newsletter_cli
from app.crypto import Keyring, PasswordHasher
from app.db import Database
from app.errors import AppError
from app.log import configure_logging
from app.settings import Settings, SettingsError, load_settings

log = structlog.get_logger(__name__)
cli = typer.Typer(
    name="python -m app",
    help="Multimedia Account: accounts, media catalogue and newsletter of a media portal.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

# What a command does once the database is there.
Work = Callable[[Settings, Database, Keyring], Coroutine[Any, Any, None]]


cli.add_typer(newsletter_cli.commands, name="newsletter")


@cli.callback()
def prepare(context: typer.Context) -> None:
    """Before any command: logs, in the form that the environment asks for."""
    configure_logging(json_lines=load_settings().is_production)
    context.obj = _run  # for commands of other files


@cli.command()
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
        migrate_apart(_direct_url(settings))
        if demo and asyncio.run(_is_catalogue_empty(settings)):
            processes.run_command(settings, "demo")
        log.info("serving", url=settings.base_url, environment=settings.environment)
        with (
            processes.mail_catcher(settings) as complete,
            processes.worker_process(complete, wanted=worker),
        ):
            processes.serve_api(complete, workers=workers)


@cli.command()
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

    _run(work)


@cli.command()
def migrate() -> None:
    """Bring the database up to date."""
    from app import processes
    from app.migrate import migrate as run_migrations

    with processes.embedded_database(load_settings()) as settings:
        run_migrations(_direct_url(settings))


@cli.command()
def demo(
    assets: Annotated[
        int, typer.Option(min=0, max=5_000_000, help="So many made-up assets besides")
    ] = 0,
) -> None:
    """Fill an empty catalogue with clips that are made on the spot, and any number of others."""
    from rich.progress import Progress

    from app.adapters.storage import open_storage
    from app.jobs.demo import fill_empty_catalogue

    async def work(settings: Settings, database: Database, _: Keyring) -> None:
        url = settings.storage_url.get_secret_value() if settings.storage_url else None
        with Progress(disable=not assets) as progress:
            task = progress.add_task("Assets", total=assets)
            filled = await fill_empty_catalogue(
                database,
                open_storage(url, default_folder=settings.data_dir / "objects"),
                url=_direct_url(settings),
                size=assets,
                on_progress=lambda done: progress.update(task, completed=done),
                now=datetime.now(UTC),
            )
        if filled:
            log.info("catalogue_filled", assets=assets)
        elif assets:
            raise SettingsError("The catalogue is not empty; the demo fills an empty one")

    _run(work)


@cli.command()
def create_admin(email: str) -> None:
    """Make an admin account, or make an account an admin; the password is asked for or read."""
    from app.services import accounts, passwords
    from app.services.emails import parse_email

    address = parse_email(email)
    password = _read_password()
    passwords.check(password, email=address.key)

    async def work(_: Settings, database: Database, keyring: Keyring) -> None:
        hasher = PasswordHasher(keyring, threads=1)
        password_hash = await hasher.hash(password)
        hasher.close()
        async with database.transaction() as session:
            is_new = await accounts.create_admin(
                session, address, password_hash, locale="en", now=datetime.now(UTC)
            )
        typer.echo(f"{address.typed} is {'a new' if is_new else 'now an'} admin")

    _run(work)


@cli.command()
def export() -> None:
    """Write an export of the catalogue now; the worker does so every hour."""
    from app.adapters.storage import StorageError, open_storage
    from app.adapters.workspace import WorkspaceFull
    from app.jobs.exports import Exporter
    from app.jobs.stored_objects import Keeper

    async def work(settings: Settings, database: Database, _: Keyring) -> None:
        url = settings.storage_url.get_secret_value() if settings.storage_url else None
        storage = open_storage(url, default_folder=settings.data_dir / "objects")
        exporter = Exporter(Keeper(database, storage), database, settings.data_dir / "tmp")
        try:
            export_id = await exporter.write()
        except (StorageError, WorkspaceFull) as error:
            raise ChildProcessError(f"no export was written: {error}") from error
        typer.echo(f"export {export_id} is written")

    _run(work)


@cli.command()
def rotate_keys() -> None:
    """Publish a new key for access tokens; it signs in 15 minutes and nobody is logged out."""
    from app.services import signing_keys

    async def work(_: Settings, database: Database, keyring: Keyring) -> None:
        async with database.transaction() as session:
            kid = await signing_keys.rotate(session, keyring=keyring, now=datetime.now(UTC))
        typer.echo(f"key {kid} is published")

    _run(work)


@cli.command()
def reset_feed() -> None:
    """After a restore from a backup: let every copy of the catalogue be taken anew."""
    from app.services import change_feed

    async def work(_: Settings, database: Database, __: Keyring) -> None:
        async with database.transaction() as session:
            epoch = await change_feed.reset(session)
        typer.echo(f"the feed of changes begins anew as {epoch}")

    _run(work)


@cli.command()
def purge() -> None:
    """Delete what is past its term of retention; the worker does so every hour."""
    from app.jobs.retention import purge as purge_all

    async def work(_: Settings, database: Database, __: Keyring) -> None:
        for table, count in (await purge_all(database)).items():
            typer.echo(f"{table}: {count}")

    _run(work)


def app_from_environment() -> FastAPI:
    """The application of one API process, for uvicorn."""
    from app.main import create_app
    from app.processes import end_with_parent

    end_with_parent()
    settings = load_settings()
    configure_logging(json_lines=settings.is_production)
    return create_app(settings)


def _run(work: Work) -> None:
    """Run a command's work with the settings, an open database and the keys."""
    from app import processes

    async def with_database(settings: Settings) -> None:
        assert settings.secret_key is not None  # noqa: S101  # load_settings made sure
        keyring = Keyring(settings.secret_key.get_secret_value())
        database = Database(_direct_url(settings))
        try:
            await work(settings, database, keyring)
        finally:
            await database.close()

    with processes.embedded_database(load_settings()) as settings:
        # As the API does, for a worker handles thousands of small packets a second.
        uvloop.run(with_database(settings))


async def _is_catalogue_empty(settings: Settings) -> bool:
    """Ask here first: only an empty one is worth starting the process that fills it."""
    from app.services import assets

    database = Database(_direct_url(settings))
    try:
        async with database.transaction() as session:
            return not await assets.has_any(session)
    finally:
        await database.close()


def _call_when_input_ends(call: Callable[[], None]) -> None:
    """Standard input is a pipe that only the parent holds: its end is the parent's."""
    loop = asyncio.get_running_loop()

    def end() -> None:
        loop.remove_reader(sys.stdin)
        call()

    loop.add_reader(sys.stdin, end)


def _direct_url(settings: Settings) -> str:
    """The database without a pooler between: for migrations, LISTEN and commands."""
    url = settings.database_direct_url or settings.database_url
    assert url is not None  # noqa: S101  # the embedded database has one
    return url


def _read_password() -> str:
    if sys.stdin.isatty():
        password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        return password
    return sys.stdin.readline().rstrip("\r\n")


def _exit_in_order(*_: object) -> None:
    """Leave through every `finally`: the database and the worker must be stopped too."""
    raise SystemExit(0)


def main() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit_in_order)
    try:
        cli()
    except SettingsError as error:
        _give_up(str(error), status=2)
    except AppError as error:
        _give_up(" ".join(item["message"] for item in error.errors) or str(error), status=2)
    except ClientConfigurationError as error:
        _give_up(f"DATABASE_URL: {error}", status=2)
    except ChildProcessError as error:
        _give_up(str(error), status=1)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        _give_up(f"the database does not answer: {error}", status=1)
    except SystemExit as leaving:
        sys.exit(leaving.code if leaving.code in {None, 0, 2} else 1)  # uvicorn has more


def _give_up(reason: str, *, status: int) -> NoReturn:
    typer.echo(f"multimedia-account: {reason}", err=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
