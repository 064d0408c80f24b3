"""Feeds of the catalogue, with the filters of its lists."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from app.crypto import InvalidToken
from app.deps import PUBLIC_READ, AddressesDep, DeploymentDep, PublicReaderDep
from app.formats import atom, json_feed, mrss
from app.formats.addresses import Addresses
from app.formats.feed import Feed
from app.http.openapi import Responses, refusals
from app.http.pager import Pager
from app.http.paging import InvalidCursor, Page
from app.http.public_answer import page_answer, written_as
from app.routers.asset_lists import filters_of
from app.schemas.feeds import FeedQuery
from app.services import asset_lists
from app.services.search_reading import QueryTooLong

router = APIRouter(
    prefix="/v1/feeds",
    tags=["feeds"],
    default_response_class=Response,
    dependencies=[PUBLIC_READ],
    responses=refusals(InvalidToken),
)


@dataclass(frozen=True, slots=True)
class FoundFeed:
    """A page of the catalogue, not yet in the words of any feed."""

    page: asset_lists.Page
    url: str
    first_url: str
    next_url: str | None
    headers: dict[str, str]

    def parsed(self) -> Feed:
        documents = [json.loads(document) for document in self.page.documents]
        return Feed(documents, url=self.url, first_url=self.first_url, next_url=self.next_url)


async def find_feed(
    request: Request,
    reader: PublicReaderDep,
    addresses: AddressesDep,
    deployment: DeploymentDep,
    query: Annotated[FeedQuery, Query()],
) -> FoundFeed:
    """A page of published assets; the feeds differ only in how they are written."""
    target = f"{request.scope['path']}?{request.url.query}"
    pager = Pager(Page(query.limit, query.cursor), deployment.keyring.key("cursor"), target)
    scope = f"feed {query.model_dump_json(exclude={'limit', 'cursor'})}"
    page = await asset_lists.list_page(
        reader,
        filters_of(query),
        sort=query.sort,
        after=pager.after(scope),
        limit=query.limit,
    )
    cursor = pager.cursor(scope, page.last) if page.last else None
    return FoundFeed(
        page,
        url=addresses.absolute(pager.target_of(query.cursor)),
        first_url=addresses.absolute(pager.target_of(None)),
        next_url=addresses.absolute(pager.target_of(cursor)) if cursor else None,
        headers={"Link": pager.link(cursor)} if cursor else {},
    )


FoundFeedDep = Annotated[FoundFeed, Depends(find_feed)]


def _responses(media_type: str) -> Responses:
    return {**written_as(media_type), **refusals(InvalidCursor, QueryTooLong)}


@router.get("/assets.mrss", responses=_responses(mrss.MEDIA_TYPE))
async def get_mrss_feed(request: Request, found: FoundFeedDep, addresses: AddressesDep) -> Response:
    """RSS 2.0 with Media RSS: every file with its technical details."""
    return await _answer(request, found, mrss.write, mrss.MEDIA_TYPE, addresses)


@router.get("/assets.atom", responses=_responses(atom.MEDIA_TYPE))
async def get_atom_feed(request: Request, found: FoundFeedDep, addresses: AddressesDep) -> Response:
    """Atom, paged as RFC 5005 says."""
    return await _answer(request, found, atom.write, atom.MEDIA_TYPE, addresses)


@router.get("/assets.json", responses=_responses(json_feed.MEDIA_TYPE))
async def get_json_feed(request: Request, found: FoundFeedDep, addresses: AddressesDep) -> Response:
    """JSON Feed 1.1."""
    return await _answer(request, found, json_feed.write, json_feed.MEDIA_TYPE, addresses)


async def _answer(
    request: Request,
    found: FoundFeed,
    write: Callable[[Feed, Addresses], bytes],
    media_type: str,
    addresses: Addresses,
) -> Response:
    """In a thread: a hundred assets take long enough to write for others to notice."""
    body = await asyncio.to_thread(lambda: write(found.parsed(), addresses))
    return page_answer(
        request,
        body,
        media_type=media_type,
        updated_at=found.page.updated_at,
        headers=found.headers,
    )
