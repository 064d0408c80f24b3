"""The feed of changes: pages of bytes as the database gives them, awaited or as a stream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from app.crypto import InvalidToken
from app.deps import ChangeHubDep, ChangesReader, ChangesWatcher, ReaderDep, RoomToWait
from app.errors import AppError, Forbidden, LoginRequired
from app.http import conditional
from app.http.accept import NotAcceptable, best_type
from app.http.compression import MINIMUM_BYTES, chosen_coding, compressed
from app.http.head import is_head
from app.http.headers import request_fields
from app.http.openapi import refusals
from app.http.public_answer import NOT_MODIFIED
from app.schemas.changes import ChangeListAnswer, ChangesQuery
from app.services import changes, policy
from app.services.change_hub import ChangeHub
from app.services.changes import Ask, FeedReset, InvalidAfter, Page, Position, Reader

router = APIRouter(tags=["broadcasters"])

JSON, EVENTS = "application/json", "text/event-stream"
# The client may keep an answer for itself, but must ask whether it is still the newest.
CACHE_CONTROL = "private, no-cache"
# Neither stored nor compressed, nor held back by nginx until a buffer is full.
STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
# Compressing takes a millisecond for so much, at the worst.
LONG_BYTES = 64 * 1024
HEARTBEAT = b":\n\n"

LastEventId = Annotated[
    str | None, Header(description="Of the last event that arrived; goes before `after`")
]
STREAM = {"schema": {"type": "string", "description": "id: a cursor, event: kind, data: the item"}}


@router.get(
    "/v1/changes",
    response_model=ChangeListAnswer,
    responses={
        200: {"content": {EVENTS: STREAM}},
        **NOT_MODIFIED,
        **refusals(LoginRequired, InvalidToken, Forbidden, InvalidAfter, NotAcceptable, FeedReset),
    },
)
async def list_changes(
    request: Request,
    _: ChangesReader,
    reader: ReaderDep,
    hub: ChangeHubDep,
    watching: ChangesWatcher,
    check_room: RoomToWait,
    query: Annotated[ChangesQuery, Query()],
    last_event_id: LastEventId = None,
) -> Response:
    """What was published, corrected or withdrawn, in the order in which it was committed.

    Ask again with `after` set to the `next_after` of the last answer: nothing is ever missed, and
    nothing comes twice. A cursor never expires; only after the database was restored from a backup
    it is 410 `feed_reset`, and a copy must be taken anew. An empty page is at the end of the feed;
    with `wait` it comes only when nothing has changed for so many seconds.

    With `Accept: text/event-stream` the changes come as they happen, without an end. A client that
    lost its connection sends the last id that it has seen as `Last-Event-ID`.
    """
    if best_type(request.headers.get("accept"), (JSON, EVENTS)) == EVENTS:
        if is_head(request.scope):
            return Response(media_type=EVENTS, headers=STREAM_HEADERS)
        check_room()
        after = await _place(hub, reader, last_event_id or query.after)
        ask = Ask(after, policy.CHANGES_STREAM_LIMIT, policy.CHANGES_STREAM_BYTES, query.collapse)
        first = await hub.read(reader, ask)
        events = _events(hub, reader, ask, first, watching)
        return StreamingResponse(events, media_type=EVENTS, headers=STREAM_HEADERS)
    after = await _place(hub, reader, query.after)
    ask = Ask(after, query.limit, policy.CHANGES_PAGE_BYTES, query.collapse)
    page = await hub.read(reader, ask)
    if query.wait and not page.items:
        check_room()
        ask = replace(ask, after=page.next_after)
        with watching() as watch:
            later = await hub.next_page(reader, ask, seconds=query.wait, watch=watch)
        page = later or page
    return await _page_answer(request, page)


async def _place(hub: ChangeHub, reader: Reader, after: str | None) -> Position | None:
    if after == "now":
        return await hub.head(reader)
    return changes.read_cursor(after) if after is not None else None


async def _page_answer(request: Request, page: Page) -> Response:
    """The same question gets the same answer while the feed has the same end.

    Where the page ends is in the tag for those who send it with the address of the next one.
    """
    tag = conditional.etag(f"{page.epoch.hex[:12]}.{page.end}.{page.head}")
    headers = {"ETag": tag, "Cache-Control": CACHE_CONTROL, "Vary": "Accept-Encoding"}
    fields = request_fields(request.scope)
    if conditional.is_known(request.scope, tag.encode()):
        return Response(status_code=304, headers=headers)
    coding = chosen_coding(fields.get(b"accept-encoding", b""))
    if coding and len(page.body) >= MINIMUM_BYTES:
        headers["Content-Encoding"] = coding.decode()
        return Response(await _compressed(page, coding), media_type=JSON, headers=headers)
    return Response(page.body, media_type=JSON, headers=headers)


async def _compressed(page: Page, coding: bytes) -> bytes:
    """Made once for all who are given this page; of a long one elsewhere, or all would wait."""
    if coding not in page.bodies:
        is_long = len(page.body) > LONG_BYTES
        compress = partial(compressed, page.body, coding)
        page.bodies[coding] = await asyncio.to_thread(compress) if is_long else compress()
    return page.bodies[coding]


async def _events(
    hub: ChangeHub, reader: Reader, ask: Ask, first: Page, watching: ChangesWatcher
) -> AsyncIterator[bytes]:
    """Changes from the first page on, until the client, its access, the feed or the server ends."""
    seconds = policy.CHANGES_HEARTBEAT.total_seconds()
    page: Page | None = first
    # A client that has seen no change yet knows by the id where it has begun.
    yield b"retry: %d\n" % (policy.CHANGES_RECONNECT.total_seconds() * 1000)
    if not first.items:
        yield b"id: %b\n" % first.next_after.cursor.encode()
    with suppress(AppError), watching() as watch:
        while not watch.has_ended:
            yield page.events if page and page.items else HEARTBEAT
            ask = replace(ask, after=page.next_after) if page else ask
            page = await hub.next_page(reader, ask, seconds=seconds, watch=watch)
