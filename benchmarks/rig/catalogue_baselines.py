"""What the catalogue is compared with: FastAPI with fixed bytes, and with asyncpg and no more.

Arguments: a port, a file with the fixed bytes, the database's URL.
"""

import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
from fastapi import FastAPI, Request, Response
from uvicorn import Server

from app.http.server import uvicorn_config

_PORT, _BODY, _URL = int(sys.argv[1]), Path(sys.argv[2]).read_bytes(), sys.argv[3]
_PAGE = """
    SELECT asset.document
      FROM (SELECT asset_id, published_at FROM asset_search WHERE published_at <= $1
             ORDER BY published_at DESC, asset_id DESC LIMIT 20) AS found
      JOIN asset ON asset.id = found.asset_id
     ORDER BY found.published_at DESC, found.asset_id DESC
"""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(_URL, min_size=10, max_size=10, reset=_nothing) as pool:
        app.state.pool = pool
        query = "SELECT published_at FROM asset_search LIMIT 10000"
        app.state.times = [row[0] for row in await pool.fetch(query)]
        yield


async def _nothing(_: Any) -> None:
    """As our own readers: there is nothing to reset."""


app = FastAPI(lifespan=lifespan)


@app.get("/fixed")
async def get_fixed() -> Response:
    return Response(_BODY, media_type="application/json")


@app.get("/joined")
async def get_joined(request: Request) -> Response:
    state = request.app.state
    rows = await state.pool.fetch(_PAGE, random.choice(state.times))  # noqa: S311  # no secret
    body = f'{{"items":[{",".join(row[0] for row in rows)}]}}'
    return Response(body, media_type="application/json")


if __name__ == "__main__":
    Server(uvicorn_config(app, host="127.0.0.1", port=_PORT)).run()
