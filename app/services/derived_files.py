"""Posters and previews: which file of an asset makes them, and who may see them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal, Protocol
from uuid import UUID

from sqlalchemy import and_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.crypto import Keyring
from app.errors import NotFound
from app.models import Rendition
from app.services import asset_documents, policy, signed_addresses
from app.services.assets import AssetWithdrawn
from app.services.downloads import StoredFile
from app.services.rendition_rules import Technical, rank
from app.services.signed_addresses import is_signed

# What has an address, and what is kept for it: no file that is uploaded has a name with an @.
Shown = Literal["poster", "preview"]
Purpose = Literal["poster", "poster@small", "preview"]
FILE_NAMES: dict[Shown, str] = {"poster": "poster.jpg", "preview": "preview.mp4"}

# Makes the document that an editor is shown of one that has just been rendered.
DeskView = Callable[[dict[str, Any]], dict[str, Any]]

_SIGNED = "draft-preview"


class Reader(Protocol):
    async def fetchrow(self, query: str, *args: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class DerivedFile:
    """A poster or a preview, in the store and not yet told of."""

    purpose: Purpose
    filename: str
    media_type: str
    size_bytes: int
    sha256: str
    object_key: str
    technical: Technical


@dataclass(frozen=True, slots=True)
class ShownFile:
    """A poster or a preview that the client may see. Of what is not public, only this client."""

    file: StoredFile
    is_public: bool


async def wanted(session: AsyncSession, asset_id: UUID, *, name: str, purpose: str) -> set[Shown]:
    """Which of the two a new file is to make: each that no better file of another name has made."""
    source = aliased(Rendition)
    is_other = and_(source.id == Rendition.source_id, source.state == "ready", source.name != name)
    query = (
        select(Rendition.purpose, source.purpose)
        .join(source, is_other)
        .where(Rendition.asset_id == asset_id, Rendition.state == "ready")
    )
    rows = await session.execute(query)
    better = {made for made, made_by in rows if rank(made_by) < rank(purpose)}
    return {each for each in FILE_NAMES if each not in better}


async def put(
    session: AsyncSession, source: Rendition, derived: Sequence[DerivedFile], *, now: datetime
) -> None:
    """Show these in place of the former ones of the asset."""
    purposes = [each.purpose for each in derived]
    former = and_(Rendition.asset_id == source.asset_id, Rendition.purpose.in_(purposes))
    is_shown = Rendition.state == "ready"
    await session.execute(update(Rendition).where(former, is_shown).values(state="replaced"))
    session.add_all(row(each, source=source, now=now) for each in derived)
    await session.flush()


def row(derived: DerivedFile, *, source: Rendition, now: datetime) -> Rendition:
    return Rendition(
        asset_id=source.asset_id,
        name=derived.purpose,
        purpose=derived.purpose,
        state="ready",
        object_key=derived.object_key,
        filename=derived.filename,
        media_type=derived.media_type,
        size_bytes=derived.size_bytes,
        sha256=derived.sha256,
        technical=dict(derived.technical),
        source_id=source.id,
        created_at=now,
    )


async def replace_made_from(
    session: AsyncSession, asset_id: UUID, source_ids: Sequence[UUID]
) -> bool:
    """Show no more what was made from files that are gone; whether there was anything."""
    made = and_(Rendition.asset_id == asset_id, Rendition.source_id.in_(source_ids))
    shown = update(Rendition).where(made, Rendition.state == "ready")
    gone = await session.scalars(shown.values(state="replaced").returning(Rendition.id))
    return bool(gone.all())


_SHOWN = """
    SELECT asset.id AS asset_id, asset.state, asset.withdrawal_reason,
           rendition.id AS rendition_id, object_key, filename, media_type, size_bytes, sha256
      FROM asset LEFT JOIN rendition
        ON rendition.asset_id = asset.id AND rendition.purpose = ANY($2)
           AND rendition.state = 'ready'
     WHERE asset.{column} = $1
     ORDER BY array_position($2, rendition.purpose) LIMIT 1
"""


async def find_shown(
    reader: Reader,
    reference: str,
    purpose: Shown,
    *,
    is_small: bool = False,
    signature: str | None,
    keyring: Keyring,
    now: datetime,
) -> ShownFile:
    """The poster or preview of what is public, and of a draft for whoever has a signed address.

    `is_small` finds the small poster; where there is none, the large one.
    """
    asset_id = asset_documents.parse_id(reference)
    query = _SHOWN.format(column="id" if asset_id else "slug")
    purposes = ["poster@small", "poster"] if is_small else [purpose]
    found = await reader.fetchrow(query, asset_id or reference, purposes)
    if found is None:
        raise NotFound
    if found["state"] == "withdrawn":
        raise AssetWithdrawn(found["withdrawal_reason"])
    is_public = found["state"] == "published"
    signed = (_SIGNED, found["asset_id"].bytes, purpose)
    may_see = is_public or is_signed(signature, keyring, *signed, now=now)
    if found["object_key"] is None or not may_see:
        raise NotFound
    columns = (each.name for each in fields(StoredFile))
    return ShownFile(StoredFile(**{name: found[name] for name in columns}), is_public)


def signed_url(asset_id: UUID, purpose: Shown, *, keyring: Keyring, now: datetime) -> str:
    """The path at which an editor's browser finds the poster or preview of a draft for an hour."""
    until = now + policy.DRAFT_PREVIEW_LIFETIME
    signature = signed_addresses.sign(keyring, _SIGNED, asset_id.bytes, purpose, until=until)
    return f"/v1/assets/{asset_id}/{FILE_NAMES[purpose]}?signature={signature}"


def with_signed_addresses(
    document: dict[str, Any], *, keyring: Keyring, now: datetime
) -> dict[str, Any]:
    """The desk's document of an asset that is not public yet, with addresses that work already."""
    if document["status"] not in {"draft", "scheduled"}:
        return document
    shown = dict(document)
    for purpose in FILE_NAMES:
        if document[purpose] is not None:
            url = signed_url(UUID(document["id"]), purpose, keyring=keyring, now=now)
            shown[purpose] = _at(document[purpose], url)
    return shown


def _at(described: dict[str, Any], url: str) -> dict[str, Any]:
    moved = {**described, "url": url}
    if small := described.get("small"):
        moved["small"] = {**small, "url": asset_documents.small_poster_url(url)}
    return moved
