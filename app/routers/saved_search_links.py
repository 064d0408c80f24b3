"""Where the links of alert mails lead that end them."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from starlette.responses import HTMLResponse

from app.deps import NO_STORE, DeploymentDep, Now, PreferredLocale, SessionDep
from app.formats.stop_alert_page import stop_alert_page
from app.http.accept import NotAcceptable, best_type
from app.http.openapi import Responses, refusals
from app.routers.pages import page_headers
from app.schemas.saved_searches import StopLinkAnswer
from app.services import saved_search_links
from app.services.languages import nearest
from app.services.newsletter_tokens import TokenRefused
from app.services.saved_search_links import StopLink

router = APIRouter(prefix="/v1/saved-searches/stop", tags=["broadcasters"], dependencies=[NO_STORE])

JSON, HTML = "application/json", "text/html"
Token = Annotated[str, Path(description="As it was mailed")]
DESCRIBED: Responses = {
    200: {
        "model": StopLinkAnswer,
        "content": {HTML: {"schema": {"type": "string"}}},
        "description": "JSON, or for browsers a plain page",
    },
    **refusals(TokenRefused),
}


@router.get("/{token}", response_model=StopLinkAnswer, responses=DESCRIBED)
async def describe_stop_link(
    token: Token,
    request: Request,
    session: SessionDep,
    deployment: DeploymentDep,
    locale: PreferredLocale,
) -> Response:
    """What the link is about: a search by its name, or all of an account, without a name.

    It stops nothing, since mail scanners open every link.
    """
    found = await saved_search_links.describe(session, token, keyring=deployment.keyring)
    return _described(request, found, locale)


@router.post("/{token}", response_model=StopLinkAnswer, responses=DESCRIBED)
async def stop_by_link(
    token: Token,
    request: Request,
    session: SessionDep,
    deployment: DeploymentDep,
    locale: PreferredLocale,
    now: Now,
) -> Response:
    """Pause it by one click, without any log-in; repeated, it gives the same answer.

    Mail programs call the address of `List-Unsubscribe`, which is for all searches (RFC 8058).
    """
    keyring = deployment.keyring
    await saved_search_links.stop(session, token, keyring=keyring, now=now)
    found = await saved_search_links.describe(session, token, keyring=keyring)
    return _described(request, found, locale)


def _described(request: Request, found: StopLink, locale: str) -> Response:
    """As the client likes it; who takes neither kind must be able to stop the mails too."""
    headers = {"Cache-Control": "no-store", "Vary": "Accept, Accept-Language"}
    try:
        media_type = best_type(request.headers.get("accept"), (JSON, HTML))
    except NotAcceptable:
        media_type = JSON
    if media_type == JSON:
        answer = StopLinkAnswer.model_validate(found)
        return Response(answer.model_dump_json(), media_type=JSON, headers=headers)
    page = stop_alert_page(nearest(locale), name=found.name, is_active=found.is_active)
    # The page is a form of this address, so that it works without JavaScript too.
    return HTMLResponse(page, headers={**page_headers(form_action="'self'"), **headers})
