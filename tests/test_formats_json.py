"""What the formats that are JSON say: schema.org, ninjs, JSON Feed, OpenTimelineIO."""

import json
from typing import Any

import opentimelineio
import pytest

from app.formats import json_feed, json_ld, ninjs, otio
from app.formats.feed import Feed
from tests.sample_documents import (
    ADDRESSES,
    AUDIO,
    IMAGE,
    MINIMAL,
    SHA256,
    STORY,
    STORY_ID,
    VIDEO,
    VIDEO_ID,
)

ASSET = f"https://api.example.org/v1/assets/{VIDEO_ID}"
PAGE = "https://www.example.org/assets/harbour-exercise"


def as_json_ld(document: dict[str, Any] = VIDEO) -> dict[str, Any]:
    thing: dict[str, Any] = json.loads(json_ld.write(document, ADDRESSES))
    return thing


def as_ninjs(document: dict[str, Any] = VIDEO) -> dict[str, Any]:
    item: dict[str, Any] = json.loads(ninjs.write(document, ADDRESSES))
    return item


# schema.org


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        (VIDEO, "VideoObject"),
        (IMAGE, "ImageObject"),
        (AUDIO, "AudioObject"),
        (STORY, "NewsArticle"),
    ],
)
def test_schema_org_has_a_type_for_each_kind(document: dict[str, Any], kind: str) -> None:
    assert as_json_ld(document)["@type"] == kind


def test_video_has_what_search_engines_ask_for() -> None:
    thing = as_json_ld()
    assert thing["@context"] == "https://schema.org"
    assert thing["url"] == PAGE
    assert thing["description"] == VIDEO["summary"]
    assert thing["thumbnailUrl"] == f"{ASSET}/poster.jpg?v=3"
    assert thing["contentUrl"] == f"{ASSET}/preview.mp4?v=3"
    assert thing["uploadDate"] == "2026-11-23T09:00:00Z"
    assert thing["dateModified"] == "2026-11-23T10:00:00.123456Z"
    assert thing["expires"] == "2030-01-01T00:00:00Z"
    assert thing["duration"] == "PT0H0M15S"


def test_shots_are_clips_that_end_where_the_next_begins() -> None:
    first, second = as_json_ld()["hasPart"]
    assert (first["@type"], first["startOffset"], first["endOffset"]) == ("Clip", 0, 7.5)
    assert (second["startOffset"], second["endOffset"]) == (8, 15)
    assert second["name"] == "Jane Doe: “Quelle bonne journée.”"
    assert second["url"] == f"{PAGE}?t=8"


def test_files_are_encodings_with_their_hash() -> None:
    master, _, notes = as_json_ld()["encoding"]
    assert master["@type"] == "VideoObject"
    assert master["contentUrl"] == f"{ASSET}/renditions/master/download"
    assert (master["encodingFormat"], master["contentSize"]) == ("application/mxf", "4100000000")
    assert (master["sha256"], master["bitrate"]) == (SHA256, "57200")
    assert (master["width"], master["height"]) == (1920, 1080)
    assert notes["@type"] == "MediaObject"


def test_place_rights_and_people() -> None:
    thing = as_json_ld()
    assert thing["contentLocation"]["geo"] == {
        "@type": "GeoCoordinates",
        "latitude": 51.33,
        "longitude": 3.2,
    }
    assert thing["contentLocation"]["address"]["addressCountry"] == "BE"
    assert thing["creditText"] == "Example Media"
    assert thing["license"] == "https://creativecommons.org/licenses/by/4.0/"
    assert thing["copyrightYear"] == 2026
    assert thing["ineligibleRegion"] == ["US", "CA"]
    assert "regionsAllowed" not in thing
    assert thing["conditionsOfAccess"] == ["Sold exclusively"]
    assert [each["name"] for each in thing["about"]] == [
        "armed forces",
        "Task Group 1",
        "Harbour Police",
        "Jane Doe",
    ]
    assert [each["name"] for each in thing["mentions"]] == ["Max", "A title"]
    assert thing["recordedAt"][0]["name"] == "Spring exercise"
    assert thing["isPartOf"][0]["@type"] == "CreativeWorkSeries"


def test_story_is_an_article_with_its_text() -> None:
    thing = as_json_ld(STORY)
    assert thing["headline"] == "A title"
    assert thing["articleBody"] == STORY["body"]
    assert "text" not in thing
    assert "contentUrl" not in thing


def test_json_ld_can_stand_in_a_script_element() -> None:
    document = {**MINIMAL, "title": "</script><!-- & \u2028"}
    written = json_ld.write(document, ADDRESSES).decode()
    assert r"\u003c/script\u003e\u003c!-- \u0026 \u2028" in written


# ninjs


@pytest.mark.parametrize(
    ("document", "kind"),
    [(VIDEO, "video"), (IMAGE, "picture"), (AUDIO, "audio"), (STORY, "text")],
)
def test_ninjs_has_a_type_for_each_kind(document: dict[str, Any], kind: str) -> None:
    assert as_ninjs(document)["type"] == kind


