"""What API keys were used for, as JSON and as CSV."""

from dataclasses import replace
from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from app.crypto import InvalidToken
from app.deps import NO_STORE, AnyCaller, Now, PageDep, ReaderDep
from app.errors import LoginRequired, NotFound
from app.formats.file_names import content_disposition
from app.http.accept import NotAcceptable, best_type
from app.http.openapi import refusals
from app.http.paging import InvalidCursor, Key
from app.schemas.usage import UsageList, UsageRow
from app.services import usage
from app.services.usage import Period, Reader

router = APIRouter(tags=["broadcasters"], dependencies=[NO_STORE])

JSON, CSV = "application/json", "text/csv"


async def get_period(
    caller: AnyCaller,
    reader: ReaderDep,
    now: Now,
    first: Annotated[
        date | None, Query(alias="from", description="The first day (UTC); 30 before `to`")
    ] = None,
    last: Annotated[date | None, Query(alias="to", description="The last day; today")] = None,
    key_id: Annotated[UUID | None, Query(description="Of one key alone")] = None,
) -> Period:
    return await usage.period_of(reader, caller, first=first, last=last, key_id=key_id, now=now)


@router.get(
    "/v1/usage",
    response_model=UsageList,
    responses={
        200: {"content": {CSV: {"schema": {"type": "string"}}}},
        **refusals(LoginRequired, InvalidToken, InvalidCursor, NotFound, NotAcceptable),
    },
)
async def list_usage(
    request: Request,
    response: Response,
    period: Annotated[Period, Depends(get_period)],
    reader: ReaderDep,
    pager: PageDep,
    wanted: Annotated[
        Literal["json", "csv"] | None, Query(alias="format", description="Else as Accept says")
    ] = None,
) -> UsageList | Response:
    """Calls, bytes and downloads by key and UTC day, the latest first.

    Whoever is logged in sees all own keys, a key itself alone. CSV has all rows at once. The last
    second or two may be missing.
    """
    accepted = wanted or best_type(request.headers.get("accept"), (JSON, CSV))
    if accepted in {"csv", CSV}:
        return _file(reader, period)
    asked = [request.query_params.get(name) for name in ("from", "to")]
    scope = f"usage {period.account_id} {period.key_id} {asked}"
    after = pager.after(scope)
    if after:  # days that were left out stay those of the first page, also past midnight
        period = replace(period, first=_day(after[2]), last=_day(after[3]))
    found = await usage.find(
        reader,
        period,
        after=(_day(after[0]), UUID(str(after[1]))) if after else None,
        limit=pager.read_limit,
    )
    items = [UsageRow.model_validate(dict(row)) for row in pager.shown(found)]
    days = [period.first.isoformat(), period.last.isoformat()]
    place = [items[-1].day.isoformat(), str(items[-1].key_id), *days] if items else []
    response.headers["Vary"] = "Accept"
    next_cursor = pager.next_cursor(response, scope, found, place)
    return UsageList(items=items, next_cursor=next_cursor)


def _day(value: Key) -> date:
    return date.fromisoformat(str(value))


def _file(reader: Reader, period: Period) -> Response:
    name = f"usage-{period.first}-{period.last}.csv"
    headers = {
        "Cache-Control": "no-store",
        "Vary": "Accept",
        "Content-Disposition": content_disposition(name),
    }
    return StreamingResponse(usage.as_csv(reader, period), headers=headers, media_type=CSV)
