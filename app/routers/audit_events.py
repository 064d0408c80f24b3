"""The audit trail, for admins."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.crypto import InvalidToken
from app.deps import CurrentAdmin, PageDep, SessionDep
from app.errors import Forbidden, LoginRequired
from app.http.openapi import refusals
from app.http.paging import InvalidCursor
from app.schemas.audit_events import AuditEventAnswer, AuditEventList
from app.services import audit_events

router = APIRouter(
    prefix="/v1/audit-events",
    tags=["administration"],
    responses=refusals(LoginRequired, InvalidToken, Forbidden),
)


@router.get("", responses=refusals(InvalidCursor))
async def list_audit_events(
    response: Response,
    _: CurrentAdmin,
    session: SessionDep,
    pager: PageDep,
    account_id: UUID | None = None,
    action: Annotated[str | None, Query(max_length=64)] = None,
) -> AuditEventList:
    """What happened, newest first, for one account or of one kind."""
    scope = f"audit-events {account_id} {action}"
    after = pager.after(scope)
    found = await audit_events.list_events(
        session,
        subject=str(account_id) if account_id else None,
        action=action,
        before=UUID(str(after[0])) if after else None,
        limit=pager.read_limit,
    )
    items = [AuditEventAnswer.model_validate(event) for event in pager.shown(found)]
    last = [str(items[-1].id)] if items else []
    next_cursor = pager.next_cursor(response, scope, found, last)
    return AuditEventList(items=items, next_cursor=next_cursor)
