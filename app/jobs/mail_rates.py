"""What one worker knows of its own pace: a limit of its own, and how much each domain gets."""

import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime

from app.services import mail_rates
from app.services.mail_rates import Write

# Seconds.
BURST = 0.2
METER_WINDOW = 10.0


class TokenBucket:
    """Lets so many mails a second pass, evenly: over any ten seconds, at most 2 % more.

    It starts empty, and after a pause what it has saved is worth `burst_seconds`, but at least one
    mail. Without a rate everything passes.
    """

    def __init__(
        self,
        rate: float | None,
        burst_seconds: float = BURST,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = rate
        self._most = max(1.0, (rate or 0) * burst_seconds)
        self._clock = clock
        # When it was empty, or would have been: it holds what has flowed in since.
        self._empty_at = clock()

    def take(self, want: int) -> int:
        """Take up to so many, as many as there are."""
        if self._rate is None:
            return want
        # Whoever slept for exactly `wait_time` finds one, whatever floating point lost.
        taken = min(want, int(self._held(self._rate) + 1e-6))
        self._empty_at += taken / self._rate
        return taken

    def give_back(self, unused: int) -> None:
        """Return what was taken for mails that did not leave after all."""
        if self._rate is not None:
            self._empty_at -= unused / self._rate

    def wait_time(self) -> float:
        """Seconds until there is one; 0 when there is."""
        if self._rate is None:
            return 0.0
        return max(0.0, (1 - self._held(self._rate)) / self._rate)

    def _held(self, rate: float) -> float:
        now = self._clock()
        self._empty_at = max(self._empty_at, now - self._most / rate)
        return (now - self._empty_at) * rate


class Allowance:
    """How many mails may leave by both limits: this worker's own, and that of all together."""

    def __init__(self, write: Write, bucket: TokenBucket) -> None:
        self._write = write
        self._bucket = bucket

    async def take(self, want: int, now: datetime) -> int:
        taken = self._bucket.take(want)
        allowed = await mail_rates.take_from_sender(self._write, taken, now)
        self._bucket.give_back(taken - allowed)
        return allowed

    async def give_back(self, unused: int) -> None:
        """Return what was taken for mails that did not leave after all."""
        self._bucket.give_back(unused)
        await mail_rates.give_back(self._write, unused)


class DomainMeter:
    """How many mails a second each domain got in about the last ten seconds.

    It counts in windows and keeps two of them, so it forgets domains by itself.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = self._window_began = clock()
        self._before: Counter[str] = Counter()
        self._counted: Counter[str] = Counter()

    def count(self, domain: str) -> None:
        self._move_on()
        self._counted[domain] += 1

    def per_second(self, domain: str) -> float:
        self._move_on()
        now = self._clock()
        # The window before counts as far as the last ten seconds reach into it.
        share = 1 - (now - self._window_began) / METER_WINDOW
        mails = self._counted[domain] + share * self._before[domain]
        return mails / min(METER_WINDOW, max(1.0, now - self._began))

    def _move_on(self) -> None:
        elapsed = self._clock() - self._window_began
        if elapsed < METER_WINDOW:
            return
        self._before = self._counted if elapsed < 2 * METER_WINDOW else Counter()
        self._counted = Counter()
        self._window_began += elapsed // METER_WINDOW * METER_WINDOW
