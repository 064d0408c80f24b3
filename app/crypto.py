"""Keys, passwords and access tokens: the one place that touches passlib, jose and cryptography."""

import asyncio
import base64
import contextlib
import ctypes
import hmac
import json
import os
import re
import secrets
import threading
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, TypeVar
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from jose import JWTError, jwk, jwt
from jose.backends.base import Key
from passlib.context import CryptContext
from passlib.hash import argon2
from uuid_utils.compat import uuid7

from app.errors import AppError, ServiceUnavailable

GCM_NONCE_BYTES = 12
TOKEN_BYTES = 32

# OWASP's and ASVS 5.0 appendix C's floor for argon2id: 19 MiB, two passes, one lane.
ARGON2_MEMORY_KIB = 19_456
ARGON2_PASSES = 2
# A stored hash names its own cost. No more is ever spent on one than 64 MiB for eight passes.
ARGON2_MEMORY_LIMIT_KIB = 65_536
ARGON2_PASSES_LIMIT = 8
ARGON2_LANES_LIMIT = 4
# About one second of work per hashing thread; whoever would wait longer is asked to come back.
HASH_QUEUE_PER_THREAD = 50
HASH_RETRY_AFTER = timedelta(seconds=2)
HASH_THREAD_NICENESS = 10
MEMORY_KEPT_FOR = 5.0  # seconds after the last hash

ALGORITHM = "ES256"
TOKEN_TYPE = "at+jwt"  # noqa: S105  # a media type (RFC 9068), not a secret
MAX_TOKEN_BYTES = 8 * 1024
CLOCK_LEEWAY = timedelta(seconds=30)
VERIFIED_TOKENS_KEPT = 10_000
_FORBIDDEN_HEADERS = frozenset({"crit", "jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256"})
# RFC 7515, section 7.1. jose drops foreign characters, so one token could be spelled in any number
# of ways, each a new one to the cache.
_COMPACT_JWS = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


T = TypeVar("T")


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


class HashingBusy(ServiceUnavailable):
    """Too many passwords wait for the hash pool; better a clear answer than a long queue."""

    code, title = "busy", "Too many log-ins at this moment; try again in a few seconds"


class PasswordHasher:
    """argon2id under a pepper, in a few threads of low priority with a bounded queue.

    argon2 releases the interpreter lock while it computes; the low priority (Linux: per thread)
    keeps the event loop quick while a log-in storm uses every core.
    """

    def __init__(self, keyring: Keyring, *, threads: int | None = None) -> None:
        self._threads = threads or _usable_cores()
        self._keyring = keyring
        self._pepper_id = keyring.digest("pepper-id").hex()[:8]
        self._waiting = 0
        self._idle_since = 0.0
        self._pool = ThreadPoolExecutor(self._threads, "hash", initializer=_lower_priority)
        self._context = CryptContext(
            schemes=["argon2"],
            argon2__type="ID",
            argon2__memory_cost=ARGON2_MEMORY_KIB,
            argon2__time_cost=ARGON2_PASSES,
            argon2__parallelism=1,
        )
        self._unknown = self._hash(new_token())

    async def hash(self, password: str) -> str:
        return await self._run(self._hash, password)

    async def verify(self, password: str, stored: str | None) -> bool:
        """Check a password; where no hash of ours is stored, take the same time and say no."""
        hashed = stored if stored is not None and _is_affordable_argon2(stored) else None
        matches = await self._run(self._verify, password, hashed or self._unknown)
        return matches and hashed is not None

    def needs_rehash(self, stored: str) -> bool:
        """Whether the parameters or the pepper have changed since."""
        pepper_id, _, hashed = stored.partition(":")
        return pepper_id != self._pepper_id or self._context.needs_update(hashed)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _run(self, function: Callable[..., T], *args: str) -> T:
        if self._waiting >= self._threads * HASH_QUEUE_PER_THREAD:
            raise HashingBusy(retry_after=HASH_RETRY_AFTER)
        self._waiting += 1
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool, function, *args)
        finally:
            self._waiting -= 1
            self._idle_since = loop.time()
            if self._waiting == 0:
                loop.call_later(MEMORY_KEPT_FOR, self._give_memory_back, self._idle_since)

    def _give_memory_back(self, idle_since: float) -> None:
        """Return the 19 MiB that each thread keeps to the system, unless there was work since.

        While there is work it is kept: taking it anew for each hash would cost a third of the
        speed.
        """
        if self._waiting == 0 and self._idle_since == idle_since:
            all_at_once = threading.Barrier(self._threads)
            for _ in range(self._threads):
                self._pool.submit(_trim_own_heap, all_at_once)

    def _hash(self, password: str) -> str:
        return f"{self._pepper_id}:{self._context.hash(self._peppered(password))}"

    def _verify(self, password: str, stored: str) -> bool:
        _, _, hashed = stored.partition(":")
        try:
            return bool(self._context.verify(self._peppered(password), hashed))
        except ValueError:  # damaged: argon2 itself can't read it
            return False

    def _peppered(self, password: str) -> str:
        normalized = unicodedata.normalize("NFC", password)
        return self._keyring.digest("pepper", normalized).hex()


