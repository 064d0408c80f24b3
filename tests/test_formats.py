"""Every format of every sample is valid, whatever characters editors type."""

import copy
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import feedparser
import jsonschema_rs
import opentimelineio
import pytest
import webvtt as webvtt_reader
import xmlschema
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from app.formats import (
    atom,
    ebucore,
    json_feed,
    json_ld,
    mrss,
    ninjs,
    oai_pmh,
    oembed,
    otio,
    webvtt,
)
from app.formats.feed import Feed
from app.formats.oai_pmh import Envelope, Record
from tests.sample_documents import ADDRESSES, SAMPLES, VIDEO

SCHEMAS = Path(__file__).parent.parent.parent / "shared" / "schemas"
needs_schemas = pytest.mark.skipif(not SCHEMAS.exists(), reason=f"{SCHEMAS} is not there")
URL = "https://api.example.org/v1/feeds/assets.x"


@cache
def ebucore_schema() -> xmlschema.XMLSchema:
    dublin_core = str(SCHEMAS / "simpledc20021212.xsd")
    return xmlschema.XMLSchema(
        str(SCHEMAS / "ebucore.xsd"),
        locations={"http://purl.org/dc/elements/1.1/": dublin_core},
        allow="local",
    )


@cache
def ninjs_schema() -> jsonschema_rs.Draft202012Validator:
    schema = json.loads((SCHEMAS / "ninjs-3.1.json").read_text())
    return jsonschema_rs.Draft202012Validator(schema, retriever=lambda _: {}, validate_formats=True)


# What the protocol says of oai_dc: any of the elements, in any order and number.
OAI_DC_SCHEMA = """
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:dc="http://purl.org/dc/elements/1.1/"
           targetNamespace="http://www.openarchives.org/OAI/2.0/oai_dc/">
  <xs:import namespace="http://purl.org/dc/elements/1.1/" schemaLocation="{dublin_core}"/>
  <xs:element name="dc">
    <xs:complexType>
      <xs:choice minOccurs="0" maxOccurs="unbounded">
        <xs:any namespace="http://purl.org/dc/elements/1.1/" processContents="strict"/>
      </xs:choice>
    </xs:complexType>
  </xs:element>
</xs:schema>
"""


@cache
def oai_dc_schema() -> xmlschema.XMLSchema:
    dublin_core = (SCHEMAS / "simpledc20021212.xsd").as_uri()
    return xmlschema.XMLSchema(OAI_DC_SCHEMA.format(dublin_core=dublin_core), allow="local")


def harvested(document: dict[str, Any], prefix: str) -> Any:
    """The record in which a harvester gets a document."""
    moment = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
    arguments = {"verb": "GetRecord", "metadataPrefix": prefix, "identifier": document["title"]}
    envelope = Envelope(moment, "https://api.example.org/oai", arguments)
    record = Record("oai:a:b", moment, document["type"], is_deleted=False, document=document)
    written = oai_pmh.write_records(envelope, [record], prefix, ADDRESSES)
    [metadata] = etree.fromstring(written).iterfind("{*}GetRecord/{*}record/{*}metadata")
    return metadata[0]


def check_oai_dc(document: dict[str, Any]) -> None:
    tree = harvested(document, "oai_dc")
    assert tree.findtext("{*}title") == allowed(document["title"])


def check_valid_oai_dc(document: dict[str, Any]) -> None:
    """Without the schema that the record itself names, which is on another host."""
    tree = harvested(document, "oai_dc")
    tree.attrib.clear()
    oai_dc_schema().validate(etree.tostring(tree))


def check_harvested_ebucore(document: dict[str, Any]) -> None:
    tree = harvested(document, "ebucore")
    assert tree.attrib.pop(SCHEMA_LOCATION).startswith("urn:ebu:metadata-schema:ebucore ")
    ebucore_schema().validate(etree.tostring(tree))


SCHEMA_LOCATION = "{http://www.w3.org/2001/XMLSchema-instance}schemaLocation"


def check_ebucore(document: dict[str, Any]) -> None:
    ebucore_schema().validate(ebucore.write(document, ADDRESSES))


def check_ninjs(document: dict[str, Any]) -> None:
    ninjs_schema().validate(json.loads(ninjs.write(document, ADDRESSES)))


def check_json_ld(document: dict[str, Any]) -> None:
    written = json_ld.write(document, ADDRESSES)
    assert not set(b"<>&") & set(written)
    assert "\u2028" not in written.decode()
    assert json.loads(written)["name"] == document["title"]


def check_otio(document: dict[str, Any]) -> None:
    text = otio.write(document, ADDRESSES).decode()
    timeline = opentimelineio.adapters.read_from_string(text, "otio_json")
    # The library reads C strings; the database keeps no NUL anyway.
    assert timeline.name == document["title"].partition("\0")[0]


def check_webvtt(document: dict[str, Any]) -> None:
    text = webvtt.write(document).decode()
    assert len(webvtt_reader.from_string(text)) == len(document["shotlist"])


