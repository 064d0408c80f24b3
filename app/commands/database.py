"""The state of the database: its migrations, and what it keeps no longer."""

import typer

from app.commands import runner
from app.crypto import Keyring
from app.db import Database
from app.settings import Settings, load_settings


def migrate() -> None:
    """Bring the database up to date."""
    from app import processes
    from app.migrate import migrate as run_migrations

    with processes.embedded_database(load_settings()) as settings:
        run_migrations(runner.direct_url(settings))


def purge() -> None:
    """Delete what is past its term of retention; the worker does so every hour."""
    from app.jobs.retention import purge as purge_all

    async def work(_: Settings, database: Database, __: Keyring) -> None:
        for table, count in (await purge_all(database)).items():
            typer.echo(f"{table}: {count}")

    runner.run(work)
