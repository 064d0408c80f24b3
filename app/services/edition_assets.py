"""Assets in an edition: what its readers see of them, in HTML and in the text part."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import FieldError
from app.formats.addresses import Addresses
from app.models import Asset
from app.services import asset_documents, policy
from app.services.edition_markdown import AssetBlock

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Card:
    """An asset as a reader of one language sees it."""

    type: str
    title: str
    summary: str
    url: str
    # The language of title and summary, which may not be the reader's.
    language: str
    # As "2:35"; empty for what has no duration.
    duration: str
    poster_url: str | None
    # Width divided by height.
    poster_ratio: float | None


async def find(session: AsyncSession, references: Collection[str]) -> Mapping[str, Document]:
    """The documents of public assets by the ids and slugs that name them, in one query."""
    ids = {asset_id for each in references if (asset_id := asset_documents.parse_id(each))}
    query = select(Asset.id, Asset.slug, Asset.document).where(
        Asset.state == "published", or_(Asset.id.in_(ids), Asset.slug.in_(references))
    )
    found: dict[UUID | str, str | None] = {}
    for asset_id, slug, document in await session.execute(query):
        found[asset_id] = found[slug] = document
    keys = {each: asset_documents.parse_id(each) or each for each in references}
    documents = ((each, found.get(key)) for each, key in keys.items())
    return {each: json.loads(document) for each, document in documents if document}


def faults(
    blocks: Sequence[AssetBlock], documents: Mapping[str, Document], *, pointer: str
) -> list[FieldError]:
    """What keeps these blocks from being shown, each asset once."""
    found = {}
    for block in blocks:
        if block.reference not in documents:
            message = f"There is no public asset {block.reference!r}"
            found[block.reference] = FieldError(
                pointer=pointer, code="asset_not_public", message=message
            )
        elif block.unknown is not None:
            message = f"{block.unknown!r} is not understood; an asset takes {{poster=false}} alone"
            found[block.reference] = FieldError(
                pointer=pointer, code="asset_attribute_unknown", message=message
            )
        elif block.is_misplaced:
            message = f"{block.reference!r} needs a line outside of lists and quotations"
            found[block.reference] = FieldError(
                pointer=pointer, code="asset_misplaced", message=message
            )
    if len(blocks) > policy.EDITION_MAX_ASSETS:
        message = f"An edition shows {policy.EDITION_MAX_ASSETS} assets at most"
        return [FieldError(pointer=pointer, code="too_many_assets", message=message)]
    return list(found.values())


def card(document: Document, language: str, addresses: Addresses) -> Card:
    """In the reader's language as far as somebody has translated it, else in the asset's own."""
    translation = document["translations"].get(language) or {}
    is_translated = bool(translation.get("title"))
    shown = translation if is_translated else document
    poster = document["poster"] or {}
    width, height = poster.get("width"), poster.get("height")
    return Card(
        type=document["type"],
        title=shown["title"],
        summary=shown.get("summary") or shown.get("headline") or "",
        url=addresses.page(document["slug"]),
        language=language if is_translated else document["language"],
        duration=_duration_text(document["duration_ms"]),
        poster_url=addresses.absolute(poster["url"]) if poster else None,
        poster_ratio=width / height if width and height else None,
    )


def _duration_text(milliseconds: int | None) -> str:
    """Whole seconds, with hours only where there are some."""
    if not milliseconds:
        return ""
    minutes, seconds = divmod(max(1, round(milliseconds / 1000)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