def _is_affordable_argon2(stored: str) -> bool:
    """Whether this is a hash with a cost that we would choose; passlib computes any."""
    try:
        parsed = argon2.from_string(stored.partition(":")[2])
    except ValueError:  # also passlib's UnknownHashError
        return False
    return bool(
        parsed.memory_cost <= ARGON2_MEMORY_LIMIT_KIB
        and parsed.rounds <= ARGON2_PASSES_LIMIT
        and parsed.parallelism <= ARGON2_LANES_LIMIT
    )


def _trim_own_heap(all_at_once: threading.Barrier) -> None:
    """Have glibc unmap what this thread's heap holds free; each thread has one (mallopt(3)).

    It looks only when something large is freed, and against a threshold that has grown with the
    hashes; so both are done by hand. Other C libraries lack the call or need none of this.
    """
    with contextlib.suppress(threading.BrokenBarrierError, AttributeError, OSError):
        all_at_once.wait(timeout=1)  # else one thread might take the turn of another
        libc = ctypes.CDLL(None)
        libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
        libc.mallopt(_M_TRIM_THRESHOLD, 0)
        libc.free(libc.malloc(_LARGE_ALLOCATION))
        libc.mallopt(_M_TRIM_THRESHOLD, 4 * ARGON2_MEMORY_KIB * 1024)


_M_TRIM_THRESHOLD = -1
_LARGE_ALLOCATION = 128 * 1024


def _usable_cores() -> int:
    """How many cores this process may use, which in a container is fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _lower_priority() -> None:
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), HASH_THREAD_NICENESS)


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
    """What a verified access token says (RFC 9068)."""

    account_id: UUID
    session_id: UUID
    scope: str
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
        self._verified: OrderedDict[str, AccessClaims] = OrderedDict()

    def use_keys(self, keys: Iterable[SigningKey]) -> None:
        self._keys = {key.kid: key for key in keys}

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The public keys (RFC 7517), the next one included before its first use."""
        return {"keys": [key.public_jwk for key in self._keys.values()]}

    def issue(
        self, *, account_id: UUID, session_id: UUID, scope: str, now: datetime, lifetime: timedelta
    ) -> str:
        key = max(
            (key for key in self._keys.values() if key.signs_from <= now),
            key=lambda key: key.signs_from,
        )
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": str(account_id),
            "client_id": self._audience,
            "sid": str(session_id),
            "scope": scope,
            "iat": int(now.timestamp()),
            "exp": int((now + lifetime).timestamp()),
            "jti": str(uuid7()),
        }
        headers = {"typ": TOKEN_TYPE, "kid": key.kid}
        return jwt.encode(claims, key.private_key, algorithm=ALGORITHM, headers=headers)

    def verify(self, token: str, *, now: datetime) -> AccessClaims:
        """Check a token, or raise `InvalidToken`; one seen before costs a dictionary look-up."""
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

    def _decode(self, token: str, now: datetime) -> AccessClaims:
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
            return AccessClaims(
                account_id=UUID(claims["sub"]),
                session_id=UUID(claims["sid"]),
                scope=str(claims["scope"]),
                kid=kid,
                expires_at=datetime.fromtimestamp(claims["exp"], UTC),
            )
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


# Requiring exp or iat would make jose compare them with its own clock.
_REQUIRED_CLAIMS = {
    **{f"require_{name}": True for name in ("iss", "aud", "sub", "jti")},
    **{f"verify_{name}": False for name in ("exp", "nbf", "iat")},
}
