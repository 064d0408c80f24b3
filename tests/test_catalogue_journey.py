"""The whole way of broadcast-quality files, as people go it: a real server, worker and FFmpeg."""

import hashlib
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import av
import feedparser
import httpx
import pytest
import webvtt

from tests.folders import folder_for_postgresql
from tests.helpers import PASSWORD
from tests.programs import PROJECT, Program, eventually, free_ports, program
from tests.test_formats import SCHEMAS, ebucore_schema, ninjs_schema
from tests.tus_client import BYTES, TUS, metadata

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="it needs the program ffmpeg"),
]

EDITOR, JOURNALIST = "editor@example.org", "jane@example.net"
PHRASE = "minehunter passes the lighthouse"
Headers = dict[str, str]


@dataclass(frozen=True)
class Format:
    """How FFmpeg makes a file, and what must be found out about it."""

    filename: str
    codec: str
    expected: dict[str, Any]
    tracks: int
    start: str | None


PICTURE = "testsrc2=size=1920x1080:rate=25:duration=1"
TONE = "sine=frequency=1000:sample_rate=48000:duration=1"
AVC_INTRA = "-preset ultrafast -x264-params avcintra-class=100:interlaced=1 -flags +ildct"
FORMATS = {
    "xdcam": Format(
        "xdcam.mxf",
        "mpeg2video -pix_fmt yuv422p -b:v 50M -minrate 50M -maxrate 50M -bufsize 36408333 -g 12"
        " -bf 2 -flags +ildct+ilme -top 1 -c:a pcm_s24le -ac 1",
        {"codec": "MPEG Video", "profile": "4:2:2", "scan_type": "interlaced", "bit_depth": 8},
        tracks=4,
        start="10:00:00:00",
    ),
    "avc-intra": Format(
        "avcintra.mxf",
        f"libx264 {AVC_INTRA} -pix_fmt yuv422p10le -c:a pcm_s24le -ac 1",
        {"codec": "AVC", "profile": "High 4:2:2 Intra", "scan_type": "interlaced", "bit_depth": 10},
        tracks=2,
        start="10:00:00:00",
    ),
    "prores": Format(
        "prores.mov",
        "prores_ks -profile:v 3 -vendor apl0 -pix_fmt yuv422p10le -c:a pcm_s24le -ac 2",
        {"codec": "ProRes", "profile": "422 HQ", "scan_type": "progressive"},
        tracks=1,
        start="01:00:00:00",
    ),
    "mp4": Format(
        "web.mp4",
        "libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac -ac 2",
        {"codec": "AVC", "scan_type": "progressive", "bit_depth": 8},
        tracks=1,
        start=None,
    ),
}


