"""One form for all spellings of a text: for the index, for queries and for the vocabulary."""

import re
import unicodedata

# Letters that Unicode does not take apart, though keyboards and old systems do. Casefolding knows
# some more, such as the German sharp s.
_LETTERS = {
    "æ": "ae",
    "œ": "oe",
    "ø": "o",
    "ł": "l",
    "đ": "d",
    "ð": "d",
    "þ": "th",
    "ħ": "h",
    "ŧ": "t",
    "ŋ": "n",
    "ĸ": "k",
    "\N{LATIN SMALL LETTER DOTLESS I}": "i",
}
# Punctuation that word processors put in place of what was typed, or that nobody sees.
_PUNCTUATION = {
    "\N{LEFT SINGLE QUOTATION MARK}": "'",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{MODIFIER LETTER APOSTROPHE}": "'",
    "\N{HYPHEN}": "-",
    "\N{EN DASH}": "-",
    "\N{SOFT HYPHEN}": "",
    "\N{ZERO WIDTH JOINER}": "",
    "\N{ZERO WIDTH NON-JOINER}": "",
}


def fold(text: str) -> str:
    """Take off accents and case, and make of any white space one space.

    "Zürich", "ZURICH" and "Zu\u0308rich" come out the same; so do "Straße" and "strasse". What
    tells words apart in their script stays, such as the voicing of kana and the vowels of
    Devanagari. A folded text folds to itself.
    """
    if text.isascii():  # most texts, at a fraction of the cost
        return " ".join(text.lower().split())
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", text)).casefold()
    letters = _REPLACED.sub(lambda found: _REPLACEMENTS[found[0]], plain)
    return " ".join(unicodedata.normalize("NFC", letters).split())


def _is_accent(char: str) -> bool:
    """Marks around a letter, and the points of Hebrew and Arabic (UAX 44, section 5.7.4)."""
    return unicodedata.combining(char) in _ACCENT_CLASSES


_ACCENT_CLASSES = {*range(10, 37), *range(200, 241)}
_ACCENTS = re.compile(f"[{''.join(filter(_is_accent, map(chr, range(0x300, 0x10000))))}]+")
_REPLACEMENTS = _LETTERS | _PUNCTUATION
_REPLACED = re.compile(f"[{''.join(_REPLACEMENTS)}]")
