"""Where the links of newsletter mails lead: leaving by one click, and the preferences."""

from dataclasses import asdict
from functools import partial
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Path, Request, Response
from starlette.responses import HTMLResponse

from app.deps import (
    NO_STORE,
    CurrentClient,
    DeploymentDep,
    Now,
    PreferredLocale,
    SessionDep,
)
from app.errors import PreconditionFailed
from app.formats.unsubscribe_page import unsubscribe_page
from app.http import conditional
from app.http.accept import NotAcceptable, best_type
from app.http.openapi import Responses, refusals
from app.http.strict_json import StrictJsonRoute
from app.routers.pages import page_headers
from app.schemas.newsletter import Frequency
from app.schemas.newsletter_links import (
    LinkDescriptionAnswer,
    PreferencesAnswer,
    PreferencesBody,
)
from app.services import consent_texts, newsletter_links
from app.services.consent_texts import UnknownConsentText
from app.services.consents import evidence
from app.services.languages import LOCALES, Locale, nearest
from app.services.newsletter_links import LinkDescription, Preferences
from app.services.newsletter_tokens import TokenRefused
from app.services.subscriptions import UnknownTopic

router = APIRouter(
    prefix="/v1/newsletter",
    tags=["newsletter"],
    route_class=StrictJsonRoute,
    dependencies=[NO_STORE],
)

JSON, HTML = "application/json", "text/html"
# Not measured: whatever is not one of ours is answered alike.
Token = Annotated[str, Path(description="As it was mailed")]
DESCRIBED: Responses = {
    200: {
        "model": LinkDescriptionAnswer,
        "content": {HTML: {"schema": {"type": "string"}}},
        "description": "JSON, or for browsers a plain page",
    },
    **refusals(TokenRefused),
}
# What mailbox providers send (RFC 8058, section 3.2), also as multipart/form-data. Nothing depends
# on it: any body will do, or none.
ANY_BODY: dict[str, Any] = {
    "requestBody": {
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {"type": "object", "properties": {"List-Unsubscribe": {"type": "string"}}}
            }
        }
    }
}


@router.get("/unsubscribe/{token}", response_model=LinkDescriptionAnswer, responses=DESCRIBED)
async def describe_unsubscribe_link(
    token: Token,
    request: Request,
    session: SessionDep,
    deployment: DeploymentDep,
    locale: PreferredLocale,
) -> Response:
    """Whom the link is for. It changes nothing, since mail scanners open every link."""
    described = await newsletter_links.describe(session, token, keyring=deployment.keyring)
    return _described(request, described, locale)


@router.post(
    "/unsubscribe/{token}",
    response_model=LinkDescriptionAnswer,
    responses=DESCRIBED,
    openapi_extra=ANY_BODY,
)
async def unsubscribe_by_link(
    token: Token,
    request: Request,
    session: SessionDep,
    client: CurrentClient,
    deployment: DeploymentDep,
    locale: PreferredLocale,
    now: Now,
) -> Response:
    """Leave by one click (RFC 8058), without any log-in; repeated, it gives the same answer.

    Mailbox providers call it for their users. Whatever the body is, it is read and not looked at,
    but for the evidence to tell their calls from those of people.
    """
    source = "one_click" if b"One-Click" in await request.body() else "link"
    keyring = deployment.keyring
    proof = evidence(client, source)
    await newsletter_links.leave(session, token, proof, keyring=keyring, now=now)
    described = await newsletter_links.describe(session, token, keyring=keyring)
    return _described(request, described, locale)


@router.get("/preferences/{token}", responses=refusals(TokenRefused))
async def get_preferences(
    token: Token,
    session: SessionDep,
    deployment: DeploymentDep,
    locale: PreferredLocale,
    response: Response,
) -> PreferencesAnswer:
    """What is chosen, and what can be; labels are in the language of Accept-Language."""
    language, keyring = nearest(locale), deployment.keyring
    found = await newsletter_links.preferences(session, token, language=language, keyring=keyring)
    return _preferences(found, language, response)


@router.put(
    "/preferences/{token}",
    responses=refusals(TokenRefused, UnknownTopic, UnknownConsentText, PreconditionFailed),
)
async def put_preferences(
    token: Token,
    body: PreferencesBody,
    request: Request,
    session: SessionDep,
    client: CurrentClient,
    deployment: DeploymentDep,
    locale: PreferredLocale,
    response: Response,
    now: Now,
) -> PreferencesAnswer:
    """Choose, leave or come back. Without If-Match, the last change wins."""
    check = partial(conditional.check_if_match, request.headers.get("if-match"), required=False)
    language, keyring = nearest(locale), deployment.keyring
    shown = consent_texts.check(body.consent_text_version)
    proof = evidence(client, "preferences", text_version=shown, locale=language if shown else None)
    await newsletter_links.change_preferences(
        session, token, body.sent(), proof, check=check, keyring=keyring, now=now
    )
    found = await newsletter_links.preferences(session, token, language=language, keyring=keyring)
    return _preferences(found, language, response)


def _preferences(found: Preferences, language: Locale, response: Response) -> PreferencesAnswer:
    response.headers["ETag"] = conditional.etag(found.version)
    choice = {
        "topics": found.options,
        "languages": LOCALES,
        "frequencies": get_args(Frequency),
        "consent": {
            "version": consent_texts.CURRENT,
            "language": language,
            "text": consent_texts.current(language),
        },
    }
    chosen = {"email": found.email, "status": found.status, **asdict(found.choice)}
    return PreferencesAnswer.model_validate({**chosen, "choice": choice})


def _described(request: Request, described: LinkDescription, locale: str) -> Response:
    """As the client likes it; who takes neither kind must be able to leave too."""
    answer = LinkDescriptionAnswer.model_validate(described)
    headers = {"Cache-Control": "no-store", "Vary": "Accept, Accept-Language"}
    try:
        media_type = best_type(request.headers.get("accept"), (JSON, HTML))
    except NotAcceptable:
        media_type = JSON
    if media_type == JSON:
        return Response(answer.model_dump_json(), media_type=JSON, headers=headers)
    page = unsubscribe_page(nearest(locale), email=answer.email, status=answer.status)
    # The page is a form of this address, so that it works without JavaScript too.
    return HTMLResponse(page, headers={**page_headers(form_action="'self'"), **headers})
