"""Hashing passwords with argon2id: passlib, off the event loop and within bounds."""

import asyncio
import contextlib
import ctypes
import os
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TypeVar

from passlib.context import CryptContext
from passlib.hash import argon2

from app.crypto.keyring import Keyring, new_token
from app.errors import ServiceUnavailable

# OWASP's and ASVS 5.0 appendix C's floor for argon2id: 19 MiB, two passes, one lane.
ARGON2_MEMORY_KIB = 19_456
ARGON2_PASSES = 2
# A stored hash names its own cost. No more is ever spent on one than 64 MiB for eight passes.
ARGON2_MEMORY_LIMIT_KIB = 65_536
ARGON2_PASSES_LIMIT = 8
ARGON2_LANES_LIMIT = 4
# About one second of work per hashing thread; whoever would wait longer is asked to come back.
HASH_QUEUE_PER_THREAD = 50
HASH_RETRY_AFTER = timedelta(seconds=2)
HASH_THREAD_NICENESS = 10
MEMORY_KEPT_FOR = 5.0  # seconds after the last hash

T = TypeVar("T")


class HashingBusy(ServiceUnavailable):
    """Too many passwords wait for the hash pool; better a clear answer than a long queue."""

    code, title = "busy", "Too many log-ins at this moment; try again in a few seconds"


class PasswordHasher:
    """argon2id under a pepper, in a few threads of low priority with a bounded queue.

    argon2 releases the interpreter lock while it computes; the low priority (Linux: per thread)
    keeps the event loop quick while a log-in storm uses every core.
    """

    def __init__(self, keyring: Keyring, *, threads: int | None = None) -> None:
        self._threads = threads or _usable_cores()
        self._keyring = keyring
        self._pepper_id = keyring.digest("pepper-id").hex()[:8]
        self._waiting = 0
        self._idle: asyncio.TimerHandle | None = None
        self._pool = ThreadPoolExecutor(self._threads, "hash", initializer=_lower_priority)
        self._context = CryptContext(
            schemes=["argon2"],
            argon2__type="ID",
            argon2__memory_cost=ARGON2_MEMORY_KIB,
            argon2__time_cost=ARGON2_PASSES,
            argon2__parallelism=1,
        )
        self._unknown = self._hash(new_token())

    async def hash(self, password: str) -> str:
        return await self._run(self._hash, password)

    async def verify(self, password: str, stored: str | None) -> bool:
        """Check a password; where no hash of ours is stored, take the same time and say no."""
        hashed = stored if stored is not None and _is_affordable_argon2(stored) else None
        matches = await self._run(self._verify, password, hashed or self._unknown)
        return matches and hashed is not None

    def needs_rehash(self, stored: str) -> bool:
        """Whether the parameters or the pepper have changed since."""
        pepper_id, _, hashed = stored.partition(":")
        return pepper_id != self._pepper_id or self._context.needs_update(hashed)

    def close(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _run(self, function: Callable[..., T], *args: str) -> T:
        if self._waiting >= self._threads * HASH_QUEUE_PER_THREAD:
            raise HashingBusy(retry_after=HASH_RETRY_AFTER)
        self._waiting += 1
        if self._idle is not None:
            self._idle.cancel()
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool, function, *args)
        finally:
            self._waiting -= 1
            if self._waiting == 0:
                self._idle = loop.call_later(MEMORY_KEPT_FOR, self._give_memory_back)

    def _give_memory_back(self) -> None:
        """Return the 19 MiB that each thread keeps to the system.

        While there is work it is kept: taking it anew for each hash would cost a third of the
        speed.
        """
        all_at_once = threading.Barrier(self._threads)
        for _ in range(self._threads):
            self._pool.submit(_trim_own_heap, all_at_once)

    def _hash(self, password: str) -> str:
        return f"{self._pepper_id}:{self._context.hash(self._peppered(password))}"

    def _verify(self, password: str, stored: str) -> bool:
        _, _, hashed = stored.partition(":")
        try:
            return bool(self._context.verify(self._peppered(password), hashed))
        except ValueError:  # damaged: argon2 itself can't read it
            return False

    def _peppered(self, password: str) -> str:
        normalized = unicodedata.normalize("NFC", password)
        return self._keyring.digest("pepper", normalized).hex()


def _is_affordable_argon2(stored: str) -> bool:
    """Whether this is a hash with a cost that we would choose; passlib computes any."""
    try:
        parsed = argon2.from_string(stored.partition(":")[2])
    except ValueError:  # also passlib's UnknownHashError
        return False
    return bool(
        parsed.memory_cost <= ARGON2_MEMORY_LIMIT_KIB
        and parsed.rounds <= ARGON2_PASSES_LIMIT
        and parsed.parallelism <= ARGON2_LANES_LIMIT
    )


def _trim_own_heap(all_at_once: threading.Barrier) -> None:
    """Have glibc unmap what this thread's heap holds free; each thread has one (mallopt(3)).

    It looks only when something large is freed, and against a threshold that has grown with the
    hashes; so both are done by hand. Other C libraries lack the call or need none of this.
    """
    with contextlib.suppress(threading.BrokenBarrierError, AttributeError, OSError):
        all_at_once.wait(timeout=1)  # else one thread might take the turn of another
        libc = ctypes.CDLL(None)
        libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
        libc.mallopt(_M_TRIM_THRESHOLD, 0)
        libc.free(libc.malloc(_LARGE_ALLOCATION))
        libc.mallopt(_M_TRIM_THRESHOLD, 4 * ARGON2_MEMORY_KIB * 1024)


_M_TRIM_THRESHOLD = -1
_LARGE_ALLOCATION = 128 * 1024


def _usable_cores() -> int:
    """How many cores this process may use, which in a container is fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _lower_priority() -> None:
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), HASH_THREAD_NICENESS)
