"""Running the migrations of ../migrations from our own programs."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

_CONFIG = Path(__file__).parent.parent / "alembic.ini"


def migrate(database_url: str, *, revision: str = "head") -> None:
    """Bring the database up to date; of several programs that start at once one does it."""
    config = Config(_CONFIG)
    config.attributes["database_url"] = database_url
    command.upgrade(config, revision)


@cache
def head_revision() -> str:
    """The revision that this code was written for."""
    head = ScriptDirectory.from_config(Config(_CONFIG)).get_current_head()
    assert head is not None  # noqa: S101  # there is a first migration
    return head
