"""What people are told before they subscribe, word for word, by version and language.

Evidence of consent names a version for years, so no text here is ever changed or taken away: other
words are a new version, in every language, and `CURRENT` names it.
"""

# ruff: noqa: RUF001  # the apostrophe of French print is no mistake

from collections.abc import Mapping
from types import MappingProxyType

from app.errors import FieldError, InvalidInput

CURRENT = "2026-11-30"
TEXTS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "2026-11-24": {
            "en": (
                "Yes, please send me the newsletter of Multimedia Account by email. I can leave at "
                "any time by the link in each mail. My address serves this purpose alone and is "
                "given to nobody else. Nobody records which mails I open or which links I follow."
            ),
            "fr": (
                "Oui, envoyez-moi la lettre d’information de Multimedia Account par e-mail. Je "
                "peux me désabonner à tout moment par le lien de chaque message. Mon adresse ne "
                "sert qu’à cela et n’est transmise à personne. Personne n’enregistre quels "
                "messages j’ouvre ni quels liens je suis."
            ),
        },
        "2026-11-30": {
            "en": (
                "Yes, please send me the newsletter of Multimedia Account by email. I can leave at "
                "any time by the link in each mail. My address serves this purpose alone and is "
                "given to nobody else. Nobody records which mails I open or which links I follow."
            ),
            "fr": (
                "Oui, envoyez-moi la lettre d’information de Multimedia Account par courriel. Je "
                "peux me désabonner à tout moment par le lien de chaque message. Mon adresse ne "
                "sert qu’à cela et n’est transmise à personne. Personne n’enregistre quels "
                "messages j’ouvre ni quels liens je suis."
            ),
        },
    }
)


class UnknownConsentText(InvalidInput):
    code, title = "unknown_consent_text", "There is no text of consent of this version"


def check(version: str | None) -> str | None:
    """The version as it was sent, if it is one; none is said where no text was shown."""
    if version is not None and version not in TEXTS:
        pointer, code = "/consent_text_version", UnknownConsentText.code
        message = UnknownConsentText.title
        raise UnknownConsentText(errors=[FieldError(pointer=pointer, code=code, message=message)])
    return version


def current(language: str) -> str:
    """The words that a form shows now to whoever reads this language."""
    return TEXTS[CURRENT][language]
