"""What the first few assets of the demo catalogue say: as an editor would send it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

SERIES: Mapping[str, Any] = {
    "slug": "line-up",
    "kind": "series",
    "title": "Line-up",
    "summary": "Cards and tones to set a chain by.",
    "translations": {"fr": {"title": "Mires et tonalités"}},
}
RIGHTS = {
    "usage_terms": "Free for editorial use in broadcast, print and online.",
    "credit_line": "Multimedia Account",
    "copyright_holder": "Multimedia Account",
}
CAPTIONS = """\
WEBVTT

00:00:00.000 --> 00:00:02.000
Line-up tone, one kilohertz at minus eighteen.

00:00:02.000 --> 00:00:05.000
Left is silent for a moment every three seconds.
"""
STORY: Mapping[str, Any] = {
    "slug": "how-to-check-a-picture",
    "title": "How to check a picture before it goes on air",
    "headline": "Bars, tone and a running clock tell an engineer in ten seconds what is wrong",
    "summary": "What each part of a line-up card is for, and where to download one.",
    "body": (
        "Before a programme leaves the building, somebody looks at a card. The colour bars show "
        "whether hue and saturation have survived the way. The grey steps show whether black is "
        "still black. The tone, at the alignment level, sets the sound. And the clock, frame by "
        "frame, shows whether any were lost.\n\n"
        "The three clips beside this story are such cards, in the sizes that are asked for most."
    ),
    "keywords": ["broadcast engineering", "test card"],
    "collections": ["line-up"],
    "rights": RIGHTS,
    "translations": {
        "fr": {
            "title": "Vérifier une image avant l'antenne",
            "headline": "La mire, la tonalité et l'horloge disent en dix secondes ce qui ne va pas",
            "summary": "À quoi sert chaque partie d'une mire, et où en télécharger une.",
        }
    },
}


def _video(slug: str, title: str, headline: str, french: str, *, seconds: int) -> dict[str, Any]:
    return {
        "slug": slug,
        "title": title,
        "headline": headline,
        "summary": "Colour bars, grey steps, a running timecode and line-up tone.",
        "content_class": "edited",
        "spoken_languages": ["zxx"],
        "shotlist": [
            _shot("Colour bars and grey steps, the clock at ten hours", 0, 2),
            _shot("The moving bar crosses the card; left is silent for a moment", 2, seconds),
        ],
        "location": {"city": "Brussels", "country": "BE", "latitude": 50.85, "longitude": 4.35},
        "people": [
            {
                "name": "Philippe Duarte",
                "role": "vision engineer",
                "rank": None,
                "relation": "mentioned",
                "uri": None,
            }
        ],
        "keywords": ["broadcast engineering", "test card", "line-up tone"],
        "collections": ["line-up"],
        "credits": [{"role": "design", "name": "Multimedia Account"}],
        "rights": RIGHTS,
        "translations": {"fr": {"title": french}},
    }


def _shot(text: str, start_seconds: int, end_seconds: int) -> dict[str, Any]:
    unknown = ("number", "timecode_in", "timecode_out", "speaker", "language", "location")
    return {
        **dict.fromkeys((*unknown, "filmed_on")),
        "text": text,
        "kind": "shot",
        "start_ms": start_seconds * 1000,
        "end_ms": end_seconds * 1000,
    }


VIDEOS: Sequence[Mapping[str, Any]] = (
    _video(
        "line-up-card-1080p50",
        "Line-up card, full high definition",
        "A moving test card with timecode and tone, 1080p50",
        "Mire, pleine haute définition",
        seconds=6,
    ),
    _video(
        "line-up-card-720p",
        "Line-up card, high definition",
        "The same line-up in 720 lines, for the web",
        "Mire, haute définition",
        seconds=8,
    ),
    _video(
        "line-up-card-480p",
        "Line-up card, standard definition",
        "The same line-up in 480 lines, for slow lines",
        "Mire, définition standard",
        seconds=10,
    ),
)
# What only editors see.
DRAFTS: Sequence[Mapping[str, Any]] = (
    {
        "slug": "how-to-read-a-waveform",
        "title": "How to read a waveform",
        "summary": "The second part: what the monitor shows of the same card.",
        "keywords": ["broadcast engineering"],
    },
    {"slug": "loudness-in-five-minutes", "title": "Loudness in five minutes"},
)
SCHEDULED: Mapping[str, Any] = {
    "slug": "a-hundred-years-of-line-up",
    "title": "A hundred years of line-up",
    "summary": "To be read when the century is over, and not a minute before.",
    "keywords": ["broadcast engineering", "history"],
}
SCHEDULED_FOR = datetime(2100, 1, 1, tzinfo=UTC)
# By the reason why.
WITHDRAWN: Mapping[str, Mapping[str, Any]] = {
    "The tone was wrong; line-up-card-480p replaces it": {
        "slug": "line-up-card-576i",
        "title": "Line-up card, interlaced",
    },
    "The right to show the photographs has ended": {
        "slug": "cards-of-the-seventies",
        "title": "Test cards of the seventies",
    },
}