class Newsroom:
    """A server that can be killed, and the people who work with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._port = free_ports(1)[0]
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self._port}", timeout=30)
        self.editor: Headers = {}
        self.journalist: Headers = {}

    @contextmanager
    def serving(self) -> Iterator[Program]:
        with program(
            self.folder, "serve", PORT=str(self._port), RATE_LIMITS="off"
        ) as server:  # it is asked every few milliseconds
            server.url = str(self.client.base_url).rstrip("/")
            server.wait_until_it_serves()
            yield server

    def let_in(self) -> None:
        """An editor whom the operator has made, and a journalist who registers."""
        subprocess.run(
            [sys.executable, "-m", "app", "create-admin", EDITOR],
            input=PASSWORD.encode(),
            cwd=PROJECT,
            env={"PATH": os.environ["PATH"], "DATA_DIR": str(self.folder / "var")},
            check=True,
            capture_output=True,
        )
        self.editor = self._bearer(self.post("/v1/auth/login", email=EDITOR, password=PASSWORD))
        flow = self.post("/v1/auth/register", email=JOURNALIST, password=PASSWORD)
        mail = eventually(self._mail)
        code = re.match(r"\d{4} \d{4}", mail["subject"])
        assert code is not None
        verified = self.post("/v1/verification-codes/verify", flow_id=flow["flow_id"], code=code[0])
        self.journalist = self._bearer(verified["session"])

    def _mail(self) -> Any:
        items = self.client.get("/dev/mail", params={"to": JOURNALIST}).json()["items"]
        return items[0] if items else None

    def _bearer(self, session: dict[str, Any]) -> Headers:
        return {"Authorization": f"Bearer {session['access_token']}"}

    def post(self, path: str, headers: Headers | None = None, **body: Any) -> Any:
        answer = self.client.post(path, json=body, headers=headers)
        assert answer.is_success, answer.text
        return answer.json()

    def draft(self, **fields: Any) -> str:
        fields = {"type": "video", "title": "A report", **fields}
        return str(self.post("/v1/assets", self.editor, **fields)["id"])

    def change(self, method: str, path: str, asset: str, **body: Any) -> httpx.Response:
        """As an editor who has just read the asset."""
        tag = self.client.get(f"/v1/assets/{asset}", headers=self.editor).headers["etag"]
        headers = {**self.editor, "If-Match": tag}
        answer = self.client.request(
            method, f"/v1/assets/{asset}{path}", json=body, headers=headers
        )
        assert answer.is_success, answer.text
        return answer

    def begin_upload(self, asset: str, file: Path) -> str:
        named = metadata(filename=file.name, asset_id=asset, sha256=digest(file.read_bytes()))
        headers = {"Upload-Length": str(file.stat().st_size), "Upload-Metadata": named}
        answer = self.client.post("/v1/uploads", headers={**TUS, **self.editor, **headers})
        assert answer.status_code == 201, answer.text
        return str(answer.headers["location"])

    def offset(self, upload: str) -> int:
        answer = self.client.head(upload, headers={**TUS, **self.editor})
        assert answer.status_code == 200
        return int(answer.headers["upload-offset"])

    def send_and_vanish(self, upload: str, contents: bytes, *, until: int) -> None:
        """Send a part of what was announced, and cut the line."""
        fields = {
            **TUS,
            **BYTES,
            **self.editor,
            "Host": f"127.0.0.1:{self._port}",
            "Upload-Offset": "0",
            "Content-Length": str(len(contents)),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        with socket.create_connection(("127.0.0.1", self._port)) as line:
            line.sendall(f"PATCH {upload} HTTP/1.1\r\n{head}\r\n".encode() + contents[:until])

    def send_rest(self, upload: str, contents: bytes) -> None:
        """Go on as tus clients do; what came before a cut may just be being written down."""

        def sent() -> bool:
            offset = self.offset(upload)
            headers = {**TUS, **BYTES, **self.editor, "Upload-Offset": str(offset)}
            answer = self.client.patch(upload, content=contents[offset:], headers=headers)
            assert answer.status_code in {204, 409, 423}, answer.text
            return answer.status_code == httpx.codes.NO_CONTENT

        eventually(sent)

    def ready(self, asset: str) -> dict[str, Any]:
        """The asset's file, once the worker is done with it."""

        def done() -> Any:
            answer = self.client.get(f"/v1/assets/{asset}/renditions", headers=self.editor)
            [file] = answer.json()["items"]
            return file if file["state"] in {"ready", "failed"} else None

        file: dict[str, Any] = eventually(done, within=90)
        assert file["state"] == "ready", file
        return file


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    folder = folder_for_postgresql()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def newsroom(folder: Path) -> Iterator[Newsroom]:
    newsroom = Newsroom(folder)
    with newsroom.serving():
        newsroom.let_in()
        yield newsroom
    newsroom.client.close()


def made(folder: Path, name: str) -> Path:
    kind = FORMATS[name]
    file = folder / kind.filename
    sound = ["-map", "1:a"] * kind.tracks
    timecode = ["-timecode", kind.start] if kind.start else []
    subprocess.run(
        [
            *("ffmpeg", "-y", "-v", "error", "-threads", "1", "-f", "lavfi", "-i", PICTURE),
            *("-f", "lavfi", "-i", TONE, "-map", "0:v", *sound, "-c:v", *kind.codec.split()),
            *(*timecode, str(file)),
        ],
        check=True,
    )
    return file


