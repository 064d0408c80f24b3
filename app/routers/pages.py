"""The few pages that this API serves itself: its documentation, and where links in mails lead.

Until a browser app serves /verify, /reset, /undo, /newsletter/… and /assets/… at APP_URL, these
plain pages do: nothing is used up by opening one, only by pressing its button (mail scanners open
every link).
"""

from pathlib import Path

import fastapi_offline
from fastapi import APIRouter
from fastapi.responses import FileResponse

from app.errors import NotFound

router = APIRouter(include_in_schema=False)

_STATIC = Path(__file__).parent.parent / "static"
_SWAGGER = Path(fastapi_offline.__file__).parent / "static"
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'{styles}; img-src 'self' data:; "
    "media-src 'self'; connect-src 'self'; base-uri 'none'; form-action {form_action}; "
    "frame-ancestors 'none'"
)


def page_headers(*, styles: str = "", form_action: str = "'none'") -> dict[str, str]:
    """For a page of our own; what it may load comes from here alone."""
    policy = _CSP.format(styles=styles, form_action=form_action)
    return {"Content-Security-Policy": policy, "Cache-Control": "no-cache"}


_PAGE_HEADERS = page_headers()
# Swagger UI sets style attributes.
_DOCS_HEADERS = page_headers(styles=" 'unsafe-inline'")
_ASSETS = {
    "page.css": _STATIC / "page.css",
    "link.js": _STATIC / "link.js",
    "asset.js": _STATIC / "asset.js",
    "newsletter.js": _STATIC / "newsletter.js",
    "docs.js": _STATIC / "docs.js",
    "swagger-ui-bundle.js": _SWAGGER / "swagger-ui-bundle.js",
    "swagger-ui.css": _SWAGGER / "swagger-ui.css",
}


@router.get("/")
async def get_start_page() -> FileResponse:
    return FileResponse(_STATIC / "start.html", headers=_PAGE_HEADERS)


@router.get("/docs")
async def get_documentation() -> FileResponse:
    """Swagger UI, from files of our own: it works on a closed network."""
    return FileResponse(_STATIC / "docs.html", headers=_DOCS_HEADERS)


@router.get("/verify")
@router.get("/reset")
@router.get("/undo")
async def get_link_page() -> FileResponse:
    """Where the link of a mail leads; the token is in the fragment, which no server sees."""
    return FileResponse(_STATIC / "link.html", headers=_PAGE_HEADERS)


@router.get("/newsletter/confirm")
@router.get("/newsletter/unsubscribe")
@router.get("/newsletter/preferences")
async def get_newsletter_page() -> FileResponse:
    """Where the links of newsletter mails lead."""
    return FileResponse(_STATIC / "newsletter.html", headers=_PAGE_HEADERS)


@router.get("/assets/{slug}")  # noqa: FAST003  # the page's script reads the slug
async def get_asset_page() -> FileResponse:
    """Where mails, feeds and sitemaps lead for an asset."""
    return FileResponse(_STATIC / "asset.html", headers=_PAGE_HEADERS)


@router.get("/static/{name}")
async def get_static_file(name: str) -> FileResponse:
    if name not in _ASSETS:
        raise NotFound
    return FileResponse(_ASSETS[name], headers={"Cache-Control": "public, max-age=3600"})
