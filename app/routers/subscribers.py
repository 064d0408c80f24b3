"""Subscribers in bulk, for editors, and the evidence of their consent, for admins."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime

from app.crypto import InvalidToken
from app.deps import (
    NO_STORE,
    ActingEditor,
    Clock,
    CurrentAdmin,
    CurrentClient,
    DeploymentDep,
    Now,
    PageDep,
    ReaderDep,
    SessionDep,
    Transactions,
)
from app.errors import Forbidden, InvalidInput, LoginRequired, UnsupportedMediaType
from app.formats.file_names import content_disposition
from app.http.openapi import refusals
from app.http.paging import InvalidCursor
from app.schemas.base import Email, Line
from app.schemas.newsletter import Frequency, Status
from app.schemas.subscribers import ConsentAnswer, ConsentList, ImportReport
from app.services import consent_history, subscriber_export, subscriber_import
from app.services.context import Editor
from app.services.emails import InvalidEmail, parse_email
from app.services.languages import LOCALES, Locale
from app.services.subscriber_export import Filters
from app.services.subscriber_import import Import, InvalidHeader, TooManyLines
from app.services.subscriptions import Choice, UnknownTopic

router = APIRouter(
    prefix="/v1/newsletter",
    tags=["newsletter"],
    dependencies=[NO_STORE],
    responses=refusals(LoginRequired, InvalidToken, Forbidden),
)

MEDIA_TYPE = "text/csv"
FILE: dict[str, Any] = {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}
Slugs = Annotated[
    str,
    Query(
        max_length=1000,
        pattern="^[a-z0-9 -]*$",
        description="Topics of new subscribers, with spaces between; all if ''",
    ),
]


class CsvExpected(UnsupportedMediaType):
    title = "Send subscribers in UTF-8 as text/csv"


@router.get(
    "/subscribers",
    response_class=Response,
    responses={200: {"description": "The file", **FILE}, **refusals(UnknownTopic)},
)
async def export_subscribers(
    editor: ActingEditor,
    transactions: Transactions,
    reader: ReaderDep,
    deployment: DeploymentDep,
    now: Now,
    state: Status | None = None,
    topic: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """Subscribers as CSV, in whatever state; `topic` finds all who get it.

    Into an empty installation it can be imported as it is: docs/newsletter-import.md.
    """
    pieces = await subscriber_export.export(
        transactions,
        reader,
        Filters(state, topic),
        editor=editor,
        keyring=deployment.keyring,
        now=now,
    )
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": content_disposition(f"subscribers-{now:%Y-%m-%d}.csv"),
    }
    return StreamingResponse(pieces, headers=headers, media_type=MEDIA_TYPE)


@router.post(
    "/subscribers",
    openapi_extra={"requestBody": {"required": True, **FILE}},
    responses=refusals(CsvExpected, InvalidInput, InvalidHeader, UnknownTopic, TooManyLines),
)
async def import_subscribers(
    request: Request,
    editor: ActingEditor,
    transactions: Transactions,
    deployment: DeploymentDep,
    clock: Clock,
    consent_source: Annotated[
        Line, Query(description="Where these people agreed, word for word into the evidence")
    ],
    default_topics: Slugs = "",
    default_language: Locale = LOCALES[0],
    default_frequency: Frequency = "each",
    as_of: Annotated[
        AwareDatetime | None, Query(description="When the file was made; now if left out")
    ] = None,
) -> ImportReport:
    """Import a file that an export or another system has written: docs/newsletter-import.md.

    Broken lines are reported and skipped. What was imported before a cut stays, and the same file
    again changes nothing: therefore this POST takes no Idempotency-Key.
    """
    _check_content_type(request.headers.get("content-type", ""))
    report = await subscriber_import.import_file(
        transactions,
        request.stream(),
        Import(
            editor=editor,
            consent_source=consent_source,
            defaults=Choice(tuple(default_topics.split()), default_language, default_frequency),
            as_of=as_of,
        ),
        keyring=deployment.keyring,
        clock=clock,
    )
    return ImportReport.model_validate(report)


@router.get("/consents", responses=refusals(InvalidEmail, InvalidCursor))
async def list_consents(
    response: Response,
    email: Annotated[Email, Query()],
    admin: CurrentAdmin,
    client: CurrentClient,
    session: SessionDep,
    deployment: DeploymentDep,
    pager: PageDep,
    now: Now,
) -> ConsentList:
    """The evidence about one address, newest first; that somebody looked is recorded."""
    address = parse_email(email)
    scope = f"consents {address.key}"
    after = pager.after(scope)
    found = await consent_history.list_consents(
        session,
        address,
        before=(datetime.fromisoformat(str(after[0])), UUID(str(after[1]))) if after else None,
        limit=pager.read_limit,
        admin=Editor(admin.account_id, client),
        keyring=deployment.keyring,
        now=now,
    )
    items = [ConsentAnswer.model_validate(consent) for consent in pager.shown(found)]
    last = [items[-1].occurred_at.isoformat(), str(items[-1].id)] if items else []
    return ConsentList(items=items, next_cursor=pager.next_cursor(response, scope, found, last))


def _check_content_type(content_type: str) -> None:
    media_type, _, parameters = content_type.lower().partition(";")
    charset = parameters.replace(" ", "").replace('"', "")
    # RFC 4180 also has the parameter `header`; a first line with the columns is a must here.
    if media_type.strip() != MEDIA_TYPE or charset not in {"", "charset=utf-8", "header=present"}:
        raise CsvExpected
