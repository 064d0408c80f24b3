import json
import socket
import struct
import wave
from contextlib import suppress
from dataclasses import asdict
from fractions import Fraction
from functools import partial
from hashlib import sha256
from pathlib import Path
from random import Random

import av
import pytest
from av.codec.context import Flags

from app.adapters import sandbox
from app.adapters.media_probe import ProbeError, probe, sha256_file
from app.adapters.poster import poster
from app.adapters.technical_metadata import AudioTrack, FrameRate, Image, VideoTrack
from app.adapters.test_card import ClipSpec, render
from tests import media_files
from tests.media_files import MP4_HEAD, atom

HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{url}\n#EXT-X-ENDLIST\n"
DASH = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
    '<AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1000">'
    "<BaseURL>{url}</BaseURL></Representation></AdaptationSet></Period></MPD>"
)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("media_probe") / "clip.mp4"
    render(path, ClipSpec("test", 640, 360, Fraction(50), 2, accent=(0.1, 0.2, 0.3)))
    return path


def size_of(path: Path) -> int:
    return path.stat().st_size


def cut(path: Path, target: Path, kept: float) -> Path:
    data = path.read_bytes()
    target.write_bytes(data[: max(40, round(len(data) * kept))])
    return target


def write_wave(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(3)
        file.setframerate(48_000)
        file.writeframes(bytes(2 * 3 * 24_000))


def write_video(path: Path, codec: str, *, rate: Fraction, timecode: str, flags: int = 0) -> None:
    """Three pictures of noise, interlaced if the flags say so, of 720 x 576 in 16:9."""
    randbytes = Random(1).randbytes  # noqa: S311  # noise, no secret
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=rate)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 720, 576, "yuv422p"
        stream.codec_context.sample_aspect_ratio = Fraction(64, 45)
        stream.codec_context.flags |= flags
        stream.metadata["timecode"] = timecode
        for number in range(3):
            frame = av.VideoFrame(720, 576, "yuv422p")
            for plane in frame.planes:
                plane.update(randbytes(plane.buffer_size))
            frame.pts, frame.time_base = number, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


async def test_clip_is_described_exactly(clip: Path) -> None:
    technical = await probe(clip)

    assert technical.container == "MPEG-4"
    assert technical.mime_type == "video/mp4"
    assert technical.size_bytes == size_of(clip)
    assert technical.duration_ms == 2000
    assert technical.bit_rate == pytest.approx(size_of(clip) * 8 / 2, abs=1)
    assert (technical.start_timecode, technical.drop_frame) == ("10:00:00:00", False)
    assert technical.image is None


async def test_video_track_is_described_exactly(clip: Path) -> None:
    video = (await probe(clip)).video

    assert video is not None
    assert video.bit_rate == pytest.approx(size_of(clip) * 4, rel=0.5)
    assert video == VideoTrack(
        codec="AVC",
        profile="High",
        level="3.1",
        width=640,
        height=360,
        display_aspect_ratio="16:9",
        pixel_aspect_ratio=1.0,
        rotation_degrees=0,
        frame_rate=FrameRate(50, 1),
        frame_count=100,
        scan_type="progressive",
        scan_order=None,
        bit_depth=8,
        chroma_subsampling="4:2:0",
        colour_primaries="BT.709",
        colour_transfer="BT.709",
        colour_matrix="BT.709",
        colour_range="Limited",
        bit_rate=video.bit_rate,
        bit_rate_mode=None,
    )


async def test_audio_track_is_described_exactly(clip: Path) -> None:
    tracks = (await probe(clip)).audio_tracks

    assert tracks == (
        AudioTrack(
            codec="AAC",
            channels=2,
            layout="L R",
            sampling_rate_hz=48_000,
            bit_depth=None,
            language="zxx",
            bit_rate=tracks[0].bit_rate,
        ),
    )
    assert tracks[0].bit_rate == pytest.approx(128_000, rel=0.05)


async def test_description_can_be_stored_as_json(clip: Path) -> None:
    stored = json.loads(json.dumps(asdict(await probe(clip))))

    assert stored["video"]["frame_rate"] == {"num": 50, "den": 1}
    assert stored["audio_tracks"][0]["layout"] == "L R"


async def test_drop_frame_timecode_and_fractional_frame_rate_are_told(tmp_path: Path) -> None:
    path = tmp_path / "ntsc.mov"
    write_video(path, "libx264", rate=Fraction(30000, 1001), timecode="01:00:00;00")

    technical = await probe(path)

    assert technical.mime_type == "video/quicktime"
    assert (technical.start_timecode, technical.drop_frame) == ("01:00:00;00", True)
    assert technical.video is not None
    assert technical.video.frame_rate == FrameRate(30000, 1001)
    assert technical.video.chroma_subsampling == "4:2:2"


