"""Captions: which files are taken, what becomes of them, and what changes with them."""

import time
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.db import Database
from app.models import AssetVersion, Caption
from app.services import webvtt
from app.services.captions import language_tag
from app.services.webvtt import InvalidCaptions
from tests.factories import PUBLISHED_AT, add_draft, publish_story, withdraw
from tests.helpers import Api, audited, rows

VTT = b"WEBVTT\n\n00:01.000 --> 00:04.000\nThe harbour at dawn.\n"
SRT = b"1\n00:00:01,000 --> 00:00:04,000\nThe harbour at dawn.\n"


async def put(
    desk: httpx.AsyncClient,
    language: str = "en",
    file: bytes = VTT,
    *,
    media_type: str = "text/vtt",
    tag: str | None = "*",
    query: dict[str, str] | None = None,
) -> httpx.Response:
    headers = {"Content-Type": media_type} | ({"If-Match": tag} if tag else {})
    address = f"/v1/assets/a-story/captions/{language}"
    return await desk.put(address, content=file, headers=headers, params=query)


async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    answer: dict[str, Any] = (await client.get("/v1/assets/a-story")).json()
    return answer


# Reading WebVTT


def refused(file: bytes, *, subrip: bool = False) -> str:
    with pytest.raises(InvalidCaptions) as error:
        (webvtt.convert_subrip if subrip else webvtt.read_webvtt)(file)
    return str(error.value)


FULL = """\
WEBVTT - Harbour
Kind: captions

STYLE
::cue { color: white }

REGION
id:low

NOTE by hand
two lines

opening
00:01.000 --> 00:04.500 align:start line:0
<v Jane>The <i>harbour</i> &amp;
the sea.

00:04.500 --> 100:00:05.000
<00:00:04.700>- Really?

NOTE
00:05.000 and so on
"""


def test_whole_of_the_format_is_taken_as_it_is() -> None:
    assert webvtt.read_webvtt(FULL.encode()) == FULL
    assert webvtt.cues(FULL) == [
        (1_000, 4_500, "The harbour & the sea."),
        (4_500, 360_005_000, "- Really?"),
    ]


@pytest.mark.parametrize("line_end", ["\r\n", "\r", "\n"])
def test_line_ends_and_byte_order_mark_are_made_plain(line_end: str) -> None:
    file = "\ufeff" + FULL.rstrip("\n").replace("\n", line_end)
    assert webvtt.read_webvtt(file.encode()) == FULL


@pytest.mark.parametrize(
    ("file", "line"),
    [
        (b"", 1),
        (b"\n\nWEBVTT\n", 1),
        (b"WEBVTTX\n\n00:01.000 --> 00:04.000\na\n", 1),
        (b"WEBVTT\n00:01.000 --> 00:04.000\na\n", 2),
        (b"WEBVTT\n\nNOTE nothing else\n", 1),
        (b"WEBVTT\n\n00:01.000 --> 00:04.000\na\nb\x00\n", 5),
        (b"WEBVTT\n\n00:01.000 --> 00:04.000\na\x1b[2J\n", 4),
        (b"WEBVTT\n\n00:01.000 --> 00:04.000\n\n\ncaf\xe9\n", 6),
        (b"WEBVTT\n\njust text\nand more\n", 4),
        (b"WEBVTT\n\njust text\n", 3),
        (b"WEBVTT\n\nname\n1:01.000 --> 00:04.000\n", 4),
        (b"WEBVTT\n\n00:01,000 --> 00:04,000\na\n", 3),
        (b"WEBVTT\n\n00:61.000 --> 01:04.000\na\n", 3),
        ("WEBVTT\n\n00:0\N{ARABIC-INDIC DIGIT ONE}.000 --> 00:04.000\na\n".encode(), 3),
        (b"WEBVTT\n\n00:01.000-->00:04.000\na\n", 3),
        (b"WEBVTT\n\n00:01.000 --> 00:04.000\na\n00:05.000 --> 00:06.000\nb\n", 5),
        (b"WEBVTT\n\nNOTE a\nb\n00:01.000 --> 00:04.000\n", 5),
        (b"WEBVTT\n\n00:04.000 --> 00:04.000\na\n", 3),
        (b"WEBVTT\n\n00:04.000 --> 00:03.999\na\n", 3),
        (b"WEBVTT\n\n00:04.000 --> 00:05.000\na\n\n00:03.999 --> 00:09.000\nb\n", 6),
        (b"WEBVTT\n\n00:04.000 --> 168:00:00.001\na\n", 3),
        (b"WEBVTT\n\n" + b"9" * 5000 + b":00:04.000 --> 168:00:00.001\na\n", 3),
    ],
)
def test_line_that_cannot_be_read_is_named(file: bytes, line: int) -> None:
    assert refused(file).startswith(f"Line {line}: ")


