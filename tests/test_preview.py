"""Previews of what broadcasters send. The files are real; each is as short as it can be."""

import asyncio
from fractions import Fraction
from math import pi, sin
from pathlib import Path
from typing import Any

import av
import pytest

from app.adapters import preview, sandbox
from app.adapters.media_probe import probe
from app.adapters.preview import PreviewError, make_preview
from app.adapters.technical_metadata import TechnicalMetadata
from tests.media_files import (
    EIGHT_MONO_TRACKS,
    GREY,
    rewrite,
    with_cover,
    with_noise_for_pictures,
    write_picture,
    write_video,
    write_wave,
)
from tests.pictures import frames_of, samples_of


async def preview_of(path: Path) -> tuple[Path, TechnicalMetadata]:
    target = path.with_name("preview.mp4")
    await make_preview(path, target, duration_ms=1000, on_progress=lambda _: None)
    return target, await probe(target)


def loudness(samples: list[float], hertz: int) -> float:
    """How much of a tone there is, from 0 to the full scale of 1."""
    middle = samples[len(samples) // 4 : len(samples) // 4 + 9600]
    waves = [(sin(2 * pi * hertz * k / 48_000), sin(2 * pi * hertz * k / 48_000 + pi / 2))
             for k in range(len(middle))]  # fmt: skip
    sums = [sum(value * wave[part] for value, wave in zip(middle, waves, strict=True))
            for part in (0, 1)]  # fmt: skip
    return float((sums[0] ** 2 + sums[1] ** 2) ** 0.5 * 2 / len(middle))


@pytest.fixture
def mp4(tmp_path: Path) -> Path:
    return write_video(tmp_path / "clip.mp4", sound=[("aac", "stereo")])


async def test_preview_plays_everywhere_and_while_it_arrives(mp4: Path) -> None:
    path, technical = await preview_of(mp4)

    contents = path.read_bytes()
    assert contents.index(b"moov") < contents.index(b"mdat")
    assert technical.mime_type == "video/mp4"
    assert technical.video is not None
    assert (technical.video.codec, technical.video.profile) == ("AVC", "High")
    assert (technical.video.bit_depth, technical.video.chroma_subsampling) == (8, "4:2:0")
    assert [(track.codec, track.channels) for track in technical.audio_tracks] == [("AAC", 2)]
    assert technical.duration_ms == pytest.approx(1000, abs=60)


async def test_preview_shows_each_picture_at_its_time(mp4: Path) -> None:
    path, _ = await preview_of(mp4)

    shown = frames_of(path)
    assert [round(float(frame.time) * 25) for frame in shown] == list(range(25))
    for number, frame in enumerate(shown):
        grey = frame.reformat(format="gray").planes[0]
        assert bytes(grey)[grey.line_size * 90 + 160] == pytest.approx(
            GREY[number % len(GREY)], abs=6
        )


async def test_progress_is_told_up_to_the_end(mp4: Path) -> None:
    told: list[int] = []
    await make_preview(mp4, mp4.with_name("p.mp4"), duration_ms=1000, on_progress=told.append)
    assert told == sorted(told)
    assert 80 <= told[-1] <= 99


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param(
            {"size": (1920, 1080), "pictures": 2},
            (960, 540, Fraction(25)),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"size": (1080, 1920), "pictures": 2}, (540, 960, Fraction(25)), marks=pytest.mark.slow
        ),
        pytest.param(
            {"size": (320, 180), "pictures": 2}, (320, 180, Fraction(25)), marks=pytest.mark.slow
        ),
        pytest.param(
            {"size": (3840, 400), "pictures": 2}, (1920, 200, Fraction(25)), marks=pytest.mark.slow
        ),
        ({"rate": Fraction(50)}, (320, 180, Fraction(25))),
        pytest.param(
            {"rate": Fraction(60000, 1001)},
            (320, 180, Fraction(30000, 1001)),
            marks=pytest.mark.slow,
        ),
        pytest.param({"rate": Fraction(30)}, (320, 180, Fraction(30)), marks=pytest.mark.slow),
        ({"size": (720, 576), "pixel_aspect_ratio": Fraction(64, 45)}, (960, 540, Fraction(25))),
        ({"degrees": 90, "size": (640, 360)}, (360, 640, Fraction(25))),
    ],
    ids=["hd", "portrait", "small", "panorama", "50p", "59.94p", "30p", "anamorphic", "turned"],
)
async def test_size_and_rate_suit_a_browser(
    tmp_path: Path, options: dict[str, Any], expected: tuple[int, int, Fraction]
) -> None:
    path = write_video(tmp_path / "clip.mov", **options)

    _, technical = await preview_of(path)

    video = technical.video
    assert video is not None
    assert video.frame_rate is not None
    assert video.pixel_aspect_ratio == 1
    assert video.rotation_degrees == 0
    rate = Fraction(video.frame_rate.num, video.frame_rate.den)
    assert (video.width, video.height, rate) == expected


