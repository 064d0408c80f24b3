"""FastAPI with nothing in it, served as the API is: the yardstick for requests per second."""

import sys

from fastapi import FastAPI
from uvicorn import Server

from app.http.server import uvicorn_config

app = FastAPI()


@app.get("/")
async def get_nothing() -> dict[str, str]:
    return {}


if __name__ == "__main__":
    Server(uvicorn_config(app, host="127.0.0.1", port=int(sys.argv[1]))).run()