def test_cues_may_overlap_and_last_a_week() -> None:
    file = "WEBVTT\n\n00:01.000 --> 168:00:00.000\na\n\n00:01.000 --> 00:02.000\nb\n"
    assert webvtt.read_webvtt(file.encode()) == file


def test_largest_file_is_read_in_a_moment() -> None:
    cue = "00:01.000 --> 00:04.000\nx\n\n"
    file = ("WEBVTT\n\n" + cue * (2 * 1024 * 1024 // len(cue))).encode()
    hostile = b"WEBVTT\n\n00:01.000 --> 00:04.000" + b" <" * 1_000_000
    began = time.process_time()
    webvtt.read_webvtt(file)
    webvtt.cues(webvtt.read_webvtt(hostile + b"\n" + b"<" * 40_000))
    assert time.process_time() - began < 5


# SubRip


def test_subrip_becomes_webvtt() -> None:
    file = """\
\ufeff1
00:00:01,000 --> 00:00:04,500 X1:40 X2:600
{\\an8}<font color="red">The</font> <I>harbour</I> & the <sea>
100

2
0:01:02.250 --> 0:01:04.000

after an empty line
--- and more
"""
    converted = webvtt.convert_subrip(file.replace("\n", "\r\n").encode())
    assert (
        converted
        == """\
WEBVTT

00:00:01.000 --> 00:00:04.500
The <i>harbour</i> &amp; the &lt;sea&gt;
100

00:01:02.250 --> 00:01:04.000
after an empty line
--- and more
"""
    )
    assert webvtt.read_webvtt(converted.encode()) == converted
    assert webvtt.cues(converted)[0] == (1_000, 4_500, "The harbour & the <sea> 100")


@pytest.mark.parametrize(
    ("file", "line"),
    [
        (b"", 1),
        (b"just text\n", 1),
        (b"1\n2\nWEBVTT\n\n00:00:01,000 --> 00:00:02,000\n", 3),
        (b"1\n00:00:01,000 --> 00:00:02\na\n", 2),
        (b"1\n00:00:01,000 --> 00:00:02,000\na --> b\n", 3),
        (b"1\n00:00:01,000 --> 00:00:01,000\na\n", 2),
        (b"1\n00:00:02,000 --> 00:00:03,000\na\n\n2\n00:00:01,000 --> 00:00:03,000\nb\n", 6),
        (b"1\n00:00:01,000 --> 00:00:02,000\ncaf\xe9\n", 3),
    ],
)
def test_line_of_subrip_that_cannot_be_read_is_named(file: bytes, line: int) -> None:
    assert refused(file, subrip=True).startswith(f"Line {line}: ")


# The desk


async def test_captions_of_a_published_asset_are_seen_at_once(
    app: FastAPI, desk: Api, client: httpx.AsyncClient, database: Database
) -> None:
    asset_id = await publish_story(app, "a-story")
    before = (await document(client))["version"]
    sent = {"kind": "subtitles", "label": "English"}
    response = await put(desk, tag=f'"v{before}"', query=sent)
    listed = {
        "language": "en",
        "kind": "subtitles",
        "label": "English",
        "url": f"/v1/assets/{asset_id}.captions.en.vtt",
    }
    assert (response.status_code, response.json()) == (201, listed)
    assert response.headers["etag"] == f'"v{before + 1}"'
    found = await document(client)
    assert found["captions"] == [listed]
    assert found["version"] == before + 1
    [row] = await rows(database, Caption)
    assert row.webvtt == VTT.decode()
    newest = max(await rows(database, AssetVersion), key=lambda version: version.version)
    assert newest.kind == "corrected"
    assert newest.changes == {"captions": {"before": [], "after": ["en"]}}
    assert "asset.captions_changed" in await audited(database)


async def test_captions_are_replaced_and_removed_by_language(
    app: FastAPI, desk: Api, database: Database
) -> None:
    await add_draft(app, "a-story")
    await put(desk, "en")
    await put(desk, "fr")
    response = await put(desk, "en", SRT, media_type="application/x-subrip; charset=UTF-8")
    assert (response.status_code, response.headers["etag"]) == (200, '"v4"')
    stored = {row.language: row for row in await rows(database, Caption)}
    assert stored["en"].webvtt == VTT.decode().replace("00:0", "00:00:0")
    assert stored["en"].sha256 != stored["fr"].sha256
    removed = await desk.delete("/v1/assets/a-story/captions/en", headers={"If-Match": '"v4"'})
    assert (removed.status_code, removed.headers["etag"]) == (204, '"v5"')
    assert [row.language for row in await rows(database, Caption)] == ["fr"]
    again = await desk.delete("/v1/assets/a-story/captions/en", headers={"If-Match": "*"})
    assert again.status_code == 404
    newest = max(await rows(database, AssetVersion), key=lambda version: version.version)
    assert (newest.kind, newest.changes) == (
        "edited",
        {"captions": {"before": ["en", "fr"], "after": ["fr"]}},
    )


async def test_same_file_again_makes_no_version(app: FastAPI, desk: Api) -> None:
    await add_draft(app, "a-story")
    for query, tag in (({}, '"v2"'), ({}, '"v2"'), ({"label": "Other"}, '"v3"')):
        assert (await put(desk, query=query)).headers["etag"] == tag


async def test_change_needs_the_newest_tag_of_the_asset(
    app: FastAPI, desk: Api, database: Database
) -> None:
    await add_draft(app, "a-story")
    await put(desk, "fr")
    for tag, status in ((None, 428), ('"v1"', 412)):
        assert (await put(desk, tag=tag)).status_code == status
        headers = {"If-Match": tag} if tag else {}
        address = "/v1/assets/a-story/captions/fr"
        assert (await desk.delete(address, headers=headers)).status_code == status
    assert [row.language for row in await rows(database, Caption)] == ["fr"]


async def test_withdrawn_asset_stays_as_it_was(app: FastAPI, desk: Api) -> None:
    await withdraw(app, await publish_story(app, "a-story"), "wrong")
    response = await put(desk)
    assert (response.status_code, response.json()["code"]) == (409, "asset_published")


async def test_file_that_cannot_be_read_changes_nothing(
    app: FastAPI, desk: Api, database: Database
) -> None:
    await add_draft(app, "a-story")
    response = await put(desk, file=b"WEBVTT\n\n00:04.000 --> 00:03.000\na\n")
    assert (response.status_code, response.json()["code"]) == (422, "invalid_captions")
    assert response.json()["detail"] == "Line 3: this cue does not end after it begins"
    assert await rows(database, Caption) == []


@pytest.mark.parametrize(
    "media_type", ["", "application/json", "text/plain", "text/vtt; charset=iso-8859-1"]
)
async def test_other_types_are_refused(app: FastAPI, desk: Api, media_type: str) -> None:
    await add_draft(app, "a-story")
    response = await put(desk, media_type=media_type)
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


async def test_file_of_two_megabytes_is_the_largest(app: FastAPI, desk: Api) -> None:
    await add_draft(app, "a-story")
    largest = VTT + b"x" * (2 * 1024 * 1024 - len(VTT))
    assert (await put(desk, file=largest)).status_code == 201
    response = await put(desk, file=largest + b"x")
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("query", [{"kind": "chapters"}, {"label": "a\r\nb"}, {"label": "a" * 201}])
async def test_what_players_could_not_show_is_refused(
    app: FastAPI, desk: Api, query: dict[str, str]
) -> None:
    await add_draft(app, "a-story")
    assert (await put(desk, query=query)).status_code == 422


@pytest.mark.parametrize("language", ["english", "EN", "e", "en_GB"])
async def test_language_is_a_tag(app: FastAPI, desk: Api, language: str) -> None:
    await add_draft(app, "a-story")
    assert (await put(desk, language)).status_code == 422


async def test_language_has_one_spelling(app: FastAPI, desk: Api, database: Database) -> None:
    await add_draft(app, "a-story")
    assert (await put(desk, "en-gb")).json()["language"] == "en-GB"
    assert (await put(desk, "en-GB")).status_code == 200
    assert [row.language for row in await rows(database, Caption)] == ["en-GB"]


@pytest.mark.parametrize("tag", ["en", "pt-BR", "zh-Hant-TW", "de-1996", "sr-Latn", "yue"])
def test_usual_case_of_a_language_tag(tag: str) -> None:
    assert language_tag(tag.lower()) == tag


async def test_asset_has_captions_in_sixty_languages_at_most(app: FastAPI, desk: Api) -> None:
    asset_id = await add_draft(app, "a-story")
    others = [
        Caption(
            asset_id=asset_id,
            language=f"en-x{number:02}",
            kind="captions",
            webvtt=VTT.decode(),
            sha256="0" * 64,
            updated_at=PUBLISHED_AT,
        )
        for number in range(59)
    ]
    async with app.state.database.transaction() as session:
        session.add_all(others)
    assert (await put(desk, "fr")).status_code == 201
    response = await put(desk, "de")
    assert (response.status_code, response.json()["code"]) == (409, "too_many_captions")
    assert (await put(desk, "fr", query={"label": "Français"})).status_code == 200
