"""A small application within all layers, which makes every mistake that an endpoint can make."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict

from app.errors import NotFound, install_handlers
from app.http.counters import InProcessCounters
from app.http.deadline import REQUEST_DEADLINE
from app.http.rate_limits import RateLimitPolicy
from app.http.stack import StackOptions, middleware_stack
from app.http.strict_json import StrictJsonRoute

ORIGIN = "https://app.example.org"


def noon() -> datetime:
    """A clock that stands: no window of a quota ends."""
    return datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


OPTIONS = StackOptions(
    allowed_hosts=["localhost"],
    cors_origins=[ORIGIN],
    is_public=lambda path: path.startswith("/v1/feeds/"),
    counters=InProcessCounters(),
    clock=noon,
    rate_limit_policies=[
        RateLimitPolicy("default", quota=10_000, window=60),
        RateLimitPolicy("once", 1, 60, lambda scope: scope["path"] == "/v1/once"),
    ],
)
router = APIRouter(route_class=StrictJsonRoute, prefix="/v1")


class Login(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    email: str
    password: str


@router.post("/login")
async def login(login: Login) -> dict[str, str]:
    return {"email": login.email}


@router.get("/assets/{asset_id}")
async def read_asset(asset_id: str, q: str = "") -> dict[str, str]:
    return {"id": asset_id, "q": q}


@router.get("/missing")
async def missing() -> None:
    raise NotFound


@router.get("/broken")
async def broken(number: str = "") -> int:
    return int(number)


@router.get("/stuck")
async def stuck() -> None:
    await asyncio.Event().wait()


@router.get("/once")
async def once() -> str:
    return "only once"


@router.get("/feeds/assets.json")
async def feed(response: Response) -> list[str]:
    response.headers["Cache-Control"] = "public, max-age=60"
    return ["words that come again"] * 50


@router.get("/download")
async def download() -> StreamingResponse:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"first"
        await asyncio.sleep(2 * REQUEST_DEADLINE.total_seconds())
        yield b" and last"

    return StreamingResponse(pieces(), media_type="video/mp4")


@router.post("/upload")
async def upload(request: Request) -> dict[str, int]:
    return {"size": len(await request.body())}


def make_app(options: StackOptions = OPTIONS) -> FastAPI:
    app = FastAPI(middleware=middleware_stack(options), redirect_slashes=False)
    install_handlers(app)
    app.include_router(router)
    return app
