"""Addresses that work for a while, for those who were given them.

Pictures and frames send no token, so what they show of the desk is asked for by a signature.
"""

import struct
from datetime import UTC, datetime

from app import crypto
from app.crypto import Keyring
from app.services import policy

_MAC_BYTES = 16
_SIGNATURE = struct.Struct(f">Q{_MAC_BYTES}s")
SIGNATURE_MAX_LENGTH = 100


def sign(keyring: Keyring, purpose: str, *parts: str | bytes, until: datetime) -> str:
    """A signature of what the parts name, which holds until then, to the second."""
    expiry = int(until.timestamp())
    return crypto.base64url(_SIGNATURE.pack(expiry, _mac(keyring, purpose, parts, expiry)))


def is_signed(
    signature: str | None, keyring: Keyring, purpose: str, *parts: str | bytes, now: datetime
) -> bool:
    try:
        expiry, mac = _SIGNATURE.unpack(crypto.base64url_decode(signature or ""))
    except (ValueError, struct.error):
        return False
    if not crypto.equal(mac, _mac(keyring, purpose, parts, expiry)):
        return False
    return not policy.is_expired(datetime.fromtimestamp(expiry, UTC), now)


def _mac(keyring: Keyring, purpose: str, parts: tuple[str | bytes, ...], expiry: int) -> bytes:
    return keyring.digest(purpose, *parts, expiry.to_bytes(8))[:_MAC_BYTES]
