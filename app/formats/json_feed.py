"""JSON Feed 1.1 (https://www.jsonfeed.org/version/1.1/)."""

from typing import Any

from app.formats import json_text
from app.formats.addresses import Addresses
from app.formats.feed import DESCRIPTION, TITLE, Document, Feed, creators, description
from app.formats.json_text import filled

MEDIA_TYPE = "application/feed+json"


def write(feed: Feed, addresses: Addresses) -> bytes:
    page = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": TITLE,
        "description": DESCRIPTION,
        "home_page_url": addresses.pages,
        "feed_url": feed.url,
        "next_url": feed.next_url,
        "authors": [{"name": addresses.host, "url": addresses.pages}],
    }
    items = [_item(document, addresses) for document in feed.documents]
    return json_text.to_bytes({**filled(page), "items": items})


def _item(document: Document, addresses: Addresses) -> dict[str, Any]:
    summary = description(document)
    poster = document["poster"]
    return filled(
        {
            "id": f"urn:uuid:{document['id']}",
            "url": addresses.page(document["slug"]),
            "title": document["title"],
            "summary": summary,
            "content_text": document["body"] or summary,
            "image": addresses.absolute(poster["url"]) if poster else None,
            "date_published": document["published_at"],
            "date_modified": document["updated_at"],
            "authors": [{"name": name} for name in creators(document)],
            "tags": document["keywords"],
            "language": document["language"],
            "attachments": [_attachment(each, addresses) for each in document["renditions"]],
            # Readers that know more follow it to all the rest.
            "_asset": {
                "id": document["id"],
                "type": document["type"],
                "version": document["version"],
                "document": addresses.document(document["id"]),
            },
        }
    )


def _attachment(rendition: Document, addresses: Addresses) -> dict[str, Any]:
    duration = rendition["technical"].get("duration_ms")
    return filled(
        {
            "url": addresses.absolute(rendition["download"]),
            "mime_type": rendition["media_type"],
            "title": rendition["name"],
            "size_in_bytes": rendition["size_bytes"],
            "duration_in_seconds": duration / 1000 if duration is not None else None,
        }
    )
