"""Collections: the series, events and choices that assets belong to."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain, count
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Select, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from app.errors import AppError, NotFound
from app.models import Collection, FacetCount
from app.services import asset_fields, audit_events, catalogue_events, collection_items
from app.services.asset_documents import parse_id
from app.services.asset_fields import invalid
from app.services.asset_versions import VersionCheck
from app.services.context import Client
from app.services.folding import fold

Sort = Literal["-created_at", "title"]
# A collection, and how many public assets it has.
Counted = tuple[Collection, int]

# As much of a title as a cursor has room for; titles that are alike so far go by age.
SORTED_CHARACTERS = 100
# Documents of assets name their collections with these.
_SHOWN_BY_MEMBERS = frozenset({"kind", "title"})
_OPTIONAL: Mapping[str, Any] = {
    "summary": None,
    "translations": {},
    "location": None,
    "starts_on": None,
    "ends_on": None,
}
_FIELDS = ("kind", "title", "language", *_OPTIONAL)


class SlugTaken(AppError):
    status, code, title = 409, "slug_taken", "Another collection has this slug"


async def list_collections(
    session: AsyncSession,
    *,
    kind: str | None,
    title: str | None,
    sort: Sort,
    after: Sequence[str] | None,
    limit: int,
) -> Sequence[Counted]:
    """Newest first or by title; `title` is looked for in titles, whatever the accents and case.

    `after` is the `position` of the collection that the page before ended with.
    """
    query = _counted().limit(limit)
    if kind is not None:
        query = query.where(Collection.kind == kind)
    if title:
        query = query.where(Collection.folded.contains(fold(title), autoescape=True))
    if sort == "title":
        key = func.left(Collection.folded, SORTED_CHARACTERS)
        query = query.order_by(key, Collection.id)
        if after is not None:
            query = query.where(tuple_(key, Collection.id) > (after[0], UUID(after[1])))
    else:
        query = query.order_by(Collection.id.desc())
        if after is not None:
            query = query.where(Collection.id < UUID(after[0]))
    return [(row[0], row[1]) for row in await session.execute(query)]


def position(collection: Collection, sort: Sort) -> list[str]:
    """The sort keys of a collection, for a cursor."""
    keys = [str(collection.id)]
    return [collection.folded[:SORTED_CHARACTERS], *keys] if sort == "title" else keys


async def get(session: AsyncSession, reference: str) -> Counted:
    """One collection by id or slug."""
    found = (
        await session.execute(_counted().where(collection_items.named(reference)))
    ).one_or_none()
    if found is None:
        raise NotFound
    return found[0], found[1]


async def create(
    session: AsyncSession,
    sent: Mapping[str, Any],
    *,
    account_id: UUID | None,
    client: Client | None,
    now: datetime,
) -> Collection:
    """Make a collection, with a slug from its title where none is given."""
    fields = _merged({"language": "en"}, {k: v for k, v in sent.items() if k != "slug"})
    fields |= {"id": uuid7(), "version": 1, "created_at": now, "updated_at": now}
    if (slug := sent.get("slug")) is None:
        collection = None
        while collection is None:  # until nobody else takes the slug in between
            slug = await _free_slug(session, fields["title"], fields["kind"])
            collection = await _insert(session, slug, fields)
    elif parse_id(slug) is not None:
        raise invalid("/slug", "looks_like_id", "A slug must not look like an id")
    elif (collection := await _insert(session, slug, fields)) is None:
        raise SlugTaken
    await _record(session, "created", collection, account_id=account_id, client=client, now=now)
    return collection


async def change(
    session: AsyncSession,
    reference: str,
    patch: Mapping[str, Any],
    *,
    check: VersionCheck,
    account_id: UUID | None,
    client: Client | None,
    now: datetime,
) -> Counted:
    """Apply a merge patch (RFC 7396). One that changes nothing makes no version."""
    collection = await _lock(session, reference)
    check(collection.version)
    before = {name: getattr(collection, name) for name in _FIELDS}
    after = _merged(before, patch)
    if changed := {name for name in _FIELDS if before[name] != after[name]}:
        for name, value in after.items():
            setattr(collection, name, value)
        collection.version += 1
        collection.updated_at = now
        if changed & _SHOWN_BY_MEMBERS:
            await collection_items.render_again(session, collection.id)
        await _record(session, "changed", collection, account_id=account_id, client=client, now=now)
    return await get(session, str(collection.id))


async def delete_collection(
    session: AsyncSession,
    reference: str,
    *,
    check: VersionCheck,
    account_id: UUID | None,
    client: Client | None,
    now: datetime,
) -> None:
    """Take a collection away; its assets stay, without it."""
    collection = await _lock(session, reference)
    check(collection.version)
    await collection_items.render_again(session, collection.id)
    await session.delete(collection)
    await _record(session, "deleted", collection, account_id=account_id, client=client, now=now)


def _counted() -> Select[Collection, int]:
    """Public assets alone are counted: of those under embargo not even the number is told."""
    term = func.concat("collection:", Collection.slug)
    counts = select(Collection, func.coalesce(FacetCount.count, 0))
    return counts.outerjoin(FacetCount, FacetCount.term == term)


def _merged(fields: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that a patch leaves, all of them."""
    merged = asset_fields.merge(fields, patch)
    asset_fields.check_merged(merged)
    starts_on, ends_on = merged.get("starts_on"), merged.get("ends_on")
    if starts_on and ends_on and ends_on < starts_on:
        raise invalid("/ends_on", "ends_before_it_starts", "This is before starts_on")
    return {**_OPTIONAL, **merged, "folded": fold(merged["title"])}


async def _free_slug(session: AsyncSession, title: str, kind: str) -> str:
    """The title's, or with the next free number; of a title in another script, the kind's."""
    slug = asset_fields.slug_of(title) or kind
    alike = Collection.slug.regexp_match(f"^{slug}(-[0-9]+)?$")
    taken = set(await session.scalars(select(Collection.slug).where(alike)))
    candidates = chain([slug], (f"{slug}-{number}" for number in count(2)))
    return next(each for each in candidates if each not in taken and parse_id(each) is None)


async def _insert(session: AsyncSession, slug: str, fields: Mapping[str, Any]) -> Collection | None:
    """The new row; None if the slug is taken, which its constraint alone can tell."""
    row = insert(Collection).values(slug=slug, **fields)
    row = row.on_conflict_do_nothing(constraint="uq_collection_slug")
    return (await session.scalars(row.returning(Collection))).one_or_none()


async def _lock(session: AsyncSession, reference: str) -> Collection:
    """Until the transaction ends nobody else changes it, and no asset joins it.

    Such an asset would be rendered as the collection was, after `render_again` has looked for it.
    """
    query = select(Collection).where(collection_items.named(reference)).with_for_update()
    collection = (await session.scalars(query)).one_or_none()
    if collection is None:
        raise NotFound
    return collection


async def _record(
    session: AsyncSession,
    deed: str,
    collection: Collection,
    *,
    account_id: UUID | None,
    client: Client | None,
    now: datetime,
) -> None:
    """Write the change, append it to the audit trail, and tell every process of it."""
    await session.flush()
    details = {"collection_id": str(collection.id), "slug": collection.slug}
    await audit_events.record(
        session,
        f"collection.{deed}",
        account_id=account_id,
        client=client,
        details=details,
        now=now,
    )
    await catalogue_events.announce_everything(session)
