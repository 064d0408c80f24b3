"""EBUCore 1.10 (EBU Tech 3293): an asset as broadcasters' archives and playout systems take it.

What the files are technically is in ebucore_files.py, what may be done with them in
ebucore_rights.py.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from app.formats import newscodes, xml_tree
from app.formats.addresses import Addresses
from app.formats.ebucore_files import add_caption_formats, add_file, add_picture
from app.formats.ebucore_names import DC, EBUCORE, NAMESPACES, TIMECODE
from app.formats.ebucore_rights import add_rights
from app.formats.timing import TimedShot, iso_duration, timed_shots
from app.formats.xml_tree import XML_LANG, Element, add, add_filled

MEDIA_TYPE = "application/xml"
# Who is seen, heard or spoken of, as the IPTC Video Metadata Hub names it.
_PERSON_ROLES = {
    "shown": "personShown",
    "heard": "personHeard",
    "mentioned": "personMentioned",
}

_Document = Mapping[str, Any]
_Text = tuple[str, str]  # with its language first


def write(document: _Document, addresses: Addresses) -> bytes:
    return xml_tree.to_bytes(build(document, addresses))


def build(document: _Document, addresses: Addresses) -> Element:
    tree = xml_tree.root(f"{EBUCORE}ebuCoreMain", NAMESPACES, version="1.10")
    tree.set("dateLastModified", _day(document["updated_at"]))
    tree.set("timeLastModified", _time_of_day(document["updated_at"]))
    tree.set("documentId", f"asset-{document['id']}")
    tree.set("documentLocation", addresses.document(document["id"]) + ".ebucore.xml")
    tree.set(XML_LANG, document["language"])
    core = add(tree, f"{EBUCORE}coreMetadata")
    _add_titles(core, document)
    _add_people(core, document)
    _add_subjects(core, document)
    _add_descriptions(core, document)
    _add_dates(core, document)
    _add_types(core, document)
    for rendition in document["renditions"]:
        add_file(core, rendition, addresses)
    add_picture(core, "poster", document["poster"], addresses)
    add_picture(core, "preview", document["preview"], addresses)
    add_caption_formats(core, document["captions"], addresses)
    _add_identifiers(core, document, addresses)
    _add_relations(core, document)
    _add_location(core, document["location"])
    add_rights(core, document)
    _add_publication(core, document)
    translated = _translated_shots(document)
    for shot in timed_shots(document):
        texts = [(document["language"], shot.shot["text"]), *translated[shot.shot["number"]]]
        _add_shot(core, shot, texts)
    return tree


def _add_titles(core: Element, document: _Document) -> None:
    """The title in each language, the headline and the slug line."""
    title = add(core, f"{EBUCORE}title", attributes={"typeLabel": "main"})
    add(title, f"{DC}title", document["title"], {XML_LANG: document["language"]})
    for language, translation in document["translations"].items():
        add_filled(title, f"{DC}title", translation.get("title"), {XML_LANG: language})
    for label in ("headline", "slugline"):
        if document[label]:
            other = add(core, f"{EBUCORE}alternativeTitle", attributes={"typeLabel": label})
            add(other, f"{DC}title", document[label], {XML_LANG: document["language"]})
            for language, translation in document["translations"].items():
                add_filled(other, f"{DC}title", translation.get(label), {XML_LANG: language})


def _add_people(core: Element, document: _Document) -> None:
    for credit in document["credits"]:
        _add_person(core, "creator", credit["name"], roles=[credit["role"]])
    for person in document["people"]:
        name = " ".join(part for part in (person["rank"], person["name"]) if part)
        roles = [role for role in (_PERSON_ROLES[person["relation"]], person["role"]) if role]
        _add_person(core, "contributor", name, roles=roles, uri=person["uri"])
    for each in document["organisations"]:
        entity = add(core, f"{EBUCORE}contributor", attributes={"entityId": each["uri"]})
        organisation = add(entity, f"{EBUCORE}organisationDetails")
        add(organisation, f"{EBUCORE}organisationName", each["name"])
        add(entity, f"{EBUCORE}role", attributes={"typeLabel": "featuredOrganisation"})


def _add_person(
    core: Element, tag: str, name: str, *, roles: list[str], uri: str | None = None
) -> None:
    entity = add(core, f"{EBUCORE}{tag}", attributes={"entityId": uri})
    contact = add(entity, f"{EBUCORE}contactDetails")
    add(contact, f"{EBUCORE}name", name)
    for role in roles:
        add(entity, f"{EBUCORE}role", attributes={"typeLabel": role})


def _add_subjects(core: Element, document: _Document) -> None:
    for keyword in document["keywords"]:
        subject = add(core, f"{EBUCORE}subject", attributes={"typeLabel": "keyword"})
        add(subject, f"{DC}subject", keyword)
    for term in document["subjects"]:
        subject = add(core, f"{EBUCORE}subject", attributes={"typeSource": term["scheme"]})
        add(subject, f"{DC}subject", term["name"])
        add(subject, f"{EBUCORE}subjectCode", term["code"])


def _add_descriptions(core: Element, document: _Document) -> None:
    for label in ("summary", "body", "script", "transcript"):
        _add_description(core, label, document[label], document["language"])
        for language, translation in document["translations"].items():
            _add_description(core, label, translation.get(label), language)


def _add_description(parent: Element, label: str, text: str | None, language: str) -> None:
    if text:
        described = add(parent, f"{EBUCORE}description", attributes={"typeLabel": label})
        add(described, f"{DC}description", text, {XML_LANG: language})


def _add_dates(core: Element, document: _Document) -> None:
    date = add(core, f"{EBUCORE}date")
    if document["filmed_from"]:
        filmed = {"startDate": document["filmed_from"], "endDate": document["filmed_to"]}
        add(date, f"{EBUCORE}created", attributes=filmed)
    for tag, moment in (("modified", "updated_at"), ("released", "published_at")):
        when = {"startDate": _day(document[moment]), "startTime": _time_of_day(document[moment])}
        add(date, f"{EBUCORE}{tag}", attributes=when)
    year = (document["rights"] or {}).get("copyright_year")
    if year:
        add(date, f"{EBUCORE}copyrighted", attributes={"startYear": f"{year:04}"})


def _day(moment: str) -> str:
    return moment[: len("2026-11-23")]


def _time_of_day(moment: str) -> str:
    return moment[len("2026-11-23T") :]


def _add_types(core: Element, document: _Document) -> None:
    kind = add(core, f"{EBUCORE}type")
    add(kind, f"{DC}type", document["type"])
    if document["content_class"]:
        add(kind, f"{EBUCORE}genre", attributes={"typeLabel": document["content_class"]})
    source = (document["rights"] or {}).get("digital_source_type")
    if source:
        link = {"typeLabel": source, "typeLink": newscodes.digital_source_type(source)}
        add(kind, f"{EBUCORE}objectType", attributes=link)
    spoken = [("spoken", language) for language in document["spoken_languages"]]
    for label, code in (("metadata", document["language"]), *spoken):
        language = add(core, f"{EBUCORE}language", attributes={"typeLabel": label})
        add(language, f"{DC}language", code)


def _add_identifiers(core: Element, document: _Document, addresses: Addresses) -> None:
    own = (
        ("UUID", f"urn:uuid:{document['id']}"),
        ("slug", document["slug"]),
        ("page", addresses.page(document["slug"])),
    )
    others = ((each["role"], each["value"]) for each in document["alternative_ids"])
    for label, value in (*own, *others):
        identifier = add(core, f"{EBUCORE}identifier", attributes={"typeLabel": label})
        add(identifier, f"{DC}identifier", value)


def _add_relations(core: Element, document: _Document) -> None:
    for each in document["related"]:
        _add_relation(core, "isRelatedTo", f"urn:uuid:{each['id']}", each["rel"], each["title"])
    for version in document["versions"]:
        notes = {"typeLabel": version["kind"], "note": version["note"]}
        has_version = add(core, f"{EBUCORE}hasVersion", attributes=notes)
        add(has_version, f"{DC}relation", f"{version['version']} {version['occurred_at']}")
    for each in document["collections"]:
        _add_relation(core, "isMemberOf", f"urn:uuid:{each['id']}", each["kind"], each["title"])
    add(core, f"{EBUCORE}version", document["version"])


def _add_relation(core: Element, tag: str, link: str, label: str, note: str) -> None:
    relation = add(core, f"{EBUCORE}{tag}", attributes={"typeLabel": label, "note": note})
    add(relation, f"{EBUCORE}relationLink", link)


def _add_location(core: Element, location: _Document | None) -> None:
    if location is None:
        return
    coverage = add(core, f"{EBUCORE}coverage")
    place = add(add(coverage, f"{EBUCORE}spatial"), f"{EBUCORE}location")
    place.set("typeLabel", "locationShown")
    names = (location["name"], location["city"])
    add_filled(place, f"{EBUCORE}name", ", ".join(name for name in names if name))
    latitude, longitude = location["latitude"], location["longitude"]
    if latitude is not None and longitude is not None:
        coordinates = add(place, f"{EBUCORE}coordinates", attributes={"formatLabel": "WGS 84"})
        add(coordinates, f"{EBUCORE}posy", latitude)
        add(coordinates, f"{EBUCORE}posx", longitude)
    add_filled(place, f"{EBUCORE}code", location["country"], {"typeLabel": "ISO 3166-1"})


def _add_publication(core: Element, document: _Document) -> None:
    history = add(core, f"{EBUCORE}publicationHistory")
    for version in document["versions"]:
        named = {"publicationEventName": version["kind"], "note": version["note"]}
        event = add(history, f"{EBUCORE}publicationEvent", attributes=named)
        add(event, f"{EBUCORE}publicationDate", _day(version["occurred_at"]))
        add(event, f"{EBUCORE}publicationTime", _time_of_day(version["occurred_at"]))


def _translated_shots(document: _Document) -> Mapping[int, list[_Text]]:
    """By number, what is to be seen in the languages that the shot was translated to."""
    texts: dict[int, list[_Text]] = defaultdict(list)
    for language, translation in document["translations"].items():
        for shot in translation.get("shotlist") or ():
            texts[shot["number"]].append((language, shot["text"]))
    return texts


def _add_shot(core: Element, timed: TimedShot, texts: Iterable[_Text]) -> None:
    shot = timed.shot
    about = {"partId": f"shot-{shot['number']}", "partNumber": shot["number"]}
    part = add(core, f"{EBUCORE}part", attributes={**about, "typeLabel": shot["kind"]})
    for language, text in texts:
        _add_description(part, "shot", text, language)
    if shot["speaker"]:
        _add_person(part, "contributor", shot["speaker"], roles=["personHeard"])
    if shot["filmed_on"]:
        date = add(part, f"{EBUCORE}date")
        add(date, f"{EBUCORE}created", attributes={"startDate": shot["filmed_on"]})
    if shot["language"]:
        add(add(part, f"{EBUCORE}language"), f"{DC}language", shot["language"])
    if shot["location"]:
        coverage = add(part, f"{EBUCORE}coverage")
        place = add(add(coverage, f"{EBUCORE}spatial"), f"{EBUCORE}location")
        add(place, f"{EBUCORE}name", shot["location"])
    _add_time(part, "partStartTime", shot["timecode_in"], timed.start_ms)
    _add_time(part, "partEndTime", shot["timecode_out"], timed.end_ms)


def _add_time(part: Element, tag: str, timecode: str | None, offset_ms: int) -> None:
    """The timecode where there is a whole one, else the offset from the start of the file."""
    time = add(part, f"{EBUCORE}{tag}")
    if timecode and TIMECODE.fullmatch(timecode):
        add(time, f"{EBUCORE}timecode", timecode)
    else:
        add(time, f"{EBUCORE}offsetNormalPlayTime", iso_duration(offset_ms))
