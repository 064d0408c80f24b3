"""The traps of python-jose and passlib, each by its name, and the keys made from SECRET_KEY."""

import asyncio
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from passlib.hash import argon2

from app.crypto import (
    AccessTokens,
    HashingBusy,
    InvalidToken,
    Keyring,
    PasswordHasher,
    SigningKey,
    UnsealError,
    access_tokens,
    base64url,
    base64url_decode,
    generate_signing_key,
    load_signing_key,
    names_client,
)
from tests.helpers import NEW_PASSWORD, PASSWORD

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ISSUER = "https://api.example"
ACCOUNT_ID, SESSION_ID = uuid4(), uuid4()


def signing_key(kid: str) -> SigningKey:
    return load_signing_key(generate_signing_key(), kid=kid, signs_from=NOW - timedelta(hours=1))


OURS, STRANGERS = signing_key("ours"), signing_key("ours")


@pytest.fixture
def tokens() -> AccessTokens:
    tokens = AccessTokens(issuer=ISSUER, audience=ISSUER)
    tokens.use_keys([OURS])
    return tokens


def issue(tokens: AccessTokens) -> str:
    lifetime = timedelta(minutes=10)
    return tokens.issue(
        account_id=ACCOUNT_ID, session_id=SESSION_ID, scope="account", now=NOW, lifetime=lifetime
    )


@pytest.fixture(scope="module")
def hasher(keyring: Keyring) -> Iterator[PasswordHasher]:
    """One with the real parameters; other tests get by with cheaper ones."""
    hasher = PasswordHasher(keyring, threads=2)
    yield hasher
    hasher.close()


def header(**changes: Any) -> dict[str, Any]:
    return {"alg": "ES256", "kid": "ours", "typ": "at+jwt", **changes}


def claims(**changes: Any) -> dict[str, Any]:
    """Those of a good token; None leaves a claim out."""
    issued = int(NOW.timestamp())
    good = {
        "iss": ISSUER,
        "aud": ISSUER,
        "sub": str(ACCOUNT_ID),
        "sid": str(SESSION_ID),
        "client_id": ISSUER,
        "scope": "account",
        "iat": issued,
        "exp": issued + 600,
        "jti": "1",
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def forge(head: Any, body: Any, *, key: SigningKey = OURS) -> str:
    """A token with any header and claims, rightly signed with ES256 by the given key."""
    signed = ".".join(base64url(json.dumps(part).encode()) for part in (head, body))
    return f"{signed}.{base64url(key.private_key.sign(signed.encode()))}"


def public_key_as_der(key: SigningKey) -> bytes:
    """What anybody can compute from the JWKS."""
    numbers = [int.from_bytes(base64url_decode(key.public_jwk[name])) for name in ("x", "y")]
    public = ec.EllipticCurvePublicNumbers(numbers[0], numbers[1], ec.SECP256R1()).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return public.public_bytes(serialization.Encoding.DER, form)


def assert_refused(tokens: AccessTokens, token: str, *, now: datetime = NOW) -> None:
    with pytest.raises(InvalidToken):
        tokens.verify(token, now=now)


def test_good_token_is_accepted_however_it_was_made(tokens: AccessTokens) -> None:
    for token in (issue(tokens), forge(header(), claims())):
        verified = tokens.verify(token, now=NOW)
        assert (verified.account_id, verified.session_id) == (ACCOUNT_ID, SESSION_ID)
        assert (verified.scope, verified.expires_at) == ("account", NOW + timedelta(minutes=10))


def test_token_says_what_rfc_9068_asks_for(tokens: AccessTokens) -> None:
    first, second = issue(tokens), issue(tokens)
    head, body = (json.loads(base64url_decode(part)) for part in first.split(".")[:2])
    assert head == {"alg": "ES256", "kid": "ours", "typ": "at+jwt"}
    assert body == claims(jti=body["jti"])
    assert body["jti"] != json.loads(base64url_decode(second.split(".")[1]))["jti"]


def test_token_can_be_checked_with_nothing_but_the_jwks(tokens: AccessTokens) -> None:
    signed, _, signature = issue(tokens).rpartition(".")
    [published] = tokens.jwks()["keys"]
    assert published.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    raw = base64url_decode(signature)
    der = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    key = serialization.load_der_public_key(public_key_as_der(OURS))
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(der, signed.encode(), ec.ECDSA(hashes.SHA256()))


def test_private_key_is_not_in_the_repr_that_a_log_may_show() -> None:
    assert "private_key" not in repr(OURS)


@pytest.mark.parametrize("form", ["DER", "PEM"])
def test_public_key_as_hs256_secret_is_refused(tokens: AccessTokens, form: str) -> None:
    secret = public_key_as_der(OURS)
    if form == "PEM":
        public = serialization.load_der_public_key(secret)
        kind = serialization.PublicFormat.SubjectPublicKeyInfo
        secret = public.public_bytes(serialization.Encoding.PEM, kind)
    for algorithm in ("HS256", "ES256"):
        signed = forge(header(alg=algorithm), claims()).rpartition(".")[0]
        mac = hmac.new(secret, signed.encode(), sha256).digest()
        assert_refused(tokens, f"{signed}.{base64url(mac)}")


@pytest.mark.parametrize("algorithm", ["none", "NoNe", "NONE", "", None])
def test_unsigned_token_is_refused(tokens: AccessTokens, algorithm: str | None) -> None:
    token = forge(header(alg=algorithm), claims())
    assert_refused(tokens, token)
    assert_refused(tokens, token.rpartition(".")[0] + ".")
    assert_refused(tokens, token.rpartition(".")[0])


@pytest.mark.parametrize("algorithm", ["ES2", "ES256xx", "es256", "ES384", ["ES256"], 256, {}])
def test_algorithm_that_only_resembles_ours_is_refused(
    tokens: AccessTokens, algorithm: object
) -> None:
    assert_refused(tokens, forge(header(alg=algorithm), claims()))


@pytest.mark.parametrize(
    "extension",
    [
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"jku": "https://evil.example/jwks.json"},
        {"jwk": STRANGERS.public_jwk},
        {"x5u": "https://evil.example/key.pem"},
        {"x5c": ["MIIB"]},
        {"x5t": "AA"},
        {"x5t#S256": "AA"},
    ],
    ids=lambda extension: next(iter(extension)),
)
def test_header_that_brings_its_own_key_or_rules_is_refused(
    tokens: AccessTokens, extension: dict[str, Any]
) -> None:
    assert_refused(tokens, forge({**header(), **extension}, claims()))
    assert_refused(tokens, forge({**header(), **extension}, claims(), key=STRANGERS))


