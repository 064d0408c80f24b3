"""Where search engines learn what there is to find."""

import asyncio
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import PlainTextResponse

from app.deps import AddressesDep, PublicReaderDep
from app.formats import sitemap
from app.http.public_answer import page_answer, written_as
from app.services import sitemaps

router = APIRouter(tags=["feeds"], default_response_class=Response)

_PAGE_PATH = "/sitemaps/assets.xml"
_ROBOTS = """\
User-agent: *
Disallow: /v1/account
Disallow: /v1/auth/
Sitemap: {sitemap}
"""


@router.get("/sitemap.xml", responses=written_as(sitemap.MEDIA_TYPE))
async def get_sitemap(
    request: Request, reader: PublicReaderDep, addresses: AddressesDep
) -> Response:
    """The index: the sitemaps that together name every published asset."""
    starts = await sitemaps.first_ids(reader)
    pages = (addresses.absolute(f"{_PAGE_PATH}?first={start}") for start in starts)
    return page_answer(request, sitemap.write_index(pages), media_type=sitemap.MEDIA_TYPE)


@router.get(_PAGE_PATH, responses=written_as(sitemap.MEDIA_TYPE))
async def get_sitemap_of_assets(
    request: Request,
    reader: PublicReaderDep,
    addresses: AddressesDep,
    first: Annotated[UUID, Query(description="The asset that it begins with")],
) -> Response:
    """A sitemap of up to 1,000 assets, with the video extension; the index names its address."""
    entries = await sitemaps.read_page(reader, first)
    body = await asyncio.to_thread(sitemap.write_page, entries, addresses)
    return page_answer(request, body, media_type=sitemap.MEDIA_TYPE)


@router.get("/robots.txt", include_in_schema=False)
async def get_robots(addresses: AddressesDep) -> PlainTextResponse:
    text = _ROBOTS.format(sitemap=addresses.absolute("/sitemap.xml"))
    return PlainTextResponse(text, headers={"Cache-Control": "public, max-age=3600"})
