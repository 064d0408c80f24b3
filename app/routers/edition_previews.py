"""What an edition will look like, before anybody gets it."""

from dataclasses import asdict
from typing import Literal
from uuid import UUID

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse, PlainTextResponse

from app.crypto import InvalidToken
from app.deps import (
    NO_STORE,
    ActingEditor,
    CurrentEditor,
    DeploymentDep,
    NewsroomDep,
    Now,
    SessionDep,
    Transactions,
)
from app.errors import Forbidden, LoginRequired, NotFound, RateLimited
from app.http.idempotency import IdempotencyDep
from app.http.openapi import Responses, refusals
from app.http.public_answer import content_of
from app.http.strict_json import StrictJsonRoute
from app.schemas.edition_previews import EditionTestAnswer, EditionTestBody, PreviewAnswer
from app.services import edition_previews
from app.services.emails import InvalidEmail, parse_email
from app.services.idempotency import IdempotencyKeyReused, IdempotencyKeyRunning
from app.services.languages import Locale

router = APIRouter(
    prefix="/v1/newsletter/editions/{edition_id}",
    tags=["newsletter"],
    route_class=StrictJsonRoute,
    responses=refusals(LoginRequired, InvalidToken, Forbidden, NotFound),
    dependencies=[NO_STORE],
)

# An editor's HTML runs nothing here, whoever wrote it and whatever the sanitiser let through.
_HTML_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src 'self' https:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}
_FORMATS: Responses = {
    200: {"content": {each: content_of(each) for each in ("text/html", "text/plain")}},
}


@router.get("/preview", response_model=PreviewAnswer, responses=_FORMATS)
async def preview_edition(
    edition_id: UUID,
    _: CurrentEditor,
    session: SessionDep,
    newsroom: NewsroomDep,
    deployment: DeploymentDep,
    now: Now,
    language: Locale | None = None,
    format: Literal["json", "html", "text"] = "json",  # noqa: A002  # the query's own name
) -> PreviewAnswer | Response:
    """The mail that readers of a language will get, or did get; 422 says what it lacks."""
    found = await edition_previews.preview(
        session,
        edition_id,
        language,
        newsroom=newsroom,
        keyring=deployment.keyring,
        now=now,
    )
    if format == "html":
        return HTMLResponse(found.html, headers=_HTML_HEADERS)
    if format == "text":
        return PlainTextResponse(found.text, headers={"Cache-Control": "no-store"})
    url = edition_previews.signed_url(
        edition_id, found.language, keyring=deployment.keyring, now=now
    )
    return PreviewAnswer(**asdict(found), html_bytes=found.html_bytes, url=url)


@router.post(
    "/test",
    status_code=202,
    responses=refusals(InvalidEmail, RateLimited, IdempotencyKeyReused, IdempotencyKeyRunning),
)
async def test_edition(
    edition_id: UUID,
    body: EditionTestBody,
    editor: ActingEditor,
    transactions: Transactions,
    idempotency: IdempotencyDep,
    newsroom: NewsroomDep,
    deployment: DeploymentDep,
    now: Now,
) -> EditionTestAnswer:
    """Mail it to a few addresses, marked as a test; 422 says what it lacks."""
    if replay := idempotency.replay:
        return replay  # type: ignore[return-value]  # FastAPI sends a response as it is
    to = [parse_email(each, pointer=f"/to/{place}") for place, each in enumerate(body.to)]
    async with transactions() as session:
        sent = await edition_previews.send_test(
            session,
            edition_id,
            to,
            body.language,
            newsroom=newsroom,
            deployment=deployment,
            editor=editor,
            now=now,
        )
        answer = EditionTestAnswer.model_validate(sent)
        await idempotency.remember(session, 202, answer)
    return answer
