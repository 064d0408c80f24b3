"""Which format a client gets: RFC 9110, section 12.5.1."""

import pytest

from app.formats.asset_formats import BY_MEDIA_TYPE
from app.http.accept import NotAcceptable, best_type

JSON, LD, VTT, XML = "application/json", "application/ld+json", "text/vtt", "application/xml"
OFFERED = (JSON, LD, VTT, XML)
CHROME = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,"
    "*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"
)


@pytest.mark.parametrize(
    ("accept", "best"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("text/*", VTT),
        (LD, LD),
        ("Application/LD+JSON", LD),
        (f"{LD};q=0.5, {JSON};q=0.4", LD),
        (f"{LD};q=0.4, {JSON};q=0.5", JSON),
        (f"{LD}, {JSON}", JSON),  # among equals, the first that is offered
        (f"*/*, {JSON};q=0.1", LD),  # the closest range counts
        (f"application/*;q=0.2, {LD};q=0, */*;q=0.1", JSON),
        ("text/*;q=0.3, */*;q=0.2", VTT),
        (f"{JSON};q=0, */*", LD),
        (f'{LD};profile="a,b;c";q=0.9, {JSON};q=0.5', LD),
        (f"{VTT} ; charset=utf-8 ; q=1.0", VTT),
        (f"{VTT};Q=0.1,{XML};q=0.2", XML),
        ("image/png, */*;q=0.1", JSON),
        (f"{VTT};q=x", VTT),  # what can't be read weighs nothing less
        ("garbage, " + VTT, VTT),
        (",,;q=1,/, " + VTT, VTT),
    ],
)
def test_best_type_is_the_one_the_client_likes_most(accept: str | None, best: str) -> None:
    assert best_type(accept, OFFERED) == best


@pytest.mark.parametrize(
    "accept", ["image/png", f"{JSON};q=0", "*/*;q=0", "text/csv, image/*", "x", "json"]
)
def test_client_that_takes_nothing_of_it_is_refused(accept: str) -> None:
    with pytest.raises(NotAcceptable) as refused:
        best_type(accept, OFFERED)
    assert refused.value.detail == (
        "It is to be had as application/json, application/ld+json, text/vtt, application/xml"
    )


def test_browser_gets_json_although_it_names_xml_first() -> None:
    assert BY_MEDIA_TYPE[best_type(CHROME, BY_MEDIA_TYPE)] is None


def test_hostile_header_is_read_at_once() -> None:
    for piece in ('a/b;"', "a/b;" * 3, 'a/b;x="', " ;", "a/b; ; ; "):
        with pytest.raises(NotAcceptable):
            best_type(piece * 20_000, OFFERED)
