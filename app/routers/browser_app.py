"""The browser app of examples/browser, in development: the first thing that a newcomer sees.

In production any static host serves it, and the addresses that mails lead to are its own.
"""

from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from typing_extensions import override

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