# Formats of broadcasters


@pytest.mark.slow
async def test_prores_with_eight_mono_tracks(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "master.mov",
        "prores_ks",
        pixels="yuv422p10le",
        codec_options={"profile": "3"},
        sound=EIGHT_MONO_TRACKS,
    )
    assert (await probe(path)).video.profile == "422 HQ"  # type: ignore[union-attr]

    target, technical = await preview_of(path)

    assert [track.channels for track in technical.audio_tracks] == [2]
    left, right = samples_of(target)
    # The first two tracks, each on its side, and nothing of the other six.
    assert loudness(left, 400) == pytest.approx(8000 / 32768, rel=0.1)
    assert loudness(right, 500) == pytest.approx(8000 / 32768, rel=0.1)
    assert loudness(left, 500) < 0.01
    assert max(loudness(left, 600), loudness(right, 600)) < 0.01


@pytest.mark.slow
async def test_interlaced_xdcam_is_shown_in_whole_pictures(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "xdcam.mxf",
        "mpeg2video",
        size=(1920, 1080),
        pixels="yuv422p",
        pictures=6,
        interlaced=True,
        bit_rate=50_000_000,
        codec_options={"maxrate": "50000000", "minrate": "50000000", "bufsize": "17825792"},
        sound=EIGHT_MONO_TRACKS[:2],
    )
    source = await probe(path)
    assert (source.container, source.video.scan_type) == ("MXF", "interlaced")  # type: ignore[union-attr]

    _, technical = await preview_of(path)

    assert technical.video is not None
    assert technical.video.scan_type == "progressive"
    assert (technical.video.width, technical.video.height) == (960, 540)
    assert technical.video.frame_count == 6


@pytest.mark.slow
async def test_avc_intra_of_ten_bits(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "avci.mxf",
        size=(1920, 1080),
        pixels="yuv422p10le",
        pictures=3,
        interlaced=True,
        codec_options={"avcintra-class": "100"},
        sound=EIGHT_MONO_TRACKS[:2],
    )
    source = await probe(path)
    assert source.video is not None
    assert (source.video.bit_depth, source.video.chroma_subsampling) == (10, "4:2:2")

    _, technical = await preview_of(path)

    assert technical.video is not None
    assert (technical.video.bit_depth, technical.video.frame_count) == (8, 3)


@pytest.mark.slow
async def test_surround_is_mixed_down(tmp_path: Path) -> None:
    path = write_video(tmp_path / "surround.mp4", sound=[("aac", "5.1")])

    target, technical = await preview_of(path)

    assert [track.channels for track in technical.audio_tracks] == [2]
    left, right = samples_of(target)
    assert min(loudness(left, 400), loudness(right, 400)) > 0.1


async def test_sound_alone_becomes_sound_alone(tmp_path: Path) -> None:
    _, technical = await preview_of(write_wave(tmp_path / "sound.wav", channels=8))

    assert technical.video is None
    assert technical.mime_type == "audio/mp4"
    assert [(track.codec, track.channels) for track in technical.audio_tracks] == [("AAC", 2)]


async def test_video_without_sound(tmp_path: Path) -> None:
    _, technical = await preview_of(write_video(tmp_path / "silent.mp4"))

    assert technical.video is not None
    assert technical.audio_tracks == ()


