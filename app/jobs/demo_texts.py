"""The words of the demo catalogue, in English and French side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import accumulate
from typing import Literal

Language = Literal["en", "fr"]
LANGUAGES: tuple[Language, Language] = ("en", "fr")

Phrase = Mapping[Language, str]


@dataclass(frozen=True, slots=True)
class Place:
    city: Phrase
    country: str
    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Actor:
    name: Phrase
    theme: str


@dataclass(frozen=True, slots=True)
class Texts:
    places: tuple[Place, ...]
    actors: tuple[Actor, ...]
    actions: tuple[Phrase, ...]
    shots: tuple[Phrase, ...]
    quotes: tuple[Phrase, ...]
    sentences: tuple[Phrase, ...]
    keywords: tuple[str, ...]
    # Running sums for `random.choices`: few words are used often, and many hardly ever (Zipf).
    keyword_weights: tuple[float, ...]
    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    ships: tuple[str, ...]


@cache
def texts() -> Texts:
    keywords = tuple(dict.fromkeys(" ".join(_lines("keywords")).split()))
    first_names, last_names = (tuple(line.split()) for line in _lines("names"))
    places = (line.split("|") for line in _lines("places"))
    actors = (line.split("|") for line in _lines("actors"))
    return Texts(
        places=tuple(
            Place({"en": en, "fr": fr}, country, float(latitude), float(longitude))
            for en, fr, country, latitude, longitude in places
        ),
        actors=tuple(Actor({"en": en, "fr": fr}, theme) for en, fr, theme in actors),
        actions=_phrases("actions"),
        shots=_phrases("shots"),
        quotes=_phrases("quotes"),
        sentences=_phrases("sentences"),
        keywords=tuple(word.replace("-", " ") for word in keywords),
        keyword_weights=tuple(accumulate(1 / rank for rank in range(1, len(keywords) + 1))),
        first_names=first_names,
        last_names=last_names,
        ships=tuple(" ".join(_lines("ships")).split()),
    )


def _phrases(name: str) -> tuple[Phrase, ...]:
    pairs = (line.split("|") for line in _lines(name))
    return tuple({"en": en, "fr": fr} for en, fr in pairs)


def _lines(name: str) -> list[str]:
    folder = resources.files("app.jobs").joinpath("demo_data")
    return folder.joinpath(f"{name}.txt").read_text("utf-8").splitlines()
