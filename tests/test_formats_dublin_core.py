"""What Dublin Core says of an asset; that it is valid is in test_formats.py."""

from typing import Any

from lxml import etree

from app.formats import dublin_core
from tests.sample_documents import ADDRESSES, MINIMAL, SAMPLES, VIDEO, VIDEO_ID

XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


def said(name: str, document: dict[str, Any] = VIDEO) -> list[str | None]:
    tree = dublin_core.build(document, ADDRESSES)
    return [each.text for each in tree if etree.QName(each).localname == name]


def test_texts_are_in_each_language() -> None:
    tree = dublin_core.build(VIDEO, ADDRESSES)
    titles = [(each.get(XML_LANG), each.text) for each in tree.findall("{*}title")]
    assert titles == [("en", VIDEO["title"]), ("fr", "Exercice au port")]
    described = [each.get(XML_LANG) for each in tree.findall("{*}description")]
    assert described == ["en", "fr"]


def test_who_speaks_contributed_and_who_is_named_is_a_subject() -> None:
    assert said("creator") == ["John Roe"]
    assert said("contributor") == ["Rear Admiral Jane Doe"]
    assert said("subject") == [
        "Max",
        "harbour",
        "R&D",
        "armed forces",
        "Task Group 1",
        "Harbour Police",
    ]


def test_types_are_those_of_the_vocabulary() -> None:
    found = {name: said("type", document) for name, document in SAMPLES.items()}
    assert found == {
        "video": ["MovingImage"],
        "minimal": ["MovingImage"],
        "story": ["Text"],
        "image": ["StillImage"],
        "audio": ["Sound"],
    }


def test_resource_is_identified_and_related() -> None:
    assert said("identifier") == [
        "https://www.example.org/assets/harbour-exercise",
        f"urn:uuid:{VIDEO_ID}",
        "260501-N-AB123-1001",
    ]
    assert said("relation") == [
        "https://www.example.org/assets/a-title",
        "Spring exercise",
        "The week",
    ]
    assert said("publisher") == ["www.example.org"]
    assert said("date") == ["2026-11-23T09:00:00Z"]
    assert said("format") == ["application/mxf", "video/mp4", "application/pdf"]
    assert said("language") == ["en", "fr"]
    assert said("coverage") == ["Naval base, Zeebrugge, BE", "2026-05-01/2026-05-02"]
    assert said("rights") == [
        "© 2026 Example Media",
        "Free for editorial use.",
        "https://creativecommons.org/licenses/by/4.0/",
    ]


def test_day_of_filming_is_no_period() -> None:
    for last in (None, "2026-05-01"):
        document = {**MINIMAL, "filmed_from": "2026-05-01", "filmed_to": last}
        assert said("coverage", document) == ["2026-05-01"]


def test_bare_asset_says_nothing_it_does_not_know() -> None:
    for name in ("creator", "contributor", "subject", "description", "coverage", "rights"):
        assert said(name, MINIMAL) == []
    assert said("language", MINIMAL) == ["en"]