def check_mrss(document: dict[str, Any]) -> None:
    tree = etree.fromstring(mrss.write(feed_of(document), ADDRESSES))
    assert tree.findtext("channel/item/title") == allowed(document["title"])


def check_atom(document: dict[str, Any]) -> None:
    tree = etree.fromstring(atom.write(feed_of(document), ADDRESSES))
    assert tree.findtext("{*}entry/{*}title") == allowed(document["title"])


def check_json_feed(document: dict[str, Any]) -> None:
    [item] = json.loads(json_feed.write(feed_of(document), ADDRESSES))["items"]
    assert item["title"] == document["title"]


def check_oembed(document: dict[str, Any]) -> None:
    tree = etree.fromstring(oembed.write(document, ADDRESSES, output="xml"))
    assert tree.findtext("title") == allowed(document["title"])
    player = json.loads(oembed.write(document, ADDRESSES, output="json")).get("html", "")
    assert player.count("<") == player.count(">") == (2 if player else 0)


def feed_of(*documents: dict[str, Any]) -> Feed:
    return Feed(documents, url=f"{URL}?cursor=b", first_url=URL, next_url=f"{URL}?cursor=c")


def allowed(text: str) -> str:
    """What XML 1.0 can hold of a text: section 2.2, spelled out."""
    return re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "", text)


Check = Callable[[dict[str, Any]], None]
CHECKS: dict[str, Check] = {
    "json-ld": check_json_ld,
    "otio": check_otio,
    "webvtt": check_webvtt,
    "mrss": check_mrss,
    "atom": check_atom,
    "json feed": check_json_feed,
    "oembed": check_oembed,
    "oai_dc": check_oai_dc,
}
SCHEMA_CHECKS: dict[str, Check] = {
    "ebucore": check_ebucore,
    "harvested ebucore": check_harvested_ebucore,
    "oai_dc": check_valid_oai_dc,
    "ninjs": check_ninjs,
}

# Where an editor writes freely.
FREE = {
    "body", "city", "copyright_holder", "copyright_notice", "credit_line", "description",
    "filename", "headline", "label", "name", "note", "owner", "rank", "role", "script", "slugline",
    "speaker", "summary", "text", "title", "transcript", "usage_terms", "value",
}  # fmt: skip
NASTY = (
    "]]>", "</script>", "<!--", "&amp;", "--> 00:00", "\u202emirrored\u202c", "مرحبا", "🚢" * 40,
    "\x00\x0b\x1b", "\ufffe", "a\r\nb\n\n\nc", "\u2028", '"\'', "x" * 4096, "NOTE", "\t ",
)  # fmt: skip
texts = st.sampled_from(NASTY) | st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """The richest sample, with other texts and times in it."""
    pool = draw(st.lists(texts, min_size=4, max_size=8))
    document = copy.deepcopy(VIDEO)
    replace_texts(document, iter(pool * 100))
    for shot in document["shotlist"]:
        shot["start_ms"] = draw(st.integers(0, 20_000))
        shot["end_ms"] = draw(st.none() | st.integers(0, 600_000_000))
    return document


def replace_texts(value: Any, pool: Any) -> None:
    for member in value.values() if isinstance(value, dict) else value:
        if isinstance(member, dict | list):
            replace_texts(member, pool)
    if isinstance(value, dict):
        for name in FREE & value.keys():
            if isinstance(value[name], str):
                value[name] = next(pool)


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("name", CHECKS)
def test_format_of_each_kind_of_asset_can_be_read(name: str, sample: str) -> None:
    CHECKS[name](SAMPLES[sample])


@needs_schemas
@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("name", SCHEMA_CHECKS)
def test_format_of_each_kind_of_asset_is_valid(name: str, sample: str) -> None:
    SCHEMA_CHECKS[name](SAMPLES[sample])


@pytest.mark.parametrize("name", CHECKS)
@settings(max_examples=25)
@given(document=documents())
def test_format_can_be_read_whatever_editors_type(name: str, document: dict[str, Any]) -> None:
    CHECKS[name](document)


@needs_schemas
@pytest.mark.parametrize("name", SCHEMA_CHECKS)
@settings(max_examples=15)
@given(document=documents())
def test_format_is_valid_whatever_editors_type(name: str, document: dict[str, Any]) -> None:
    SCHEMA_CHECKS[name](document)


def test_feeds_of_all_samples_pass_a_feed_reader() -> None:
    feed = feed_of(*SAMPLES.values())
    for written, version in (
        (mrss.write(feed, ADDRESSES), "rss20"),
        (atom.write(feed, ADDRESSES), "atom10"),
    ):
        parsed = feedparser.parse(written)
        assert not parsed.bozo, parsed.get("bozo_exception")
        assert parsed.version == version
        assert [entry.title for entry in parsed.entries] == [
            document["title"] for document in SAMPLES.values()
        ]


def test_empty_feeds_are_feeds_too() -> None:
    for written in (mrss.write(feed_of(), ADDRESSES), atom.write(feed_of(), ADDRESSES)):
        assert not feedparser.parse(written).bozo
    assert json.loads(json_feed.write(feed_of(), ADDRESSES))["items"] == []
