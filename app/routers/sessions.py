"""The devices that are logged in."""

from uuid import UUID

from fastapi import APIRouter

from app.crypto import InvalidToken
from app.deps import CurrentAccount, CurrentClient, Now, SessionDep
from app.errors import LoginRequired, NotFound
from app.http.openapi import refusals
from app.http.strict_json import StrictJsonRoute
from app.schemas.auth import SessionAnswer, SessionList
from app.services import sessions

router = APIRouter(
    prefix="/v1/auth/sessions",
    tags=["auth"],
    route_class=StrictJsonRoute,
    responses=refusals(LoginRequired, InvalidToken),
)


@router.get("")
async def list_sessions(caller: CurrentAccount, session: SessionDep, now: Now) -> SessionList:
    """Every device that is logged in, the one that asks marked."""
    items = [
        SessionAnswer(
            id=entry.id,
            is_current=entry.id == caller.session_id,
            device_name=entry.device_name,
            user_agent=entry.user_agent,
            network=entry.network,
            transport="cookie" if entry.transport == "cookie" else "bearer",
            created_at=entry.created_at,
            last_used_at=entry.last_used_at,
            expires_at=sessions.expiry(entry),
        )
        for entry in await sessions.list_sessions(session, caller.account_id, now=now)
    ]
    return SessionList(items=items)


@router.delete("", status_code=204)
async def end_other_sessions(
    caller: CurrentAccount, session: SessionDep, client: CurrentClient, now: Now
) -> None:
    """Log out everywhere else."""
    await sessions.end_other_sessions(
        session, caller.account_id, caller.session_id, client=client, now=now
    )


@router.delete("/{session_id}", status_code=204, responses=refusals(NotFound))
async def end_session(
    session_id: UUID,
    caller: CurrentAccount,
    session: SessionDep,
    client: CurrentClient,
    now: Now,
) -> None:
    """Log one device out; its access tokens stop at once."""
    await sessions.end_session(session, caller.account_id, session_id, client=client, now=now)