async def test_interlaced_anamorphic_mxf_is_told(tmp_path: Path) -> None:
    path = tmp_path / "interlaced.mxf"
    flags = Flags.interlaced_dct | Flags.interlaced_me
    write_video(path, "mpeg2video", rate=Fraction(25), timecode="10:00:00:00", flags=flags)

    technical = await probe(path)

    assert (technical.container, technical.mime_type) == ("MXF", "application/mxf")
    assert technical.start_timecode == "10:00:00:00"
    assert technical.video is not None
    assert technical.video.scan_type == "interlaced"
    assert technical.video.scan_order in {"TFF", "BFF"}
    assert technical.video.display_aspect_ratio == "16:9"
    assert technical.video.pixel_aspect_ratio == pytest.approx(64 / 45, abs=0.001)


async def test_sound_without_picture_is_media(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    write_wave(path)

    technical = await probe(path)

    assert technical.video is None
    assert technical.mime_type == "audio/vnd.wave"
    assert technical.duration_ms == 500
    assert [(track.codec, track.bit_depth) for track in technical.audio_tracks] == [("PCM", 24)]
    assert (technical.start_timecode, technical.drop_frame) == (None, None)


async def test_still_picture_is_media(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "still.jpg"
    path.write_bytes((await poster(clip, width=320)).jpeg)

    technical = await probe(path)

    assert technical.image == Image(width=320, height=180)
    assert technical.mime_type == "image/jpeg"
    assert (technical.video, technical.audio_tracks, technical.duration_ms) == (None, (), None)


@pytest.mark.parametrize(
    "content",
    [
        b"a story, not a video\n" * 100,
        b"1\n00:00:01,000 --> 00:00:02,000\nsubtitles alone\n",
        b"<!doctype html><html><body>page</body></html>",
        b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n",
        bytes(range(256)) * 400,
        bytes(100_000),
        b"\x00",
    ],
    ids=["text", "subtitles", "html", "pdf", "bytes", "zeros", "one byte"],
)
async def test_foreign_file_is_not_media(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "upload.mp4"
    path.write_bytes(content)

    with pytest.raises(ProbeError) as refusal:
        await probe(path)

    assert refusal.value.reason == "not_media"


async def test_empty_file_is_refused_as_empty(tmp_path: Path) -> None:
    path = tmp_path / "empty.mp4"
    path.touch()

    with pytest.raises(ProbeError) as refusal:
        await probe(path)

    assert refusal.value.reason == "file_empty"


@pytest.mark.parametrize("kept", [0.0002, 0.05, 0.5, 0.99])
async def test_truncated_clip_is_refused(clip: Path, tmp_path: Path, kept: float) -> None:
    path = cut(clip, tmp_path / "cut.mp4", kept)

    with pytest.raises(ProbeError) as refusal:
        await probe(path)

    assert refusal.value.reason == "file_truncated"


@pytest.mark.parametrize(
    "kept", [0.6, *(pytest.param(k, marks=pytest.mark.slow) for k in (0.3, 0.95))]
)
@pytest.mark.parametrize("ending", ["mxf", "wav", "jpg", "png"])
async def test_truncated_file_of_any_format_is_refused(
    tmp_path: Path, ending: str, kept: float
) -> None:
    whole = tmp_path / f"whole.{ending}"
    if ending == "mxf":
        media_files.write_video(whole, "mpeg2video", bit_rate=5_000_000, pictures=5)
    elif ending == "wav":
        media_files.write_wave(whole)
    else:
        codec, pixels = ("mjpeg", "yuvj420p") if ending == "jpg" else ("png", "rgb24")
        media_files.write_picture(whole, codec, pixels, size=(640, 360))
    await probe(whole)

    with pytest.raises(ProbeError) as refusal:
        await probe(cut(whole, tmp_path / f"cut.{ending}", kept))

    assert refusal.value.reason == "file_truncated"


async def test_thumbnail_inside_a_jpeg_does_not_end_it(tmp_path: Path) -> None:
    whole = media_files.write_picture(tmp_path / "a.jpg", "mjpeg", "yuvj420p", size=(640, 360))
    media_files.rewrite(whole, with_thumbnail)
    assert (await probe(whole)).image == Image(640, 360)

    with pytest.raises(ProbeError) as refusal:
        await probe(cut(whole, tmp_path / "cut.jpg", 0.9))

    assert refusal.value.reason == "file_truncated"


def with_thumbnail(jpeg: bytes) -> bytes:
    inside = b"Exif\0\0" + jpeg[:600] + b"\xff\xd9"
    return jpeg[:2] + b"\xff\xe1" + (2 + len(inside)).to_bytes(2) + inside + jpeg[2:]


@pytest.mark.parametrize("size", [(320, 180), (1920, 1080)])
async def test_tiff_is_a_picture_however_small(tmp_path: Path, size: tuple[int, int]) -> None:
    path = media_files.write_picture(tmp_path / "a.tiff", "tiff", "rgb24", size=size)

    technical = await probe(path)

    assert technical.image == Image(*size)
    assert technical.mime_type == "image/tiff"


async def test_encrypted_video_is_refused(tmp_path: Path) -> None:
    scheme = {
        "encryption_scheme": "cenc-aes-ctr",
        "encryption_key": "76a6c65c5ea762046bd749a2e632ccbb",
        "encryption_kid": "a7e61c373e219033c21091fa607bf3b8",
    }
    path = media_files.write_video(tmp_path / "a.mp4", file_options=scheme)

    with pytest.raises(ProbeError) as refusal:
        await probe(path)

    assert refusal.value.reason == "encrypted"


HOSTILE = {
    "atom of 2^63 bytes": (MP4_HEAD + struct.pack(">I4sQ", 1, b"moov", 2**63) + bytes(1000)),
    "half a million atoms": MP4_HEAD + 500_000 * atom(b"free", b""),
    "20,000 atoms in each other": MP4_HEAD
    + b"".join(struct.pack(">I4s", 8 * (20_000 - depth), b"trak") for depth in range(20_000)),
    "zip": b"PK\x03\x04" + bytes(26) + b"a.txt" + bytes(5000) + b"PK\x05\x06" + bytes(18),
    "program": b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0" + bytes(4000),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
async def test_hostile_file_is_refused_in_time(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its own time: where others work, such a child gets but a little of each second."""
    path = tmp_path / "upload.mp4"
    media_files.rewrite(path, lambda _: content)
    limits = sandbox.Limits(cpu_seconds=15)
    monkeypatch.setattr(sandbox, "run", partial(sandbox.run, limits=limits))

    with pytest.raises(ProbeError) as refusal:
        await probe(path)

    assert refusal.value.reason in {"not_media", "file_truncated"}


async def test_missing_file_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await probe(tmp_path / "missing.mp4")


@pytest.mark.parametrize(
    ("content", "reason"), [(HLS, "not_media"), (DASH, "references_other_files")]
)
async def test_address_in_a_file_is_not_fetched(content: str, reason: str, tmp_path: Path) -> None:
    """MediaInfo asks for it with a GET when nothing stops it: a way into our network."""
    path = tmp_path / "upload.mp4"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/secret.mp4"
        path.write_text(content.format(url=address))

        with pytest.raises(ProbeError) as refusal:
            await probe(path)
        for asked in asked_of(server):  # the port may have been another test's a moment ago
            assert asked
            assert b"secret" not in asked

    assert refusal.value.reason == reason


def asked_of(server: socket.socket) -> list[bytes]:
    """What each who has connected begins with."""
    found = []
    with suppress(BlockingIOError):  # nobody else is there
        while True:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(60)
                found.append(connection.recv(4096))
    return found


async def test_path_in_a_file_is_not_read(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "upload.mp4"
    path.write_text(HLS.format(url=clip.as_uri()))

    with pytest.raises(ProbeError) as refusal:
        await probe(path)

    assert refusal.value.reason == "not_media"


async def test_parser_does_not_inherit_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "hush")

    environment = await sandbox.run("subprocess:check_output", "env")

    assert b"PATH=" in environment
    assert b"hush" not in environment


async def test_crash_of_a_parser_is_an_error_and_no_more(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox_run = sandbox.run
    monkeypatch.setattr(sandbox, "run", lambda *_: sandbox_run("os:abort"))

    with pytest.raises(ProbeError) as refusal:
        await probe(clip)

    assert refusal.value.reason == "parser_failed"


async def test_child_that_somebody_else_ends_is_no_fault_of_the_file(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox_run = sandbox.run
    monkeypatch.setattr(sandbox, "run", lambda *_: sandbox_run("tests.media_files:end_myself"))

    with pytest.raises(sandbox.Interrupted):
        await probe(clip)


def test_hash_is_that_of_the_whole_file(clip: Path) -> None:
    assert sha256_file(clip) == sha256(clip.read_bytes()).hexdigest()
