"""Answers of the public catalogue, which are the same for everybody."""

from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import format_datetime
from hashlib import sha256
from typing import Any

from fastapi import Request, Response

from app.http import conditional
from app.http.openapi import Responses

# Caches may keep it but must ask each time: a withdrawal has to reach everybody.
CACHE_CONTROL = "public, no-cache"
NOT_MODIFIED: Responses = {304: {"description": "The copy that the client has is still good"}}


def version_answer(
    request: Request,
    write: Callable[[], bytes | str],
    *,
    tag: str,
    media_type: str,
    updated_at: datetime,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """What has a version: 304, with nothing written, for a client that has just this one."""
    headers = {
        **(headers or {}),
        "ETag": tag,
        "Last-Modified": format_datetime(updated_at, usegmt=True),
        "Cache-Control": CACHE_CONTROL,
    }
    if conditional.not_modified(request.headers, tag, updated_at):
        return Response(status_code=304, headers=headers)
    return Response(write(), media_type=media_type, headers=headers)


def page_answer(
    request: Request,
    body: bytes,
    *,
    media_type: str,
    updated_at: datetime | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """What is put together anew each time: its tag is a hash of it."""
    tag = conditional.etag(sha256(body).hexdigest()[:32])
    headers = {**(headers or {}), "ETag": tag, "Cache-Control": CACHE_CONTROL}
    if updated_at is not None:
        headers["Last-Modified"] = format_datetime(updated_at, usegmt=True)
    if conditional.not_modified(request.headers, tag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)


def written_as(*media_types: str) -> Responses:
    """For a route's `responses`: an answer that is not our own JSON, but a format of others."""
    content = {media_type: content_of(media_type) for media_type in media_types}
    return {200: {"description": "The document", "content": content}, **NOT_MODIFIED}


def content_of(media_type: str) -> dict[str, Any]:
    """What OpenAPI can say of a foreign format: whether it is JSON, or text of another kind."""
    if "json" in media_type:
        return {"schema": {"type": "object", "additionalProperties": True}}
    return {"schema": {"type": "string"}}
