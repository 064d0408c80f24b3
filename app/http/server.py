"""How uvicorn is run: with the limits that it lacks, and nothing that it would tell a stranger."""

from datetime import timedelta

import uvicorn
from starlette.types import ASGIApp

from app.http.connection import ConnectionLimits, TimedHttpToolsProtocol


class ServerConfig(uvicorn.Config):
    """uvicorn's configuration, which also carries the limits to each connection."""

    connection_limits = ConnectionLimits()


def uvicorn_config(
    app: ASGIApp | str,
    *,
    host: str,
    port: int,
    workers: int = 1,
    keep_alive: timedelta = timedelta(seconds=10),
    limits: ConnectionLimits | None = None,
) -> ServerConfig:
    """The one safe way to run the app, or what the factory of that name makes in each process.

    `keep_alive` must exceed the idle time of a load balancer in front: otherwise it will now and
    then send a request into a connection that is just closing.
    """
    config = ServerConfig(
        app,
        factory=isinstance(app, str),
        host=host,
        port=port,
        workers=workers,
        loop="uvloop",
        http=TimedHttpToolsProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # ClientAddressMiddleware reads them, from trusted proxies only
        server_header=False,
        timeout_keep_alive=int(keep_alive.total_seconds()),
        timeout_graceful_shutdown=30,
    )
    config.connection_limits = limits or ConnectionLimits()
    return config
