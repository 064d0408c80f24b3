"""A worker that sends webhooks until it is killed: `python -m tests.killed_teller URL SECRET`."""

import asyncio
import sys

from app.crypto import Keyring
from app.db import Database
from tests.webhook_sink import telling


async def tell(url: str, secret: str) -> None:
    database = Database(url)
    async with telling(database, Keyring(secret)):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(tell(sys.argv[1], sys.argv[2]))
