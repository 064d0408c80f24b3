"""Running the migrations of ../migrations from our own programs."""

import multiprocessing
import re
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).parent.parent
_CONFIG = _ROOT / "alembic.ini"


def migrate(database_url: str, *, revision: str = "head") -> None:
    """Bring the database up to date; of several programs that start at once one does it."""
    from alembic import command
    from alembic.config import Config

    config = Config(_CONFIG)
    config.attributes["database_url"] = database_url
    command.upgrade(config, revision)


def migrate_apart(database_url: str) -> None:
    """The same in a child that ends with it: a server need not carry alembic for its life."""
    context = multiprocessing.get_context("fork")
    child = context.Process(target=migrate, args=(database_url,))
    child.start()
    child.join()
    if child.exitcode != 0:
        raise SystemExit(1)  # the child has said why


@cache
def head_revision() -> str:
    """The revision that this code was written for, read from the migrations' own text."""
    texts = [path.read_text() for path in (_ROOT / "migrations" / "versions").glob("*.py")]
    revisions = {_assigned("revision", text) for text in texts}
    (head,) = revisions - {_assigned("down_revision", text) for text in texts}
    assert head is not None  # noqa: S101  # every migration names itself
    return head


def _assigned(name: str, text: str) -> str | None:
    match = re.search(rf'^{name} = "(.+)"$', text, re.MULTILINE)
    return match[1] if match else None
