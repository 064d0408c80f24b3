"""Media RSS 1.5.1 (https://www.rssboard.org/media-rss): RSS 2.0 with every file and its details.

What a file is, is in mrss_files.py. Media RSS knows only MD5 and SHA-1, so the SHA-256 of a file
stands in Metalink's element (RFC 5854), where download managers look for it.
"""

from datetime import datetime
from email.utils import format_datetime

from app.formats import xml_tree
from app.formats.addresses import Addresses
from app.formats.feed import DESCRIPTION, TITLE, Document, Feed, creators, description, point
from app.formats.mrss_files import add_files
from app.formats.mrss_names import ATOM, DC, DCTERMS, GEORSS, MEDIA, NAMESPACES
from app.formats.timing import clock, timed_shots
from app.formats.xml_tree import Element, add, add_filled

MEDIA_TYPE = "application/rss+xml"


def write(feed: Feed, addresses: Addresses) -> bytes:
    tree = xml_tree.root("rss", NAMESPACES, version="2.0")
    channel = add(tree, "channel")
    add(channel, "title", TITLE)
    add(channel, "link", addresses.pages)
    add(channel, "description", DESCRIPTION)
    add(channel, "lastBuildDate", _rfc822(feed.updated_at))
    for rel, url in (("self", feed.url), ("first", feed.first_url), ("next", feed.next_url)):
        if url:
            link = {"rel": rel, "type": MEDIA_TYPE, "href": url}
            add(channel, f"{ATOM}link", attributes=link)
    for document in feed.documents:
        _add_item(channel, document, addresses)
    return xml_tree.to_bytes(tree)


def _rfc822(moment: str) -> str:
    return format_datetime(datetime.fromisoformat(moment))


def _add_item(channel: Element, document: Document, addresses: Addresses) -> None:
    item = add(channel, "item")
    add(item, "title", document["title"])
    add(item, "link", addresses.page(document["slug"]))
    add(item, "guid", f"urn:uuid:{document['id']}", {"isPermaLink": "false"})
    add(item, "pubDate", _rfc822(document["published_at"]))
    add(item, f"{ATOM}updated", document["updated_at"])
    add(item, "description", description(document))
    add(item, f"{DC}language", document["language"])
    for name in creators(document):
        add(item, f"{DC}creator", name)
    add_filled(item, f"{GEORSS}point", point(document))
    if document["available_until"]:
        valid = f"start={document['published_at']};end={document['available_until']};scheme=W3C-DTF"
        add(item, f"{DCTERMS}valid", valid)
    add_files(item, document, addresses)
    _add_texts(item, document)
    _add_rights(item, document)
    _add_timed(item, document, addresses)


def _add_texts(item: Element, document: Document) -> None:
    plain = {"type": "plain"}
    add(item, f"{MEDIA}title", document["title"], plain)
    add(item, f"{MEDIA}description", description(document), plain)
    add_filled(item, f"{MEDIA}keywords", ", ".join(document["keywords"]))
    for subject in document["subjects"]:
        attributes = {"scheme": subject["scheme"], "label": subject["name"]}
        add(item, f"{MEDIA}category", subject["code"], attributes)
    for credit in document["credits"]:
        add(item, f"{MEDIA}credit", credit["name"], {"role": credit["role"]})
    for name in ("script", "transcript"):
        attributes = {**plain, "lang": document["language"]}
        add_filled(item, f"{MEDIA}text", document[name], attributes)


def _add_rights(item: Element, document: Document) -> None:
    """Of the restrictions, Media RSS can say only in which countries."""
    rights = document["rights"] or {}
    add_filled(item, f"{MEDIA}copyright", rights.get("copyright_notice"))
    if rights.get("license"):
        link = {"type": "text/html", "href": rights["license"]}
        add(item, f"{MEDIA}license", rights.get("usage_terms") or rights["license"], link)
    for restriction in document["restrictions"]:
        if restriction["kind"] == "geo" and restriction["values"]:
            attributes = {"relationship": restriction["rule"], "type": "country"}
            countries = " ".join(restriction["values"]).lower()
            add(item, f"{MEDIA}restriction", countries, attributes)


def _add_timed(item: Element, document: Document, addresses: Addresses) -> None:
    for caption in document["captions"]:
        attributes = {
            "type": "text/vtt",
            "lang": caption["language"],
            "href": addresses.absolute(caption["url"]),
        }
        add(item, f"{MEDIA}subTitle", attributes=attributes)
    shots = timed_shots(document)
    if not shots:
        return
    scenes = add(item, f"{MEDIA}scenes")
    for shot in shots:
        scene = add(scenes, f"{MEDIA}scene")
        add(scene, "sceneTitle", f"{shot.shot['number']}. {shot.shot['kind']}")
        add(scene, "sceneDescription", shot.title)
        add(scene, "sceneStartTime", clock(shot.start_ms))
        add(scene, "sceneEndTime", clock(shot.end_ms))
