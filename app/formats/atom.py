"""Atom (RFC 4287), paged as RFC 5005 says; a place is a GeoRSS point."""

from app.formats import xml_tree
from app.formats.addresses import Addresses
from app.formats.feed import TITLE, Document, Feed, creators, description, point
from app.formats.xml_tree import XML_LANG, Element, add, add_filled

MEDIA_TYPE = "application/atom+xml"
_ATOM = "{http://www.w3.org/2005/Atom}"
_GEORSS = "{http://www.georss.org/georss}"
_NAMESPACES = {None: _ATOM[1:-1], "georss": _GEORSS[1:-1]}


def write(feed: Feed, addresses: Addresses) -> bytes:
    tree = xml_tree.root(f"{_ATOM}feed", _NAMESPACES)
    add(tree, f"{_ATOM}id", feed.first_url)
    add(tree, f"{_ATOM}title", TITLE)
    add(tree, f"{_ATOM}updated", feed.updated_at)
    add(add(tree, f"{_ATOM}author"), f"{_ATOM}name", addresses.host)
    _add_link(tree, "self", feed.url, MEDIA_TYPE)
    _add_link(tree, "first", feed.first_url, MEDIA_TYPE)
    if feed.next_url:
        _add_link(tree, "next", feed.next_url, MEDIA_TYPE)
    _add_link(tree, "alternate", addresses.pages, "text/html")
    for document in feed.documents:
        _add_entry(tree, document, addresses)
    return xml_tree.to_bytes(tree)


def _add_entry(tree: Element, document: Document, addresses: Addresses) -> None:
    entry = add(tree, f"{_ATOM}entry", attributes={XML_LANG: document["language"]})
    add(entry, f"{_ATOM}id", f"urn:uuid:{document['id']}")
    add(entry, f"{_ATOM}title", document["title"])
    add(entry, f"{_ATOM}updated", document["updated_at"])
    add(entry, f"{_ATOM}published", document["published_at"])
    for name in creators(document):
        add(add(entry, f"{_ATOM}author"), f"{_ATOM}name", name)
    add(entry, f"{_ATOM}summary", description(document))
    add_filled(entry, f"{_ATOM}content", document["body"], {"type": "text"})
    for term in (document["type"], *document["keywords"]):
        add(entry, f"{_ATOM}category", attributes={"term": term})
    rights = document["rights"] or {}
    add_filled(entry, f"{_ATOM}rights", rights.get("copyright_notice") or rights.get("usage_terms"))
    add_filled(entry, f"{_GEORSS}point", point(document))
    _add_links(entry, document, addresses)


def _add_links(entry: Element, document: Document, addresses: Addresses) -> None:
    """The page, the document itself and each file."""
    _add_link(entry, "alternate", addresses.page(document["slug"]), "text/html")
    _add_link(entry, "alternate", addresses.document(document["id"]), "application/json")
    for rendition in document["renditions"]:
        enclosure = {"title": rendition["name"], "length": rendition["size_bytes"]}
        url = addresses.absolute(rendition["download"])
        _add_link(entry, "enclosure", url, rendition["media_type"], enclosure)


def _add_link(
    parent: Element,
    rel: str,
    href: str,
    media_type: str,
    more: dict[str, str | int] | None = None,
) -> None:
    attributes = {"rel": rel, "type": media_type, "href": href, **(more or {})}
    add(parent, f"{_ATOM}link", attributes=attributes)
