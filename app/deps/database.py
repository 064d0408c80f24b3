"""Sessions, transactions and connections that only read. Nothing else here knows app.db."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Annotated, cast

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import Reader, get_session
from app.http.page_cache import FILLING

# scope="function": FastAPI commits before it sends the response, not after. A second, plain
# Depends(get_session) would open a second session in the same request.
SessionDep = Annotated[AsyncSession, Depends(get_session, scope="function")]


async def get_transactions(
    request: Request,
) -> Callable[[], AbstractAsyncContextManager[AsyncSession]]:
    """For whoever must hold no connection while it waits for the hash pool or the network."""
    return cast(
        "Callable[[], AbstractAsyncContextManager[AsyncSession]]",
        request.app.state.database.transaction,
    )


Transactions = Annotated[
    Callable[[], AbstractAsyncContextManager[AsyncSession]], Depends(get_transactions)
]


async def get_reader(request: Request) -> Reader:
    return cast("Reader", request.app.state.database.reader)


ReaderDep = Annotated[Reader, Depends(get_reader)]


async def get_public_reader(request: Request) -> Reader:
    """For what anybody may read: a replica, except for an answer that is kept for everybody."""
    database = request.app.state.database
    is_kept = request.scope.get("state", {}).get(FILLING, False)
    return cast("Reader", database.reader if is_kept else database.replica)


PublicReaderDep = Annotated[Reader, Depends(get_public_reader)]
