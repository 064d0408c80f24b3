"""What the feeds, sitemaps and embeddings say of an asset."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from lxml import etree

from app.formats import atom, mrss, oembed, sitemap
from app.formats.feed import Feed
from app.formats.sitemap import SitemapEntry
from tests.sample_documents import (
    ADDRESSES,
    AUDIO,
    IMAGE,
    MINIMAL,
    SHA256,
    STORY,
    VIDEO,
    VIDEO_ID,
)

ASSET = f"https://api.example.org/v1/assets/{VIDEO_ID}"
PAGE = "https://www.example.org/assets/harbour-exercise"
NAMES = {
    "media": "http://search.yahoo.com/mrss/",
    "atom": "http://www.w3.org/2005/Atom",
    "metalink": "urn:ietf:params:xml:ns:metalink",
    "dcterms": "http://purl.org/dc/terms/",
    "georss": "http://www.georss.org/georss",
    "s": "http://www.sitemaps.org/schemas/sitemap/0.9",
    "video": "http://www.google.com/schemas/sitemap-video/1.1",
}


def feed_of(*documents: dict[str, Any], next_url: str | None = None) -> Feed:
    return Feed(documents, url="https://a/?cursor=b", first_url="https://a/", next_url=next_url)


def found(xml: bytes, path: str) -> list[str]:
    return [str(value) for value in etree.fromstring(xml).xpath(path, namespaces=NAMES)]


# Media RSS


def in_mrss(path: str, document: dict[str, Any] = VIDEO) -> list[str]:
    return found(mrss.write(feed_of(document), ADDRESSES), f"//item/{path}")


def test_each_file_is_media_content_with_its_details() -> None:
    written = mrss.write(feed_of(VIDEO), ADDRESSES)
    [master] = etree.fromstring(written).xpath(
        "//media:group/media:content[@isDefault='true']", namespaces=NAMES
    )
    assert dict(master.attrib) == {
        "url": f"{ASSET}/renditions/master/download",
        "fileSize": "4100000000",
        "type": "application/mxf",
        "medium": "video",
        "isDefault": "true",
        "expression": "full",
        "bitrate": "57200",
        "framerate": "29.97",
        "samplingrate": "48",
        "channels": "1",
        "duration": "15",
        "height": "1080",
        "width": "1920",
        "lang": "en",
    }


def test_hash_is_metalinks_for_media_rss_knows_no_sha256() -> None:
    assert in_mrss("media:group/media:content[1]/metalink:hash[@type='sha-256']/text()") == [SHA256]
    assert in_mrss("media:hash") == []


def test_preview_is_a_sample_that_anybody_may_fetch() -> None:
    sample = "media:group/media:content[@expression='sample']"
    assert in_mrss(f"{sample}/@url") == [f"{ASSET}/preview.mp4?v=3"]
    assert in_mrss("media:thumbnail/@url") == [f"{ASSET}/poster.jpg?v=3"]


def test_paper_is_beside_the_group_of_equal_contents() -> None:
    assert in_mrss("media:content/@medium") == ["document"]
    assert in_mrss("media:group/media:content/@medium") == ["video", "video", "video"]


@pytest.mark.parametrize(("document", "medium"), [(IMAGE, "image"), (AUDIO, "audio")])
def test_medium_is_what_is_in_the_file(document: dict[str, Any], medium: str) -> None:
    assert in_mrss("media:group/media:content/@medium", document) == [medium]


def test_story_has_no_media() -> None:
    assert in_mrss("media:group | //media:content", STORY) == []


def test_item_is_named_by_its_id_and_dated() -> None:
    assert in_mrss("guid/text()") == [f"urn:uuid:{VIDEO_ID}"]
    assert in_mrss("guid/@isPermaLink") == ["false"]
    assert in_mrss("link/text()") == [PAGE]
    assert in_mrss("pubDate/text()") == ["Mon, 23 Nov 2026 09:00:00 +0000"]
    assert in_mrss("dcterms:valid/text()") == [
        "start=2026-11-23T09:00:00Z;end=2030-01-01T00:00:00Z;scheme=W3C-DTF"
    ]


def test_rights_keywords_captions_and_scenes() -> None:
    assert in_mrss("media:restriction/@relationship") == ["deny"]
    assert in_mrss("media:restriction/text()") == ["us ca"]
    assert in_mrss("media:keywords/text()") == ["harbour, R&D"]
    assert in_mrss("media:credit[@role='camera']/text()") == ["John Roe"]
    assert in_mrss("media:copyright/text()") == ["© 2026 Example Media"]
    assert in_mrss("media:subTitle/@lang") == ["en", "fr"]
    assert in_mrss("media:scenes/media:scene/sceneStartTime/text()") == [
        "00:00:00.000",
        "00:00:08.000",
    ]
    assert in_mrss("georss:point/text()") == ["51.33 3.2"]


# Atom


def test_atom_entry_has_its_times_links_and_names() -> None:
    written = atom.write(feed_of(VIDEO, next_url="https://a/?cursor=c"), ADDRESSES)
    entry = "/atom:feed/atom:entry"
    assert found(written, f"{entry}/atom:id/text()") == [f"urn:uuid:{VIDEO_ID}"]
    assert found(written, f"{entry}/atom:updated/text()") == ["2026-11-23T10:00:00.123456Z"]
    assert found(written, f"{entry}/atom:link[@rel='alternate']/@href") == [PAGE, ASSET]
    assert found(written, f"{entry}/atom:link[@rel='enclosure'][1]/@*") == [
        "enclosure",
        "application/mxf",
        f"{ASSET}/renditions/master/download",
        "master",
        "4100000000",
    ]
    assert found(written, f"{entry}/atom:author/atom:name/text()") == ["John Roe"]
    assert found(written, "/atom:feed/atom:link[@rel='next']/@href") == ["https://a/?cursor=c"]
    assert found(written, "/atom:feed/atom:id/text()") == ["https://a/"]


def test_feed_is_as_new_as_its_newest_asset() -> None:
    later = {**MINIMAL, "updated_at": "2026-11-23T10:00:00.5Z"}
    same_second = {**MINIMAL, "updated_at": "2026-11-23T10:00:00Z"}
    assert feed_of(same_second, VIDEO, later, MINIMAL).updated_at == "2026-11-23T10:00:00.5Z"
    assert feed_of(same_second, MINIMAL).updated_at == "2026-11-23T10:00:00Z"
    assert feed_of().updated_at == "1970-01-01T00:00:00Z"


# Sitemaps

ENTRY = SitemapEntry(
    slug="harbour-exercise",
    updated_at=datetime(2026, 11, 23, 10, tzinfo=UTC),
    published_at=datetime(2026, 11, 23, 9, tzinfo=UTC),
    available_until=datetime(2030, 1, 1, tzinfo=UTC),
    title="x" * 300,
    description="y" * 5_000,
    duration_ms=15_400,
    poster="/v1/assets/1/poster.jpg?v=3",
    preview="/v1/assets/1/preview.mp4?v=3",
)


def in_sitemap(path: str, entry: SitemapEntry = ENTRY) -> list[str]:
    return found(sitemap.write_page([entry], ADDRESSES), f"/s:urlset/s:url/{path}")


def test_sitemap_names_the_page_and_the_video_on_it() -> None:
    assert in_sitemap("s:loc/text()") == [PAGE]
    assert in_sitemap("s:lastmod/text()") == ["2026-11-23T10:00:00+00:00"]
    assert in_sitemap("video:video/*/text()") == [
        "https://api.example.org/v1/assets/1/poster.jpg?v=3",
        "x" * 100,
        "y" * 2048,
        "https://api.example.org/v1/assets/1/preview.mp4?v=3",
        "15",
        "2030-01-01T00:00:00+00:00",
        "2026-11-23T09:00:00+00:00",
    ]


@pytest.mark.parametrize("absent", ["poster", "preview"])
def test_video_without_picture_or_preview_is_only_a_page(absent: str) -> None:
    entry = replace(ENTRY, poster=None) if absent == "poster" else replace(ENTRY, preview=None)
    assert in_sitemap("video:video", entry) == []
    assert in_sitemap("s:loc/text()", entry) == [PAGE]


@pytest.mark.parametrize(("milliseconds", "seconds"), [(1, "1"), (100_000_000, "28800")])
def test_duration_is_within_what_search_engines_take(milliseconds: int, seconds: str) -> None:
    entry = replace(ENTRY, duration_ms=milliseconds)
    assert in_sitemap("video:video/video:duration/text()", entry) == [seconds]


# oEmbed


def embedded(document: dict[str, Any], **limits: int) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(oembed.write(document, ADDRESSES, output="json", **limits))
    return answer


def test_video_is_embedded_as_its_player() -> None:
    answer = embedded(VIDEO)
    assert (answer["version"], answer["type"]) == ("1.0", "video")
    assert (answer["width"], answer["height"]) == (960, 540)
    assert answer["html"].startswith(
        f'<video controls preload="none" src="{ASSET}/preview.mp4?v=3" '
        f'poster="{ASSET}/poster.jpg?v=3" width="960" height="540" title="'
    )
    assert "&lt;live&gt; &amp;" in answer["html"]
    assert answer["thumbnail_url"] == f"{ASSET}/poster.jpg?v=3"


@pytest.mark.parametrize(
    ("limits", "size"),
    [
        ({"max_width": 480}, (480, 270)),
        ({"max_height": 270}, (480, 270)),
        ({"max_width": 480, "max_height": 100}, (177, 100)),
        ({"max_width": 5_000, "max_height": 5_000}, (960, 540)),
        ({"max_width": 1, "max_height": 1}, (1, 1)),
    ],
)
def test_player_keeps_its_shape_and_fits(limits: dict[str, int], size: tuple[int, int]) -> None:
    answer = embedded(VIDEO, **limits)
    assert (answer["width"], answer["height"]) == size
    assert f'width="{size[0]}" height="{size[1]}"' in answer["html"]


def test_picture_that_fits_is_a_photo_and_else_a_link() -> None:
    photo = embedded(IMAGE, max_width=1280, max_height=720)
    assert (photo["type"], photo["width"], photo["height"]) == ("photo", 1280, 720)
    for limits in ({"max_width": 1279}, {"max_height": 719}):
        link = embedded(IMAGE, **limits)
        assert link["type"] == "link"
        assert not {"url", "thumbnail_url"} & set(link)


@pytest.mark.parametrize("document", [MINIMAL, STORY, AUDIO])
def test_anything_else_is_a_link(document: dict[str, Any]) -> None:
    assert embedded(document)["type"] == "link"


def test_embedding_may_be_xml() -> None:
    written = oembed.write(VIDEO, ADDRESSES, output="xml")
    assert found(written, "/oembed/type/text()") == ["video"]
    assert found(written, "/oembed/width/text()") == ["960"]


# Addresses


@pytest.mark.parametrize(
    ("url", "reference"),
    [
        (PAGE, "harbour-exercise"),
        (f"{PAGE}/?t=8#part", "harbour-exercise"),
        (PAGE.replace("https://www.example", "HTTPS://WWW.Example"), "harbour-exercise"),
        (ASSET, VIDEO_ID),
        ("https://www.example.org/assets/", None),
        ("https://www.example.org/assets/a/b", None),
        ("https://www.example.org/other/a", None),
        ("https://api.example.org/assets/a", None),
        ("https://www.example.org.evil.example/assets/a", None),
        ("http://www.example.org/assets/a", None),
        ("//www.example.org/assets/a", None),
        ("https://[", None),
        ("", None),
    ],
)
def test_asset_is_known_by_our_addresses_alone(url: str, reference: str | None) -> None:
    assert ADDRESSES.reference(url) == reference
