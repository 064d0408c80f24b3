from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.timecodes import FrameCount, from_ms, to_ms

PAL = FrameCount()
NTSC = FrameCount(Fraction(30000, 1001))
NTSC_60 = FrameCount(Fraction(60000, 1001))


@pytest.mark.parametrize(
    ("timecode", "clock", "milliseconds"),
    [
        ("00:00:00:00", PAL, 0),
        ("00:00:07:12", PAL, 7480),
        ("01:05", PAL, 65_000),
        ("00:01:05", PAL, 65_000),
        ("01:00:00:24", PAL, 3_600_960),
        # Ten minutes of dropped numbers are ten minutes to a hundredth of a second.
        ("00:10:00;00", NTSC, 600_000),
        ("00:01:00;02", NTSC, 60_060),
        ("00:01:00:02", NTSC, 60_127),
        ("01:00:00;00", NTSC_60, 3_600_000 - 3),
        ("10:00:07:12", FrameCount(Fraction(25), "10:00:00:00"), 7480),
        ("00:00:07:12", FrameCount(Fraction(25), "10:00:00:00"), 7480),
    ],
)
def test_timecode_in_milliseconds(timecode: str, clock: FrameCount, milliseconds: int) -> None:
    assert to_ms(timecode, clock) == pytest.approx(milliseconds, abs=4)


@pytest.mark.parametrize(
    "timecode",
    [
        "",
        "7",
        "00:60:00",
        "00:00:00:25",
        "1:00:00:00",
        "00:00:00:00:00",
        "\u0660\u0660:\u0660\u0660",
    ],
)
def test_what_is_no_timecode_is_refused(timecode: str) -> None:
    with pytest.raises(ValueError, match=r"timecode|frame number"):
        to_ms(timecode, PAL)


@given(st.integers(0, 24 * 3600 * 25 - 1))
def test_every_frame_has_its_timecode(frame: int) -> None:
    milliseconds = frame * 40
    assert to_ms(from_ms(milliseconds, PAL), PAL) == milliseconds