@pytest.mark.slow
async def test_varying_frame_rate_becomes_even(tmp_path: Path) -> None:
    times = [0, 1, 2, 8, 9, 20, 21, 22, 24]
    path = write_video(tmp_path / "phone.mp4", pictures=9, times=times)

    target, technical = await preview_of(path)

    assert technical.duration_ms == pytest.approx(1000, abs=80)
    places = [float(frame.time) * 25 for frame in frames_of(target)]
    assert places == pytest.approx(range(len(places)), abs=0.01)


async def test_sound_stays_with_its_picture_when_the_file_starts_late(tmp_path: Path) -> None:
    """Ten hours of timecode before the first picture, as tapes have it."""
    ten_hours = {"output_ts_offset": "36000"}
    path = write_video(tmp_path / "late.ts", sound=[("aac", "stereo")], file_options=ten_hours)
    with av.open(path) as container:
        assert container.start_time is not None
        assert container.start_time > 35_000_000_000

    target, technical = await preview_of(path)

    assert technical.duration_ms == pytest.approx(1000, abs=120)
    assert float(frames_of(target)[0].time) == pytest.approx(0, abs=0.08)
    assert len(samples_of(target)[0]) == pytest.approx(48_000, rel=0.06)


async def test_cover_of_a_song_is_no_video(tmp_path: Path) -> None:
    song = write_wave(tmp_path / "song.wav")
    cover = write_picture(tmp_path / "cover.png", "png", "rgb24", size=(300, 300))
    path = tmp_path / "song.mp4"
    with_cover(song, cover, path)

    _, technical = await preview_of(path)

    assert technical.video is None
    assert [track.codec for track in technical.audio_tracks] == ["AAC"]


# Files that are not what they should be


async def test_file_without_a_picture_that_decodes(mp4: Path) -> None:
    rewrite(mp4, with_noise_for_pictures)

    with pytest.raises(PreviewError) as failure:
        await preview_of(mp4)

    assert failure.value.code == "undecodable"


async def test_sound_that_ffmpeg_can_not_even_open(tmp_path: Path) -> None:
    path = write_wave(tmp_path / "sound.wav")
    rewrite(path, lambda file: file.replace(b"fmt ", b"xxxx"))

    with pytest.raises(PreviewError) as failure:
        await preview_of(path)

    assert failure.value.code == "undecodable"


async def test_codec_that_is_not_known(mp4: Path) -> None:
    rewrite(mp4, lambda file: file.replace(b"avc1", b"zzz1").replace(b"mp4a", b"zzz2"))

    with pytest.raises(PreviewError) as failure:
        await preview_of(mp4)

    assert failure.value.code == "no_decoder"


@pytest.mark.slow
async def test_preview_ends_where_the_file_claims_to_end(mp4: Path) -> None:
    """What goes on behind might have no end."""
    target = mp4.with_name("p.mp4")
    await asyncio.to_thread(write_video, mp4, pictures=100)
    await make_preview(mp4, target, duration_ms=500, on_progress=lambda _: None)
    assert (await probe(target)).duration_ms == pytest.approx(2500, abs=200)


async def test_full_disk_is_no_fault_of_the_file(mp4: Path) -> None:
    with pytest.raises(PreviewError) as failure:
        await make_preview(mp4, Path("/dev/full"), duration_ms=1000, on_progress=lambda _: None)
    assert failure.value.code == "no_space"


async def test_preview_that_takes_too_long_is_given_up(
    mp4: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview, "_limits", lambda _: sandbox.Limits(wall_seconds=0))

    with pytest.raises(PreviewError, match="no result within 0 seconds"):
        await preview_of(mp4)


async def test_preview_that_grows_too_large_is_given_up(
    mp4: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview, "_limits", lambda _: sandbox.Limits(file_bytes=1000))

    with pytest.raises(PreviewError) as failure:
        await preview_of(mp4)

    assert failure.value.code is None
    assert mp4.with_name("preview.mp4").stat().st_size <= 1000
