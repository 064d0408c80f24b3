"""Writes the descriptive fields of a made-up asset, each sentence in both languages."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from random import Random
from typing import Any

from app.jobs.demo_texts import Language, Phrase, texts
from app.services import timecodes

# So many assets have a translation.
TRANSLATED = 0.4
_CLASSES = ("edited", "broll", "raw", "soundbite", "press_conference", "live")
# How the person of an asset has to do with it.
_RELATIONS = {"video": "heard", "audio": "heard", "image": "shown", "story": "mentioned"}
_ROLES: Sequence[Phrase] = (
    {"en": "commander", "fr": "commandant"},
    {"en": "spokesperson", "fr": "porte-parole"},
    {"en": "engineer", "fr": "ingénieur"},
    {"en": "mayor", "fr": "maire"},
    {"en": "professor", "fr": "professeur"},
    {"en": "medic", "fr": "infirmier"},
)
_TERMS: Phrase = {
    "en": "Free for editorial use in broadcast, print and online.",
    "fr": "Libre pour un usage rédactionnel, à l'antenne, imprimé et en ligne.",
}
_RIGHTS = {"credit_line": "Multimedia Account", "copyright_holder": "Multimedia Account"}
_OTHER: Mapping[Language, Language] = {"en": "fr", "fr": "en"}
_FRAME_MS = 40
_CLOCK = timecodes.FrameCount()


@dataclass(frozen=True, slots=True)
class _Shot:
    number: int
    start_ms: int
    end_ms: int
    phrase: Phrase
    speaker: str | None


class AssetWords:
    """What one asset is about: somebody, something, somewhere."""

    def __init__(self, random: Random) -> None:
        words = texts()
        self._random, self._words = random, words
        self.language: Language = random.choice(("en", "en", "fr"))
        self._place = random.choice(words.places)
        self._actor = random.choice(words.actors)
        self._action = random.choice(words.actions)
        self._person = self._name()
        self._ship = random.choice(words.ships)
        self._number = random.randrange(20, 4_000, 10)
        self._slots: dict[Language, dict[str, Any]] = {}
        self.title = self._title(self.language)

    def fields(self, kind: str, at: datetime) -> dict[str, Any]:
        """The descriptive fields, as an editor's would be stored."""
        random, language = self._random, self.language
        told = random.sample(self._words.sentences, 6 if kind == "story" else 3)
        shots = list(self._shots()) if kind == "video" else []
        reference = f"{at:%y%m%d}-{random.randrange(10**6):06}"
        fields: dict[str, Any] = {
            **self._told(language, told, is_story=kind == "story"),
            "keywords": self._keywords(),
            "location": self._location(),
            "people": self._people(kind),
            "organisations": [{"name": "Multimedia Account", "uri": None}],
            "credits": [{"role": "camera", "name": self._name()}],
            "rights": {**_RIGHTS, "usage_terms": _TERMS[language], "copyright_year": at.year},
            "filmed_from": (at - timedelta(days=1)).date().isoformat(),
            "alternative_ids": [{"role": "reference", "value": reference}],
        }
        if kind in {"video", "audio"}:
            fields["spoken_languages"] = [language]
        if shots:
            fields["content_class"] = random.choice(_CLASSES)
            fields["shotlist"] = [self._described(shot) for shot in shots]
        if random.random() < TRANSLATED:
            other = _OTHER[language]
            translated = self._told(other, told, is_story=kind == "story")
            fields["translations"] = {other: {**translated, **self._translated(shots, other)}}
        return fields

    def _title(self, language: Language) -> str:
        actor = self._actor.name[language]
        return f"{_capital(actor)} {self._filled(self._action, language)}"

    def _told(
        self, language: Language, told: Sequence[Phrase], *, is_story: bool
    ) -> dict[str, str]:
        title = self._title(language)
        headline = f"{title} \N{EN DASH} {self._place.city[language]}"
        sentences = [_capital(self._filled(each, language)) for each in told]
        if is_story:
            body = "\n\n".join(sentences)
            return {"title": title, "headline": headline, "summary": sentences[0], "body": body}
        return {"title": title, "headline": headline, "summary": " ".join(sentences)}

    def _filled(self, phrase: Phrase, language: Language) -> str:
        text = phrase[language]
        return text.format_map(self._filling(language)) if "{" in text else text

    def _filling(self, language: Language) -> Mapping[str, Any]:
        """What stands for the names in braces."""
        if language not in self._slots:
            actor = self._actor.name[language]
            self._slots[language] = {
                "city": self._place.city[language],
                "actor": actor,
                "Actor": _capital(actor),
                "person": self._person,
                "ship": self._ship,
                "number": self._number,
            }
        return self._slots[language]

    def _shots(self) -> Iterator[_Shot]:
        """Every fourth is what the person says."""
        random, words = self._random, self._words
        start = 0
        for number in range(1, random.randint(3, 8) + 1):
            is_said = number % 4 == 0
            phrase = random.choice(words.quotes if is_said else words.shots)
            end = start + random.randrange(2_000, 12_000, _FRAME_MS)
            yield _Shot(number, start, end, phrase, self._person if is_said else None)
            start = end

    def _described(self, shot: _Shot) -> dict[str, Any]:
        return {
            "number": shot.number,
            "timecode_in": _timecode(shot.start_ms),
            "timecode_out": _timecode(shot.end_ms),
            "start_ms": shot.start_ms,
            "end_ms": shot.end_ms,
            "kind": "soundbite" if shot.speaker else "shot",
            "text": self._filled(shot.phrase, self.language),
            "speaker": shot.speaker,
            "language": self.language if shot.speaker else None,
            "location": None,
            "filmed_on": None,
        }

    def _translated(self, shots: Sequence[_Shot], language: Language) -> dict[str, Any]:
        if not shots:
            return {}
        return {
            "shotlist": [
                {"number": shot.number, "text": self._filled(shot.phrase, language)}
                for shot in shots
            ]
        }

    def _keywords(self) -> list[str]:
        found = self._random.choices(
            self._words.keywords,
            cum_weights=self._words.keyword_weights,
            k=self._random.randint(3, 7),
        )
        return list(dict.fromkeys([self._actor.theme, *found]))

    def _location(self) -> dict[str, Any]:
        place = self._place
        return {
            "city": place.city[self.language],
            "country": place.country,
            "latitude": place.latitude,
            "longitude": place.longitude,
        }

    def _people(self, kind: str) -> list[dict[str, Any]]:
        role = self._random.choice(_ROLES)[self.language]
        person = {"name": self._person, "role": role, "rank": None}
        return [{**person, "relation": _RELATIONS[kind], "uri": None}]

    def _name(self) -> str:
        first_names, last_names = self._words.first_names, self._words.last_names
        return f"{self._random.choice(first_names)} {self._random.choice(last_names)}"


@cache  # of a few thousand: shots begin and end with a frame, within minutes
def _timecode(milliseconds: int) -> str:
    return timecodes.from_ms(milliseconds, _CLOCK)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