@pytest.mark.parametrize("kid", ["other", "", None, "../ours", ["ours"], {"ours": 1}, 7])
def test_unknown_kid_is_refused_although_the_signature_is_right(
    tokens: AccessTokens, kid: object
) -> None:
    assert_refused(tokens, forge(header(kid=kid), claims()))


def test_kid_decides_which_key_is_tried(tokens: AccessTokens) -> None:
    tokens.use_keys([OURS, signing_key("other")])
    assert_refused(tokens, forge(header(kid="other"), claims()))
    assert_refused(tokens, forge(header(), claims(), key=STRANGERS))


def test_kid_of_a_retired_key_is_refused(tokens: AccessTokens) -> None:
    token = issue(tokens)
    tokens.use_keys([signing_key("successor")])
    assert_refused(tokens, token)


def test_token_that_was_cached_dies_with_its_key(tokens: AccessTokens) -> None:
    token = issue(tokens)
    tokens.verify(token, now=NOW)
    tokens.use_keys([signing_key("successor")])
    assert_refused(tokens, token)


def test_token_that_was_cached_vouches_for_no_other_text(tokens: AccessTokens) -> None:
    token = issue(tokens)
    tokens.verify(token, now=NOW)
    _, _, signature = token.split(".")
    promoted = forge(header(), claims(scope="accounts:manage")).rpartition(".")[0]
    assert_refused(tokens, f"{promoted}.{signature}")


def test_cache_is_bounded_and_keeps_no_refused_token(
    tokens: AccessTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_tokens, "VERIFIED_TOKENS_KEPT", 2)
    for _ in range(3):
        tokens.verify(issue(tokens), now=NOW)
        assert_refused(tokens, forge(header(), claims(), key=STRANGERS))
    assert len(tokens._verified) == 2


@pytest.mark.parametrize("name", ["iss", "aud", "sub", "exp", "iat", "jti", "sid", "scope"])
def test_missing_claim_is_refused(tokens: AccessTokens, name: str) -> None:
    assert_refused(tokens, forge(header(), claims(**{name: None})))


