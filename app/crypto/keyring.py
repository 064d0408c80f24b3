"""Keys derived from SECRET_KEY, and the small things that secrets are made of."""

import base64
import hmac
import re
import secrets
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

GCM_NONCE_BYTES = 12
TOKEN_BYTES = 32


class UnsealError(Exception):
    """Sealed under another SECRET_KEY, or not as we wrote it."""


class Keyring:
    """Every key is derived from SECRET_KEY by HKDF (RFC 5869), one for each purpose."""

    def __init__(self, secret_key: str) -> None:
        self._secret = secret_key.encode()
        self._keys: dict[str, bytes] = {}

    def key(self, purpose: str) -> bytes:
        """32 bytes that serve this purpose alone."""
        if purpose not in self._keys:
            hkdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=purpose.encode())
            self._keys[purpose] = hkdf.derive(self._secret)
        return self._keys[purpose]

    def digest(self, purpose: str, *parts: str | bytes) -> bytes:
        """HMAC-SHA256 of the parts; their lengths are counted in, so ("ab", "c") ≠ ("a", "bc")."""
        mac = hmac.new(self.key(purpose), digestmod=sha256)
        for part in parts:
            data = part.encode() if isinstance(part, str) else part
            mac.update(len(data).to_bytes(4) + data)
        return mac.digest()

    def seal(self, purpose: str, plaintext: bytes) -> bytes:
        """AES-256-GCM: for secrets that must be used again, such as a mail not yet sent."""
        nonce = secrets.token_bytes(GCM_NONCE_BYTES)
        return nonce + AESGCM(self.key(purpose)).encrypt(nonce, plaintext, None)

    def unseal(self, purpose: str, sealed: bytes) -> bytes:
        nonce, ciphertext = sealed[:GCM_NONCE_BYTES], sealed[GCM_NONCE_BYTES:]
        try:
            return AESGCM(self.key(purpose)).decrypt(nonce, ciphertext, None)
        except (InvalidTag, ValueError):  # a ValueError when not even the nonce is whole
            raise UnsealError(purpose) from None


def random_bytes(count: int) -> bytes:
    return secrets.token_bytes(count)


def new_token() -> str:
    """A URL-safe secret of 256 bits."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def equal(one: bytes, other: bytes) -> bool:
    """Compare secrets in constant time."""
    return hmac.compare_digest(one, other)


def base64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")


def base64url_decode(text: str) -> bytes:
    """The bytes again; `ValueError` for anything else, which Python's decoder would pass over."""
    if not _BASE64URL.fullmatch(text):
        raise ValueError("not base64url without padding")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
