"""The change feed: what became public, changed or was withdrawn, in the order of the commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from operator import itemgetter
from typing import Any, Literal, Protocol
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import crypto
from app.errors import AppError
from app.models import Change, ChangeFeed

# Where the number of each committed change is announced.
CHANNEL = "changes"

Kind = Literal["created", "updated", "withdrawn"]

_CURSOR_BYTES = 24
_LARGEST_SEQUENCE = 2**63 - 1


class InvalidAfter(AppError):
    status, code, title = 400, "invalid_cursor", "`after` is no place in the feed of changes"


class FeedReset(AppError):
    """The feed that the cursor belongs to is no more: its numbers may mean other changes now."""

    status, code, title = 410, "feed_reset", "The feed was reset; begin again with an export"

    def __init__(self) -> None:
        super().__init__(headers={"Link": '</v1/exports/assets.ndjson>; rel="alternate"'})


class Reader(Protocol):
    async def fetch(self, query: str, *args: Any) -> Sequence[Any]: ...


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the feed: behind the change with this number."""

    epoch: UUID
    sequence: int

    @property
    def cursor(self) -> str:
        return cursor(self.epoch, self.sequence)


@dataclass(frozen=True, slots=True)
class Ask:
    """Which page is wanted; without `after` the first one.

    `collapse` leaves out what a later change of the same asset has overtaken.
    """

    after: Position | None
    limit: int
    max_bytes: int
    collapse: bool = False


@dataclass(frozen=True)
class Page:
    """Changes as JSON objects, and where the feed ended when they were read."""

    epoch: UUID
    head: int
    end: int
    # Number, kind and JSON of each.
    items: Sequence[tuple[int, str, bytes]] = ()

    @property
    def next_after(self) -> Position:
        return Position(self.epoch, self.end)

    @cached_property
    def size(self) -> int:
        return sum(len(item) for _, _, item in self.items)

    @cached_property
    def bodies(self) -> dict[bytes, bytes]:
        """The answer in the codings in which it was sent."""
        return {}

    @cached_property
    def body(self) -> bytes:
        """The whole answer; made once for all who are given this page, by a single copy."""
        end = b'],"next_after":"%b"}' % self.next_after.cursor.encode()
        if not self.items:
            return b'{"items":[' + end
        items = [item for _, _, item in self.items]
        items[0] = b'{"items":[' + items[0]
        items[-1] += end
        return b",".join(items)

    @cached_property
    def events(self) -> bytes:
        """The same as an event stream (HTML, section 9.2): each change with its own cursor."""
        return b"".join(
            b"id: %b\nevent: %b\ndata: %b\n\n"
            % (cursor(self.epoch, sequence).encode(), kind.encode(), item)
            for sequence, kind, item in self.items
        )


async def record(
    session: AsyncSession, kind: Kind, *, asset_id: UUID, version: int, now: datetime
) -> None:
    """Note a change of a locked asset that the public sees; it is numbered at the commit."""
    earlier = (Change.asset_id == asset_id, Change.is_latest)
    await session.execute(update(Change).where(*earlier).values(is_latest=False))
    session.add(Change(kind=kind, asset_id=asset_id, version=version, occurred_at=now))
    # Its number is not known before the commit, after which app.db tells this process.
    session.info.setdefault(CHANNEL, []).append("")
    await session.flush()


def cursor(epoch: UUID, sequence: int) -> str:
    """Where to go on after this number. Not signed, so that it outlives every key."""
    return crypto.base64url(epoch.bytes + sequence.to_bytes(8, "big"))


def read_cursor(text: str) -> Position:
    """The place that a cursor names. Raises `InvalidAfter`."""
    try:
        data = crypto.base64url_decode(text) if len(text) * 3 == _CURSOR_BYTES * 4 else b""
    except ValueError:
        data = b""
    sequence = int.from_bytes(data[16:], "big")
    if len(data) != _CURSOR_BYTES or sequence > _LARGEST_SEQUENCE:
        raise InvalidAfter
    return Position(UUID(bytes=data[:16]), sequence)


async def read_head(reader: Reader) -> Position:
    """The last change that has been committed."""
    [row] = await reader.fetch("SELECT epoch, last_sequence FROM change_feed")
    return Position(row["epoch"], row["last_sequence"])