@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": "https://other.example"},
        {"aud": ["https://other.example"]},
        {"aud": []},
        {"aud": ISSUER + "/"},
        {"iss": "https://evil.example"},
        {"iss": [ISSUER, "https://evil.example"]},
        {"sub": "admin"},
        {"sub": 7},
        {"sid": "x"},
        {"exp": "2099-01-01"},
        {"exp": 1e400},
        {"exp": 10**13},
        {"exp": 10**30},
        {"exp": float("nan")},
        {"exp": []},
        {"iat": "now"},
        {"iat": {}},
        {"at_hash": "x"},
    ],
    ids=str,
)
def test_wrong_claim_is_refused(tokens: AccessTokens, wrong: dict[str, Any]) -> None:
    assert_refused(tokens, forge(header(), claims(**wrong)))


@pytest.mark.parametrize("body", [None, [], "x", 7, [["sub"]]])
def test_claims_that_are_no_object_are_refused(tokens: AccessTokens, body: object) -> None:
    assert_refused(tokens, forge(header(), body))


@pytest.mark.parametrize(("seconds_ahead", "accepted"), [(30, True), (31, False)])
def test_token_from_the_future_is_refused_beyond_thirty_seconds(
    tokens: AccessTokens, *, seconds_ahead: int, accepted: bool
) -> None:
    token = forge(header(), claims(iat=int(NOW.timestamp()) + seconds_ahead))
    if accepted:
        assert tokens.verify(token, now=NOW).account_id == ACCOUNT_ID
    else:
        assert_refused(tokens, token)


@pytest.mark.parametrize("seen_before", [False, True])
def test_token_is_refused_at_exactly_thirty_seconds_past_its_expiry(
    tokens: AccessTokens, *, seen_before: bool
) -> None:
    token = issue(tokens)
    if seen_before:
        tokens.verify(token, now=NOW)
    refused_at = NOW + timedelta(minutes=10, seconds=30)
    assert tokens.verify(token, now=refused_at - timedelta(microseconds=1)).kid == "ours"
    assert_refused(tokens, token, now=refused_at)
    assert not tokens._verified


@pytest.mark.parametrize("kind", ["JWT", "id+jwt", "at+jwtx", "", None, 5, ["at+jwt"], {}, True])
def test_token_of_another_type_is_refused(tokens: AccessTokens, kind: object) -> None:
    assert_refused(tokens, forge(header(typ=kind), claims()))


def test_missing_type_is_refused(tokens: AccessTokens) -> None:
    assert_refused(tokens, forge({"alg": "ES256", "kid": "ours"}, claims()))


@pytest.mark.parametrize("head", [None, [], "typ", 7, {}, [["typ", "at+jwt"]]])
def test_header_that_is_no_object_is_refused(tokens: AccessTokens, head: object) -> None:
    assert_refused(tokens, forge(head, claims()))


