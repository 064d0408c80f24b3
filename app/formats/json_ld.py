"""schema.org as JSON-LD, as search engines read it from pages (https://schema.org/VideoObject)."""

from collections.abc import Iterator, Mapping
from typing import Any

from app.formats import json_text, newscodes
from app.formats.addresses import Addresses
from app.formats.json_text import filled
from app.formats.medium import Medium, medium_of
from app.formats.timing import TimedShot, iso_duration, timed_shots

MEDIA_TYPE = "application/ld+json"
_TYPES = {
    "video": "VideoObject",
    "image": "ImageObject",
    "audio": "AudioObject",
    "story": "NewsArticle",
}
_MEDIA_TYPES: Mapping[Medium, str] = {
    "video": "VideoObject",
    "image": "ImageObject",
    "audio": "AudioObject",
    "document": "MediaObject",
}
_COLLECTION_TYPES = {
    "series": "CreativeWorkSeries",
    "event": "Event",
    "collection": "Collection",
}
# Pages embed it in a script element, which these could end, and scripts read it as a literal.
_ESCAPED = {
    ord(character): f"\\u{ord(character):04x}" for character in ("<", ">", "&", "\u2028", "\u2029")
}

_Document = Mapping[str, Any]
_Json = dict[str, Any]


def write(document: _Document, addresses: Addresses) -> bytes:
    page = addresses.page(document["slug"])
    thing = {
        "@context": "https://schema.org",
        "@type": _TYPES[document["type"]],
        "@id": f"urn:uuid:{document['id']}",
        "url": page,
        "mainEntityOfPage": page,
        "identifier": [document["id"], *_identifiers(document)],
        **_texts(document),
        **_dates(document),
        **_subjects(document, addresses),
        **_rights(document),
        **_files(document, addresses),
        "hasPart": [_clip(each, page) for each in timed_shots(document)],
        **_collections(document),
    }
    text = json_text.to_bytes(filled(thing)).decode()
    return text.translate(_ESCAPED).encode()


def _identifiers(document: _Document) -> Iterator[_Json]:
    for each in document["alternative_ids"]:
        yield {"@type": "PropertyValue", "propertyID": each["role"], "value": each["value"]}


def _texts(document: _Document) -> _Json:
    is_story = document["type"] == "story"
    return {
        "name": document["title"],
        "headline": document["headline"] or (document["title"] if is_story else None),
        "alternativeHeadline": document["slugline"],
        # Search engines ask for a description, and the title is better than none.
        "description": document["summary"] or document["headline"] or document["title"],
        "articleBody": document["body"] if is_story else None,
        "text": None if is_story else document["body"],
        "transcript": None if is_story else document["transcript"],
        "inLanguage": document["language"],
        "genre": document["content_class"],
        "version": document["version"],
    }


def _dates(document: _Document) -> _Json:
    return {
        "uploadDate": document["published_at"],
        "datePublished": document["published_at"],
        "dateModified": document["updated_at"],
        "dateCreated": document["filmed_from"],
        "expires": document["available_until"],
    }


def _subjects(document: _Document, addresses: Addresses) -> _Json:
    people = [(person, _person(person)) for person in document["people"]]
    terms = [
        {
            "@type": "DefinedTerm",
            "name": subject["name"],
            "termCode": subject["code"],
            "inDefinedTermSet": subject["scheme"],
        }
        for subject in document["subjects"]
    ]
    organisations = [
        filled({"@type": "Organization", "name": each["name"], "sameAs": each["uri"]})
        for each in document["organisations"]
    ]
    return {
        "keywords": document["keywords"],
        "about": [*terms, *organisations, *(is_ for who, is_ in people if _is_subject(who))],
        "mentions": [
            *(is_ for who, is_ in people if not _is_subject(who)),
            *(_related(each, addresses) for each in document["related"]),
        ],
        "contentLocation": _place(document["location"]),
        "creator": [_credit(each) for each in document["credits"]],
    }


def _is_subject(person: _Document) -> bool:
    return bool(person["relation"] != "mentioned")


def _person(person: _Document) -> _Json:
    return filled(
        {
            "@type": "Person",
            "name": person["name"],
            "jobTitle": person["role"],
            "honorificPrefix": person["rank"],
            "sameAs": person["uri"],
        }
    )


def _credit(credit: _Document) -> _Json:
    """A name in its role, in schema.org's own words for that."""
    person = {"@type": "Person", "name": credit["name"]}
    return {"@type": "Role", "roleName": credit["role"], "creator": person}


