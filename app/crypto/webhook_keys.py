"""Signing webhooks as Standard Webhooks 1.0.0 says: v1 by HMAC-SHA256, v1a by Ed25519."""

import base64
import hmac
import secrets
from collections.abc import Sequence
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY_BYTES = 32


def new_key() -> bytes:
    """A secret for v1, or the seed of a key for v1a."""
    return secrets.token_bytes(KEY_BYTES)


def secret_text(secret: bytes) -> str:
    """The secret as receivers are given it."""
    return f"whsec_{base64.b64encode(secret).decode()}"


def public_key_text(seed: bytes) -> str:
    """The public half, by which receivers verify v1a."""
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return f"whpk_{base64.b64encode(public).decode()}"


class WebhookSigner:
    """Signs for one endpoint, by every secret that is valid now and by its key pair."""

    def __init__(self, secrets: Sequence[bytes], seed: bytes) -> None:
        self._secrets = tuple(secrets)
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    def sign(self, message_id: str, timestamp: int, body: bytes) -> str:
        """The value of `webhook-signature`; `timestamp` is in seconds since 1970."""
        signed = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
        signatures = [("v1", hmac.digest(secret, signed, sha256)) for secret in self._secrets]
        signatures.append(("v1a", self._key.sign(signed)))
        return " ".join(f"{name},{base64.b64encode(each).decode()}" for name, each in signatures)
