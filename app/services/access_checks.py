"""Whether those who are answered for long may still have what they get."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from app.errors import AppError, ServiceUnavailable
from app.services import policy

log = structlog.get_logger(__name__)

_CHECKS_AT_ONCE = 4

# The ordinary check of a request, once more; raises `AppError` when access is lost.
Check = Callable[[], Awaitable[object]]
OnLoss = Callable[[AppError], None]


@dataclass(slots=True)
class _Credential:
    check: Check
    holders: set[OnLoss] = field(default_factory=set)


class AccessChecks:
    """Checks each credential again and again, once for all requests that came with it.

    Where a check finds nothing out, because the database is away, its time comes again.
    """

    def __init__(self) -> None:
        self._credentials: dict[str, _Credential] = {}
        self._checker: asyncio.Task[None] | None = None

    def count(self, credential: str) -> int:
        """How many requests with this credential are being answered for long."""
        known = self._credentials.get(credential)
        return len(known.holders) if known else 0

    @contextmanager
    def watching(self, credential: str, check: Check, on_loss: OnLoss) -> Iterator[None]:
        """Have `on_loss`, which is nobody else's, called when the credential is good no more."""
        known = self._credentials.setdefault(credential, _Credential(check))
        known.holders.add(on_loss)
        if self._checker is None:
            self._checker = asyncio.create_task(self._check_all())
        try:
            yield
        finally:
            known.holders.discard(on_loss)
            if not known.holders and self._credentials.get(credential) is known:
                del self._credentials[credential]
            if not self._credentials and self._checker is not None:
                self._checker.cancel()
                self._checker = None

    async def _check_all(self) -> None:
        while True:
            await asyncio.sleep(policy.ACCESS_CHECK_INTERVAL.total_seconds())
            waiting = iter(list(self._credentials.items()))
            await asyncio.gather(*(self._check_each(waiting) for _ in range(_CHECKS_AT_ONCE)))

    async def _check_each(self, waiting: Iterator[tuple[str, _Credential]]) -> None:
        for credential, known in waiting:
            try:
                await known.check()
            except ServiceUnavailable as outage:  # it says nothing of the credential
                log.warning("access_not_checked", error=type(outage).__name__)
            except AppError as refusal:
                if self._credentials.get(credential) is known:
                    del self._credentials[credential]
                for on_loss in list(known.holders):
                    on_loss(refusal)
            except Exception as error:  # noqa: BLE001  # drivers raise far more than they document
                log.warning("access_not_checked", error=type(error).__name__)
