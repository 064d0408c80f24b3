"""The server of the embedded PostgreSQL: made, started, and stopped by the wheel's programs."""

import fcntl
import os
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from app.adapters.postgres_home import (
    MAJOR_VERSION,
    PACKAGE,
    Account,
    EmbeddedPostgresError,
    fresh_folder,
    is_private,
)

NAME = "multimedia"  # of the role and of its first database
SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_LIMIT = 100  # bytes; the kernels allow 103 to 107
PATIENCE = 60.0  # seconds; replaying the log after a crash may take long
DISK_FULL = 16 * 1024**2  # bytes, what one more segment of the write-ahead log takes
KEEP_LOG = 6 * 86_400.0  # seconds; a file must be gone when its weekday comes again

SETTINGS = """\
hba_file = 'pg_hba.conf'
listen_addresses = ''
unix_socket_directories = '../socket'
unix_socket_permissions = 0700
shared_buffers = 128MB
# Containers give /dev/shm 64 MB, and systemd empties it when its user logs out.
dynamic_shared_memory_type = mmap
wal_level = minimal
max_wal_senders = 0
max_logical_replication_workers = 0
superuser_reserved_connections = 0
jit = off
timezone = 'UTC'
# A file per weekday, so that the log ends at a week; it quotes neither rows nor statements.
logging_collector = on
log_directory = '../log'
log_filename = 'server-%a.log'
log_rotation_age = 1d
log_rotation_size = 0
log_truncate_on_rotation = on
log_timezone = 'UTC'
log_error_verbosity = terse
log_min_error_statement = panic
log_checkpoints = off
"""
DURABLE = "max_connections = 100\n"
# Without autovacuum, which would be in the way when a test's database is dropped.
FOR_TESTS = (
    "max_connections = 200\nfsync = off\nsynchronous_commit = off\nfull_page_writes = off\n"
    "autovacuum = off\n"
)
HOST_BASED_AUTHENTICATION = f"local all {NAME} scram-sha-256\n"


@dataclass(frozen=True)
class Cluster:
    home: Path
    programs: Path
    account: Account

    def run(self, program: str, *arguments: str, stdin: str = "", inherit: int = -1) -> None:
        """Run one of the programs as the server's account.

        Paths in the arguments are relative to the home: pg_ctl hands them to a shell unquoted.
        """
        account: dict[str, Any] = {}
        if self.account.is_lesser:
            account = {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}
        done = subprocess.run(  # noqa: S603  # a program of the wheel
            [self.programs / program, *arguments],
            cwd=self.home,
            env={"PGDATA": "data", "LC_ALL": "C", "PATH": os.defpath},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            pass_fds=() if inherit < 0 else (inherit,),
            **account,
        )
        if done.returncode:
            raise EmbeddedPostgresError(f"{program} failed: {_reason(done.stderr)}")


def create_or_check(cluster: Cluster) -> None:
    for leftover in cluster.home.glob("draft.*"):  # of programs killed while they made something
        shutil.rmtree(leftover, ignore_errors=True)
    data = cluster.home / "data"
    if not data.exists():
        _create(cluster)
    major_version = (data / "PG_VERSION").read_text().strip()
    if major_version != MAJOR_VERSION:
        raise EmbeddedPostgresError(
            f"{data} was made by PostgreSQL {major_version}, this is PostgreSQL {MAJOR_VERSION}: "
            "set another DATA_DIR, or move the data with pg_dump"
        )


def _create(cluster: Cluster) -> None:
    """Make the cluster, its role and database, under another name until all is done.

    With 256 random bits in the password, SCRAM's thousands of rounds would only slow logins down.
    """
    draft = Path(tempfile.mkdtemp(prefix="draft.", dir=cluster.home))
    cluster.account.give(draft)
    cluster.run(
        *("initdb", f"--pgdata={draft.name}", "--no-instructions", "--encoding=UTF8"),
        *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        *("--username=postgres", "--auth=reject"),
    )
    password = secrets.token_hex(32)
    secret = cluster.home / "password"
    secret.touch(mode=0o600)
    secret.write_text(password)
    settings = ("-c", "exit_on_error=on", "-c", "scram_iterations=1")
    cluster.run(
        *("postgres", "--single", "-D", draft.name, *settings, "postgres"),
        stdin=f"CREATE ROLE {NAME} LOGIN CREATEDB PASSWORD '{password}'\n"
        f"CREATE DATABASE {NAME} OWNER {NAME}\n",
    )
    draft.rename(cluster.home / "data")


