"""ninjs 3.1, the IPTC's "News in JSON" (https://iptc.org/std/ninjs/).

It knows no sound, hash, timecode or shot; those are in the document itself and in EBUCore.
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from app.formats import json_text, newscodes
from app.formats.addresses import Addresses
from app.formats.json_text import filled

# None is registered; named as the IPTC names its other formats.
MEDIA_TYPE = "application/vnd.iptc.ninjs+json"
_TYPES = {"video": "video", "image": "picture", "audio": "audio", "story": "text"}
_STANDARD = {
    "name": "ninjs",
    "version": "3.1",
    "schema": "https://www.iptc.org/std/ninjs/ninjs-schema_3.1.json",
}

_Document = Mapping[str, Any]
_Json = dict[str, Any]


def write(document: _Document, addresses: Addresses) -> bytes:
    item = {
        "standard": _STANDARD,
        "uri": f"urn:uuid:{document['id']}",
        "type": _TYPES[document["type"]],
        "representationType": "full",
        "pubStatus": "usable",
        **_identification(document),
        **_texts(document),
        **_subjects(document),
        **_rights(document),
        "renditions": list(_renditions(document, addresses)),
        "associations": [_association(each) for each in document["related"]],
    }
    return json_text.to_bytes(filled(item))


def _identification(document: _Document) -> _Json:
    content_class = document["content_class"]
    return {
        "profile": content_class,
        "genres": [{"literal": content_class}] if content_class else [],
        "version": str(document["version"]),
        "firstCreated": document["published_at"],
        "versionCreated": document["updated_at"],
        "contentCreated": _midnight(document["filmed_from"]),
        "expires": document["available_until"],
        "urgency": document["urgency"],
        "language": document["language"],
        "title": document["title"],
        "slugline": document["slugline"],
        "by": ", ".join(credit["name"] for credit in document["credits"]),
        "altIds": [{"role": "slug", "value": document["slug"]}, *document["alternative_ids"]],
    }


def _midnight(day: str | None) -> str | None:
    return f"{day}T00:00:00Z" if day else None


def _texts(document: _Document) -> _Json:
    headline = document["headline"]
    summary = document["summary"]
    return {
        "headlines": [_plain("main", headline)] if headline else [],
        "descriptions": [_plain("summary", summary)] if summary else [],
        "bodies": [
            {
                **_plain(role, document[name]),
                "charCount": len(document[name]),
                "wordCount": len(document[name].split()),
            }
            for role, name in (("main", "body"), ("script", "script"), ("transcript", "transcript"))
            if document[name]
        ],
    }


def _plain(role: str, text: str) -> _Json:
    return {"role": role, "contentType": "text/plain", "value": text}


def _subjects(document: _Document) -> _Json:
    location = document["location"] or {}
    return {
        "people": [_person(person) for person in document["people"]],
        "organisations": [filled(each) for each in document["organisations"]],
        "subjects": [
            *({"name": each["name"], "literal": _term(each)} for each in document["subjects"]),
            *({"name": keyword, "rel": "keyword"} for keyword in document["keywords"]),
        ],
        "places": [_place(location)] if location else [],
        "located": location.get("city") or location.get("name"),
        "events": [
            {"id": f"urn:uuid:{each['id']}", "name": each["title"]}
            for each in document["collections"]
            if each["kind"] == "event"
        ],
    }


def _person(person: _Document) -> _Json:
    name = " ".join(part for part in (person["rank"], person["name"]) if part)
    return filled({"name": name, "rel": person["relation"], "uri": person["uri"]})


def _term(subject: _Document) -> str:
    return f"{subject['scheme']}:{subject['code']}"


def _place(location: _Document) -> _Json:
    parts = (location["name"], location["city"], location["country"])
    latitude, longitude = location["latitude"], location["longitude"]
    point = None
    if latitude is not None and longitude is not None:
        point = {"type": "Point", "coordinates": [longitude, latitude]}
    return filled(
        {
            "name": ", ".join(part for part in parts if part),
            "rel": "shown",
            "literal": location["country"],
            "geoJSON": point,
        }
    )


def _rights(document: _Document) -> _Json:
    rights = document["rights"]
    if rights is None:
        return {}
    source_type, credit, license_uri = (
        rights[name] for name in ("digital_source_type", "credit_line", "license")
    )
    source_type_uri = newscodes.digital_source_type(source_type)
    return {
        "copyrightHolder": rights["copyright_holder"],
        "copyrightNotice": rights["copyright_notice"],
        "usageTerms": rights["usage_terms"],
        "infoSources": [{"name": credit, "role": "credit"}] if credit else [],
        "rightsInfo": {"linkedRights": license_uri} if license_uri else None,
        "digitalSourceType": filled({"literal": source_type, "uri": source_type_uri}),
    }


def _renditions(document: _Document, addresses: Addresses) -> Iterator[_Json]:
    for name in ("poster", "preview"):
        if derived := document[name]:
            yield _derived(name, derived, addresses)
    for rendition in document["renditions"]:
        yield _rendition(rendition, addresses)


def _derived(name: str, derived: _Document, addresses: Addresses) -> _Json:
    return filled(
        {
            "name": name,
            "href": addresses.absolute(derived["url"]),
            "contentType": derived.get("media_type"),
            "sizeInBytes": derived.get("size_bytes"),
            "width": derived["width"],
            "height": derived["height"],
        }
    )


def _rendition(rendition: _Document, addresses: Addresses) -> _Json:
    technical = rendition["technical"]
    video = technical.get("video") or {}
    size = video or technical.get("image") or {}
    duration, bit_rate = technical.get("duration_ms"), technical.get("bit_rate")
    rate = video.get("frame_rate")
    return filled(
        {
            "name": rendition["name"],
            "title": rendition["filename"],
            "href": addresses.absolute(rendition["download"]),
            "contentType": rendition["media_type"],
            "sizeInBytes": rendition["size_bytes"],
            "width": size.get("width"),
            "height": size.get("height"),
            "format": technical.get("container"),
            "aspectRatio": video.get("display_aspect_ratio"),
            "videoCodec": video.get("codec"),
            "scanType": video.get("scan_type"),
            "frameRate": round(float(Fraction(rate["num"], rate["den"])), 3) if rate else None,
            "duration": duration / 1000 if duration is not None else None,
            "bitrate": str(bit_rate) if bit_rate is not None else None,
        }
    )


def _association(related: _Document) -> _Json:
    return {
        "name": related["slug"],
        "rel": related["rel"],
        "uri": f"urn:uuid:{related['id']}",
        "type": _TYPES[related["type"]],
        "title": related["title"],
    }
