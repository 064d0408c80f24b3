"""Captions as players read them: of what is published, and without building anything."""

from dataclasses import dataclass
from datetime import datetime

from app.errors import NotFound
from app.services import assets
from app.services.assets import Reader

_ONE = "SELECT webvtt FROM caption WHERE asset_id = $1 AND lower(language) = lower($2)"


@dataclass(frozen=True, slots=True)
class CaptionText:
    webvtt: str
    # Of the asset: changing its captions makes another version of it.
    version: int
    updated_at: datetime


async def read(reader: Reader, reference: str, language: str) -> CaptionText:
    """404 for what is not public and for a language that is absent, 410 for what is withdrawn."""
    document = await assets.get_document(reader, reference)
    row = await reader.fetchrow(_ONE, document.id, language)
    if row is None:
        raise NotFound
    return CaptionText(row["webvtt"], document.version, document.updated_at)