def _related(related: _Document, addresses: Addresses) -> _Json:
    return {
        "@type": _TYPES[related["type"]],
        "@id": f"urn:uuid:{related['id']}",
        "name": related["title"],
        "url": addresses.page(related["slug"]),
    }


def _place(location: _Document | None) -> _Json | None:
    if location is None:
        return None
    latitude, longitude = location["latitude"], location["longitude"]
    address = filled({"addressLocality": location["city"], "addressCountry": location["country"]})
    geo = {"@type": "GeoCoordinates", "latitude": latitude, "longitude": longitude}
    return filled(
        {
            "@type": "Place",
            "name": location["name"] or location["city"],
            "address": {"@type": "PostalAddress", **address} if address else None,
            "geo": None if latitude is None or longitude is None else geo,
        }
    )


def _rights(document: _Document) -> _Json:
    rights = document["rights"] or {}
    holder = rights.get("copyright_holder")
    return {
        "license": rights.get("license"),
        "usageInfo": rights.get("usage_terms"),
        "creditText": rights.get("credit_line"),
        "copyrightNotice": rights.get("copyright_notice"),
        "copyrightYear": rights.get("copyright_year"),
        "copyrightHolder": {"@type": "Organization", "name": holder} if holder else None,
        "digitalSourceType": newscodes.digital_source_type(rights.get("digital_source_type")),
        "regionsAllowed": _countries(document, "allow"),
        "ineligibleRegion": _countries(document, "deny"),
        "conditionsOfAccess": [each["note"] for each in document["restrictions"] if each["note"]],
    }


def _countries(document: _Document, rule: str) -> list[str]:
    return [
        country
        for each in document["restrictions"]
        if (each["kind"], each["rule"]) == ("geo", rule)
        for country in each["values"]
    ]


def _files(document: _Document, addresses: Addresses) -> _Json:
    """Anybody may fetch the poster and the preview; the files themselves need a login."""
    is_story = document["type"] == "story"
    poster, preview = (
        addresses.absolute(document[name]["url"]) if document[name] else None
        for name in ("poster", "preview")
    )
    duration = document["duration_ms"]
    encodings = [_encoding(each, addresses) for each in document["renditions"]]
    return {
        "thumbnailUrl": poster,
        "image": poster if is_story else None,
        "contentUrl": None if is_story else preview,
        "duration": iso_duration(duration) if duration is not None and not is_story else None,
        "isAccessibleForFree": True,
        "associatedMedia" if is_story else "encoding": encodings,
        "caption": [_caption(each, addresses) for each in document["captions"]],
    }


def _encoding(rendition: _Document, addresses: Addresses) -> _Json:
    technical = rendition["technical"]
    size = technical.get("video") or technical.get("image") or {}
    duration, bit_rate = technical.get("duration_ms"), technical.get("bit_rate")
    return filled(
        {
            "@type": _MEDIA_TYPES[medium_of(rendition)],
            "name": rendition["filename"],
            "contentUrl": addresses.absolute(rendition["download"]),
            "encodingFormat": rendition["media_type"],
            "contentSize": str(rendition["size_bytes"]),
            "sha256": rendition["sha256"],
            "width": size.get("width"),
            "height": size.get("height"),
            "duration": iso_duration(duration) if duration is not None else None,
            # schema.org writes bit rates as text, in kilobits.
            "bitrate": str(round(bit_rate / 1000)) if bit_rate is not None else None,
            "requiresSubscription": True,
        }
    )


def _caption(caption: _Document, addresses: Addresses) -> _Json:
    return {
        "@type": "MediaObject",
        "contentUrl": addresses.absolute(caption["url"]),
        "encodingFormat": "text/vtt",
        "inLanguage": caption["language"],
    }


def _clip(shot: TimedShot, page: str) -> _Json:
    """A key moment: seconds into the video, and where the page starts playing there."""
    return {
        "@type": "Clip",
        "name": shot.title,
        "startOffset": shot.start_ms / 1000,
        "endOffset": shot.end_ms / 1000,
        "url": f"{page}?t={shot.start_ms // 1000}",
    }


def _collections(document: _Document) -> _Json:
    """An event is no work that something could be a part of: it is where one was recorded."""
    collections = document["collections"]
    return {
        "isPartOf": [_collection(each) for each in collections if each["kind"] != "event"],
        "recordedAt": [_collection(each) for each in collections if each["kind"] == "event"],
    }


def _collection(collection: _Document) -> _Json:
    return {
        "@type": _COLLECTION_TYPES[collection["kind"]],
        "name": collection["title"],
        "identifier": collection["id"],
    }