# Everything in one statement, and so of one moment: first the state of the feed, then the page.
# Each document is looked up by its key, whatever the planner would guess of the limit, and leaves
# as the bytes that it is: a text would be decoded and encoded once more. How long documents are is
# known without reading them.
_PAGE = """
    SELECT epoch, last_sequence AS head, 0::bigint AS sequence, NULL AS kind, NULL::bytea AS item
      FROM change_feed
    UNION ALL
    SELECT NULL, NULL, sequence, kind, convert_to(
             '{"sequence":' || sequence || ',"kind":"' || kind || '","asset_id":"' || asset_id
             || '","version":' || version || ',"occurred_at":'
             || rtrim(to_json(occurred_at AT TIME ZONE 'UTC')::text, '"') || 'Z","asset":'
             || coalesce(document, 'null') || '}', 'UTF8')
      FROM (
        SELECT found.*, asset.document,
               sum(coalesce(octet_length(document), 0)) OVER (ORDER BY sequence)
                 - coalesce(octet_length(document), 0) AS bytes_before
          FROM (
            SELECT sequence, kind, asset_id, version, occurred_at FROM change
             WHERE sequence > $1 AND (is_latest OR true)
             ORDER BY sequence LIMIT $2
          ) AS found LEFT JOIN LATERAL (
            SELECT document FROM asset WHERE id = found.asset_id OFFSET 0
          ) AS asset ON true
      ) AS measured
     WHERE bytes_before < $3
"""
# A statement of its own, for an index of its own: a year's changes may leave few latest ones.
_COLLAPSED_PAGE = _PAGE.replace("(is_latest OR true)", "is_latest")


async def read_page(reader: Reader, ask: Ask) -> Page:
    """The changes after a place, as far as they have been committed; raises `FeedReset`.

    A page may end before its limit, where its documents are long; an empty one is at the head.
    """
    after = ask.after.sequence if ask.after else 0
    query = _COLLAPSED_PAGE if ask.collapse else _PAGE
    found = await reader.fetch(query, after, ask.limit, ask.max_bytes)
    # They come in order, but SQL promises that only for a sort, which would copy every document.
    feed, *rows = sorted(found, key=itemgetter("sequence"))
    epoch, head = feed["epoch"], feed["head"]
    if ask.after and (ask.after.epoch != epoch or after > head):
        raise FeedReset
    items = [(row["sequence"], row["kind"], row["item"]) for row in rows]
    return Page(epoch, head, items[-1][0] if items else after, items)


async def last_sequence(session: AsyncSession) -> int:
    """The number of the last change that is committed: all up to it can be seen."""
    return (await session.execute(select(ChangeFeed.last_sequence))).scalar_one()


@dataclass(frozen=True, slots=True)
class ChangedAsset:
    """By the numbers of its changes in a part of the feed: the last, and its publication."""

    asset_id: UUID
    sequence: int
    published_by: int | None


async def changed_assets(
    session: AsyncSession, *, after: int, until: int
) -> Sequence[ChangedAsset]:
    """The assets that changed after one change and up to another, each once."""
    last = func.max(Change.sequence)
    published_by = last.filter(Change.kind == "created")
    query = select(Change.asset_id, last, published_by).group_by(Change.asset_id)
    rows = await session.execute(query.where(Change.sequence > after, Change.sequence <= until))
    return [
        ChangedAsset(asset_id, sequence or until, published)
        for asset_id, sequence, published in rows
    ]


async def list_after(
    session: AsyncSession, sequence: int, *, up_to: int | None = None, limit: int
) -> Sequence[Change]:
    """The changes that follow a number, in their order."""
    query = select(Change).where(Change.sequence > sequence)
    if up_to is not None:
        query = query.where(Change.sequence <= up_to)
    return (await session.scalars(query.order_by(Change.sequence).limit(limit))).all()


async def last_before(session: AsyncSession, moment: datetime) -> int:
    """The number of the last change that was committed before a moment.

    Found by halving, since numbers have no gaps and the times of commits have their order.
    """
    low, high = 0, await last_sequence(session)
    while low < high:
        middle = (low + high + 1) // 2
        of_this = select(Change.committed_at).where(Change.sequence == middle)
        committed_at = await session.scalar(of_this)
        if committed_at is not None and committed_at < moment:
            low = middle
        else:
            high = middle - 1
    return low
