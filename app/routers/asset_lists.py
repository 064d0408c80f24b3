"""The lists of the catalogue. Documents go from the database to the socket as they are stored."""

import json
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from app.crypto import InvalidToken
from app.deps import (
    PUBLIC_READ,
    DeploymentDep,
    DeskViewDep,
    Now,
    PublicReaderDep,
    Transactions,
    get_account,
)
from app.errors import Forbidden, InvalidInput, LoginRequired
from app.http.openapi import refusals
from app.http.openapi_security import LOGIN_WELCOME
from app.http.pager import Pager
from app.http.paging import InvalidCursor, Page
from app.http.public_answer import NOT_MODIFIED, page_answer
from app.schemas.asset_lists import AssetFilterQuery, AssetListAnswer, AssetListQuery, members
from app.services import asset_desk, asset_pages
from app.services.asset_facets import Facets
from app.services.asset_hits import Filters
from app.services.asset_pages import Answer, Reader
from app.services.context import Deployment
from app.services.derived_files import DeskView
from app.services.search_reading import QueryTooLong

router = APIRouter(prefix="/v1/assets", tags=["assets"], dependencies=[PUBLIC_READ])

_FILTERS = tuple(AssetFilterQuery.model_fields)
# What the desk's lists take; whoever asks for more would believe to have got it.
_DESK_PARAMETERS = frozenset({"status", "q", "type", "language", "limit", "cursor"})


@router.get(
    "",
    response_model=AssetListAnswer,
    openapi_extra={**LOGIN_WELCOME},
    responses={
        **NOT_MODIFIED,
        **refusals(InvalidCursor, QueryTooLong, LoginRequired, InvalidToken, Forbidden),
    },
)
async def list_assets(
    request: Request,
    reader: PublicReaderDep,
    transactions: Transactions,
    deployment: DeploymentDep,
    view: DeskViewDep,
    now: Now,
    query: Annotated[AssetListQuery, Query()],
) -> Response:
    """Published assets, newest first or as they fit `q`. With `status`, those of the desk.

    There `q` is words, or parts of them, that all must occur in the title, headline, slug, slugline
    or keywords of one of the latest 10,000.
    """
    if query.status is None:
        return await public_list(request, reader, deployment, query)
    if not (await get_account(request, now)).is_editor:
        raise Forbidden
    return await _list_desk(transactions, _pager(request, deployment, query), query, view)


async def public_list(
    request: Request, reader: Reader, deployment: Deployment, query: AssetListQuery
) -> Response:
    """A page of published assets, which goes on at the address of this request."""
    pager, scope = _pager(request, deployment, query), _scope(query)
    answer = await asset_pages.find(
        reader,
        filters_of(query),
        sort=query.sort,
        after=pager.after(scope),
        limit=query.limit,
        fields=members(query.fields),
        facets=members(query.facets),
    )
    cursor = pager.cursor(scope, answer.page.last) if answer.page.last else None
    return page_answer(
        request,
        _body(answer, cursor),
        media_type="application/json",
        updated_at=answer.page.updated_at,
        headers={"Link": pager.link(cursor)} if cursor else None,
    )


def _pager(request: Request, deployment: Deployment, query: AssetListQuery) -> Pager:
    target = f"{request.scope['path']}?{request.url.query}"
    return Pager(Page(query.limit, query.cursor), deployment.keyring.key("cursor"), target)


def filters_of(query: AssetFilterQuery) -> Filters:
    """The service's filters from those of a list or feed."""
    values: dict[str, Any] = {name: getattr(query, name) for name in _FILTERS}
    for name, value in values.items():
        if isinstance(value, list):
            values[name] = tuple(value)
    if not (query.q or "").strip():
        values["q"] = None
    return Filters(**values)


async def _list_desk(
    transactions: Transactions, pager: Pager, query: AssetListQuery, view: DeskView
) -> Response:
    _check_desk_parameters(query)
    scope = _scope(query)
    after = pager.after(scope)
    async with transactions() as session:
        found = await asset_desk.list_assets(
            session,
            state=str(query.status),
            types=query.type,
            languages=query.language,
            q=query.q,
            after=(datetime.fromisoformat(str(after[0])), UUID(str(after[1]))) if after else None,
            limit=query.limit,
        )
    cursor, headers = None, {"Cache-Control": "no-store"}
    if found.end is not None:
        updated_at, asset_id = found.end
        cursor = pager.cursor(scope, [updated_at.isoformat(), str(asset_id)])
        headers["Link"] = pager.link(cursor)
    answer = {
        "items": [view(each) for each in found.documents],
        "next_cursor": cursor,
        "total": _total(found.total, is_exact=found.total_is_exact),
    }
    return JSONResponse(answer, headers=headers)


def _check_desk_parameters(query: AssetListQuery) -> None:
    strange = query.model_fields_set - _DESK_PARAMETERS
    if strange:
        message = "With status a list takes q, type and language alone"
        raise InvalidInput(
            errors=[
                {"pointer": f"/{name}", "code": "not_with_status", "message": message}
                for name in sorted(strange)
            ]
        )


def _scope(query: AssetListQuery) -> str:
    """What a cursor is good for; how much of each item is shown does not matter to it."""
    return f"assets {query.model_dump_json(exclude={'limit', 'cursor', 'fields', 'facets'})}"


def _body(answer: Answer, next_cursor: str | None) -> bytes:
    """The answer's JSON around its items, which are JSON already."""
    page = answer.page
    around = {
        "next_cursor": next_cursor,
        "total": _total(page.total, is_exact=page.total_is_exact),
        **(_facets(answer.facets) if answer.facets else {}),
    }
    items = ",".join(answer.items)
    return f'{{"items":[{items}],{json.dumps(around, ensure_ascii=False)[1:]}'.encode()


def _facets(facets: Facets) -> dict[str, Any]:
    return {
        "facets": {
            facet: [{"value": value, "count": count} for value, count in values]
            for facet, values in facets.values.items()
        },
        "facets_counted": _total(facets.counted, is_exact=facets.all_counted),
    }


def _total(value: int, *, is_exact: bool) -> dict[str, Any]:
    return {"value": value, "relation": "eq" if is_exact else "gte"}
