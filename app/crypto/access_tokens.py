"""Access tokens (RFC 9068): python-jose, each of whose traps is closed before it is called."""

import json
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jose import JWTError, jwk, jwt
from jose.backends.base import Key
from uuid_utils.compat import uuid7

from app.crypto.keyring import base64url_decode
from app.errors import AppError

ALGORITHM = "ES256"
TOKEN_TYPE = "at+jwt"  # noqa: S105  # a media type (RFC 9068), not a secret
MAX_TOKEN_BYTES = 8 * 1024
CLOCK_LEEWAY = timedelta(seconds=30)
VERIFIED_TOKENS_KEPT = 10_000
_FORBIDDEN_HEADERS = frozenset({"crit", "jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256"})
# RFC 7515, section 7.1. jose drops foreign characters, so one token could be spelled in any number
# of ways, each a new one to the cache.
_COMPACT_JWS = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class InvalidToken(AppError):
    """Any access token that is not ours, not valid any more, or not well-formed: all alike."""

    status, code, title = 401, "invalid_token", "The access token is not valid; log in again"

    def __init__(self) -> None:
        super().__init__(headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One ES256 key pair; published from the start, used to sign from `signs_from` on."""

    kid: str
    private_key: Key = field(repr=False)
    public_key: Key
    public_jwk: dict[str, str]
    signs_from: datetime


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a verified access token of a session says (RFC 9068)."""

    account_id: UUID
    session_id: UUID
    scope: str
    kid: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ClientClaims:
    """What a verified token says that a client got for its API key (RFC 6749, section 4.4)."""

    key_id: UUID
    token_id: UUID
    scopes: frozenset[str]
    kid: str
    expires_at: datetime


def generate_signing_key() -> bytes:
    """A new P-256 private key as PEM (PKCS #8)."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def load_signing_key(pem: bytes, *, kid: str, signs_from: datetime) -> SigningKey:
    """Construct the key objects once: parsing PEM for each token would cost a hundredfold."""
    private = jwk.construct(pem.decode(), ALGORITHM)
    public = private.public_key()
    members = {name: _text(value) for name, value in public.to_dict().items()}
    public_jwk = {**members, "kid": kid, "use": "sig", "alg": ALGORITHM}
    return SigningKey(kid, private, public, public_jwk, signs_from)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


class AccessTokens:
    """Signs and checks access tokens with the keys it was last given."""

    def __init__(self, *, issuer: str, audience: str) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys: dict[str, SigningKey] = {}
        self._verified: OrderedDict[str, AccessClaims | ClientClaims] = OrderedDict()

    def use_keys(self, keys: Iterable[SigningKey]) -> None:
        self._keys = {key.kid: key for key in keys}

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The public keys (RFC 7517), the next one included before its first use."""
        return {"keys": [key.public_jwk for key in self._keys.values()]}

    def issue(
        self, *, account_id: UUID, session_id: UUID, scope: str, now: datetime, lifetime: timedelta
    ) -> str:
        """A token of a session."""
        subject = {"sub": str(account_id), "client_id": self._audience, "sid": str(session_id)}
        return self._sign({**subject, "scope": scope}, now=now, lifetime=lifetime)

    def issue_to_client(
        self, *, key_id: UUID, scope: str, now: datetime, lifetime: timedelta
    ) -> str:
        """A token of an API key, which acts for itself: the client is its own subject."""
        subject = {"sub": str(key_id), "client_id": str(key_id)}
        return self._sign({**subject, "scope": scope}, now=now, lifetime=lifetime)

    def _sign(self, subject: Mapping[str, str], *, now: datetime, lifetime: timedelta) -> str:
        key = max(
            (key for key in self._keys.values() if key.signs_from <= now),
            key=lambda key: key.signs_from,
        )
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            **subject,
            "iat": int(now.timestamp()),
            "exp": int((now + lifetime).timestamp()),
            "jti": str(uuid7()),
        }
        headers = {"typ": TOKEN_TYPE, "kid": key.kid}
        return jwt.encode(claims, key.private_key, algorithm=ALGORITHM, headers=headers)

    def verify(self, token: str, *, now: datetime) -> AccessClaims:
        """Check a session's token, or raise `InvalidToken`; one seen before costs a look-up."""
        claims = self._verify(token, now)
        if not isinstance(claims, AccessClaims):
            raise InvalidToken
        return claims

    def verify_client(self, token: str, *, now: datetime) -> ClientClaims:
        """The same for a token of an API key; neither kind ever passes for the other."""
        claims = self._verify(token, now)
        if not isinstance(claims, ClientClaims):
            raise InvalidToken
        return claims

    def _verify(self, token: str, now: datetime) -> AccessClaims | ClientClaims:
        claims = self._verified.get(token)
        if claims is None:
            claims = self._decode(token, now)
            self._verified[token] = claims
            if len(self._verified) > VERIFIED_TOKENS_KEPT:
                self._verified.popitem(last=False)
        if now >= claims.expires_at + CLOCK_LEEWAY or claims.kid not in self._keys:
            self._verified.pop(token, None)
            raise InvalidToken
        return claims

    def _decode(self, token: str, now: datetime) -> AccessClaims | ClientClaims:
        if len(token) > MAX_TOKEN_BYTES or not _COMPACT_JWS.fullmatch(token):
            raise InvalidToken
        try:
            kid = self._trusted_kid(token)
            # jose tries any key of a set and lets claims be absent, so it gets one key, one
            # algorithm and the list of what must be there; the time is checked by our clock.
            claims = jwt.decode(
                token,
                self._keys[kid].public_key,
                algorithms=[ALGORITHM],
                audience=self._audience,
                issuer=self._issuer,
                options=_REQUIRED_CLAIMS,
            )
            if claims["iat"] > (now + CLOCK_LEEWAY).timestamp():
                raise InvalidToken
            return _claims(claims, kid)
        except (JWTError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            raise InvalidToken from None

    def _trusted_kid(self, token: str) -> str:
        """Look at the header before any cryptography: our type, our algorithm, our key, no more."""
        header = json.loads(base64url_decode(token.split(".", 1)[0]))
        if str(header["typ"]).lower() != TOKEN_TYPE or header["alg"] != ALGORITHM:
            raise InvalidToken
        if header["kid"] not in self._keys or _FORBIDDEN_HEADERS & header.keys():
            raise InvalidToken
        return str(header["kid"])


def names_client(token: str) -> bool:
    """Whether a token says that it is an API key's. Nothing is verified: it may be anybody's."""
    if len(token) > MAX_TOKEN_BYTES or not _COMPACT_JWS.fullmatch(token):
        return False
    try:
        claims = json.loads(base64url_decode(token.split(".")[1]))
    except (ValueError, RecursionError):
        return False
    return isinstance(claims, dict) and "sid" not in claims


def _claims(claims: Mapping[str, Any], kid: str) -> AccessClaims | ClientClaims:
    """A session's token has a `sid`; a client's is its own subject, which no session's is."""
    expires_at = datetime.fromtimestamp(claims["exp"], UTC)
    if "sid" in claims or claims["client_id"] != claims["sub"]:
        return AccessClaims(
            account_id=UUID(claims["sub"]),
            session_id=UUID(claims["sid"]),
            scope=str(claims["scope"]),
            kid=kid,
            expires_at=expires_at,
        )
    return ClientClaims(
        key_id=UUID(claims["sub"]),
        token_id=UUID(claims["jti"]),
        scopes=frozenset(str(claims["scope"]).split()),
        kid=kid,
        expires_at=expires_at,
    )


# Requiring exp or iat would make jose compare them with its own clock.
_REQUIRED_CLAIMS = {
    **{f"require_{name}": True for name in ("iss", "aud", "sub", "jti")},
    **{f"verify_{name}": False for name in ("exp", "nbf", "iat")},
}