def take(lock: BinaryIO) -> bool:
    """Take the lock if nobody holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def comes_up(home: Path) -> bool:
    """Wait until the server accepts connections; false if none is running."""
    deadline = time.monotonic() + PATIENCE
    while is_running(home):
        if accepts_connections(home):
            return True
        if time.monotonic() > deadline:
            raise EmbeddedPostgresError(f"PostgreSQL in {home} does not accept connections")
        time.sleep(0.01)
    return False


def is_running(home: Path) -> bool:
    with (home / "server.lock").open("ab") as lock:
        return not take(lock)


def accepts_connections(home: Path) -> bool:
    """Whether the server has written that it is ready, and is still there to be reached."""
    with suppress(FileNotFoundError, ConnectionError), socket.socket(socket.AF_UNIX) as probe:
        if "\nready" in (home / "data/postmaster.pid").read_text():
            probe.connect(str((home / "socket").resolve() / SOCKET_NAME))
            return True
    return False


def launch(cluster: Cluster, settings: str) -> None:
    """Start the server in a session of its own, which pg_ctl makes: Ctrl-C does not reach it."""
    home = cluster.home
    # Were any process of an earlier server alive, `server.lock` would be taken: this is stale.
    (home / "data/postmaster.pid").unlink(missing_ok=True)
    _make_socket_folder(cluster)
    _make_log_folder(cluster)
    for copy in home.glob(f"{PACKAGE}-*"):
        if copy not in cluster.programs.parents:
            shutil.rmtree(copy)
    for name, text in ("postgresql.conf", settings), ("pg_hba.conf", HOST_BASED_AUTHENTICATION):
        (home / name).write_text(text)
        (home / name).chmod(0o644)  # for the server, whatever the umask; the home is private
    began = datetime.now(UTC).isoformat(sep=" ", timespec="milliseconds")
    with (home / "server.lock").open("ab") as lock:
        take(lock)
        options = ("--no-wait", "--log=log/start.log", "--options=-c config_file=postgresql.conf")
        cluster.run("pg_ctl", "start", *options, inherit=lock.fileno())
    if not comes_up(home):
        is_full = shutil.disk_usage(home).free < DISK_FULL
        reason = "the disk is full" if is_full else _reason(_log_since(home, began))
        raise EmbeddedPostgresError(f"PostgreSQL did not start: {reason}")


def _make_socket_folder(cluster: Cluster) -> None:
    """Make it anew for each run, so that nothing left in a temporary directory needs trust."""
    _remove_socket_folder(cluster.home)
    folder = cluster.home / "socket"
    path = os.fsencode(folder / SOCKET_NAME)
    if len(path) >= SOCKET_PATH_LIMIT or b"," in path:  # clients take a comma for a second host
        folder = fresh_folder(cluster.account) / "socket"
        (cluster.home / "socket").symlink_to(folder)
    folder.mkdir(mode=0o700)
    cluster.account.give(folder)


def _remove_socket_folder(home: Path) -> None:
    folder = home / "socket"
    if not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)
        return
    elsewhere = folder.readlink().parent
    if elsewhere.exists() and is_private(elsewhere):
        shutil.rmtree(elsewhere)
    folder.unlink()


def _make_log_folder(cluster: Cluster) -> None:
    folder = cluster.home / "log"
    if not folder.exists():
        folder.mkdir(mode=0o700)
        cluster.account.give(folder)
    for log in folder.glob("*.log"):
        if log.name == "start.log" or log.stat().st_mtime < time.time() - KEEP_LOG:
            log.unlink()


def _log_since(home: Path, moment: str) -> str:
    """Give the lines of all logs that begin with a later time, or with none."""
    logs = (log.read_text(errors="replace") for log in (home / "log").glob("*.log"))
    return "\n".join(sorted(line for log in logs for line in log.splitlines() if line >= moment))


def _reason(output: str) -> str:
    """Give the first failure that PostgreSQL's output names; the others follow from it."""
    failure = re.search(r"(?:error|ERROR|FATAL|PANIC): +(.+)", output)
    return failure[1] if failure else output.strip().rpartition("\n")[2] or "no reason given"


def shut_down(cluster: Cluster) -> None:
    with suppress(EmbeddedPostgresError):  # it may be going already; all that counts is its end
        cluster.run("pg_ctl", "stop", "--no-wait", "--mode=fast")
    deadline = time.monotonic() + PATIENCE
    while is_running(cluster.home):
        if time.monotonic() > deadline:
            raise EmbeddedPostgresError(f"PostgreSQL in {cluster.home} does not stop")
        time.sleep(0.01)
    _remove_socket_folder(cluster.home)
