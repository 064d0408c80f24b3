"""What the newsletter's commands do: the steps of editors, by the same functions as over HTTP.

The worker sends; whoever follows an edition here only watches it.
"""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args
from uuid import UUID

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncSession
from typer import Exit, echo

from app.db import Database
from app.deps import get_newsroom
from app.errors import InvalidInput
from app.models import Edition
from app.services import edition_states, edition_stats, editions
from app.services.context import Editor, Newsroom
from app.services.delivery_ledger import LedgerState
from app.services.edition_stats import Stats
from app.settings import Settings

# How often a progress bar asks; for a million recipients an answer takes a third of a second.
INTERVAL = timedelta(seconds=1)
LISTED = 50
# Whoever may run commands on this host has no account that the audit trail could name.
OPERATOR = Editor(account_id=None, client=None)

Step = Literal["send", "pause", "resume", "cancel", "retry-failed"]


async def print_list(database: Database) -> None:
    async with database.transaction() as session:
        found = await editions.list_editions(session, state=None, before=None, limit=LISTED)
    table = Table("number", "state", "name", "subject", "recipients", "starts", box=None)
    for edition, subject in found:
        starts = edition.started_at or edition.send_at
        table.add_row(
            str(edition.number),
            edition.state,
            edition.name,
            subject or "-",
            f"{edition.recipients:,}",
            f"{starts:%Y-%m-%d %H:%M}" if starts else "-",
        )
    Console(markup=False, highlight=False).print(table)


async def take(
    step: Step, settings: Settings, database: Database, reference: str, *, reason: str | None = None
) -> None:
    """Take a step with an edition, whatever version of it is the latest."""
    newsroom = await get_newsroom(settings)
    async with database.transaction() as session:
        edition_id = (await editions.find(session, reference)).id
        try:
            await _take(step, session, edition_id, newsroom=newsroom, reason=reason)
        except InvalidInput as error:
            # On the command line nobody has typed a field: only its pointer tells what is meant.
            raise InvalidInput(edition_states.in_words(error)) from None


async def _take(
    step: Step, session: AsyncSession, edition_id: UUID, *, newsroom: Newsroom, reason: str | None
) -> None:
    known: dict[str, Any] = {"check": lambda _: None, "editor": OPERATOR, "now": datetime.now(UTC)}
    match step:
        case "send":
            await edition_states.send(session, edition_id, newsroom=newsroom, **known)
        case "pause":
            await edition_states.pause(session, edition_id, reason, **known)
        case "resume":
            await edition_states.resume(session, edition_id, newsroom=newsroom, **known)
        case "cancel":
            await edition_states.cancel(session, edition_id, **known)
        case "retry-failed":
            count = await edition_states.retry_failed(session, edition_id, **known)
            echo(f"mails tried again: {count:,}")


async def print_status(database: Database, reference: str) -> None:
    echo(_report(*await _look(database, reference)))


async def follow(database: Database, reference: str) -> None:
    """Show the progress for as long as mails leave, or until somebody presses Ctrl-C.

    Exits with 1 unless the edition has been sent or goes on.
    """
    leave = asyncio.Event()
    with _on_signals(leave.set), _progress() as progress:
        edition, stats = await _look(database, reference)
        task = progress.add_task(edition.name, total=None, pace="")
        _show(progress, task, stats)
        while stats.state == "sending" and not leave.is_set():
            await _wait(leave)
            edition, stats = await _look(database, reference)
            _show(progress, task, stats)
    echo(_report(edition, stats))
    if stats.state == "sending":
        echo(f"It goes on. See: python -m app newsletter status {edition.number} --follow")
    elif stats.state != "sent":
        raise Exit(1)


async def _look(database: Database, reference: str) -> tuple[Edition, Stats]:
    async with database.transaction() as session:
        edition = await editions.find(session, reference)
        return edition, await edition_stats.count(session, edition, now=datetime.now(UTC))


async def _wait(leave: asyncio.Event) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(leave.wait(), INTERVAL.total_seconds())


@contextmanager
def _on_signals(call: Callable[[], None]) -> Iterator[None]:
    """Call this for SIGINT and SIGTERM, and leave them as they were."""
    loop = asyncio.get_running_loop()
    earlier = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in earlier:
        loop.add_signal_handler(number, call)
    try:
        yield
    finally:
        for number, handler in earlier.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


def _progress() -> Progress:
    """A bar on a terminal, and nothing in a log."""
    console = Console()
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"),
        console=console,
        disable=not console.is_terminal,
    )


def _show(progress: Progress, task: TaskID, stats: Stats) -> None:
    """The bar has an end as soon as all recipients are known."""
    progress.update(
        task,
        total=stats.recipients if stats.is_complete else None,
        completed=stats.recipients - edition_stats.unconcluded(stats.deliveries),
        pace=_pace(stats),
    )


def _report(edition: Edition, stats: Stats) -> str:
    state = f"{stats.state}: {stats.pause_reason}" if stats.pause_reason else stats.state
    counts: dict[str, int] = {name: stats.deliveries.get(name, 0) for name in get_args(LedgerState)}
    for name in ("bounced", "complained", "unsubscribed"):
        counts[name] = getattr(stats, name)
    shown = [f"{name} {count:,}" for name, count in counts.items() if count]
    lines = [
        f"Edition {edition.number}, {edition.name}: {state}",
        ", ".join([f"recipients {stats.recipients:,}", *shown]),
        *(f"{each.state}, {each.code or 'no answer'}: {each.count:,}" for each in stats.failures),
    ]
    return "\n".join([*lines, _pace(stats)] if stats.state == "sending" else lines)


def _pace(stats: Stats) -> str:
    pace = f"{stats.mails_per_second:,.1f} mails/s"
    if stats.seconds_left is None:
        return pace
    return f"{pace}, {timedelta(seconds=stats.seconds_left)} left"
