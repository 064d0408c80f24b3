"""The HTML of a preview for a frame of the browser app, which can send no token."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from app.deps import DeploymentDep, FrameAncestors, NewsroomDep, Now, SessionDep
from app.errors import NotFound
from app.http.openapi import refusals
from app.services import edition_previews
from app.services.languages import Locale
from app.services.signed_addresses import SIGNATURE_MAX_LENGTH

router = APIRouter(prefix="/v1/newsletter/editions/{edition_id}", tags=["newsletter"])

# An editor's HTML runs nothing here, whoever wrote it and whatever the sanitiser let through.
_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src * data:"


@router.get("/preview.html", response_class=HTMLResponse, responses=refusals(NotFound))
async def show_edition_preview(
    edition_id: UUID,
    session: SessionDep,
    newsroom: NewsroomDep,
    deployment: DeploymentDep,
    frame_ancestors: FrameAncestors,
    now: Now,
    language: Locale,
    signature: Annotated[str, Query(max_length=SIGNATURE_MAX_LENGTH)],
) -> HTMLResponse:
    """What a preview's `url` shows."""
    keyring = deployment.keyring
    edition_previews.check_signed(signature, edition_id, language, keyring=keyring, now=now)
    found = await edition_previews.preview(
        session, edition_id, language, newsroom=newsroom, keyring=keyring, now=now
    )
    policy = f"{_POLICY}; base-uri 'none'; form-action 'none'; {frame_ancestors}"
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": policy}
    return HTMLResponse(found.html, headers=headers)
