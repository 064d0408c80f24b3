"""Keys, passwords and access tokens: the one place that touches passlib, jose and cryptography."""

from app.crypto.access_tokens import (
    CLOCK_LEEWAY,
    AccessClaims,
    AccessTokens,
    ClientClaims,
    InvalidToken,
    SigningKey,
    generate_signing_key,
    load_signing_key,
    names_client,
)
from app.crypto.api_keys import (
    KEY_PREFIX,
    api_key_hash,
    api_key_hint,
    is_api_key,
    new_api_key,
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
    "KEY_PREFIX",
    "AccessClaims",
    "AccessTokens",
    "ClientClaims",
    "HashingBusy",
    "InvalidToken",
    "Keyring",
    "PasswordHasher",
    "SigningKey",
    "UnsealError",
    "api_key_hash",
    "api_key_hint",
    "base64url",
    "base64url_decode",
    "equal",
    "generate_signing_key",
    "is_api_key",
    "load_signing_key",
    "names_client",
    "new_api_key",
    "new_token",
    "random_bytes",
]
