"""Keys, passwords and access tokens: the one place that touches passlib, jose and cryptography."""

from app.crypto.access_tokens import (
    CLOCK_LEEWAY,
    AccessClaims,
    AccessTokens,
    InvalidToken,
    SigningKey,
    generate_signing_key,
    load_signing_key,
)
from app.crypto.keyring import (
    Keyring,
    UnsealError,
    base64url,
    base64url_decode,
    equal,
    new_token,
    random_bytes,
)
from app.crypto.passwords import HashingBusy, PasswordHasher

__all__ = [
    "CLOCK_LEEWAY",
    "AccessClaims",
    "AccessTokens",
    "HashingBusy",
    "InvalidToken",
    "Keyring",
    "PasswordHasher",
    "SigningKey",
    "UnsealError",
    "base64url",
    "base64url_decode",
    "equal",
    "generate_signing_key",
    "load_signing_key",
    "new_token",
    "random_bytes",
]
