"""Resumable uploads as HTTP headers tell of them: tus 1.0.0.

https://tus.io/protocols/resumable-upload, with the extensions named in `EXTENSIONS`.
"""

import re
from base64 import b64decode
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Annotated, Any

from fastapi import Header
from pydantic import BeforeValidator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import AppError, InvalidInput
from app.http.headers import request_fields

VERSION = "1.0.0"
EXTENSIONS = ("creation", "creation-with-upload", "checksum", "expiration", "termination")
CHECKSUM_ALGORITHMS = ("sha1", "sha256", "md5")
MEDIA_TYPE = "application/offset+octet-stream"
# A client that sends nothing for so long is gone; what it sent is kept.
LONGEST_PAUSE = timedelta(seconds=60)
METADATA_POINTER = "/upload-metadata"
_PATH = "/v1/uploads"


class UnsupportedTusVersion(AppError):
    status, code = 412, "unsupported_tus_version"
    title = "This speaks tus 1.0.0: send Tus-Resumable: 1.0.0"

    def __init__(self) -> None:
        super().__init__(headers={"Tus-Version": VERSION})


class NotAnUpload(AppError):
    status, code, title = 415, "unsupported_media_type", f"Send the bytes as {MEDIA_TYPE}"


class UnsupportedChecksum(AppError):
    status, code = 400, "unsupported_checksum"
    title = "Upload-Checksum is one of sha1, sha256 and md5, a space, and the hash in base64"


def is_upload(path: str) -> bool:
    return path == _PATH or path.startswith(f"{_PATH}/")


class TusMiddleware:
    """Tus-Resumable on every answer, refusals of other layers too; X-HTTP-Method-Override in.

    Both are musts of the protocol. The latter is for clients behind proxies that know no PATCH.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_upload(scope["path"]):
            await self.app(scope, receive, send)
            return

        async def send_tus(message: Message) -> None:
            if message["type"] == "http.response.start":
                fields = [*message.get("headers", ()), (b"tus-resumable", VERSION.encode())]
                message = {**message, "headers": fields}
            await send(message)

        await self.app({**scope, "method": _meant_method(scope)}, receive, send_tus)


def _meant_method(scope: Scope) -> str:
    meant = request_fields(scope).get(b"x-http-method-override", b"").decode("latin-1").upper()
    may_be_meant = scope["method"] == "POST" and meant in {"HEAD", "PATCH", "DELETE"}
    return meant if may_be_meant else str(scope["method"])


def check_version(tus_resumable: str | None) -> None:
    if tus_resumable != VERSION:
        raise UnsupportedTusVersion


def check_media_type(content_type: str | None) -> None:
    if (content_type or "").partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise NotAnUpload


def _decimal(value: Any) -> Any:
    """No signs, points or underscores, which Python would read; at most a petabyte less one."""
    if isinstance(value, str) and not re.fullmatch("[0-9]{1,15}", value):
        raise ValueError("Give a whole number of bytes")
    return value


TusResumable = Annotated[str | None, Header(description=f"`{VERSION}`")]
UploadLength = Annotated[int, BeforeValidator(_decimal), Header(ge=0, description="Bytes in all")]
UploadOffset = Annotated[
    int, BeforeValidator(_decimal), Header(ge=0, description="Where these bytes begin")
]
UploadMetadata = Annotated[
    str, Header(description="`key base64, …`: filename, asset_id, rendition, purpose, sha256")
]
UploadChecksum = Annotated[
    str | None, Header(description="`sha256 base64` of this body; sha1 and md5 are known too")
]


def parse_metadata(header: str) -> dict[str, str]:
    """The pairs of Upload-Metadata, decoded. Raises `InvalidInput`.

    What passes is ASCII, so that HEAD can give the header back as it came.
    """
    found: dict[str, str] = {}
    for pair in header.split(",") if header.strip() else ():
        key, _, encoded = pair.strip().partition(" ")
        if not re.fullmatch(r"[!-+\--~]+", key):
            raise _invalid("metadata_key_invalid", "A key is missing or is not ASCII")
        if key in found:
            raise _invalid("metadata_key_repeated", "A key comes twice")
        try:
            found[key] = b64decode(encoded.strip(), validate=True).decode()
        except ValueError:
            message = "A value is not base64 of UTF-8 text"
            raise _invalid("metadata_value_invalid", message) from None
    return found


def _invalid(code: str, message: str) -> InvalidInput:
    return InvalidInput(errors=[{"pointer": METADATA_POINTER, "code": code, "message": message}])


def parse_checksum(header: str | None) -> tuple[str, bytes] | None:
    """The algorithm and the hash that a body is to have. Raises `UnsupportedChecksum`."""
    if header is None:
        return None
    algorithm, _, encoded = header.strip().partition(" ")
    try:
        digest = b64decode(encoded.strip(), validate=True)
    except ValueError:
        raise UnsupportedChecksum from None
    if algorithm not in CHECKSUM_ALGORITHMS or len(digest) != _DIGEST_BYTES[algorithm]:
        raise UnsupportedChecksum
    return algorithm, digest


_DIGEST_BYTES = {"sha1": 20, "sha256": 32, "md5": 16}


def capabilities(max_bytes: int) -> dict[str, str]:
    """What OPTIONS tells of this server."""
    return {
        "Tus-Version": VERSION,
        "Tus-Extension": ",".join(EXTENSIONS),
        "Tus-Max-Size": str(max_bytes),
        "Tus-Checksum-Algorithm": ",".join(CHECKSUM_ALGORITHMS),
    }


def progress(offset: int, expires_at: datetime | None) -> dict[str, str]:
    """Where an upload stands; `expires_at` None for one that is complete."""
    headers = {"Upload-Offset": str(offset), "Cache-Control": "no-store"}
    if expires_at is not None:
        headers["Upload-Expires"] = format_datetime(expires_at, usegmt=True)
    return headers