def test_token_longer_than_8_kib_is_refused_although_it_is_signed(tokens: AccessTokens) -> None:
    room = 8192 - len(forge(header(), claims(note="")))
    fitting = forge(header(), claims(note="x" * (room * 3 // 4 - 3)))
    assert len(fitting) <= 8192
    tokens.verify(fitting, now=NOW)
    assert_refused(tokens, forge(header(), claims(note="x" * room)))
    assert_refused(tokens, forge(header(), claims(note="x" * 1_000_000)))


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "a.b.c.d",
        "\u00e9",
        "\x00",
        "x" * 1_000_000,
        "." * 8000,
        base64url(b"[" * 5000) + ".e30.AA",
        base64url(b'{"typ": "at+jwt", "alg": "ES256", "kid": "ours"') + ".e30.AA",
        base64url(b"\xff\xfe\x00") + ".e30.AA",
    ],
    ids=lambda garbage: ascii(garbage[:12]),
)
def test_garbage_is_refused(tokens: AccessTokens, garbage: str) -> None:
    assert_refused(tokens, garbage)


def test_token_with_anything_added_is_refused(tokens: AccessTokens) -> None:
    token = issue(tokens)
    head, body, signature = token.split(".")
    for changed in (
        f"{token}.",
        f"{token}\u00e9",
        f"{token}=",
        f" {token}",
        f"{token}\n",
        f"{head}.\u00e9{body}.{signature}",
        f"{head}.{body}.{signature[:-4]}",
        f"{head}.{body}.{base64url(bytes(64))}",
        f"{head}.{body}.{signature}.{signature}",
    ):
        assert_refused(tokens, changed)


def test_newest_key_signs_once_its_time_has_come(tokens: AccessTokens) -> None:
    later = NOW + timedelta(minutes=15)
    tokens.use_keys([load_signing_key(generate_signing_key(), kid="next", signs_from=later), OURS])
    lifetime = timedelta(minutes=10)
    for now, kid in [
        (later - timedelta(seconds=1), "ours"),
        (later, "next"),
        (later + timedelta(days=1), "next"),
    ]:
        token = tokens.issue(
            account_id=ACCOUNT_ID, session_id=SESSION_ID, scope="", now=now, lifetime=lifetime
        )
        assert json.loads(base64url_decode(token.split(".")[0]))["kid"] == kid


async def test_stored_hash_names_the_floor_of_owasp(hasher: PasswordHasher) -> None:
    stored = await hasher.hash(PASSWORD)
    assert "$argon2id$v=19$m=19456,t=2,p=1$" in stored
    assert stored != await hasher.hash(PASSWORD)
    assert await hasher.verify(PASSWORD, stored)
    assert not hasher.needs_rehash(stored)


async def test_composed_and_decomposed_letters_are_one_password(hasher: PasswordHasher) -> None:
    composed, decomposed = "Z\u00fcrich-47-Berge", "Zu\u0308rich-47-Berge"
    assert await hasher.verify(decomposed, await hasher.hash(composed))
    assert await hasher.verify(composed, await hasher.hash(decomposed))


@pytest.mark.parametrize(
    ("chosen", "typed"),
    [
        ("Correct-Horse-7", "correct-horse-7"),
        ("Correct-Horse-7", "Correct-Horse-7 "),
        ("Correct-Horse-7", "Correct-Horse-"),
        ("Correct-Horse-\u2460", "Correct-Horse-1"),  # equal under NFKC only
        ("Correct\0Horse-7", "Correct\0Staple-8"),
        ("Correct-Horse-7", "Correct-Horse-7\0"),
        ("x" * 72 + "A", "x" * 72 + "B"),
        ("x" * 72 + "A", "x" * 72),
        ("\U0001f600" * 127 + "A", "\U0001f600" * 127 + "B"),
        ("x" * 5000 + "A", "x" * 5000 + "B"),
    ],
    ids=range(10),
)
async def test_password_counts_whole_and_exactly_as_typed(
    hasher: PasswordHasher, chosen: str, typed: str
) -> None:
    stored = await hasher.hash(chosen)
    assert await hasher.verify(chosen, stored)
    assert not await hasher.verify(typed, stored)


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "none",
        ":",
        "plaintext-password",
        "5f4dcc3b5aa765d61d8327deb882cf99",
        "$2b$12$C6UzMDM.H6dfI/f/IKcEeO7ZBZ1pZCl0DWzQ5aJrZP0nQx5p3bW2e",
        "id:$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$",
        "id:$argon2id$v=19$m=-1,t=2,p=1$c29tZXNhbHQ$AAAA",
        "id:$argon2id$",
    ],
)
async def test_unknown_hash_string_is_a_wrong_password_and_no_error(
    hasher: PasswordHasher, stored: str
) -> None:
    assert not await hasher.verify(PASSWORD, stored)


@pytest.mark.parametrize(
    "foreign",
    [
        {"memory_cost": 8, "rounds": 1, "parallelism": 1},
        {"memory_cost": 19_456, "rounds": 1, "parallelism": 1},
        {"memory_cost": 19_456, "rounds": 2, "parallelism": 4},
        {"memory_cost": 19_456, "rounds": 2, "parallelism": 1, "type": "I"},
    ],
    ids=str,
)
async def test_hash_with_foreign_parameters_is_verified_and_due_for_renewal(
    hasher: PasswordHasher, foreign: dict[str, Any]
) -> None:
    stored = hash_like(hasher, PASSWORD, **foreign)
    assert await hasher.verify(PASSWORD, stored)
    assert not await hasher.verify(NEW_PASSWORD, stored)
    assert hasher.needs_rehash(stored)


@pytest.mark.parametrize(
    "costly",
    [
        {"memory_cost": 160_000, "rounds": 1, "parallelism": 1},
        {"memory_cost": 8, "rounds": 200, "parallelism": 1},
        {"memory_cost": 200, "rounds": 1, "parallelism": 20},
    ],
    ids=str,
)
async def test_stored_hash_can_not_order_any_amount_of_work(
    hasher: PasswordHasher, costly: dict[str, Any]
) -> None:
    assert not await hasher.verify(PASSWORD, hash_like(hasher, PASSWORD, **costly))


