"""What EBUCore says of an asset; that it is valid is in test_formats.py."""

from typing import Any

import pytest
from lxml import etree

from app.formats import ebucore
from tests.sample_documents import ADDRESSES, MINIMAL, SHA256, VIDEO, VIDEO_ID

NAMES = {"e": "urn:ebu:metadata-schema:ebucore", "dc": "http://purl.org/dc/elements/1.1/"}


def written(document: dict[str, Any] = VIDEO) -> Any:
    return etree.fromstring(ebucore.write(document, ADDRESSES))


def found(path: str, document: dict[str, Any] = VIDEO) -> list[str]:
    return [str(value) for value in written(document).xpath(path, namespaces=NAMES)]


def test_document_names_itself() -> None:
    root = written()
    assert root.get("version") == "1.10"
    assert (root.get("dateLastModified"), root.get("timeLastModified")) == (
        "2026-11-23",
        "10:00:00.123456Z",
    )
    assert root.get("documentLocation") == (
        f"https://api.example.org/v1/assets/{VIDEO_ID}.ebucore.xml"
    )
    assert found("//e:identifier[@typeLabel='virin']/dc:identifier/text()") == [
        "260501-N-AB123-1001"
    ]
    assert found("//e:identifier[@typeLabel='UUID']/dc:identifier/text()") == [
        f"urn:uuid:{VIDEO_ID}"
    ]


def test_texts_are_in_each_language() -> None:
    assert found("//e:title/dc:title[@xml:lang='fr']/text()") == ["Exercice au port"]
    summaries = "//e:description[@typeLabel='summary']/dc:description"
    assert found(f"{summaries}/@xml:lang") == ["en", "fr"]
    assert found("//e:part[1]/e:description/dc:description/text()") == [
        VIDEO["shotlist"][0]["text"],
        "Plan large du port",
    ]


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("e:width/text()", ["1920"]),
        ("e:height/text()", ["1080"]),
        ("e:frameRate/text()", ["30"]),
        ("e:frameRate/@factorNumerator", ["1000"]),
        ("e:frameRate/@factorDenominator", ["1001"]),
        ("e:aspectRatio/e:factorNumerator/text()", ["16"]),
        ("e:aspectRatio/e:factorDenominator/text()", ["9"]),
        ("e:videoEncoding/@videoEncodingProfile", ["4:2:2"]),
        ("e:codec/e:name/text()", ["MPEG Video"]),
        ("e:bitRate/text()", ["50000000"]),
        ("e:bitRateMode/text()", ["constant"]),
        ("e:scanningFormat/text()", ["interlaced"]),
        ("e:scanningOrder/text()", ["top"]),
        ("e:technicalAttributeInteger[@typeLabel='BitDepth']/text()", ["8"]),
        ("../e:containerFormat/@containerFormatName", ["MXF"]),
        ("../e:timecodeFormat/e:timecodeStart/e:timecode/text()", ["10:00:00;00"]),
        ("../e:timecodeFormat/e:timecodeStart/e:timecode/@dropframe", ["true"]),
        ("../e:duration/e:normalPlayTime/text()", ["PT0H0M15S"]),
        ("../e:fileSize/text()", ["4100000000"]),
        ("../e:mimeType/@typeLabel", ["application/mxf"]),
        ("../e:hash/e:hashValue/text()", [SHA256]),
        ("../e:hash/e:hashFunction/@typeLabel", ["SHA-256"]),
        ("../e:overallBitRate/text()", ["57200000"]),
        ("../e:audioFormat/e:samplingRate/text()", ["48000"]),
        ("../e:audioFormat/e:sampleSize/text()", ["24"]),
        ("../e:audioFormat/e:audioTrack/@trackId", ["1", "2"]),
        ("../e:audioFormat/e:audioTrack/@trackLanguage", ["en"]),
        ("../e:audioFormat/e:channels/text()", ["1"]),
        (
            "../e:locator/text()",
            [f"https://api.example.org/v1/assets/{VIDEO_ID}/renditions/master/download"],
        ),
    ],
)
def test_file_is_described_as_it_was_measured(path: str, values: list[str]) -> None:
    assert found(f"//e:format[@formatId='master']/e:videoFormat/{path}") == values


def test_aspect_ratio_with_a_point_is_a_fraction() -> None:
    ratio = "//e:format[@formatId='web']/e:videoFormat/e:aspectRatio/*/text()"
    assert found(ratio) == ["47", "20"]


def test_shots_have_times() -> None:
    """Timecodes where they are whole; else offsets from the start, here the asset's end."""
    assert found("//e:part/@partNumber") == ["1", "2"]
    assert found("//e:partStartTime/e:timecode/text()") == ["10:00:00;00", "10:00:08;00"]
    assert found("//e:part[1]/e:partEndTime/e:timecode/text()") == ["10:00:07;15"]
    end = "//e:part[2]/e:partEndTime/e:offsetNormalPlayTime/text()"
    assert found(end) == ["PT0H0M15S"]


def test_short_timecode_is_an_offset() -> None:
    shot = {**VIDEO["shotlist"][0], "timecode_in": "01:05", "start_ms": 65_000}
    document = {**VIDEO, "shotlist": [shot]}
    start = "//e:partStartTime/e:offsetNormalPlayTime/text()"
    assert found(start, document) == ["PT0H1M5S"]


def test_place_has_its_coordinates() -> None:
    location = "/*/*/e:coverage/e:spatial/e:location"
    assert found(f"{location}/e:name/text()") == ["Naval base, Zeebrugge"]
    assert found(f"{location}/e:coordinates/e:posy/text()") == ["51.33"]
    assert found(f"{location}/e:coordinates/e:posx/text()") == ["3.2"]
    assert found(f"{location}/e:code/text()") == ["BE"]


def test_people_have_their_rank_and_part() -> None:
    assert found("//e:creator/e:contactDetails/e:name/text()") == ["John Roe"]
    assert found("/*/*/e:contributor/e:contactDetails/e:name/text()") == [
        "Rear Admiral Jane Doe",
        "Max",
    ]
    assert found("//e:contributor[@entityId='https://people.example.org/jane-doe']/e:role/@*") == [
        "personHeard",
        "Commander of the task group",
    ]


def test_rights_of_us_and_others_and_their_limits() -> None:
    assert found("//e:rights/e:copyrightStatement/text()") == ["© 2026 Example Media"]
    assert found("//e:rights/e:exploitationIssues/text()") == [
        "Anchors Aweigh (Public domain) PT0H0M1S-PT0H0M5S"
    ]
    denied = "//e:rights[@typeLabel='deny:geo']"
    assert found(f"{denied}//e:code/text()") == ["US", "CA"]
    assert found(f"{denied}//e:PeriodOfTime/@endDate") == ["2027-05-01"]
    assert found("//e:rights[@typeLabel='allow:purpose']/dc:rights/text()") == ["news"]


def test_versions_are_publication_events() -> None:
    events = "//e:publicationHistory/e:publicationEvent"
    assert found(f"{events}/@publicationEventName") == ["published", "corrected"]
    assert found(f"{events}/e:publicationDate/text()") == ["2026-11-23", "2026-11-23"]
    assert found(f"{events}/e:publicationTime/text()") == ["09:00:00Z", "10:00:00.123456Z"]
    assert found("//e:hasVersion/@note") == ["The name of the ship"]


def test_bare_asset_says_nothing_it_does_not_know() -> None:
    assert found("//e:format | //e:part | //e:rights | //e:coverage", MINIMAL) == []
