from uuid import UUID

from app.schemas.base import Answer


class ManifestItem(Answer):
    asset_id: UUID
    slug: str
    name: str
    purpose: str
    filename: str
    # Where to save it: no two files of a manifest have the same.
    path: str
    media_type: str
    size_bytes: int
    sha256: str
    # Needs the same rights as the manifest; counts as a download.
    download: str


class Manifest(Answer):
    items: list[ManifestItem]
    next_cursor: str | None
