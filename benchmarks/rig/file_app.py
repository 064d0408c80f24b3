"""Starlette's own way to send a file, served as the API is: the yardstick for downloads."""

import sys

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route
from uvicorn import Server

from app.http.server import uvicorn_config

PATH = sys.argv[2]


async def get_file(_: Request) -> Response:
    return FileResponse(PATH)


async def get_nothing(_: Request) -> Response:
    return PlainTextResponse("")


app = Starlette(routes=[Route("/file", get_file), Route("/", get_nothing)])

if __name__ == "__main__":
    Server(uvicorn_config(app, host="127.0.0.1", port=int(sys.argv[1]))).run()
