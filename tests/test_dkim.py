"""DKIM: what is signed holds, what was changed on the way does not, and which keys are taken.

The verifier below is written after RFC 6376 alone and shares nothing with the signer. That it is
right is shown by the signed mail of RFC 8463, appendix A.
"""

import base64
import re
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)
from pydantic import SecretStr

from app import processes
from app.adapters.dkim import DkimSigner, open_signer
from app.jobs import worker
from app.settings import Settings, SettingsError
from tests import hurried_worker
from tests.conftest import copied_database
from tests.hurried_worker import SETTINGS, emptied, post, reaches, working
from tests.scripted_smtp import ScriptedSmtp

PrivateKey = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
# From "selector._domainkey.domain" to the TXT record there.
Zone = dict[str, str]


# A verifier


def verified(message: bytes, zone: Zone) -> list[str]:
    """The selectors whose signatures hold."""
    head, _, body = message.partition(b"\r\n\r\n")
    fields = re.split(rb"\r\n(?![ \t])", head)
    signatures = [field for field in fields if name_of(field) == b"dkim-signature"]
    return [tags_of(each)["s"] for each in signatures if holds(each, fields, body, zone)]


def holds(signature: bytes, fields: list[bytes], body: bytes, zone: Zone) -> bool:
    tags = tags_of(signature)
    of_head, of_body = tags["c"].split("/")
    if sha256(canonical_body(body, of_body)).digest() != base64.b64decode(tags["bh"]):
        return False
    left = list(fields)
    parts = []
    for name in tags["h"].lower().split(":"):
        at = [place for place, field in enumerate(left) if name_of(field) == name.encode()]
        if at:  # the lowest that no earlier mention has taken
            parts.append(canonical_field(left.pop(at[-1]), of_head) + b"\r\n")
    emptied_value = re.sub(rb"([;\s]b=)[^;]*", rb"\1", signature)
    parts.append(canonical_field(emptied_value, of_head))
    key = tags_of(b"txt:" + zone[f"{tags['s']}._domainkey.{tags['d']}"].encode())["p"]
    return is_signed(tags["a"], base64.b64decode(key), base64.b64decode(tags["b"]), b"".join(parts))


