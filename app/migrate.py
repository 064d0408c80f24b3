"""Running the migrations of ../migrations from our own programs."""

import asyncio
import multiprocessing
import re
from functools import cache
from pathlib import Path

import asyncpg

_ROOT = Path(__file__).parent.parent
_CONFIG = _ROOT / "alembic.ini"


def migrate(database_url: str) -> None:
    """Bring the database up to date; of several programs that start at once one does it."""
    if not asyncio.run(_is_ahead(database_url)):
        _upgrade(database_url)


def migrate_apart(database_url: str) -> None:
    """The same in a child that ends with it: a server need not carry alembic for its life."""
    if asyncio.run(_is_ahead(database_url)):
        return
    context = multiprocessing.get_context("fork")
    child = context.Process(target=_upgrade, args=(database_url,))
    child.start()
    child.join()
    if child.exitcode != 0:
        raise SystemExit(1)  # the child has said why


def _upgrade(database_url: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(_CONFIG)
    config.attributes["database_url"] = database_url
    command.upgrade(config, "head")


async def _is_ahead(database_url: str) -> bool:
    """Whether a newer release has been here: its migrations let the one before it go on.

    Revisions are dates, so they sort.
    """
    connection = await asyncpg.connect(database_url)
    try:
        if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
            return False
        current = await connection.fetchval("SELECT max(version_num) FROM alembic_version")
        return current is not None and current > head_revision()
    finally:
        await connection.close()


@cache
def head_revision() -> str:
    """The revision that this code was written for, read from the migrations' own text."""
    texts = [path.read_text() for path in (_ROOT / "migrations" / "versions").glob("*.py")]
    revisions = {_assigned("revision", text) for text in texts}
    (head,) = revisions - {_assigned("down_revision", text) for text in texts}
    assert head is not None  # noqa: S101  # every migration names itself
    return head


def _assigned(name: str, text: str) -> str | None:
    match = re.search(rf"^{name} = [\"'](.+)[\"']$", text, re.MULTILINE)
    return match[1] if match else None