def test_ninjs_says_what_newsrooms_ask() -> None:
    item = as_ninjs()
    assert item["uri"] == f"urn:uuid:{VIDEO_ID}"
    assert item["standard"]["version"] == "3.1"
    assert (item["version"], item["urgency"], item["by"]) == ("3", 4, "John Roe")
    assert item["headlines"][0]["value"] == "Ships of six nations meet in the harbour"
    assert [body["role"] for body in item["bodies"]] == ["main", "script", "transcript"]
    assert (item["bodies"][0]["charCount"], item["bodies"][0]["wordCount"]) == (35, 4)
    assert item["expires"] == "2030-01-01T00:00:00Z"
    assert item["contentCreated"] == "2026-05-01T00:00:00Z"
    assert item["people"][0] == {
        "name": "Rear Admiral Jane Doe",
        "rel": "heard",
        "uri": "https://people.example.org/jane-doe",
    }
    # GeoJSON has the longitude first.
    assert item["places"][0]["geoJSON"] == {"type": "Point", "coordinates": [3.2, 51.33]}
    assert item["rightsInfo"] == {"linkedRights": VIDEO["rights"]["license"]}
    assert item["events"] == [{"id": f"urn:uuid:{STORY_ID}", "name": "Spring exercise"}]
    assert item["associations"][0]["uri"] == f"urn:uuid:{STORY_ID}"


def test_ninjs_renditions_have_their_technical_values() -> None:
    poster, preview, master, _, _ = as_ninjs()["renditions"]
    assert (poster["name"], preview["name"]) == ("poster", "preview")
    assert preview["href"] == f"{ASSET}/preview.mp4?v=3"
    assert master == {
        "name": "master",
        "title": "harbour.mxf",
        "href": f"{ASSET}/renditions/master/download",
        "contentType": "application/mxf",
        "sizeInBytes": 4_100_000_000,
        "width": 1920,
        "height": 1080,
        "format": "MXF",
        "aspectRatio": "16:9",
        "videoCodec": "MPEG Video",
        "scanType": "interlaced",
        "frameRate": 29.97,
        "duration": 15.0,
        "bitrate": "57200000",
    }


# JSON Feed


def test_json_feed_item_has_its_files_attached() -> None:
    feed = Feed([VIDEO], url="https://a/?cursor=b", first_url="https://a/", next_url="https://a/?c")
    page = json.loads(json_feed.write(feed, ADDRESSES))
    assert page["version"] == "https://jsonfeed.org/version/1.1"
    assert (page["feed_url"], page["next_url"]) == ("https://a/?cursor=b", "https://a/?c")
    [item] = page["items"]
    assert (item["id"], item["url"]) == (f"urn:uuid:{VIDEO_ID}", PAGE)
    assert (item["content_text"], item["summary"]) == (VIDEO["body"], VIDEO["summary"])
    assert item["attachments"][0] == {
        "url": f"{ASSET}/renditions/master/download",
        "mime_type": "application/mxf",
        "title": "master",
        "size_in_bytes": 4_100_000_000,
        "duration_in_seconds": 15.0,
    }
    assert item["_asset"] == {"id": VIDEO_ID, "type": "video", "version": 3, "document": ASSET}


def test_last_page_of_a_json_feed_names_no_next_one() -> None:
    feed = Feed([], url="https://a/", first_url="https://a/", next_url=None)
    assert "next_url" not in json.loads(json_feed.write(feed, ADDRESSES))


# OpenTimelineIO


def timeline_of(document: dict[str, Any]) -> Any:
    text = otio.write(document, ADDRESSES).decode()
    return opentimelineio.adapters.read_from_string(text, "otio_json")


def test_timeline_has_a_clip_for_each_shot_and_gaps_between() -> None:
    first, gap, second = timeline_of(VIDEO).tracks[0]
    rate = 30_000 / 1001
    assert first.source_range.start_time.value == 0
    assert first.source_range.duration.value == 225  # 7.5 s
    assert first.source_range.duration.rate == pytest.approx(rate)
    assert (gap.schema_name(), gap.duration().value) == ("Gap", 15)
    assert second.source_range.start_time.value == 240  # 8 s
    assert second.source_range.duration.value == 210  # until 15 s
    assert second.media_reference.target_url == f"{ASSET}/renditions/master/download"
    assert second.media_reference.available_range.duration.value == 450
    assert second.metadata["multimedia_account"]["speaker"] == "Jane Doe"


def test_shots_that_overlap_are_on_tracks_of_their_own() -> None:
    first, second = VIDEO["shotlist"]
    shots = [
        {**first, "start_ms": 0, "end_ms": 9_000},
        {**second, "start_ms": 8_000, "end_ms": 10_000},
        {**second, "start_ms": 9_000, "end_ms": 9_001},
    ]
    timeline = timeline_of({**VIDEO, "shotlist": shots})
    clips = [
        [(clip.source_range.start_time.value, clip.source_range.duration.value) for clip in each]
        for each in (track.find_clips() for track in timeline.tracks)
    ]
    assert clips == [[(0, 270), (270, 1)], [(240, 60)]]


def test_timeline_without_files_or_shots_is_one_too() -> None:
    assert len(timeline_of(MINIMAL).tracks[0]) == 0
    document = {**MINIMAL, "shotlist": VIDEO["shotlist"]}
    clip = timeline_of(document).tracks[0][0]
    assert clip.media_reference.is_missing_reference
    assert clip.source_range.duration.rate == 25
