"""Starting the parts of an installation: database, mail catcher, worker and API processes."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import connection

import structlog
from pydantic import SecretStr
from uvicorn import Server

from app.adapters import embedded_postgres
from app.adapters.embedded_postgres import EmbeddedPostgresError
from app.http.server import uvicorn_config
from app.settings import Settings, SettingsError

log = structlog.get_logger(__name__)

# Seconds: how long a child may take to finish what it is doing, and the pause before a new one.
GRACE = 35
RESTART_PAUSE = 1.0
SMTP_URL_FILE = "smtp_url"
APP_FACTORY = "app.commands.serving:app_from_environment"


@contextmanager
def embedded_database(settings: Settings) -> Iterator[Settings]:
    """Settings with a database: that of DATABASE_URL, or our own for as long as the block runs."""
    if settings.database_url is not None:
        yield settings
        return
    try:
        server = embedded_postgres.start(settings.data_dir.resolve())
    except EmbeddedPostgresError as error:
        raise SettingsError(str(error)) from error
    try:
        yield settings.model_copy(update={"database_url": server.url()})
    finally:
        server.stop()


@contextmanager
def mail_catcher(settings: Settings) -> Iterator[Settings]:
    """Settings with a mail server: that of SMTP_URL, or the catcher while the block runs.

    The catcher's address is left in DATA_DIR for a worker that is started apart.
    """
    if settings.smtp_url is not None:
        yield settings
        return
    from app.adapters.mail_catcher import MailCatcher

    catcher = MailCatcher(settings.data_dir.resolve() / "mail")
    url = catcher.start()
    address_file = settings.data_dir / SMTP_URL_FILE
    address_file.write_text(url)
    try:
        yield settings.model_copy(update={"smtp_url": SecretStr(url)})
    finally:
        if known_smtp_url(settings) == url:  # not that of a program started after us
            address_file.unlink(missing_ok=True)
        catcher.stop()


def check_addresses(settings: Settings) -> None:
    """Refuse what no part could use, before any of them starts."""
    from app.adapters.dkim import open_signer
    from app.adapters.smtp import parse_smtp_url
    from app.adapters.storage import StorageError, open_storage
    from app.http.counters import open_counters

    checks: dict[str, tuple[SecretStr | None, Callable[[str], object]]] = {
        "SMTP_URL": (settings.smtp_url, parse_smtp_url),
        "REDIS_URL": (settings.redis_url, open_counters),
        "STORAGE_URL": (
            settings.storage_url,
            lambda url: open_storage(url, default_folder=settings.data_dir / "objects"),
        ),
    }
    for name, (url, check) in checks.items():
        try:
            if url is not None:
                check(url.get_secret_value())
        except (ValueError, StorageError) as error:
            raise SettingsError(f"{name}: {error}") from None
    try:
        open_signer(settings)
    except ValueError as error:
        raise SettingsError(f"DKIM_KEY: {error}") from None


def child_environment(settings: Settings) -> dict[str, str]:
    """What a child must know of the embedded parts; the environment hides it from `ps`."""
    known = {
        "DATABASE_URL": settings.database_url,
        "SMTP_URL": settings.smtp_url and settings.smtp_url.get_secret_value(),
        "SECRET_KEY": settings.secret_key and settings.secret_key.get_secret_value(),
        "DATA_DIR": str(settings.data_dir.resolve()),
    }
    return {**os.environ, **{name: value for name, value in known.items() if value}}


class WorkerProcess:
    """A worker beside the API. One that dies is started again: its mails must not wait for us."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._child = self._start()
        threading.Thread(target=self._restart_when_dead, daemon=True).start()

    def _start(self) -> "subprocess.Popen[bytes]":
        # In a session of its own, Ctrl-C reaches it through us, after the API has finished; and
        # should we be killed, the end of its standard input tells it.
        return subprocess.Popen(  # our own program
            [sys.executable, "-m", "app", "worker", "--until-input-ends"],
            env=child_environment(self._settings),
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def _restart_when_dead(self) -> None:
        while True:
            status = self._child.wait()
            if self._stopping.wait(RESTART_PAUSE):
                return
            with self._lock:
                if self._stopping.is_set():
                    return
                log.warning("worker_restarted", exit_status=status)
                self._child = self._start()

    def stop(self) -> None:
        """Let it finish what it is sending; kill it only when it does not."""
        with self._lock:
            self._stopping.set()
        self._child.terminate()
        try:
            self._child.wait(GRACE)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()


@contextmanager
def worker_process(settings: Settings, *, wanted: bool = True) -> Iterator[None]:
    """Run a worker for as long as the block runs."""
    worker = WorkerProcess(settings) if wanted else None
    try:
        yield
    finally:
        if worker is not None:
            worker.stop()


def run_command(settings: Settings, *arguments: str) -> None:
    """Run another of our commands to its end, in a process that then gives its memory back."""
    command = [sys.executable, "-m", "app", *arguments]
    status = subprocess.call(command, env=child_environment(settings))  # noqa: S603  # our own program
    if status != 0:
        raise SystemExit(status)  # it has said why


def end_with_parent() -> None:
    """Stop this API process in order when the one that started it is gone, killed or not.

    Nobody would start its worker again, and it would keep the port from the next program.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="end-with-parent", daemon=True).start()


def serve_api(settings: Settings, *, workers: int) -> None:
    """Answer requests until SIGTERM or SIGINT."""
    os.environ.update(child_environment(settings))
    config = uvicorn_config(APP_FACTORY, host=settings.host, port=settings.port, workers=workers)
    if workers > 1:
        from uvicorn.supervisors import Multiprocess

        _share_metrics(settings)
        Multiprocess(config, sockets=[config.bind_socket()]).run()
        return
    Server(config).run()


def _share_metrics(settings: Settings) -> None:
    """Let each API process answer GET /metrics for all of them; counts begin at zero."""
    folder = settings.data_dir.resolve() / "metrics"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def known_smtp_url(settings: Settings) -> str | None:
    """SMTP_URL, or the address of the catcher of a program that runs on the same DATA_DIR."""
    if settings.smtp_url is not None:
        return settings.smtp_url.get_secret_value()
    try:
        return (settings.data_dir / SMTP_URL_FILE).read_text()
    except FileNotFoundError:
        return None
