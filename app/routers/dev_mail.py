"""The mail catcher's inbox, in development and from this host alone."""

import asyncio
import html
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic_core import to_jsonable_python

from app.adapters.mail_catcher import CaughtMail, read_mails
from app.deps import SettingsDep
from app.errors import NotFound
from app.settings import is_loopback


async def refuse_foreigners(request: Request) -> None:
    """Refuse other machines, and pages that point a name of theirs at 127.0.0.1 (DNS rebinding)."""
    name = request.url.hostname or ""
    if not request.client or not is_loopback(request.client.host) or not is_loopback(name):
        raise NotFound


router = APIRouter(
    prefix="/dev", include_in_schema=False, dependencies=[Depends(refuse_foreigners)]
)


@router.get("/mail")
async def list_caught_mails(
    request: Request,
    settings: SettingsDep,
    to: Annotated[str | None, Query(max_length=320)] = None,
) -> Response:
    """Caught mails, newest first: JSON for programs, a page for browsers."""
    mails = await asyncio.to_thread(read_mails, settings.data_dir / "mail", to)
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(_page(mails), headers={"Content-Security-Policy": _CSP})
    items = to_jsonable_python(mails)
    return JSONResponse({"items": items}, headers={"Cache-Control": "no-store"})


_CSP = "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; base-uri 'none'"
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color-scheme: light dark }
article { border-top: 1px solid #8884; padding: 1rem 0 }
pre { white-space: pre-wrap; overflow-wrap: anywhere }
iframe { width: 100%; height: 28rem; border: 1px solid #8884; background: #fff }
"""


def _page(mails: list[CaughtMail]) -> str:
    articles = "".join(_article(mail) for mail in mails) or "<p>No mail has been caught yet.</p>"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>Caught mail</title>'
        f"<style>{_STYLE}</style><h1>Caught mail</h1>{articles}</html>"
    )


def _article(mail: CaughtMail) -> str:
    """Show a mail; its HTML in a frame without rights: no script, no form, no way out."""
    frame = ""
    if mail.html:
        page = f'<iframe sandbox srcdoc="{html.escape(mail.html, quote=True)}"></iframe>'
        frame = f"<details><summary>HTML</summary>{page}</details>"
    return (
        f"<article><h2>{html.escape(mail.subject)}</h2>"
        f"<p>{html.escape(str(mail.received_at))} · to {html.escape(mail.to)}</p>"
        f"<pre>{html.escape(mail.text or '')}</pre>{frame}</article>"
    )
