"""Sitemaps (https://www.sitemaps.org/protocol.html) with Google's video extension."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from app.formats import xml_tree
from app.formats.addresses import Addresses
from app.formats.xml_tree import Element, add

MEDIA_TYPE = "application/xml"
_SITEMAP = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
_VIDEO = "{http://www.google.com/schemas/sitemap-video/1.1}"
_TITLE_LENGTH = 100
_DESCRIPTION_LENGTH = 2048
# Search engines take videos of one second to eight hours.
_LONGEST_SECONDS = 28_800


@dataclass(frozen=True, slots=True)
class SitemapEntry:
    """What a sitemap says of an asset. Addresses of the poster and the preview are paths."""

    slug: str
    updated_at: datetime
    published_at: datetime
    available_until: datetime | None
    title: str
    description: str
    duration_ms: int | None
    poster: str | None
    # Of a video alone.
    preview: str | None


def write_index(pages: Iterable[str]) -> bytes:
    """The addresses of the sitemaps that together name every asset."""
    tree = xml_tree.root(f"{_SITEMAP}sitemapindex", {None: _SITEMAP[1:-1]})
    for page in pages:
        add(add(tree, f"{_SITEMAP}sitemap"), f"{_SITEMAP}loc", page)
    return xml_tree.to_bytes(tree)


def write_page(entries: Iterable[SitemapEntry], addresses: Addresses) -> bytes:
    namespaces = {None: _SITEMAP[1:-1], "video": _VIDEO[1:-1]}
    tree = xml_tree.root(f"{_SITEMAP}urlset", namespaces)
    for entry in entries:
        url = add(tree, f"{_SITEMAP}url")
        add(url, f"{_SITEMAP}loc", addresses.page(entry.slug))
        add(url, f"{_SITEMAP}lastmod", entry.updated_at.isoformat())
        if entry.poster and entry.preview:  # both are required of a video
            _add_video(url, entry, addresses, entry.poster, entry.preview)
    return xml_tree.to_bytes(tree)


def _add_video(
    url: Element, entry: SitemapEntry, addresses: Addresses, poster: str, preview: str
) -> None:
    video = add(url, f"{_VIDEO}video")
    add(video, f"{_VIDEO}thumbnail_loc", addresses.absolute(poster))
    add(video, f"{_VIDEO}title", entry.title[:_TITLE_LENGTH])
    add(video, f"{_VIDEO}description", entry.description[:_DESCRIPTION_LENGTH])
    add(video, f"{_VIDEO}content_loc", addresses.absolute(preview))
    if entry.duration_ms:
        seconds = min(max(round(entry.duration_ms / 1000), 1), _LONGEST_SECONDS)
        add(video, f"{_VIDEO}duration", seconds)
    if entry.available_until:
        add(video, f"{_VIDEO}expiration_date", entry.available_until.isoformat())
    add(video, f"{_VIDEO}publication_date", entry.published_at.isoformat())
