"""How other sites show our assets."""

import json
from typing import Annotated, get_args

from fastapi import APIRouter, Query, Request, Response

from app.deps import AddressesDep, PublicReaderDep
from app.errors import AppError, NotFound
from app.formats import oembed
from app.formats.oembed import OembedFormat
from app.http import conditional
from app.http.openapi import refusals
from app.http.public_answer import version_answer, written_as
from app.services import assets
from app.services.assets import AssetWithdrawn

router = APIRouter(tags=["feeds"])

_FORMATS: tuple[OembedFormat, ...] = get_args(OembedFormat)
Side = Annotated[int | None, Query(ge=1, le=100_000, description="In pixels")]


class FormatNotImplemented(AppError):
    status, code, title = 501, "format_not_implemented", "oEmbed is to be had as json and as xml"


@router.get(
    "/oembed",
    response_class=Response,
    responses={
        **written_as(*oembed.MEDIA_TYPES.values()),
        **refusals(NotFound, AssetWithdrawn, FormatNotImplemented),
    },
)
async def get_oembed(
    request: Request,
    reader: PublicReaderDep,
    addresses: AddressesDep,
    url: Annotated[str, Query(description="Of an asset's page or of its document")],
    format: str = "json",  # noqa: A002  # the specification's name
    maxwidth: Side = None,
    maxheight: Side = None,
) -> Response:
    """Embed by oEmbed 1.0: a video with its player, an image as photo, anything else as a link."""
    output = next((each for each in _FORMATS if each == format), None)
    if output is None:
        raise FormatNotImplemented
    reference = addresses.reference(url)
    if reference is None:
        raise NotFound
    document = await assets.get_document(reader, reference)
    return version_answer(
        request,
        lambda: oembed.write(
            json.loads(document.body),
            addresses,
            output=output,
            max_width=maxwidth,
            max_height=maxheight,
        ),
        tag=conditional.etag(f"{document.version}-oembed"),
        media_type=oembed.MEDIA_TYPES[output],
        updated_at=document.updated_at,
    )
