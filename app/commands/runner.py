"""Running a command's work, once the database is there."""

from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from app.crypto import Keyring
from app.db import Database
from app.settings import Settings, load_settings

Work = Callable[[Settings, Database, Keyring], Coroutine[Any, Any, None]]


def run(work: Work) -> None:
    """Run a command's work with the settings, an open database and the keys."""
    from app import processes

    async def with_database(settings: Settings) -> None:
        assert settings.secret_key is not None  # noqa: S101  # load_settings made sure
        keyring = Keyring(settings.secret_key.get_secret_value())
        database = Database(direct_url(settings))
        try:
            await work(settings, database, keyring)
        finally:
            await database.close()

    with processes.embedded_database(load_settings()) as settings:
        # As the API does, for a worker handles thousands of small packets a second.
        uvloop.run(with_database(settings))


def direct_url(settings: Settings) -> str:
    """The database without a pooler between: for migrations, LISTEN and commands."""
    url = settings.database_direct_url or settings.database_url
    assert url is not None  # noqa: S101  # the embedded database has one
    return url
