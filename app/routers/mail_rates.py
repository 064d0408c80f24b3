"""How fast editions may leave, for admins."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from app.crypto import InvalidToken
from app.deps import NO_STORE, CurrentAdmin, CurrentClient, Now, PageDep, SessionDep
from app.errors import Forbidden, LoginRequired, NotFound
from app.http.openapi import refusals
from app.http.paging import InvalidCursor
from app.http.strict_json import StrictJsonRoute
from app.schemas.mail_rates import MailRateAnswer, MailRateBody, MailRateList
from app.services import mail_limits
from app.services.mail_limits import InvalidScope

router = APIRouter(
    prefix="/v1/newsletter/rates",
    tags=["newsletter"],
    route_class=StrictJsonRoute,
    responses=refusals(LoginRequired, InvalidToken, Forbidden),
    dependencies=[NO_STORE],
)

Scope = Annotated[str, Path(max_length=300, examples=["sender", "domain:example.org"])]


@router.get("", responses=refusals(InvalidCursor))
async def list_mail_rates(
    response: Response, _: CurrentAdmin, session: SessionDep, pager: PageDep
) -> MailRateList:
    """Limits that admins have set, and those of domains whose servers have asked for less."""
    after = pager.after("mail rates")
    found = await mail_limits.list_limits(
        session, after=str(after[0]) if after else None, limit=pager.read_limit
    )
    items = [MailRateAnswer.model_validate(rate) for rate in pager.shown(found)]
    last = [items[-1].scope] if items else []
    next_cursor = pager.next_cursor(response, "mail rates", found, last)
    return MailRateList(items=items, next_cursor=next_cursor)


@router.put("/{scope}", responses=refusals(InvalidScope))
async def set_mail_rate(
    scope: Scope,
    body: MailRateBody,
    admin: CurrentAdmin,
    session: SessionDep,
    client: CurrentClient,
    now: Now,
) -> MailRateAnswer:
    """Limit all workers together: `sender`, or the mails to a domain, such as `domain:gmail.com`.

    Where a server has asked for less than that, `current` holds until it has recovered.
    """
    rate = await mail_limits.set_limit(
        session, scope, body.per_second, admin_id=admin.account_id, client=client, now=now
    )
    return MailRateAnswer.model_validate(rate)


@router.delete("/{scope}", status_code=204, responses=refusals(NotFound, InvalidScope))
async def remove_mail_rate(
    scope: Scope, admin: CurrentAdmin, session: SessionDep, client: CurrentClient, now: Now
) -> None:
    """Lift a limit, also one that a server has asked for."""
    await mail_limits.remove_limit(
        session, scope, admin_id=admin.account_id, client=client, now=now
    )
