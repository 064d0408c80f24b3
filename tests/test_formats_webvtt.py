"""Shotlists as WebVTT chapters."""

from typing import Any

import webvtt as webvtt_reader

from app.formats import webvtt
from app.formats.timing import clock, iso_duration
from tests.sample_documents import MINIMAL, VIDEO


def cues_of(document: dict[str, Any]) -> list[tuple[str | None, str, str, str]]:
    read = webvtt_reader.from_string(webvtt.write(document).decode())
    return [(cue.identifier, cue.start, cue.end, cue.text) for cue in read.captions]


def with_times(*times: tuple[int, int | None], duration: int | None = 15_000) -> dict[str, Any]:
    shots = [
        {**VIDEO["shotlist"][0], "number": number, "start_ms": start, "end_ms": end}
        for number, (start, end) in enumerate(times, start=1)
    ]
    return {**VIDEO, "shotlist": shots, "duration_ms": duration}


def times_of(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(start, end) for _, start, end, _ in cues_of(document)]


def test_each_shot_is_a_cue_on_one_line() -> None:
    assert cues_of(VIDEO) == [
        ("1", "00:00:00.000", "00:00:07.500", "Wide shot --&gt; of the harbour with ships"),
        ("2", "00:00:08.000", "00:00:15.000", "Jane Doe: “Quelle bonne journée.”"),
    ]


def test_shot_without_an_end_lasts_until_the_next_one() -> None:
    assert times_of(with_times((0, None), (2_000, None))) == [
        ("00:00:00.000", "00:00:02.000"),
        ("00:00:02.000", "00:00:15.000"),
    ]


def test_last_shot_without_an_end_lasts_a_second_where_nothing_is_known() -> None:
    assert times_of(with_times((20_000, None), duration=None)) == [("00:00:20.000", "00:00:21.000")]


def test_chapters_do_not_overlap() -> None:
    assert times_of(with_times((0, 9_000), (8_000, 7_000))) == [
        ("00:00:00.000", "00:00:08.000"),
        ("00:00:08.000", "00:00:15.000"),
    ]


def test_shots_are_in_the_order_of_time() -> None:
    assert times_of(with_times((5_000, 6_000), (1_000, 2_000))) == [
        ("00:00:01.000", "00:00:02.000"),
        ("00:00:05.000", "00:00:06.000"),
    ]


def test_empty_shotlist_is_a_file_without_cues() -> None:
    assert webvtt.write(MINIMAL) == b"WEBVTT\n\nNOTE\nA title\n\n"


def test_times_are_written_as_the_formats_want_them() -> None:
    assert clock(3_723_045) == "01:02:03.045"
    assert clock(360_000_000) == "100:00:00.000"
    assert iso_duration(3_723_500) == "PT1H2M3.5S"
    assert iso_duration(45) == "PT0H0M0.045S"
    assert iso_duration(0) == "PT0H0M0S"
