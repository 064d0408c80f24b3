"""Dublin Core as OAI-PMH carries it (oai_dc): what every library and archive makes out of an asset.

The elements are those of DCMES 1.1, unqualified; types are of the DCMI Type Vocabulary.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from app.formats import feed, xml_tree
from app.formats.addresses import Addresses
from app.formats.ebucore_names import DC
from app.formats.xml_tree import XML_LANG, Element

OAI_DC = "{http://www.openarchives.org/OAI/2.0/oai_dc/}"
_NAMESPACES: Mapping[str | None, str] = {"oai_dc": OAI_DC[1:-1], "dc": DC[1:-1]}
_TYPES = {"video": "MovingImage", "image": "StillImage", "audio": "Sound", "story": "Text"}

_Document = Mapping[str, Any]
# An element, its text, and the language of that if it has one.
_Statement = tuple[str, str | None, str | None]


def build(document: _Document, addresses: Addresses) -> Element:
    tree = xml_tree.root(f"{OAI_DC}dc", _NAMESPACES)
    for name, text, language in _statements(document, addresses):
        xml_tree.add_filled(tree, f"{DC}{name}", text, {XML_LANG: language})
    return tree


def _statements(document: _Document, addresses: Addresses) -> Iterator[_Statement]:
    yield from _texts(document)
    yield from _people(document)
    yield from _subjects(document)
    yield "publisher", addresses.host, None
    yield "date", document["published_at"], None
    yield "type", _TYPES[document["type"]], None
    for media_type in dict.fromkeys(each["media_type"] for each in document["renditions"]):
        yield "format", media_type, None
    yield "identifier", addresses.page(document["slug"]), None
    yield "identifier", f"urn:uuid:{document['id']}", None
    for other in document["alternative_ids"]:
        yield "identifier", other["value"], None
    for language in document["spoken_languages"] or [document["language"]]:
        yield "language", language, None
    for related in document["related"]:
        yield "relation", addresses.page(related["slug"]), None
    for collection in document["collections"]:
        yield "relation", collection["title"], None
    yield from _coverage(document)
    rights = document["rights"] or {}
    for name in ("copyright_notice", "usage_terms", "license"):
        yield "rights", rights.get(name), None


def _texts(document: _Document) -> Iterator[_Statement]:
    """Title and description, in each language that there is."""
    yield "title", document["title"], document["language"]
    yield "description", document["summary"] or document["headline"], document["language"]
    for language, translation in document["translations"].items():
        yield "title", translation.get("title"), language
        described = translation.get("summary") or translation.get("headline")
        yield "description", described, language


def _people(document: _Document) -> Iterator[_Statement]:
    """Who made it, and who speaks in it; who is only shown or named is a subject."""
    for name in feed.creators(document):
        yield "creator", name, None
    for person in document["people"]:
        is_heard = person["relation"] == "heard"
        yield "contributor" if is_heard else "subject", _full_name(person), None


def _full_name(person: _Document) -> str:
    return " ".join(part for part in (person["rank"], person["name"]) if part)


def _subjects(document: _Document) -> Iterator[_Statement]:
    for keyword in document["keywords"]:
        yield "subject", keyword, document["language"]
    for named in (*document["subjects"], *document["organisations"]):
        yield "subject", named["name"], None


def _coverage(document: _Document) -> Iterator[_Statement]:
    """Where it was filmed, and when: a day, or a period as ISO 8601 writes one."""
    location = document["location"] or {}
    parts = (location.get(name) for name in ("name", "city", "country"))
    yield "coverage", ", ".join(part for part in parts if part), None
    first, last = document["filmed_from"], document["filmed_to"]
    yield "coverage", f"{first}/{last}" if last and last != first else first, None