@pytest.mark.parametrize("name", FORMATS)
def test_file_comes_out_as_it_went_in(newsroom: Newsroom, tmp_path: Path, name: str) -> None:
    kind, file = FORMATS[name], made(tmp_path, name)
    contents = file.read_bytes()
    phrase = f"{PHRASE} {name}"
    asset = newsroom.draft(shotlist=[{"timecode_in": kind.start or "00:00", "text": phrase}])

    upload = newsroom.begin_upload(asset, file)
    newsroom.send_and_vanish(upload, contents, until=len(contents) // 2)
    newsroom.send_rest(upload, contents)
    check_technical(newsroom.ready(asset), kind, contents)
    desk = newsroom.client.get(f"/v1/assets/{asset}", headers=newsroom.editor).json()
    check_pictures(newsroom, desk)
    assert desk["shotlist"][0]["start_ms"] == 0  # whatever the timecode that the file starts at
    newsroom.change("POST", "/publish", asset)

    found = newsroom.client.get("/v1/assets", params={"q": f'"{phrase}"'}).json()["items"]
    assert [item["id"] for item in found] == [asset]
    assert found[0]["matches"][0]["start_ms"] == 0
    check_pictures(newsroom, found[0])
    check_formats(newsroom, asset)
    assert digest(downloaded_in_two(newsroom, asset)) == digest(contents)


def check_technical(file: dict[str, Any], kind: Format, contents: bytes) -> None:
    technical = file["technical"]
    assert (file["sha256"], file["size_bytes"]) == (digest(contents), len(contents))
    shape = {"width": 1920, "height": 1080, "frame_rate": {"num": 25, "den": 1}}
    assert technical["video"] == {**technical["video"], **shape, **kind.expected}
    assert technical["start_timecode"] == kind.start
    assert (technical["duration_ms"], len(technical["audio_tracks"])) == (1000, kind.tracks)
    assert {track["sampling_rate_hz"] for track in technical["audio_tracks"]} == {48_000}


def check_pictures(newsroom: Newsroom, document: dict[str, Any]) -> None:
    """Anybody who was given the addresses sees the poster and the preview."""
    poster, preview = [newsroom.client.get(document[each]["url"]) for each in ("poster", "preview")]
    assert (poster.status_code, preview.status_code) == (200, 200)
    with av.open(io.BytesIO(poster.content), "r") as container:
        frame = next(container.decode(video=0))
    assert (frame.width, frame.height) == (1280, 720)
    picture = frame.reformat(format="rgb24").planes[0]
    first, second = (bytes(picture)[600 * picture.line_size + 3 * x :][:3] for x in (60, 300))
    assert max(first) == first[0]  # the bars of the test picture begin with red and green
    assert max(second) == second[1]
    with av.open(io.BytesIO(preview.content), "r") as container:
        assert (container.streams.video[0].height, len(container.streams.audio)) == (540, 1)
        assert len(list(container.decode(video=0))) == 25


def check_formats(newsroom: Newsroom, asset: str) -> None:
    texts = {
        suffix: newsroom.client.get(f"/v1/assets/{asset}.{suffix}").raise_for_status().text
        for suffix in ("jsonld", "ebucore.xml", "ninjs.json", "shotlist.vtt")
    }
    assert json.loads(texts["jsonld"])["hasPart"][0]["startOffset"] == 0
    [chapter] = webvtt.from_buffer(io.StringIO(texts["shotlist.vtt"])).captions
    assert chapter.start == "00:00:00.000"
    if SCHEMAS.exists():
        ebucore_schema().validate(texts["ebucore.xml"])
        ninjs_schema().validate(json.loads(texts["ninjs.json"]))
    for feed in ("mrss", "atom"):
        parsed = feedparser.parse(newsroom.client.get(f"/v1/feeds/assets.{feed}").content)
        assert (parsed.bozo, parsed.entries[0].id) == (False, f"urn:uuid:{asset}")


def downloaded_in_two(newsroom: Newsroom, asset: str) -> bytes:
    """Cut in the middle, and resumed by the same link."""
    path = f"/v1/assets/{asset}/renditions/master/downloads"
    link = newsroom.post(path, newsroom.journalist)
    half = link["size_bytes"] // 2
    received = b""
    with newsroom.client.stream("GET", link["url"]) as response:
        tag = response.headers["etag"]
        for piece in response.iter_raw(64 * 1024):
            received += piece
            if len(received) > half:
                break
    headers = {"Range": f"bytes={len(received)}-", "If-Range": tag}
    rest = newsroom.client.get(link["url"], headers=headers)
    assert rest.status_code == 206
    return received + rest.content


def test_asset_is_nowhere_before_its_minute_and_nowhere_after_its_withdrawal(
    newsroom: Newsroom, tmp_path: Path
) -> None:
    asset = scheduled(newsroom, made(tmp_path, "mp4"))

    for path in addresses(asset):
        assert newsroom.client.get(path, headers=newsroom.journalist).status_code == 404, path
    assert named_in(newsroom, asset) == []
    schedule(newsroom, asset, timedelta(seconds=2))  # mostly longer than this request takes
    status = f"/v1/assets/{asset}"
    eventually(lambda: newsroom.client.get(status).status_code == 200)
    for path in addresses(asset):
        answer = newsroom.client.get(path, headers=newsroom.journalist)
        assert answer.status_code in {200, 302}, path
    # The worker's commit is seen before the API has heard of it and forgotten its lists.
    eventually(lambda: set(named_in(newsroom, asset)) == set(LISTS))
    newsroom.change("PATCH", "", asset, summary="Seven ships", note="It was not six")
    corrected = newsroom.client.get(status).json()
    assert (corrected["summary"], corrected["versions"][-1]["note"]) == (
        "Seven ships",
        "It was not six",
    )
    download = f"/v1/assets/{asset}/renditions/master/downloads"
    link = newsroom.post(download, newsroom.journalist)["url"]

    newsroom.change("POST", "/withdraw", asset, reason="It shows a person who is at risk")

    for path in addresses(asset):
        answer = newsroom.client.get(path, headers=newsroom.journalist)
        assert (answer.status_code, answer.json()["detail"]) == (
            410,
            "It shows a person who is at risk",
        ), path
    assert newsroom.client.get(link).status_code in {403, 410}
    assert named_in(newsroom, asset) == []


SLUG = "steady-tide-harbour"
LISTS = (
    "/v1/assets?q=quixotic",
    "/v1/assets?collection=steady-tide",
    "/v1/assets?person=Anna%20Claes",
    "/v1/assets?limit=100&facets=person,keyword",
    "/v1/feeds/assets.mrss",
    "/v1/feeds/assets.atom",
    "/v1/feeds/assets.json",
    "/v1/assets/steady-tide-report",
    "/v1/assets/steady-tide-report/related",
    "/v1/collections/steady-tide/manifest",
)


def scheduled(newsroom: Newsroom, file: Path) -> str:
    """Under embargo, in a collection, with captions, and named by a story that is public."""
    newsroom.post(
        "/v1/collections", newsroom.editor, kind="event", title="Steady Tide", slug="steady-tide"
    )
    asset = newsroom.draft(
        title="Steady Tide: the harbour",
        slug=SLUG,
        collections=["steady-tide"],
        keywords=["minehunting"],
        people=[{"name": "Anna Claes"}],
    )
    newsroom.send_rest(newsroom.begin_upload(asset, file), file.read_bytes())
    newsroom.ready(asset)
    captions = "WEBVTT\n\n00:00.000 --> 00:01.000\nWith quixotic caution\n"
    tag = newsroom.client.get(f"/v1/assets/{asset}", headers=newsroom.editor).headers["etag"]
    headers = {**newsroom.editor, "If-Match": tag, "Content-Type": "text/vtt"}
    path = f"/v1/assets/{asset}/captions/en"
    assert newsroom.client.put(path, content=captions, headers=headers).status_code == 201
    related = [{"id": asset}]
    story = newsroom.draft(type="story", slug="steady-tide-report", related=related)
    newsroom.change("POST", "/publish", story)
    assert schedule(newsroom, asset, timedelta(days=1)) == "scheduled"
    return asset


def schedule(newsroom: Newsroom, asset: str, embargo: timedelta) -> str:
    at = (datetime.now(UTC) + embargo).isoformat()
    answer = newsroom.change("POST", "/publish", asset, publish_at=at)
    return str(answer.json()["status"])


def addresses(asset: str) -> list[str]:
    """All that is an asset's own."""
    suffixes = ("jsonld", "ebucore.xml", "ninjs.json", "shotlist.vtt", "shotlist.otio")
    parts = ("related", "renditions", "poster.jpg", "preview.mp4", "manifest")
    return [
        f"/v1/assets/{asset}",
        f"/v1/assets/{SLUG}",
        *(f"/v1/assets/{asset}.{suffix}" for suffix in (*suffixes, "captions.en.vtt")),
        *(f"/v1/assets/{asset}/{part}" for part in parts),
        f"/v1/assets/{asset}/renditions/master/download",
    ]


def named_in(newsroom: Newsroom, asset: str) -> list[str]:
    """The lists, feeds and neighbours that tell of the asset in any way."""
    words = (asset, SLUG, "minehunting", "Anna Claes")
    found = []
    for path in LISTS:
        answers = [newsroom.client.get(path, headers=newsroom.journalist)]
        if not path.endswith("/manifest"):
            answers.append(newsroom.client.get(path))
        if any(word in answer.raise_for_status().text for answer in answers for word in words):
            found.append(path)
    return found


def digest(contents: bytes) -> str:
    return hashlib.sha256(contents).hexdigest()
