"""Parse the files of strangers in a process that can open neither a file nor a connection.

Media parsers follow references: MediaInfo fetches what an HLS playlist, a DASH manifest or the
locator of an MXF file names, from our disk or over the network. And a malformed file may crash or
stall them. So they run in a child without our environment, which first opens what it needs, its
output too, and then gives up, for good, the right to open more. It may die without harm.
"""

import asyncio
import os
import resource
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from importlib import import_module
from pathlib import Path
from signal import SIGKILL, SIGTERM

_PROJECT = Path(__file__).parents[2]
_NEEDED_TO_START = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")  # all else may be secret
_REFUSED = 65  # exit status: EX_DATAERR of sysexits.h
_REPORT_BYTES = 500
_NICENESS = 10  # who waits for an answer of the API goes first


class SandboxError(Exception):
    """The function raised an error, crashed, or passed a limit; the message ends its report."""


class Refused(SandboxError):
    """The function says by a code what is wrong with the file: raised there, and again here."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Interrupted(SandboxError):
    """Somebody else ended the child, such as a host without memory: no fault of the file."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may use up. Its printed result counts as a file."""

    wall_seconds: int = 120
    cpu_seconds: int = 60
    memory_bytes: int = 4 * 2**30
    file_bytes: int = 64 * 2**20


_DEFAULT_LIMITS = Limits()


async def run(
    function: str,
    *arguments: str | float | Path,
    limits: Limits = _DEFAULT_LIMITS,
    on_progress: Callable[[int], None] | None = None,
) -> bytes:
    """Call `module:function` in a process of its own, and give the bytes that it returns.

    By name: the parser is not even loaded here.

    It gets the arguments as text, paths made absolute, opens its files and then calls `confine`;
    its module has imported the parser. What it tells `report_progress` arrives at `on_progress`,
    and then it has no other result.
    """
    child = await _start([function, *_texts(arguments)], limits)
    try:
        async with asyncio.timeout(limits.wall_seconds):
            output, report = await asyncio.gather(
                _read_output(child, limits, on_progress), _read_report(child)
            )
            status = await child.wait()
    except TimeoutError:
        raise SandboxError(f"no result within {limits.wall_seconds} seconds") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    _check(status, report)
    return output


def confine() -> None:
    """Open nothing from now on; what is open stays usable. There is no way back."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


def report_progress(percent: int) -> None:
    """Tell the parent; once that is gone, the broken pipe ends this child too."""
    os.write(1, b"%d\n" % percent)


async def _start(called: Sequence[str], limits: Limits) -> Process:
    environment = {name: os.environ[name] for name in _NEEDED_TO_START if name in os.environ}
    # Else each thread of a decoder reserves 64 MiB of the addresses that the child may have.
    environment["MALLOC_ARENA_MAX"] = "2"
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", __name__, ",".join(str(number) for number in astuple(limits)), *called),
        cwd=_PROJECT,
        env=environment,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )


def _texts(arguments: Iterable[str | float | Path]) -> list[str]:
    """The child has a working directory of its own."""
    return [str(each.absolute() if isinstance(each, Path) else each) for each in arguments]


async def _read_output(
    child: Process, limits: Limits, on_progress: Callable[[int], None] | None
) -> bytes:
    assert child.stdout is not None  # noqa: S101  # a pipe was asked for
    output = bytearray()
    while chunk := await child.stdout.read(2**16):
        if on_progress is not None:
            _tell(chunk, on_progress)
            continue
        output += chunk
        if len(output) > limits.file_bytes:
            raise SandboxError(f"a result of more than {limits.file_bytes} bytes")
    return bytes(output)


def _tell(printed: bytes, on_progress: Callable[[int], None]) -> None:
    """Pass on the newest number; a child that the file has taken over may print anything."""
    *_, last = printed.split() or [b""]
    if last.isdigit():
        on_progress(min(int(last[:3]), 100))


async def _read_report(child: Process) -> bytes:
    assert child.stderr is not None  # noqa: S101  # a pipe was asked for
    report = b""
    while chunk := await child.stderr.read(2**16):
        report = (report + chunk)[-_REPORT_BYTES:]
    return report


def _check(status: int, report: bytes) -> None:
    if status == 0:
        return
    text = report.decode(errors="replace").strip()
    if status == _REFUSED:
        raise Refused(text.splitlines()[-1] if text else "unknown")
    if status in {-SIGKILL, -SIGTERM}:
        raise Interrupted(f"ended by signal {-status}")
    raise SandboxError(text or f"exit status {status}")


def main() -> None:
    """The child: run the function that the parent has named, within the limits."""
    numbers, function, *arguments = sys.argv[1:]
    module, _, name = function.partition(":")
    _set_limits(Limits(*(int(number) for number in numbers.split(","))))
    try:
        result = getattr(import_module(module), name)(*arguments)
        sys.stdout.buffer.write(result)
        sys.stdout.flush()
    except Refused as refusal:
        sys.stderr.write(refusal.code)
        sys.exit(_REFUSED)


def _set_limits(limits: Limits) -> None:
    os.nice(_NICENESS)
    _lower(resource.RLIMIT_CORE, 0)
    # The signal for the softer limit tells the child's own excess from a kill by somebody else.
    _lower(resource.RLIMIT_CPU, limits.cpu_seconds, hard_too=False)
    _lower(resource.RLIMIT_FSIZE, limits.file_bytes)
    with suppress(ValueError):  # macOS does not limit memory
        _lower(resource.RLIMIT_AS, limits.memory_bytes)


def _lower(limit: int, value: int, *, hard_too: bool = True) -> None:
    _, hard = resource.getrlimit(limit)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (value, value if hard_too else hard))


if __name__ == "__main__":
    # Not this copy of the module: the function's module raises the errors of the other one.
    import_module("app.adapters.sandbox").main()
