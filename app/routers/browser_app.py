"""The browser app of examples/browser, in development: the first thing that a newcomer sees.

In production any static host serves it, and the addresses that mails lead to are its own.
"""

import re
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import FileResponse, Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from typing_extensions import override

from app.http.accept import NotAcceptable, best_type

FOLDER = Path(__file__).parent.parent.parent / "examples" / "browser"
# As examples/browser/ui/pages.js has them; what one of these does not know, it says itself.
ADDRESSES = (
    "/",
    "/search",
    "/assets/{slug}",
    "/collections/{slug}",
    "/register",
    "/verify",
    "/welcome",
    "/login",
    "/reset",
    "/undo",
    "/newsletter",
    "/newsletter/confirm",
    "/newsletter/unsubscribe",
    "/newsletter/preferences",
    "/newsletter/archive/{number}",
    "/account",
    "/account/{path:path}",
    "/desk",
    "/desk/{path:path}",
)
# Whatever is asked for below these, the answer is the API's.
_OF_THE_API = re.compile(
    r"/(v1|dev|docs|metrics|oai|oauth|oembed|sitemaps|static|ui|\.well-known)(/|\Z)"
)
_OFFERED = ("application/problem+json", "application/json", "text/html")
# The page brings its own policy, the same on every host, but for what can't stand in a page.
_HEADERS = {"Content-Security-Policy": "frame-ancestors 'none'", "Cache-Control": "no-cache"}

router = APIRouter(include_in_schema=False)


class FreshFiles(StaticFiles):
    """Asked for anew at each load, so that a changed file is seen; mostly the answer is 304."""

    @override
    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


files = FreshFiles(directory=FOLDER / "ui", check_dir=False)


async def get_browser_app() -> FileResponse:
    return FileResponse(FOLDER / "index.html", headers=_HEADERS)


for address in ADDRESSES:
    router.add_api_route(address, get_browser_app)


def show_wrong_addresses(app: FastAPI) -> None:
    """Let the app tell people that nothing is there; programs go on to get a problem document."""
    otherwise: Any = app.exception_handlers[HTTPException]

    async def answer(request: Request, error: Exception) -> Response:
        status = getattr(error, "status_code", None)
        if status == HTTPStatus.NOT_FOUND and _is_of_a_person(request):
            headers = {**_HEADERS, "Vary": "Accept"}
            return FileResponse(FOLDER / "index.html", status, headers)
        answered: Response = await otherwise(request, error)
        return answered

    app.add_exception_handler(HTTPException, answer)


def _is_of_a_person(request: Request) -> bool:
    if request.method not in {"GET", "HEAD"} or _OF_THE_API.match(request.url.path):
        return False
    try:
        return best_type(request.headers.get("accept"), _OFFERED) == "text/html"
    except NotAcceptable:
        return False
