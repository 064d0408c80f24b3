"""The command line: `python -m app <command>`. The commands are in app/commands.

Exit codes: 0 fine, 2 wrong usage or setting (one line says which), 1 anything else.
"""

import signal
import sys
from typing import NoReturn

import asyncpg
import typer
from asyncpg.exceptions import ClientConfigurationError

from app.commands import accounts, catalogue, database, newsletter, serving
from app.errors import AppError
from app.log import configure_logging
from app.settings import SettingsError, load_settings

COMMANDS = (
    serving.serve,
    serving.worker,
    database.migrate,
    catalogue.demo,
    accounts.create_admin,
    catalogue.export,
    accounts.rotate_keys,
    catalogue.reset_feed,
    database.purge,
)
cli = typer.Typer(
    name="python -m app",
    help="Multimedia Account: accounts, media catalogue and newsletter of a media portal.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for command in COMMANDS:
    cli.command()(command)
cli.add_typer(newsletter.commands, name="newsletter")


@cli.callback()
def prepare() -> None:
    """Before any command: logs, in the form that the environment asks for."""
    configure_logging(json_lines=load_settings().is_production)


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
