"""Email addresses: what is accepted, and when two spellings are one address."""

import re
import unicodedata
from dataclasses import dataclass

import idna

from app.errors import InvalidInput

# RFC 5321, section 4.5.3.1: octets.
LOCAL_PART_MAX = 64
ADDRESS_MAX = 254
# A dot-atom of RFC 5322 and RFC 6531: no quotes, comments or spaces, and letters of any script.
_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u00a1-\U0010ffff]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class EmailAddress:
    """`typed` is shown and mailed to; `key` decides whether two addresses are the same."""

    typed: str
    key: str


class InvalidEmail(InvalidInput):
    code, title = "invalid_email", "That is not an email address we can write to"


def parse_email(text: str, *, pointer: str = "/email") -> EmailAddress:
    """Check and normalise an address: NFKC, case folded, its domain in IDNA's ASCII form."""
    local_part, _, domain = unicodedata.normalize("NFC", text).rpartition("@")
    # As typed, but the domain in its plain form: mail servers know no full-width letters or "@".
    typed = f"{local_part}@{unicodedata.normalize('NFKC', domain)}"
    key = _key(unicodedata.normalize("NFKC", typed)) if all(map(_is_visible, domain)) else None
    if key is None:
        message = InvalidEmail.title
        raise InvalidEmail(
            errors=[{"pointer": pointer, "code": "invalid_email", "message": message}]
        )
    return EmailAddress(typed, key)


def _key(address: str) -> str | None:
    local_part, at, domain = address.rpartition("@")
    if not at or not _is_local_part(local_part):
        return None
    try:
        ascii_domain = idna.encode(domain, uts46=True, transitional=False).decode().lower()
    except (idna.IDNAError, UnicodeError):
        return None
    key = f"{unicodedata.normalize('NFKC', local_part.casefold())}@{ascii_domain}"
    is_host = "." in ascii_domain and not ascii_domain.replace(".", "").isdigit()
    return key if is_host and len(key.encode()) <= ADDRESS_MAX else None


def _is_local_part(text: str) -> bool:
    if len(text.encode()) > LOCAL_PART_MAX or any(not _is_visible(char) for char in text):
        return False
    return all(_LOCAL_PART.fullmatch(atom) for atom in text.split("."))


def _is_visible(char: str) -> bool:
    """No control, format (zero width, bidi), separator, private or unassigned characters."""
    return unicodedata.category(char)[0] not in "CZ"
