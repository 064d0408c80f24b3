from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from app.adapters.media_probe import sha256_file
from app.adapters.raster import from_rgb
from app.adapters.test_card import DEMO_CLIPS, ClipSpec, render, timecode_at
from tests.pictures import colour_at, frames_of, read_timecode, samples_of

SPEC = ClipSpec(
    "test",
    320,
    180,
    frame_rate=Fraction(25),
    duration_seconds=4,
    accent=(0.1, 0.2, 0.3),
    start_timecode="09:59:58:00",
)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("test_card") / "clip.mp4"
    render(path, SPEC)
    return path


def test_every_frame_shows_its_own_timecode(clip: Path) -> None:
    shown = [read_timecode(frame) for frame in frames_of(clip)]

    assert len(shown) == 100
    assert [shown[0], shown[24], shown[25]] == ["09:59:58:00", "09:59:58:24", "09:59:59:00"]
    assert [shown[49], shown[50], shown[99]] == ["09:59:59:24", "10:00:00:00", "10:00:01:24"]
    assert shown == [timecode_at("09:59:58:00", Fraction(25), number) for number in range(100)]


@pytest.mark.parametrize(
    ("start", "rate", "frame", "timecode"),
    [
        ("10:00:00:00", Fraction(50), 49, "10:00:00:49"),
        ("10:00:00:00", Fraction(50), 50, "10:00:01:00"),
        ("01:00:00:10", Fraction(30000, 1001), 20, "01:00:01:00"),
        ("00:00:59:24", Fraction(25), 1, "00:01:00:00"),
        ("23:59:59:24", Fraction(25), 1, "00:00:00:00"),
    ],
)
def test_timecode_counts_whole_frames(
    start: str, rate: Fraction, frame: int, timecode: str
) -> None:
    assert timecode_at(start, rate, frame) == timecode


def test_frames_come_at_the_frame_rate(clip: Path) -> None:
    times = [frame.time for frame in frames_of(clip)]

    assert times == pytest.approx([number / 25 for number in range(100)])


def test_clip_of_fractional_frame_rate_has_sound_as_long_as_its_pictures(tmp_path: Path) -> None:
    path = tmp_path / "ntsc.mp4"
    render(path, replace(SPEC, frame_rate=Fraction(30000, 1001), duration_seconds=1))

    frames, (_, sound) = frames_of(path), samples_of(path)

    assert len(frames) == 30
    assert [read_timecode(frame) for frame in frames[28:]] == ["09:59:58:28", "09:59:58:29"]
    assert len(sound) == pytest.approx(30 * 1001 / 30000 * 48_000, abs=1024)


def test_colour_bars_have_the_levels_of_the_standard(clip: Path) -> None:
    """8-bit levels of 75 % bars in ITU-R BT.709, from white to black."""
    frame = frames_of(clip)[0]
    bars = [colour_at(frame, 160 - 70 + 20 * column, 70) for column in range(8)]

    expected = [
        (180, 128, 128),
        (168, 44, 136),
        (145, 147, 44),
        (134, 63, 52),
        (63, 193, 204),
        (51, 109, 212),
        (28, 212, 120),
        (16, 128, 128),
    ]
    for bar, levels in zip(bars, expected, strict=True):
        assert bar == pytest.approx(levels, abs=4)


def test_accent_colours_the_ground(clip: Path) -> None:
    assert colour_at(frames_of(clip)[0], 30, 90) == pytest.approx(from_rgb((0.1, 0.2, 0.3)), abs=4)


def test_pulse_swings_from_side_to_side_once_a_second(clip: Path) -> None:
    frames = frames_of(clip)

    def brightest(frame: av.VideoFrame) -> int:
        plane, stride = memoryview(frame.planes[0]), frame.planes[0].line_size
        row = bytes(plane[38 * stride + 110 : 38 * stride + 210])
        return row.index(max(row)) + 110

    positions = [brightest(frame) for frame in frames[:51]]
    assert positions[0] == pytest.approx(160 + 46, abs=2)
    assert positions[25] == pytest.approx(160 - 46, abs=2)
    assert positions[50] == pytest.approx(160 + 46, abs=2)
    assert all(after <= before + 2 for before, after in pairwise(positions[:26]))


def test_tone_has_its_frequency_and_level(clip: Path) -> None:
    _, right = samples_of(clip)
    second = right[48_000:96_000]

    crossings = sum((before < 0) != (after < 0) for before, after in pairwise(second))

    assert crossings == pytest.approx(2 * 1000, abs=2)
    assert max(second) == pytest.approx(10 ** (-18 / 20), rel=0.05)


def test_left_channel_is_silent_for_a_quarter_of_the_third_second(clip: Path) -> None:
    left, right = samples_of(clip)

    def peak(samples: Sequence[float], start: float, end: float) -> float:
        return max(samples[round(start * 48_000) : round(end * 48_000)])

    assert peak(left, 2.80, 2.95) < 0.01
    assert peak(left, 2.5, 2.7) > 0.1
    assert peak(left, 3.05, 3.2) > 0.1
    assert peak(right, 2.80, 2.95) > 0.1


def test_key_frame_begins_every_second(clip: Path) -> None:
    keys = [number for number, frame in enumerate(frames_of(clip)) if frame.key_frame]

    assert keys == [0, 25, 50, 75]


def test_index_stands_before_the_media_so_that_playback_can_start_at_once(clip: Path) -> None:
    data, position, boxes = clip.read_bytes(), 0, []
    while position < len(data):
        boxes.append(data[position + 4 : position + 8])
        position += int.from_bytes(data[position : position + 4])

    assert boxes.index(b"moov") < boxes.index(b"mdat")


def test_same_clip_has_the_same_bytes_each_time(clip: Path, tmp_path: Path) -> None:
    render(tmp_path / "again.mp4", SPEC)

    assert sha256_file(tmp_path / "again.mp4") == sha256_file(clip)


@pytest.mark.parametrize(("width", "height"), [(640, 480), (321, 180), (180, 320)])
def test_picture_that_the_card_does_not_fit_is_refused(width: int, height: int) -> None:
    with pytest.raises(ValueError, match="16:9"):
        replace(SPEC, width=width, height=height)


def test_demo_has_three_sizes_that_look_different() -> None:
    sizes = [(clip.width, clip.height, float(clip.frame_rate)) for clip in DEMO_CLIPS]

    assert sizes == [(1920, 1080, 50.0), (1280, 720, 25.0), (854, 480, 25.0)]
    assert len({clip.accent for clip in DEMO_CLIPS}) == 3
    assert len({clip.title for clip in DEMO_CLIPS}) == 3
