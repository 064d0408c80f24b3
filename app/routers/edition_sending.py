"""Sending an edition: its steps, each of which acts at once, and what is known of its mails."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.crypto import InvalidToken
from app.deps import (
    NO_STORE,
    ActingEditor,
    CurrentEditor,
    NewsroomDep,
    Now,
    OptionalVersionCheckDep,
    PageDep,
    SessionDep,
    VersionCheckDep,
)
from app.errors import Forbidden, LoginRequired, NotFound, PreconditionFailed
from app.http.conditional import PreconditionRequired
from app.http.openapi import refusals
from app.http.paging import InvalidCursor
from app.http.strict_json import StrictJsonRoute
from app.routers.edition_answer import edition_answer
from app.schemas.base import Email
from app.schemas.editions import (
    DeliveryAnswer,
    DeliveryList,
    EditionAnswer,
    EditionStats,
    PauseBody,
    RetryAnswer,
    ScheduleBody,
)
from app.services import delivery_ledger, edition_states, edition_stats, editions
from app.services.delivery_ledger import RETRIED, LedgerState, Retried
from app.services.editions import EditionState
from app.services.emails import InvalidEmail, parse_email

router = APIRouter(
    prefix="/v1/newsletter/editions/{edition_id}",
    tags=["newsletter"],
    route_class=StrictJsonRoute,
    responses=refusals(LoginRequired, InvalidToken, Forbidden, NotFound),
    dependencies=[NO_STORE],
)

STEPS = (PreconditionFailed, EditionState)


@router.post("/schedule", responses=refusals(*STEPS, PreconditionRequired))
async def schedule_edition(
    edition_id: UUID,
    body: ScheduleBody,
    editor: ActingEditor,
    check: VersionCheckDep,
    newsroom: NewsroomDep,
    session: SessionDep,
    response: Response,
    now: Now,
) -> EditionAnswer:
    """Send it at a time to come; scheduled again, at another. What its mails lack is named now."""
    edition = await edition_states.schedule(
        session, edition_id, body.send_at, check=check, newsroom=newsroom, editor=editor, now=now
    )
    return edition_answer(response, edition)


@router.post("/send", responses=refusals(*STEPS, PreconditionRequired))
async def send_edition(
    edition_id: UUID,
    editor: ActingEditor,
    check: VersionCheckDep,
    newsroom: NewsroomDep,
    session: SessionDep,
    response: Response,
    now: Now,
) -> EditionAnswer:
    """Send it now: what its mails say is fixed from here on, and the worker begins."""
    edition = await edition_states.send(
        session, edition_id, check=check, newsroom=newsroom, editor=editor, now=now
    )
    return edition_answer(response, edition)


@router.post("/pause", responses=refusals(*STEPS))
async def pause_edition(
    edition_id: UUID,
    editor: ActingEditor,
    check: OptionalVersionCheckDep,
    session: SessionDep,
    response: Response,
    now: Now,
    body: PauseBody | None = None,
) -> EditionAnswer:
    """Let no further mail leave; those on the wire arrive."""
    reason = body.reason if body else None
    edition = await edition_states.pause(
        session, edition_id, reason, check=check, editor=editor, now=now
    )
    return edition_answer(response, edition)


@router.post("/resume", responses=refusals(*STEPS))
async def resume_edition(
    edition_id: UUID,
    editor: ActingEditor,
    check: OptionalVersionCheckDep,
    newsroom: NewsroomDep,
    session: SessionDep,
    response: Response,
    now: Now,
) -> EditionAnswer:
    """Go on where it was paused; one whose mails could not be made at its time starts now."""
    edition = await edition_states.resume(
        session, edition_id, check=check, newsroom=newsroom, editor=editor, now=now
    )
    return edition_answer(response, edition)


@router.post("/cancel", responses=refusals(*STEPS))
async def cancel_edition(
    edition_id: UUID,
    editor: ActingEditor,
    check: OptionalVersionCheckDep,
    session: SessionDep,
    response: Response,
    now: Now,
) -> EditionAnswer:
    """Send no more of it, for good. One that has not started is a draft again."""
    edition = await edition_states.cancel(session, edition_id, check=check, editor=editor, now=now)
    return edition_answer(response, edition)


@router.post("/retry-failed", responses=refusals(*STEPS))
async def retry_failed_deliveries(
    edition_id: UUID,
    editor: ActingEditor,
    check: OptionalVersionCheckDep,
    session: SessionDep,
    now: Now,
    state: Annotated[Retried | None, Query()] = None,
) -> RetryAnswer:
    """Try again what has failed, or may have; nobody gets it who is known to have got it."""
    states = (state,) if state else RETRIED
    retried = await edition_states.retry_failed(
        session, edition_id, states, check=check, editor=editor, now=now
    )
    return RetryAnswer(retried=retried)


@router.get("/stats")
async def get_edition_stats(
    edition_id: UUID, _: CurrentEditor, session: SessionDep, now: Now
) -> EditionStats:
    """What has become of its mails by now, how fast they leave, and when it will end."""
    edition = await editions.get(session, edition_id)
    return EditionStats.model_validate(await edition_stats.count(session, edition, now=now))


@router.get("/deliveries", responses=refusals(InvalidCursor, InvalidEmail))
async def list_deliveries(
    edition_id: UUID,
    _: CurrentEditor,
    session: SessionDep,
    pager: PageDep,
    response: Response,
    now: Now,
    state: Annotated[LedgerState | None, Query()] = None,
    email: Annotated[Email | None, Query()] = None,
) -> DeliveryList:
    """The ledger, one line for each recipient. `missing` names those who should be in it."""
    edition = await editions.get(session, edition_id)
    scope = f"deliveries {edition_id} {state} {email}"
    after = pager.after(scope)
    found = await delivery_ledger.list_entries(
        session,
        edition,
        state=state,
        email_key=parse_email(email).key if email else None,
        after=UUID(str(after[0])) if after else None,
        limit=pager.read_limit,
        now=now,
    )
    items = [DeliveryAnswer.model_validate(entry) for entry in pager.shown(found)]
    last = [str(items[-1].subscriber_id)] if items else []
    next_cursor = pager.next_cursor(response, scope, found, last)
    return DeliveryList(items=items, next_cursor=next_cursor)
