"""Answers of OAI-PMH 2.0 (https://www.openarchives.org/OAI/openarchivesprotocol.html).

Lists are written record by record, so that a page takes no more memory than its own bytes and one
record as a tree.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, NamedTuple

from lxml import etree

from app.formats import dublin_core, ebucore
from app.formats.addresses import Addresses
from app.formats.dublin_core import OAI_DC
from app.formats.ebucore_names import EBUCORE
from app.formats.xml_tree import Element, add, xml_text

MEDIA_TYPE = "text/xml"
_OAI = "{http://www.openarchives.org/OAI/2.0/}"
_SCHEMA_LOCATION = "{http://www.w3.org/2001/XMLSchema-instance}schemaLocation"
_NAMESPACES = {None: _OAI[1:-1], "xsi": "http://www.w3.org/2001/XMLSchema-instance"}


class MetadataFormat(NamedTuple):
    namespace: str
    schema: str
    build: Callable[[Mapping[str, Any], Addresses], Element]


FORMATS: Mapping[str, MetadataFormat] = {
    "oai_dc": MetadataFormat(
        OAI_DC[1:-1], "http://www.openarchives.org/OAI/2.0/oai_dc.xsd", dublin_core.build
    ),
    "ebucore": MetadataFormat(
        EBUCORE[1:-1], "https://www.ebu.ch/metadata/schemas/EBUCore/ebucore.xsd", ebucore.build
    ),
}


@dataclass(frozen=True, slots=True)
class Envelope:
    """What every answer says: when it was given, by whom, and to which request."""

    responded_at: datetime
    base_url: str
    # Empty where the request was none of the protocol's.
    arguments: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Repository:
    name: str
    admin_email: str
    earliest_at: datetime


@dataclass(frozen=True, slots=True)
class Record:
    """An item as of its latest change; one that was deleted has no document."""

    identifier: str
    changed_at: datetime
    set_spec: str | None
    is_deleted: bool
    document: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Resumption:
    """How a list goes on: the token is empty at its end."""

    token: str
    # How many items have been given before this page.
    cursor: int


def time_text(moment: datetime) -> str:
    """A UTCdatetime with seconds, the finest that the protocol knows."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def write_error(envelope: Envelope, code: str, message: str) -> bytes:
    error = _element("error", {"code": code})
    error.text = xml_text(message)
    return _write(envelope, [error])


def write_identify(envelope: Envelope, repository: Repository) -> bytes:
    described = _element("Identify")
    facts = {
        "repositoryName": repository.name,
        "baseURL": envelope.base_url,
        "protocolVersion": "2.0",
        "adminEmail": repository.admin_email,
        "earliestDatestamp": time_text(repository.earliest_at),
        "deletedRecord": "persistent",
        "granularity": "YYYY-MM-DDThh:mm:ssZ",
        "compression": "gzip",
    }
    for name, value in facts.items():
        add(described, f"{_OAI}{name}", value)
    return _write(envelope, [described])


def write_formats(envelope: Envelope) -> bytes:
    listed = _element("ListMetadataFormats")
    for prefix, each in FORMATS.items():
        described = add(listed, f"{_OAI}metadataFormat")
        add(described, f"{_OAI}metadataPrefix", prefix)
        add(described, f"{_OAI}schema", each.schema)
        add(described, f"{_OAI}metadataNamespace", each.namespace)
    return _write(envelope, [listed])


def write_sets(envelope: Envelope, sets: Mapping[str, str]) -> bytes:
    """The sets by their setSpecs, with their names."""
    listed = _element("ListSets")
    for spec, name in sets.items():
        described = add(listed, f"{_OAI}set")
        add(described, f"{_OAI}setSpec", spec)
        add(described, f"{_OAI}setName", name)
    return _write(envelope, [listed])


def write_headers(
    envelope: Envelope, records: Iterable[Record], resumption: Resumption | None
) -> bytes:
    """The answer to ListIdentifiers."""
    headers = (_header(record) for record in records)
    return _write(envelope, headers, inside="ListIdentifiers", resumption=resumption)


def write_records(
    envelope: Envelope,
    records: Iterable[Record],
    prefix: str,
    addresses: Addresses,
    resumption: Resumption | None = None,
) -> bytes:
    """The answer to ListRecords or GetRecord, whichever was asked for."""
    trees = (_record(record, prefix, addresses) for record in records)
    verb = envelope.arguments["verb"]
    return _write(envelope, trees, inside=verb, resumption=resumption)


def _record(record: Record, prefix: str, addresses: Addresses) -> Element:
    tree = _element("record")
    tree.append(_header(record))
    if record.document is not None:
        wanted = FORMATS[prefix]
        metadata = wanted.build(record.document, addresses)
        metadata.set(_SCHEMA_LOCATION, f"{wanted.namespace} {wanted.schema}")
        add(tree, f"{_OAI}metadata").append(metadata)
    return tree


def _header(record: Record) -> Element:
    header = _element("header")
    if record.is_deleted:
        header.set("status", "deleted")
    add(header, f"{_OAI}identifier", record.identifier)
    add(header, f"{_OAI}datestamp", time_text(record.changed_at))
    if record.set_spec:
        add(header, f"{_OAI}setSpec", record.set_spec)
    return header


def _write(
    envelope: Envelope,
    elements: Iterable[Element],
    *,
    inside: str | None = None,
    resumption: Resumption | None = None,
) -> bytes:
    """The whole answer around some elements, which may stand in one that has the verb's name."""
    buffer = BytesIO()
    location = f"{_OAI[1:-1]} http://www.openarchives.org/OAI/2.0/OAI-PMH.xsd"
    with etree.xmlfile(buffer, encoding="UTF-8") as file:
        file.write_declaration()
        attributes = {_SCHEMA_LOCATION: location}
        with file.element(f"{_OAI}OAI-PMH", attributes, nsmap=_NAMESPACES):
            _write_envelope(file, envelope)
            if inside is None:
                _write_all(file, elements)
            else:
                with file.element(f"{_OAI}{inside}"):
                    _write_all(file, elements)
                    _write_resumption(file, resumption)
    return buffer.getvalue()


def _write_envelope(file: Any, envelope: Envelope) -> None:
    responded = _element("responseDate")
    responded.text = time_text(envelope.responded_at)
    given = {name: xml_text(value) for name, value in envelope.arguments.items()}
    request = _element("request", given)
    request.text = envelope.base_url
    _write_all(file, [responded, request])


def _write_all(file: Any, elements: Iterable[Element]) -> None:
    for element in elements:
        file.write(element)


def _write_resumption(file: Any, resumption: Resumption | None) -> None:
    if resumption is not None:
        token = _element("resumptionToken", {"cursor": str(resumption.cursor)})
        token.text = resumption.token
        _write_all(file, [token])


def _element(name: str, attributes: Mapping[str, str] | None = None) -> Element:
    """One of the protocol's, which is written apart from those around it."""
    return etree.Element(f"{_OAI}{name}", dict(attributes or {}), nsmap={None: _OAI[1:-1]})
