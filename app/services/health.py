"""Whether each part that this installation depends on does its work."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

# A code mail that waits longer than this is noticed by the person who waits for it.
MAIL_DELAY_TOLERATED = timedelta(minutes=1)


class Reader(Protocol):
    async def fetchrow(self, query: str, *args: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Part:
    status: Literal["ok", "degraded", "down"]
    # Without it nothing works, and no request should come here.
    is_vital: bool


async def check_parts(
    reader: Reader,
    *,
    expected_revision: str,
    check_storage: Callable[[], Awaitable[None]],
    now: datetime,
) -> dict[str, Part]:
    """Each part by its name; what fails is named without its error, which may hold addresses."""
    revision = await _attempt(reader.fetchrow("SELECT version_num FROM alembic_version"))
    waiting = await _attempt(reader.fetchrow(_OLDEST_WAITING_MAIL, now - MAIL_DELAY_TOLERATED))
    storage = await _attempt(check_storage())
    # A newer one is fine: its migrations were made for this release to go on (ids are dates).
    is_migrated = not isinstance(revision, Exception) and revision["version_num"] >= (
        expected_revision
    )
    mails_flow = not isinstance(waiting, Exception) and not waiting["is_late"]
    return {
        "database": _part(is_up=not isinstance(revision, Exception), is_vital=True),
        "migrations": _part(is_up=is_migrated, is_vital=True),
        "storage": _part(is_up=not isinstance(storage, Exception), is_vital=False),
        "mail_queue": _part(is_up=mails_flow, is_vital=False),
    }


# Late is a mail that no worker takes, or one that waits although none at all got out since: a
# single mailbox that can't be reached says nothing about the queue.
_OLDEST_WAITING_MAIL = """
    WITH waiting AS (
        SELECT min(due_at) AS due_at, min(created_at) AS created_at FROM mail_outbox
         WHERE state IN ('pending', 'sending')
    )
    SELECT coalesce(due_at < $1 OR (created_at < $1 AND NOT EXISTS (
               SELECT FROM mail_outbox WHERE state = 'sent' AND finished_at > waiting.created_at
           )), false) AS is_late
      FROM waiting
"""


def _part(*, is_up: bool, is_vital: bool) -> Part:
    return Part("ok" if is_up else "down" if is_vital else "degraded", is_vital)


async def _attempt(check: Awaitable[Any]) -> Any:
    """The result, or whatever was raised: a check that fails must not hide the others."""
    try:
        return await check
    except Exception as error:  # noqa: BLE001  # drivers raise far more than they document
        return error
