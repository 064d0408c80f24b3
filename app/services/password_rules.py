"""The rules of the password policy: which of them a password breaks."""

import string
import unicodedata
from functools import cache
from importlib import resources

from app.errors import FieldError
from app.services import policy


def problems(password: str, *, email: str) -> list[FieldError]:
    """Every rule of the password policy that this password breaks, in a fixed order."""
    normalized = unicodedata.normalize("NFC", password)
    broken = {
        "password_too_short": len(normalized) < policy.PASSWORD_MIN_LENGTH,
        "password_too_long": _is_too_long(normalized),
        "password_has_space": any(char.isspace() for char in normalized),
        "password_needs_uppercase": not any(char.isupper() for char in normalized),
        "password_needs_lowercase": not any(char.islower() for char in normalized),
        "password_needs_number": not any(char.isdecimal() for char in normalized),
        "password_needs_symbol": not any(_is_symbol(char) for char in normalized),
        "password_too_common": _is_common(normalized),
        "password_contains_email": _contains_email(normalized, email),
    }
    return [
        {"pointer": "", "code": code, "message": PASSWORD_RULES[code]}
        for code, is_broken in broken.items()
        if is_broken
    ]


PASSWORD_RULES = {
    "password_too_short": f"Use at least {policy.PASSWORD_MIN_LENGTH} characters.",
    "password_too_long": f"Use at most {policy.PASSWORD_MAX_LENGTH} characters.",
    "password_has_space": "Leave out spaces.",
    "password_needs_uppercase": "Add an upper-case letter.",
    "password_needs_lowercase": "Add a lower-case letter.",
    "password_needs_number": "Add a number.",
    "password_needs_symbol": "Add a symbol, such as - ! ? # or %.",
    "password_too_common": "Choose one that is harder to guess; this one is widely used.",
    "password_contains_email": "Leave your email address out of it.",
}


def _is_too_long(password: str) -> bool:
    return (
        len(password) > policy.PASSWORD_MAX_LENGTH
        or len(password.encode()) > policy.PASSWORD_MAX_BYTES
    )


def _is_symbol(char: str) -> bool:
    """Punctuation or symbol of any script (Unicode general categories P and S)."""
    return unicodedata.category(char)[0] in "PS"


_LEET = str.maketrans("0134578@$!", "oleastbasi")


def _is_common(password: str) -> bool:
    """Whether it is a widely used password, dressed up with digits, symbols or look-alikes.

    The product's composition rule makes people write "Password123!" for "password" (ASVS 6.2.4
    and 6.1.2 ask for the words of the service too), so the core of the password is looked up.
    """
    lowered = password.lower()
    if len(set(lowered)) < policy.PASSWORD_MIN_DISTINCT:
        return True
    dressing = string.digits + string.punctuation
    undressed = {lowered, lowered.rstrip(string.punctuation), lowered.strip(dressing)}
    candidates = undressed | {form.translate(_LEET) for form in undressed}
    return not candidates.isdisjoint(_common_passwords())


_CONTEXT_WORDS = ("multimedia", "multimediaaccount", "newsletter", "broadcast", "broadcaster")


@cache
def _common_passwords() -> frozenset[str]:
    listed = resources.files("app.services").joinpath("common_passwords.txt").read_text()
    return frozenset(listed.split()).union(_CONTEXT_WORDS)


def _contains_email(password: str, email: str) -> bool:
    lowered = password.lower()
    local_part, _, domain = email.lower().partition("@")
    parts = (local_part, domain, domain.partition(".")[0])
    return any(len(part) >= policy.EMAIL_PART_MIN_LENGTH and part in lowered for part in parts)
