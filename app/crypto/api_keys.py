"""API keys: `mma_`, 32 random characters, and a checksum by which scanners of secrets know them."""

import re
import secrets
from hashlib import sha256
from zlib import crc32

KEY_PREFIX = "mma_"
RANDOM_CHARACTERS = 32  # 190 bits
CHECKSUM_CHARACTERS = 6
HINT_CHARACTERS = 4
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FORM = re.compile(rf"{KEY_PREFIX}[0-9A-Za-z]{{{RANDOM_CHARACTERS + CHECKSUM_CHARACTERS}}}")


def new_api_key() -> str:
    """A key that nobody can guess; it is shown once, and only its hash is stored."""
    random = "".join(secrets.choice(_DIGITS) for _ in range(RANDOM_CHARACTERS))
    return f"{KEY_PREFIX}{random}{_checksum(KEY_PREFIX + random)}"


def is_api_key(text: str) -> bool:
    """Whether the text has the form of a key and the right checksum; no look-up is needed."""
    if not _FORM.fullmatch(text):
        return False
    return _checksum(text[:-CHECKSUM_CHARACTERS]) == text[-CHECKSUM_CHARACTERS:]


def api_key_hash(key: str) -> bytes:
    """What is stored of a key. Of 190 random bits a plain SHA-256 gives nothing away."""
    return sha256(key.encode()).digest()


def api_key_hint(key: str) -> str:
    """The end of a key, by which its owner tells it from others."""
    return key[-HINT_CHARACTERS:]


def _checksum(text: str) -> str:
    """The CRC-32 of what stands before it, as six digits of base 62."""
    number, digits = crc32(text.encode()), ""
    for _ in range(CHECKSUM_CHARACTERS):
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits
