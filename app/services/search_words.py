"""Words as the index and queries see them, and the languages that they are stemmed by."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache

from app.services.folding import fold

# Longer ones are encoded data that got into a text: nobody types them.
WORD_MAX_LENGTH = 64

# PostgreSQL's text search configurations. Words of all other languages are kept as they are.
_CONFIGURATIONS: Mapping[str, str] = {
    "ar": "arabic",
    "ca": "catalan",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "et": "estonian",
    "eu": "basque",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "nb": "norwegian",
    "ne": "nepali",
    "nl": "dutch",
    "nn": "norwegian",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
    "yi": "yiddish",
}
SIMPLE = "simple"


def words(text: str) -> Sequence[str]:
    """The folded words of a text: letters, digits and the marks that belong to them.

    The database's own parser is never shown anything else, so it can't see an address or a number
    with a sign where the query saw two words.
    """
    return _words_of_phrase(text) if len(text) <= _PHRASE_LENGTH else _words(text)


# Names, keywords and short phrases come again with every other asset.
_PHRASE_LENGTH = 100


@lru_cache(4096)
def _words_of_phrase(text: str) -> Sequence[str]:
    return _words(text)


def _words(text: str) -> Sequence[str]:
    return tuple(word[:WORD_MAX_LENGTH] for word in WORD.findall(fold(text)))


def configuration(language: str) -> str:
    """The text search configuration of a language tag (BCP 47)."""
    return _CONFIGURATIONS.get(language.partition("-")[0].lower(), SIMPLE)


_MARKS = "".join(
    char for char in map(chr, range(0x300, 0x10000)) if unicodedata.category(char)[0] == "M"
)
LETTER = rf"(?:[^\W_]|[{_MARKS}])"
WORD = re.compile(rf"{LETTER}+")
