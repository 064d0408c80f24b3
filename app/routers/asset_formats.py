"""Published assets in the formats of others: search engines, archives, newsrooms, players."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response

from app.crypto import InvalidToken
from app.deps import PUBLIC_READ, AddressesDep, PublicReaderDep
from app.errors import NotFound
from app.formats import webvtt
from app.formats.asset_formats import (
    EBUCORE,
    JSON_LD,
    NINJS,
    SHOTLIST_OTIO,
    SHOTLIST_VTT,
    AssetFormat,
)
from app.http import conditional
from app.http.openapi import Responses, refusals
from app.http.public_answer import version_answer, written_as
from app.routers.assets import Reference
from app.routers.format_answer import format_answer
from app.services import assets, caption_files
from app.services.assets import AssetWithdrawn

router = APIRouter(
    prefix="/v1/assets",
    tags=["assets"],
    default_response_class=Response,
    dependencies=[PUBLIC_READ],
    responses=refusals(InvalidToken),
)


Answer = Callable[[str, AssetFormat], Awaitable[Response]]


async def get_answer(request: Request, reader: PublicReaderDep, addresses: AddressesDep) -> Answer:
    """All that the formats have in common."""

    async def answer(reference: str, wanted: AssetFormat) -> Response:
        document = await assets.get_document(reader, reference)
        return await format_answer(request, document, wanted, addresses)

    return answer


AnswerDep = Annotated[Answer, Depends(get_answer)]


def _responses(media_type: str) -> Responses:
    return {**written_as(media_type), **refusals(NotFound, AssetWithdrawn)}


def _format(wanted: AssetFormat) -> Responses:
    return _responses(wanted.media_type)


@router.get("/{reference}.jsonld", responses=_format(JSON_LD))
async def get_asset_as_json_ld(reference: Reference, answer: AnswerDep) -> Response:
    """schema.org as JSON-LD, as search engines read it from pages."""
    return await answer(reference, JSON_LD)


@router.get("/{reference}.ebucore.xml", responses=_format(EBUCORE))
async def get_asset_as_ebucore(reference: Reference, answer: AnswerDep) -> Response:
    """EBUCore 1.10, with all that is known of the files."""
    return await answer(reference, EBUCORE)


@router.get("/{reference}.ninjs.json", responses=_format(NINJS))
async def get_asset_as_ninjs(reference: Reference, answer: AnswerDep) -> Response:
    """IPTC ninjs 3.1, as newsroom systems take it."""
    return await answer(reference, NINJS)


@router.get("/{reference}.shotlist.vtt", responses=_format(SHOTLIST_VTT))
async def get_shotlist_as_chapters(reference: Reference, answer: AnswerDep) -> Response:
    """The shotlist as WebVTT chapters, for the menu of a player."""
    return await answer(reference, SHOTLIST_VTT)


@router.get("/{reference}.shotlist.otio", responses=_format(SHOTLIST_OTIO))
async def get_shotlist_as_timeline(reference: Reference, answer: AnswerDep) -> Response:
    """The shotlist as an OpenTimelineIO timeline, for editing systems."""
    return await answer(reference, SHOTLIST_OTIO)


@router.get("/{reference}.captions.{language}.vtt", responses=_responses(webvtt.MEDIA_TYPE))
async def get_captions(
    request: Request,
    reader: PublicReaderDep,
    reference: Reference,
    language: Annotated[str, Path(max_length=40, description="A language of the captions")],
) -> Response:
    """Captions or subtitles in one language, as WebVTT."""
    captions = await caption_files.read(reader, reference, language)
    return version_answer(
        request,
        lambda: captions.webvtt,
        tag=conditional.etag(captions.version),
        media_type=webvtt.MEDIA_TYPE,
        updated_at=captions.updated_at,
    )
