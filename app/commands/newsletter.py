"""The newsletter's part of the command line: `python -m app newsletter <command>`.

Loaded with every process of ours; what the commands do is in editions.py, with more to load.
"""

from typing import Annotated, Literal

import typer

from app.commands import runner
from app.crypto import Keyring
from app.db import Database
from app.settings import Settings

commands = typer.Typer(help="Send editions and see how they do.", no_args_is_help=True)

Reference = Annotated[str, typer.Argument(metavar="EDITION", help="Its id or number.")]


@commands.command("list")
def list_editions() -> None:
    """The latest editions and digests."""
    from app.commands import editions

    async def work(_: Settings, database: Database, __: Keyring) -> None:
        await editions.print_list(database)

    runner.run(work)


@commands.command()
def status(
    edition: Reference,
    *,
    follow: Annotated[bool, typer.Option("--follow", help="Watch it until it ends.")] = False,
) -> None:
    """What has become of an edition's mails."""
    from app.commands import editions

    async def work(_: Settings, database: Database, __: Keyring) -> None:
        if follow:
            await editions.follow(database, edition)
        else:
            await editions.print_status(database, edition)

    runner.run(work)


@commands.command()
def send(
    edition: Reference,
    *,
    follow: Annotated[bool, typer.Option(help="Watch it until it ends.")] = True,
) -> None:
    """Send an edition now. The worker does it: Ctrl-C ends this command, not the sending."""
    from app.commands import editions

    async def work(settings: Settings, database: Database, _: Keyring) -> None:
        await editions.take("send", settings, database, edition)
        if follow:
            await editions.follow(database, edition)

    runner.run(work)


@commands.command()
def pause(
    edition: Reference,
    reason: Annotated[str | None, typer.Option(help="For the other editors.")] = None,
) -> None:
    """Let no further mail of an edition leave."""
    _run_step("pause", edition, reason=reason)


@commands.command()
def resume(edition: Reference) -> None:
    """Go on with a paused edition."""
    _run_step("resume", edition)


@commands.command()
def cancel(edition: Reference) -> None:
    """Send no more of an edition, for good; a scheduled one becomes a draft again."""
    _run_step("cancel", edition)


@commands.command()
def retry_failed(edition: Reference) -> None:
    """Try the mails again that failed, or of which nobody knows whether they arrived."""
    _run_step("retry-failed", edition)


def _run_step(
    step: Literal["pause", "resume", "cancel", "retry-failed"],
    edition: str,
    *,
    reason: str | None = None,
) -> None:
    from app.commands import editions

    async def work(settings: Settings, database: Database, _: Keyring) -> None:
        await editions.take(step, settings, database, edition, reason=reason)
        await editions.print_status(database, edition)

    runner.run(work)
