"""The editors' desk: captions of an asset. Everybody reads them at the address in its document."""

from typing import Annotated, get_args

from fastapi import APIRouter, Path, Query, Request, Response

from app.crypto import InvalidToken
from app.deps import NO_STORE, ActingEditor, Now, SessionDep, Transactions, VersionCheckDep
from app.errors import Forbidden, LoginRequired, NotFound, PreconditionFailed, UnsupportedMediaType
from app.http import conditional
from app.http.conditional import PreconditionRequired
from app.http.openapi import refusals
from app.schemas.base import LanguageTag, Line
from app.schemas.captions import CaptionAnswer, Kind
from app.services import captions
from app.services.asset_editing import AssetPublished
from app.services.captions import CaptionFile, FileType, TooManyCaptions
from app.services.webvtt import InvalidCaptions

router = APIRouter(
    prefix="/v1/assets/{reference}/captions", tags=["assets"], dependencies=[NO_STORE]
)

Reference = Annotated[str, Path(max_length=200, description="The asset's id or slug")]
Language = Annotated[LanguageTag, Path(description="A language tag, such as en or pt-BR")]
CHANGES = (
    LoginRequired,
    InvalidToken,
    Forbidden,
    NotFound,
    AssetPublished,
    PreconditionRequired,
    PreconditionFailed,
)
FILE_TYPES: tuple[FileType, ...] = get_args(FileType)
FILE = {"required": True, "content": {each: {"schema": {"type": "string"}} for each in FILE_TYPES}}


class CaptionsExpected(UnsupportedMediaType):
    title = "Send captions in UTF-8 as text/vtt or application/x-subrip"


@router.put(
    "/{language}",
    responses={
        201: {"model": CaptionAnswer},
        **refusals(*CHANGES, TooManyCaptions, InvalidCaptions, CaptionsExpected),
    },
    openapi_extra={"requestBody": FILE},
)
async def put_captions(
    request: Request,
    reference: Reference,
    language: Language,
    editor: ActingEditor,
    check: VersionCheckDep,
    transactions: Transactions,
    response: Response,
    now: Now,
    kind: Kind = "captions",
    label: Annotated[Line | None, Query()] = None,
) -> CaptionAnswer:
    """Add or replace the captions in a language. A SubRip file is kept as WebVTT."""
    media_type = _file_type(request.headers.get("content-type", ""))
    stored = await captions.put(
        transactions,
        reference,
        language,
        CaptionFile(await request.body(), media_type, kind, label),
        check=check,
        editor=editor,
        now=now,
    )
    response.status_code = 201 if stored.is_new else 200
    response.headers["ETag"] = conditional.etag(stored.version)
    return CaptionAnswer.model_validate(stored)


@router.delete("/{language}", status_code=204, responses=refusals(*CHANGES))
async def delete_captions(
    reference: Reference,
    language: Language,
    editor: ActingEditor,
    check: VersionCheckDep,
    session: SessionDep,
    response: Response,
    now: Now,
) -> None:
    """Take the captions in a language away."""
    version = await captions.remove(
        session, reference, language, check=check, editor=editor, now=now
    )
    response.headers["ETag"] = conditional.etag(version)


def _file_type(content_type: str) -> FileType:
    media_type, _, parameters = content_type.lower().partition(";")
    charset = parameters.replace(" ", "").replace('"', "")
    found = next((each for each in FILE_TYPES if each == media_type.strip()), None)
    if found is None or charset not in {"", "charset=utf-8"}:
        raise CaptionsExpected
    return found