def is_signed(algorithm: str, key: bytes, signature: bytes, data: bytes) -> bool:
    try:
        if algorithm == "ed25519-sha256":
            public = ed25519.Ed25519PublicKey.from_public_bytes(key)
            public.verify(signature, sha256(data).digest())
        else:
            assert algorithm == "rsa-sha256"
            rsa_key = load_der_public_key(key)
            assert isinstance(rsa_key, rsa.RSAPublicKey)
            rsa_key.verify(signature, data, padding.PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def name_of(field: bytes) -> bytes:
    return field.partition(b":")[0].strip().lower()


def tags_of(field: bytes) -> dict[str, str]:
    """Without white space, which no value of a tag can contain."""
    text = re.sub(r"\s", "", field.partition(b":")[2].decode())
    return dict(tag.split("=", 1) for tag in text.split(";") if tag)


def canonical_field(field: bytes, how: str) -> bytes:
    assert how == "relaxed"
    value = field.partition(b":")[2].replace(b"\r\n", b"")
    return name_of(field) + b":" + re.sub(rb"[ \t]+", b" ", value).strip(b" \t")


def canonical_body(body: bytes, how: str) -> bytes:
    if how == "relaxed":
        body = re.sub(rb"[ \t]+(?=\r\n)", b"", re.sub(rb"[ \t]+", b" ", body))
    body = re.sub(rb"(\r\n)+\Z", b"", body)
    return body + b"\r\n" if body or how == "simple" else b""


# RFC 8463, appendix A: the keys, and a mail that both have signed.
RFC_ZONE = {
    "brisbane._domainkey.football.example.com": (
        "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
    ),
    "test._domainkey.football.example.com": (
        "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5"
        "qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG"
        "4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
    ),
}
RFC_ED25519_SEED = base64.b64decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
RFC_MAIL = b"""\
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
""".replace(b"\n", b"\r\n")
RFC_SIGNATURES = b"""\
DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
""".replace(b"\n", b"\r\n")


def pem_of(key: PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def record_of(key: PrivateKey) -> str:
    """What the operator puts into the DNS."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return f"v=DKIM1; k=ed25519; p={base64.b64encode(raw).decode()}"
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"v=DKIM1; k=rsa; p={base64.b64encode(der).decode()}"


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


ED25519_KEY = ed25519.Ed25519PrivateKey.from_private_bytes(RFC_ED25519_SEED)


@pytest.fixture
def zone(rsa_key: rsa.RSAPrivateKey) -> Zone:
    return {
        "2026a._domainkey.media.example": record_of(rsa_key),
        "2026b._domainkey.media.example": record_of(ED25519_KEY),
    }


@pytest.fixture
def sign(rsa_key: rsa.RSAPrivateKey) -> Callable[[bytes], bytes]:
    keys = [pem_of(rsa_key), pem_of(ED25519_KEY)]
    return DkimSigner(keys, ["2026a", "2026b"], clock=lambda: 1795521600.9).sign


MAIL = b"""\
From: "Multimedia Account"\r
 <News@Media.Example>\r
To: jane@example.org\r
Subject:  The   harbour\t\r
 at dawn \r
Date: Tue, 24 Nov 2026 12:00:00 +0000\r
Message-ID: <n1.2@media.example>\r
MIME-Version: 1.0\r
Content-Type: text/plain; charset=utf-8\r
List-Unsubscribe: <https://media.example/v1/newsletter/unsubscribe/token>\r
List-Unsubscribe-Post: List-Unsubscribe=One-Click\r
List-Id: Multimedia Account <newsletter.media.example>\r
X-Mailer: anything\r
\r
.A line.\r
\r
Another,  with spaces.  \r
\r
\r
"""
BOTH = ["2026a", "2026b"]


def test_verifier_agrees_with_the_rfc() -> None:
    assert verified(RFC_SIGNATURES + RFC_MAIL, RFC_ZONE) == ["brisbane", "test"]
    assert verified(RFC_SIGNATURES + RFC_MAIL.replace(b"dinner", b"supper"), RFC_ZONE) == []
    assert verified(RFC_SIGNATURES + RFC_MAIL.replace(b"hungry", b"thirsty"), RFC_ZONE) == []


def test_mail_of_the_rfc_is_signed_with_its_key() -> None:
    signed = DkimSigner([pem_of(ED25519_KEY)], ["brisbane"]).sign(RFC_MAIL)
    assert signed.endswith(RFC_MAIL)
    assert verified(signed, RFC_ZONE) == ["brisbane"]


def test_signatures_of_both_kinds_hold_and_the_mail_stays_as_it_was(
    sign: Callable[[bytes], bytes], zone: Zone
) -> None:
    signed = sign(MAIL)
    assert signed.endswith(MAIL)
    assert verified(signed, zone) == BOTH
    tags = tags_of(re.split(rb"\r\n(?![ \t])", signed)[0])
    assert (tags["v"], tags["a"], tags["c"]) == ("1", "rsa-sha256", "relaxed/simple")
    assert (tags["d"], tags["s"], tags["t"]) == ("media.example", "2026a", "1795521600")
    names = tags["h"].split(":")
    # RFC 8058: both must be covered, or no mailbox shows its button.
    assert {"list-unsubscribe", "list-unsubscribe-post", "list-id"} <= set(names)
    assert {"from", "to", "subject", "date", "message-id"} <= set(names)
    assert {"mime-version", "content-type"} <= set(names)
    assert names.count("from") == names.count("subject") == 2
    assert "x-mailer" not in names
    head = signed[: -len(MAIL)]
    assert max(map(len, head.split(b"\r\n"))) <= 78  # RFC 5322, section 2.1.1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"dawn", b"dusk"),
        (b"A line.", b"A lie."),
        (b"spaces.  ", b"spaces. "),
        (b"/token>", b"/other>"),
        (b"=One-Click", b"=Two-Click"),
        (b"jane@", b"john@"),
        # Some mailboxes show the first of two.
        (b"To: ", b"From: boss@bank.example\r\nTo: "),
        (b"To: ", b"Subject: Pay now\r\nTo: "),
        (b"X-Mailer: ", b"Reply-To: thief@example.net\r\nX-Mailer: "),
    ],
)
def test_changes_on_the_way_are_seen(
    sign: Callable[[bytes], bytes], zone: Zone, old: bytes, new: bytes
) -> None:
    signed = sign(MAIL)
    assert old in MAIL
    assert verified(signed[: -len(MAIL)] + MAIL.replace(old, new, 1), zone) == []


def test_what_servers_do_to_mails_is_forgiven(sign: Callable[[bytes], bytes], zone: Zone) -> None:
    signed = sign(MAIL)
    refolded = signed.replace(b"Subject:  The   harbour", b"SUBJECT: The\r\n harbour")
    traced = b"Received: from a.example by b.example\r\nReturn-Path: <>\r\n" + refolded
    without_blank_lines = traced.removesuffix(b"\r\n\r\n")
    for arrived in (refolded, traced, without_blank_lines, traced.replace(b"anything", b"ours")):
        assert verified(arrived, zone) == BOTH


@pytest.mark.parametrize("body", [b"", b"\r\n", b"\r\n\r\n\r\n", b"no end", b"a\r\n\r\nb\r\n"])
def test_odd_bodies_are_signed_as_the_rfc_says(
    sign: Callable[[bytes], bytes], zone: Zone, body: bytes
) -> None:
    head = b"From: news@media.example\r\nSubject: none\r\n"
    assert verified(sign(head + b"\r\n" + body), zone) == BOTH
    assert verified(sign(head + b"\r\n" + body + b"\r\n"), zone) == BOTH
    assert verified(sign(head.removesuffix(b"\r\n")), zone) == BOTH


def test_header_that_names_several_times_is_signed_from_below(
    sign: Callable[[bytes], bytes], zone: Zone
) -> None:
    twice = MAIL.replace(b"List-Id:", b"List-Id: other\r\nList-Id:")
    assert verified(sign(twice), zone) == BOTH
    swapped = (
        sign(twice)
        .replace(b"List-Id: other\r\n", b"")
        .replace(b"X-Mailer:", b"List-Id: other\r\nX-Mailer:")
    )
    assert verified(swapped, zone) == []


def test_domain_outside_ascii_is_named_as_the_dns_knows_it(
    sign: Callable[[bytes], bytes], rsa_key: rsa.RSAPrivateKey
) -> None:
    signed = sign("From: a@médias.example\r\n\r\nx".encode())
    domain = "xn--mdias-bsa.example"
    zone = {
        f"2026a._domainkey.{domain}": record_of(rsa_key),
        f"2026b._domainkey.{domain}": record_of(ED25519_KEY),
    }
    assert verified(signed, zone) == BOTH


@pytest.mark.parametrize("head", [b"To: a@b.example", b"From: nobody", b"From: a@"])
def test_mail_of_no_domain_is_not_signed(sign: Callable[[bytes], bytes], head: bytes) -> None:
    with pytest.raises(ValueError, match="names no domain"):
        sign(head + b"\r\n\r\nbody\r\n")


def test_signing_is_quick(sign: Callable[[bytes], bytes]) -> None:
    """A loose limit against anything that grows faster than the mail.

    A machine that is busy with something else is given five chances to show it.
    """
    large = MAIL + b"a line of a mail  with   spaces\r\n" * 100_000

    def seconds() -> float:
        started = time.process_time()
        sign(large)
        return time.process_time() - started

    assert any(seconds() < 0.2 for _ in range(5))


async def test_code_mails_leave_signed(
    server_url: str,
    template: str,
    rsa_key: rsa.RSAPrivateKey,
    zone: Zone,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = {"dkim_key": (SecretStr(pem_of(rsa_key)),), "dkim_selector": ("2026a",)}
    monkeypatch.setattr(hurried_worker, "SETTINGS", SETTINGS.model_copy(update=keys))
    async with (
        copied_database(server_url, template) as url,
        ScriptedSmtp() as smtp,
        emptied(url) as database,
        working(database, smtp.url),
    ):
        for to in ("ada@example.org", "adélaïde@example.org"):
            await reaches(database, await post(database, to=to), "sent")
    assert [verified(mail.raw, zone) for mail in smtp.taken] == [["2026a"], ["2026a"]]


# Keys and settings


def test_key_is_given_as_text_or_as_a_file(rsa_key: rsa.RSAPrivateKey, tmp_path: Path) -> None:
    file = tmp_path / "dkim.pem"
    file.write_text(pem_of(rsa_key))
    one_line = pem_of(ED25519_KEY).replace("\n", "\\n")
    settings = settings_with([str(file), one_line], ["a", "b.2026"])
    signer = open_signer(settings)
    assert signer is not None
    zone = {
        "a._domainkey.media.example": record_of(rsa_key),
        "b.2026._domainkey.media.example": record_of(ED25519_KEY),
    }
    assert verified(signer.sign(MAIL), zone) == ["a", "b.2026"]
    assert open_signer(SETTINGS) is None


def settings_with(keys: list[str], selectors: list[str]) -> Settings:
    return Settings(dkim_key=tuple(map(SecretStr, keys)), dkim_selector=tuple(selectors))


def short_rsa() -> str:
    return pem_of(rsa.generate_private_key(65537, 1024))  # noqa: S505  # that is the point


def locked() -> str:
    encryption = BestAvailableEncryption(b"password")
    return ED25519_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


@pytest.mark.parametrize(
    ("key", "selector", "words"),
    [
        (short_rsa, "a", "key 1: an RSA key needs 2048 bits, this one has 1024"),
        (lambda: pem_of(ec.generate_private_key(ec.SECP256R1())), "a", "either RSA or Ed25519"),
        (locked, "a", "key 1: the key has a password"),
        (lambda: "-----BEGIN PRIVATE KEY-----\nsecret\n", "a", "key 1: not a private key in PEM"),
        (lambda: "/nowhere/dkim.pem", "a", "/nowhere/dkim.pem: No such file or directory"),
        (lambda: "nul\0", "a", "key 1: neither PEM nor the path of a file"),
        (lambda: pem_of(ED25519_KEY), "a_b;", "'a_b;' is not a selector"),
        (lambda: pem_of(ED25519_KEY), "..", "'..' is not a selector"),
    ],
)
async def test_bad_keys_stop_every_program_at_its_start(
    key: Callable[[], str], selector: str, words: str
) -> None:
    settings = settings_with([key()], [selector])
    with pytest.raises(SettingsError, match=f"^DKIM_KEY: .*{re.escape(words)}") as refused:
        processes.check_addresses(settings)
    assert "secret" not in str(refused.value)
    with pytest.raises(SettingsError, match=r"^DKIM_KEY: "):
        worker._open_signer(settings)


@pytest.mark.parametrize("environment", ["development", "production"])
def test_each_key_has_a_selector(environment: str) -> None:
    with pytest.raises(ValueError, match="name one selector for each key"):
        Settings.model_validate({"environment": environment, "dkim_selector": "a"})
    with pytest.raises(ValueError, match="name one selector for each key"):
        Settings.model_validate(
            {"environment": environment, "dkim_key": "a.pem,b.pem", "dkim_selector": "a"}
        )
