"""A published asset in one of its formats."""

import asyncio
import json

from fastapi import Request, Response

from app.formats.addresses import Addresses
from app.formats.asset_formats import BY_MEDIA_TYPE, AssetFormat
from app.http import conditional
from app.http.accept import best_type
from app.http.openapi import Responses
from app.http.public_answer import content_of, version_answer
from app.services.assets import Document

# Of an address where `Accept` decides what it is.
VARY = {"Vary": "Accept"}
_OTHER_TYPES = [each.media_type for each in BY_MEDIA_TYPE.values() if each is not None]
OTHER_FORMATS: Responses = {
    200: {"content": {media_type: content_of(media_type) for media_type in _OTHER_TYPES}}
}


def negotiated_format(request: Request) -> AssetFormat | None:
    """Which format `Accept` asks for; None for our own JSON. Raises `NotAcceptable`."""
    accept = ",".join(request.headers.getlist("accept"))
    return BY_MEDIA_TYPE[best_type(accept, BY_MEDIA_TYPE)]


async def format_answer(
    request: Request,
    document: Document,
    wanted: AssetFormat,
    addresses: Addresses,
    *,
    headers: dict[str, str] | None = None,
) -> Response:
    """Written anew each time, from the document as it is stored.

    In a thread: a shotlist of thousands of shots takes long enough for others to notice.
    """
    return await asyncio.to_thread(
        version_answer,
        request,
        lambda: wanted.write(json.loads(document.body), addresses),
        tag=conditional.etag(f"{document.version}-{wanted.name}"),
        media_type=wanted.media_type,
        updated_at=document.updated_at,
        headers=headers,
    )
