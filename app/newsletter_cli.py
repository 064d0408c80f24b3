"""The newsletter's part of the command line: `python -m app newsletter <command>`.

Thin, and loaded with every process of ours; what the commands do is in newsletter_commands.py.
"""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Literal

import typer

from app.crypto import Keyring
from app.db import Database
from app.settings import Settings

commands = typer.Typer(help="Send editions and see how they do.", no_args_is_help=True)

Work = Callable[[Settings, Database, Keyring], Coroutine[Any, Any, None]]
Reference = Annotated[str, typer.Argument(metavar="EDITION", help="Its id or number.")]


@commands.command("list")
def list_editions(context: typer.Context) -> None:
    """The latest editions and digests."""
    from app import newsletter_commands

    async def work(_: Settings, database: Database, __: Keyring) -> None:
        await newsletter_commands.print_list(database)

    _run(context, work)


@commands.command()
def status(
    context: typer.Context,
    edition: Reference,
    *,
    follow: Annotated[bool, typer.Option("--follow", help="Watch it until it ends.")] = False,
) -> None:
    """What has become of an edition's mails."""
    from app import newsletter_commands

    async def work(_: Settings, database: Database, __: Keyring) -> None:
        if follow:
            await newsletter_commands.follow(database, edition)
        else:
            await newsletter_commands.print_status(database, edition)

    _run(context, work)


@commands.command()
def send(
    context: typer.Context,
    edition: Reference,
    *,
    follow: Annotated[bool, typer.Option(help="Watch it until it ends.")] = True,
) -> None:
    """Send an edition now. The worker does it: Ctrl-C ends this command, not the sending."""
    from app import newsletter_commands

    async def work(settings: Settings, database: Database, _: Keyring) -> None:
        await newsletter_commands.take("send", settings, database, edition)
        if follow:
            await newsletter_commands.follow(database, edition)

    _run(context, work)


@commands.command()
def pause(
    context: typer.Context,
    edition: Reference,
    reason: Annotated[str | None, typer.Option(help="For the other editors.")] = None,
) -> None:
    """Let no further mail of an edition leave."""
    _run_step(context, "pause", edition, reason=reason)


@commands.command()
def resume(context: typer.Context, edition: Reference) -> None:
    """Go on with a paused edition."""
    _run_step(context, "resume", edition)


@commands.command()
def cancel(context: typer.Context, edition: Reference) -> None:
    """Send no more of an edition, for good; a scheduled one becomes a draft again."""
    _run_step(context, "cancel", edition)


@commands.command()
def retry_failed(context: typer.Context, edition: Reference) -> None:
    """Try the mails again that failed, or of which nobody knows whether they arrived."""
    _run_step(context, "retry-failed", edition)


def _run_step(
    context: typer.Context,
    step: Literal["pause", "resume", "cancel", "retry-failed"],
    edition: str,
    *,
    reason: str | None = None,
) -> None:
    from app import newsletter_commands

    async def work(settings: Settings, database: Database, _: Keyring) -> None:
        await newsletter_commands.take(step, settings, database, edition, reason=reason)
        await newsletter_commands.print_status(database, edition)

    _run(context, work)


def _run(context: typer.Context, work: Work) -> None:
    """By the runner that app/__main__.py has left in the context; it opens the database."""
    run: Callable[[Work], None] = context.obj
    run(work)
