"""An installation of our own for a benchmark: database, API and worker, each on a chosen core."""

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.adapters import embedded_postgres

ROOT = Path(__file__).parent.parent.parent
SERVER_CORE, LOAD_CORE = 0, min(1, (os.cpu_count() or 1) - 1)


@dataclass(frozen=True)
class Installation:
    port: int
    api_pid: int
    environment: dict[str, str]
    secret_key: str


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started inside runs on this core alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def started(
    *command: str, environment: dict[str, str], core: int
) -> Iterator["subprocess.Popen[bytes]"]:
    with on_core(core):
        child = subprocess.Popen(
            [sys.executable, *command], env=environment, cwd=ROOT, stderr=subprocess.DEVNULL
        )
    try:
        yield child
    finally:
        child.terminate()
        child.wait(40)


@contextmanager
def installation(
    *, smtp_url: str, with_worker: bool = True, assets: int = 0, **settings: str
) -> Iterator[Installation]:
    """The API on one core; database, worker and load on the other. `settings` are more of these."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mma-bench-")))
        folder.chmod(0o711)
        with on_core(LOAD_CORE):
            server = embedded_postgres.start(folder)
        stack.callback(server.stop)
        port, secret_key = free_port(), secrets.token_urlsafe(48)
        environment = {
            **os.environ,
            "DATA_DIR": str(folder),
            "DATABASE_URL": server.url(),
            "SMTP_URL": smtp_url,
            "PORT": str(port),
            "RATE_LIMITS": "off",
            "SECRET_KEY": secret_key,
            **settings,
        }
        if assets:
            for command in (["migrate"], ["demo", "--assets", str(assets)]):
                subprocess.run(
                    [sys.executable, "-m", "app", *command], env=environment, cwd=ROOT, check=True
                )
        api = stack.enter_context(
            started("-m", "app", "serve", "--no-worker", environment=environment, core=SERVER_CORE)
        )
        wait_until_ready(port)
        if with_worker:
            stack.enter_context(
                started("-m", "app", "worker", environment=environment, core=LOAD_CORE)
            )
        yield Installation(port, api.pid, environment, secret_key)


def wait_until_ready(port: int, *, path: str = "/readyz", patience: float = 30) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=1).close()  # our own
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def resident_megabytes(pid: int) -> float:
    """The resident memory of a process, without what it shares being counted twice."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1_000_000