async def test_hash_under_another_secret_key_never_matches(hasher: PasswordHasher) -> None:
    other = PasswordHasher(Keyring("another secret key"), threads=1)
    stored = await other.hash(PASSWORD)
    other.close()
    assert hasher.needs_rehash(stored)
    assert not await hasher.verify(PASSWORD, stored)


@pytest.mark.parametrize("stored", [None, "", "none", "id:$argon2id$v=19$m=1,t=1,p=1$x$y"])
async def test_dummy_verification_takes_the_path_of_a_real_one(
    hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch, stored: str | None
) -> None:
    computed = []
    verify = hasher._context.verify

    def observed(secret: str, hashed: str) -> bool:
        computed.append(hashed)
        return bool(verify(secret, hashed))

    monkeypatch.setattr(hasher._context, "verify", observed)
    assert not await hasher.verify(PASSWORD, stored)
    [hashed] = computed
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_dummy_never_matches(hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hasher, "_unknown", await hasher.hash(PASSWORD))
    assert not await hasher.verify(PASSWORD, None)
    assert not await hasher.verify(PASSWORD, "none")


def hash_like(hasher: PasswordHasher, password: str, **parameters: Any) -> str:
    """A hash under our pepper, with other parameters than ours."""
    handler: Any = argon2
    foreign = handler.using(**{"type": "ID", **parameters})
    return f"{hasher._pepper_id}:{foreign.hash(hasher._peppered(password))}"


@pytest.fixture
def stalled_hasher(keyring: Keyring) -> Iterator[tuple[PasswordHasher, threading.Event]]:
    """A hasher with one thread, which is busy until the event is set."""
    hasher, release = PasswordHasher(keyring, threads=1), threading.Event()
    hasher._pool.submit(release.wait)
    yield hasher, release
    release.set()
    hasher.close()


