"""The project's own commands as real processes, and what is left of them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from app import main

PROJECT = Path(main.__file__).parent.parent
PATIENCE = 90.0  # seconds; these processes share the machine with other tests
Result = TypeVar("Result")


@dataclass
class Program:
    process: "subprocess.Popen[bytes]"
    log: Path
    url: str

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_until_it_serves(self, *, within: float = 2 * PATIENCE) -> str:
        """The address that it listens on; it may make a database first."""
        deadline = time.monotonic() + within
        while not self.answers():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)
        return self.url

    def answers(self) -> bool:
        return status_of(f"{self.url}/livez", timeout=5) == HTTPStatus.OK

    def terminate(self) -> None:
        self.process.terminate()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def exit_code(self) -> int:
        return self.process.wait(PATIENCE)


@contextmanager
def program(folder: Path, *arguments: str, **environment: str) -> Iterator[Program]:
    """Run `python -m app …` with DATA_DIR in `folder` and nothing else of our environment."""
    log = folder / f"{arguments[0]}.log"
    with kept_port() as port:
        given = {"PATH": os.environ["PATH"], "DATA_DIR": str(folder / "var"), "PORT": str(port)}
        with log.open("ab") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "app", *arguments],
                cwd=PROJECT,
                env={**given, **environment},
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
            )
        try:
            yield Program(process, log, f"http://127.0.0.1:{port}")
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(PATIENCE)


def run_to_end(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """Exit code and what was said."""
    with program(folder, *arguments, **environment) as running:
        return running.exit_code(), running.log.read_text()


def status_of(url: str, *, timeout: float) -> int | None:
    """Of a GET request, or None where nobody answers. It is asked often, so it loads no TLS."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request("GET", parts.path or "/")
        return connection.getresponse().status
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def free_ports(count: int) -> list[int]:
    """Ports that are free now, for programs that can't choose for themselves."""
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def kept_port() -> Iterator[int]:
    """A port on which a server of ours may listen, also again and again, and nobody else's.

    Nobody listens on our own socket, so another one may have the same address (with SO_REUSEADDR,
    as servers have it); but it is given to nobody who asks for any free port.
    """
    with socket.socket() as keeper:
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        keeper.bind(("127.0.0.1", 0))
        yield keeper.getsockname()[1]


def processes_of(folder: Path) -> set[int]:
    """Every process that was told of this DATA_DIR or works in it."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                told = str(folder).encode() in (entry / "environ").read_bytes()
                if told or (entry / "cwd").readlink().is_relative_to(folder):
                    found.add(int(entry.name))
            except OSError:
                continue  # it has gone meanwhile
    return found


def all_gone(folder: Path) -> bool:
    """Whether every process of this DATA_DIR is gone, or goes at once.

    One that has closed its files, by which it is known to have ended, may be seen a little longer.
    """
    deadline = time.monotonic() + 10
    while processes_of(folder) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not processes_of(folder)


def eventually(check: Callable[[], Result | None], *, within: float = PATIENCE) -> Result:
    """Wait until `check` gives something true, and give it."""
    deadline = time.monotonic() + within
    while not (result := check()):
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)
    return result
