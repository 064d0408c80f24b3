"""The catalogue as a whole: clips to try it with, exports, and its feed of changes."""

from datetime import UTC, datetime
from typing import Annotated

import structlog
import typer

from app.commands import runner
from app.crypto import Keyring
from app.db import Database
from app.settings import Settings, SettingsError

log = structlog.get_logger(__name__)


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
                url=runner.direct_url(settings),
                size=assets,
                on_progress=lambda done: progress.update(task, completed=done),
                now=datetime.now(UTC),
            )
        if filled:
            log.info("catalogue_filled", assets=assets)
        elif assets:
            raise SettingsError("The catalogue is not empty; the demo fills an empty one")

    runner.run(work)


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

    runner.run(work)


def reset_feed() -> None:
    """After a restore from a backup: let every copy of the catalogue be taken anew."""
    from app.services import change_feed

    async def work(_: Settings, database: Database, __: Keyring) -> None:
        async with database.transaction() as session:
            epoch = await change_feed.reset(session)
        typer.echo(f"the feed of changes begins anew as {epoch}")

    runner.run(work)
