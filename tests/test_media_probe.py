import json
import socket
import subprocess
import wave
from collections.abc import Callable
from dataclasses import asdict
from fractions import Fraction
from hashlib import sha256
from os import abort
from pathlib import Path
from random import Random

import av
import pytest
from av.codec.context import Flags

from app.adapters import sandbox
from app.adapters.media_probe import (
    AudioTrack,
    FrameRate,
    Image,
    ProbeError,
    VideoTrack,
    probe,
    sha256_file,
)
from app.adapters.poster import poster
from app.adapters.test_card import ClipSpec, render

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


def test_clip_is_described_exactly(clip: Path) -> None:
    technical = probe(clip)

    assert technical.container == "MPEG-4"
    assert technical.mime_type == "video/mp4"
    assert technical.size_bytes == clip.stat().st_size
    assert technical.duration_ms == 2000
    assert technical.bit_rate == pytest.approx(clip.stat().st_size * 8 / 2, abs=1)
    assert (technical.start_timecode, technical.drop_frame) == ("10:00:00:00", False)
    assert technical.image is None


def test_video_track_is_described_exactly(clip: Path) -> None:
    video = probe(clip).video

    assert video is not None
    assert video.bit_rate == pytest.approx(clip.stat().st_size * 4, rel=0.5)
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


def test_audio_track_is_described_exactly(clip: Path) -> None:
    tracks = probe(clip).audio_tracks

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


def test_description_can_be_stored_as_json(clip: Path) -> None:
    stored = json.loads(json.dumps(asdict(probe(clip))))

    assert stored["video"]["frame_rate"] == {"num": 50, "den": 1}
    assert stored["audio_tracks"][0]["layout"] == "L R"


def test_drop_frame_timecode_and_fractional_frame_rate_are_told(tmp_path: Path) -> None:
    path = tmp_path / "ntsc.mov"
    write_video(path, "libx264", rate=Fraction(30000, 1001), timecode="01:00:00;00")

    technical = probe(path)

    assert technical.mime_type == "video/quicktime"
    assert (technical.start_timecode, technical.drop_frame) == ("01:00:00;00", True)
    assert technical.video is not None
    assert technical.video.frame_rate == FrameRate(30000, 1001)
    assert technical.video.chroma_subsampling == "4:2:2"


def test_interlaced_anamorphic_mxf_is_told(tmp_path: Path) -> None:
    path = tmp_path / "interlaced.mxf"
    flags = Flags.interlaced_dct | Flags.interlaced_me
    write_video(path, "mpeg2video", rate=Fraction(25), timecode="10:00:00:00", flags=flags)

    technical = probe(path)

    assert (technical.container, technical.mime_type) == ("MXF", "application/mxf")
    assert technical.start_timecode == "10:00:00:00"
    assert technical.video is not None
    assert technical.video.scan_type == "interlaced"
    assert technical.video.scan_order in {"TFF", "BFF"}
    assert technical.video.display_aspect_ratio == "16:9"
    assert technical.video.pixel_aspect_ratio == pytest.approx(64 / 45, abs=0.001)


def test_sound_without_picture_is_media(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    write_wave(path)

    technical = probe(path)

    assert technical.video is None
    assert technical.mime_type == "audio/vnd.wave"
    assert technical.duration_ms == 500
    assert [(track.codec, track.bit_depth) for track in technical.audio_tracks] == [("PCM", 24)]
    assert (technical.start_timecode, technical.drop_frame) == (None, None)


def test_still_picture_is_media(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "still.jpg"
    path.write_bytes(poster(clip, 0, 320))

    technical = probe(path)

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
def test_foreign_file_is_not_media(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "upload.mp4"
    path.write_bytes(content)

    with pytest.raises(ProbeError) as refusal:
        probe(path)

    assert refusal.value.reason == "not_media"


def test_empty_file_is_refused_as_empty(tmp_path: Path) -> None:
    path = tmp_path / "empty.mp4"
    path.touch()

    with pytest.raises(ProbeError) as refusal:
        probe(path)

    assert refusal.value.reason == "file_empty"


@pytest.mark.parametrize("kept", [0.0002, 0.05, 0.5, 0.99])
def test_truncated_clip_is_refused(clip: Path, tmp_path: Path, kept: float) -> None:
    data = clip.read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: max(40, round(len(data) * kept))])

    with pytest.raises(ProbeError) as refusal:
        probe(path)

    assert refusal.value.reason == "file_truncated"


def test_missing_file_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        probe(tmp_path / "missing.mp4")


@pytest.mark.parametrize(
    ("content", "reason"), [(HLS, "not_media"), (DASH, "references_other_files")]
)
def test_address_in_a_file_is_not_fetched(content: str, reason: str, tmp_path: Path) -> None:
    """MediaInfo asks for it with a GET when nothing stops it: a way into our network."""
    path = tmp_path / "upload.mp4"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/secret.mp4"
        path.write_text(content.format(url=address))

        with pytest.raises(ProbeError) as refusal:
            probe(path)
        with pytest.raises(BlockingIOError):
            server.accept()

    assert refusal.value.reason == reason


def test_path_in_a_file_is_not_read(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "upload.mp4"
    path.write_text(HLS.format(url=clip.as_uri()))

    with pytest.raises(ProbeError) as refusal:
        probe(path)

    assert refusal.value.reason == "not_media"


def test_parser_does_not_inherit_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "hush")

    environment = sandbox.run(subprocess.check_output, "env")

    assert b"PATH=" in environment
    assert b"hush" not in environment


def test_crash_of_a_parser_is_an_error_and_no_more(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(_function: Callable[..., bytes], *_arguments: str) -> bytes:
        return sandbox_run(abort)

    sandbox_run = sandbox.run
    monkeypatch.setattr(sandbox, "run", crash)

    with pytest.raises(ProbeError) as refusal:
        probe(clip)

    assert refusal.value.reason == "parser_failed"


def test_hash_is_that_of_the_whole_file(clip: Path) -> None:
    assert sha256_file(clip) == sha256(clip.read_bytes()).hexdigest()