async def test_full_queue_answers_busy_and_not_with_a_long_wait(
    stalled_hasher: tuple[PasswordHasher, threading.Event],
) -> None:
    hasher, release = stalled_hasher
    waiting = [asyncio.create_task(hasher.verify(PASSWORD, None)) for _ in range(50)]
    await asyncio.sleep(0)
    for refused in (hasher.verify(PASSWORD, None), hasher.hash(PASSWORD)):
        with pytest.raises(HashingBusy) as busy:
            await asyncio.wait_for(refused, timeout=60)
        assert (busy.value.status, busy.value.code) == (503, "busy")
        assert busy.value.headers["Retry-After"] == "2"
    for task in waiting[3:]:  # these clients have gone away
        task.cancel()
    release.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert outcomes[:3] == [False] * 3
    assert await hasher.hash(PASSWORD)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ab", "c"), ("a", "bc")),
        (("abc",), ("abc", "")),
        (("", "abc"), ("abc", "")),
        (("abc",), ("a", "b", "c")),
        ((), ("",)),
        (("\x00\x00\x00\x01a",), ("", "a")),
    ],
)
def test_digest_has_no_ambiguity_between_parts(
    keyring: Keyring, one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    assert keyring.digest("test", *one) != keyring.digest("test", *other)


def test_digest_depends_on_purpose_and_secret_alone(keyring: Keyring) -> None:
    digest = keyring.digest("test", "a")
    assert digest == keyring.digest("test", b"a")
    assert len(digest) == 32
    assert digest != keyring.digest("other", "a")
    assert digest != Keyring("another secret").digest("test", "a")


def test_keys_are_stable_and_no_two_purposes_share_one(keyring: Keyring) -> None:
    keys = [keyring.key(purpose) for purpose in ("a", "b", "", "a ")]
    assert len(set(keys)) == 4
    assert {len(key) for key in keys} == {32}
    assert keyring.key("a") == keys[0]
    # A change here would log everybody out and make every sealed row unreadable.
    assert Keyring("fixed").key("mail").hex() == HKDF_OF_FIXED_MAIL


def test_sealed_twice_looks_different_and_opens_again(keyring: Keyring) -> None:
    sealed = [keyring.seal("mail", b"code 1234 5678") for _ in range(2)]
    assert sealed[0][:12] != sealed[1][:12]
    assert all(b"1234" not in each for each in sealed)
    assert [keyring.unseal("mail", each) for each in sealed] == [b"code 1234 5678"] * 2


def test_sealed_for_another_purpose_or_by_another_secret_stays_shut(keyring: Keyring) -> None:
    sealed = keyring.seal("mail", b"secret")
    with pytest.raises(UnsealError):
        keyring.unseal("signing-key", sealed)
    with pytest.raises(UnsealError):
        Keyring("another secret").unseal("mail", sealed)


def test_every_changed_byte_is_noticed(keyring: Keyring) -> None:
    sealed = keyring.seal("mail", b"secret")
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(UnsealError):
            keyring.unseal("mail", bytes(changed))


def test_cut_off_or_lengthened_is_noticed(keyring: Keyring) -> None:
    sealed = keyring.seal("mail", b"secret")
    for text in (*(sealed[:length] for length in range(len(sealed))), sealed + b"\0"):
        with pytest.raises(UnsealError):
            keyring.unseal("mail", text)


# HMAC-SHA256 twice, as RFC 5869 defines it, computed without any library of ours.
HKDF_OF_FIXED_MAIL = "3aec380fdc76f9679aef0c196654ec3693ac1b65f91859efc597e94b807d173a"


@pytest.mark.parametrize("text", ["a+/b", "a b=", "YQ\n", "\u00e9", "A", "YQ==="])
def test_base64url_takes_no_other_alphabet(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        base64url_decode(text)


def test_base64url_has_no_padding_and_reads_its_own() -> None:
    for length in range(5):
        data = b"\xff\xfe\xfd\xfc\xfb"[:length]
        assert "=" not in base64url(data)
        assert base64url_decode(base64url(data)) == data


# Tokens of API keys


KEY_ID, TOKEN_ID = uuid4(), uuid4()


def client_claims(**changes: Any) -> dict[str, Any]:
    of_client = {"sub": str(KEY_ID), "client_id": str(KEY_ID), "sid": None, "jti": str(TOKEN_ID)}
    return claims(**{**of_client, "scope": "assets:read changes:read", **changes})


def test_token_of_a_key_says_whose_it_is(tokens: AccessTokens) -> None:
    issued = tokens.issue_to_client(
        key_id=KEY_ID, scope="assets:read", now=NOW, lifetime=timedelta(hours=1)
    )
    own = tokens.verify_client(issued, now=NOW)
    assert own.key_id == KEY_ID
    assert own.scopes == {"assets:read"}
    made = tokens.verify_client(forge(header(), client_claims()), now=NOW)
    assert (made.key_id, made.token_id) == (KEY_ID, TOKEN_ID)
    assert made.scopes == {"assets:read", "changes:read"}
    body = json.loads(base64url_decode(issued.split(".")[1]))
    assert (body["sub"], body["client_id"], "sid" in body) == (str(KEY_ID), str(KEY_ID), False)


@pytest.mark.parametrize("seen_before", [False, True])
def test_neither_kind_of_token_passes_for_the_other(
    tokens: AccessTokens, *, seen_before: bool
) -> None:
    of_session, of_key = issue(tokens), forge(header(), client_claims())
    if seen_before:
        tokens.verify(of_session, now=NOW)
        tokens.verify_client(of_key, now=NOW)
    assert_refused(tokens, of_key)
    with pytest.raises(InvalidToken):
        tokens.verify_client(of_session, now=NOW)


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_id": None},
        {"client_id": ISSUER},
        {"client_id": "00000000-0000-7000-8000-000000000000"},
        {"sid": "00000000-0000-7000-8000-000000000000"},
        {"sub": "x", "client_id": "x"},
        {"sub": None, "client_id": None},
        {"jti": "1"},
        {"jti": None},
        {"scope": None},
        {"aud": "https://other.example"},
    ],
    ids=str,
)
def test_wrong_claim_of_a_key_is_refused(tokens: AccessTokens, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken):
        tokens.verify_client(forge(header(), client_claims(**wrong)), now=NOW)


def test_token_tells_unverified_whether_it_is_of_a_key(tokens: AccessTokens) -> None:
    assert names_client(forge(header(), client_claims(), key=STRANGERS))
    assert not names_client(issue(tokens))
    for text in ("", "x", "a.b.c", "a.W10.c", "é.e30.c", "a.e30.c" + "x" * 9000):
        assert not names_client(text)
