"""Parse the files of strangers in a process that can open neither a file nor a connection.

Media parsers follow references: MediaInfo fetches what an HLS playlist, a DASH manifest or the
locator of an MXF file names, from our disk or over the network. And a malformed file may crash or
stall them. So they run in a child without our environment, which first opens what it needs and
then gives up, for good, the right to open more.
"""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path

_PROJECT = Path(__file__).parents[2]
_NEEDED_TO_START = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")  # all else may be secret
_WALL_SECONDS = 120
_CPU_SECONDS = 60
_MEMORY_BYTES = 4 * 2**30


class SandboxError(Exception):
    """The function raised an error, crashed, or passed a limit; the message ends its report."""


def run(function: Callable[..., bytes], *arguments: str) -> bytes:
    """Call a function of a module's top level in a process of its own.

    The function imports its parser, opens its file, and then calls `confine`.
    """
    command = [sys.executable, "-m", __name__, function.__module__, function.__name__, *arguments]
    environment = {name: os.environ[name] for name in _NEEDED_TO_START if name in os.environ}
    try:
        child = subprocess.run(  # noqa: S603  # this file, with our own function's name
            command,
            cwd=_PROJECT,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_WALL_SECONDS,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        report = error.stderr.decode(errors="replace").strip()
        raise SandboxError(report[-500:] or f"exit status {error.returncode}") from error
    except subprocess.TimeoutExpired as error:
        raise SandboxError(f"no result within {_WALL_SECONDS} seconds") from error
    return child.stdout


def confine() -> None:
    """Open nothing from now on; what is open stays usable. There is no way back."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _lower(resource.RLIMIT_CPU, _CPU_SECONDS)
    with suppress(ValueError):  # macOS does not limit memory
        _lower(resource.RLIMIT_AS, _MEMORY_BYTES)


def _lower(limit: int, value: int) -> None:
    _, hard = resource.getrlimit(limit)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (value, value))


def _main(module: str, name: str, *arguments: str) -> None:
    function = getattr(import_module(module), name)
    sys.stdout.buffer.write(function(*arguments))


if __name__ == "__main__":
    _main(*sys.argv[1:])
