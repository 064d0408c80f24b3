"""oEmbed 1.0 (https://oembed.com): how another site shows one of our assets."""

from collections.abc import Mapping
from html import escape
from typing import Any, Literal

from app.formats import json_text, xml_tree
from app.formats.addresses import Addresses
from app.formats.feed import creators
from app.formats.json_text import filled
from app.formats.xml_tree import add

OembedFormat = Literal["json", "xml"]
MEDIA_TYPES: Mapping[OembedFormat, str] = {"json": "application/json", "xml": "text/xml"}
# Seconds. Not long: an asset may be withdrawn.
_CACHE_AGE = 3_600

_Document = Mapping[str, Any]
_Size = tuple[int, int]


def write(
    document: _Document,
    addresses: Addresses,
    *,
    output: OembedFormat,
    max_width: int | None = None,
    max_height: int | None = None,
) -> bytes:
    """A video with its player, an image as photo, and anything else as a link."""
    box = (max_width, max_height)
    members = {
        "version": "1.0",
        "title": document["title"],
        "author_name": next(iter(creators(document)), None),
        "provider_name": addresses.host,
        "provider_url": addresses.pages,
        "cache_age": _CACHE_AGE,
        **_thumbnail(document, addresses, box),
        **_embedding(document, addresses, box),
    }
    if output == "json":
        return json_text.to_bytes(filled(members))
    tree = xml_tree.root("oembed", {})
    for name, value in filled(members).items():
        add(tree, name, value)
    return xml_tree.to_bytes(tree)


_Box = tuple[int | None, int | None]


def _embedding(document: _Document, addresses: Addresses, box: _Box) -> dict[str, Any]:
    preview, poster = document["preview"], document["poster"]
    if document["type"] == "video" and preview and preview["width"] and preview["height"]:
        size = _scaled((preview["width"], preview["height"]), box)
        return {
            "type": "video",
            "html": _player(document, addresses, size),
            "width": size[0],
            "height": size[1],
        }
    if document["type"] == "image" and poster and _fits(poster, box):
        return {
            "type": "photo",
            "url": addresses.absolute(poster["url"]),
            "width": poster["width"],
            "height": poster["height"],
        }
    return {"type": "link"}


def _scaled(size: _Size, box: _Box) -> _Size:
    """The same shape, so small that it fits; never larger."""
    width, height = size
    limits = [limit / side for limit, side in zip(box, size, strict=True) if limit is not None]
    factor = min(1.0, *limits) if limits else 1.0
    return max(1, int(width * factor)), max(1, int(height * factor))


def _player(document: _Document, addresses: Addresses, size: _Size) -> str:
    """A video element: it needs no script, and no page of ours in a frame."""
    poster = document["poster"]
    attributes = {
        "src": addresses.absolute(document["preview"]["url"]),
        "poster": addresses.absolute(poster["url"]) if poster else None,
        "width": str(size[0]),
        "height": str(size[1]),
        "title": document["title"],
    }
    written = " ".join(
        f'{name}="{escape(value)}"' for name, value in attributes.items() if value is not None
    )
    return f'<video controls preload="none" {written}></video>'


def _thumbnail(document: _Document, addresses: Addresses, box: _Box) -> dict[str, Any]:
    poster = document["poster"]
    if not poster or not _fits(poster, box):
        return {}
    return {
        "thumbnail_url": addresses.absolute(poster["url"]),
        "thumbnail_width": poster["width"],
        "thumbnail_height": poster["height"],
    }


def _fits(picture: _Document, box: _Box) -> bool:
    """There is one size of it: where that is too large, it may not be offered at all."""
    sides = (picture["width"], picture["height"])
    return all(
        side is not None and (limit is None or side <= limit)
        for side, limit in zip(sides, box, strict=True)
    )
