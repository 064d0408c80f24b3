"""Sends an edition in processes that are killed one after the other: `URL SMTP_URL EDITION KILLS`.

Imports once; each life is a fork of this process and ends by SIGKILL at a random moment of its
work, but for the last, which sends what is left.
"""

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from app.db import Database
from tests.hurried_worker import KEYRING
from tests.newsletters import reaches, sending

# Seconds instead of minutes.
LEASE = timedelta(seconds=1)
LONGEST_LIFE = 0.5


def main(url: str, smtp_url: str, edition: str, kills: int) -> None:
    for _ in range(kills):
        began, ready = os.pipe()
        child = _fork(partial(_send, url, smtp_url, UUID(edition), ready))
        os.read(began, 1)
        time.sleep(random.uniform(0, LONGEST_LIFE))  # noqa: S311  # any moment will do
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    last = _fork(partial(_send, url, smtp_url, UUID(edition)))
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(last, 0)[1]))


def _fork(work: Callable[[], Coroutine[Any, Any, None]]) -> int:
    if child := os.fork():
        return child
    asyncio.run(work())
    os._exit(0)


async def _send(url: str, smtp_url: str, edition_id: UUID, ready: int | None = None) -> None:
    database = Database(url)
    # The last one waits for the leases of the others, and keeps its own however slow it is.
    lease = LEASE if ready is not None else timedelta(minutes=2)
    async with sending(database, smtp_url, keyring=KEYRING, lease=lease):
        if ready is not None:
            os.write(ready, b".")
        await reaches(database, edition_id, "sent", within=300)
    await database.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
