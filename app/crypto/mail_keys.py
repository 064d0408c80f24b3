"""Keys by which a domain signs its mails (DKIM)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

# RFC 8301, section 3.2: verifiers may take shorter ones for no signature at all.
RSA_MIN_BITS = 2048


@dataclass(frozen=True, slots=True)
class MailKey:
    """A private key and the name of its algorithm (RFC 6376, section 3.3; RFC 8463)."""

    algorithm: str
    sign: Callable[[bytes], bytes] = field(repr=False)


def load_mail_key(pem: bytes) -> MailKey:
    """An RSA or Ed25519 key without a password, or `ValueError`, which says nothing of the key."""
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        raise ValueError("the key has a password; write it without one") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("not a private key in PEM") from None
    if isinstance(key, Ed25519PrivateKey):
        # RFC 8463, section 3: what is signed is the hash.
        return MailKey("ed25519-sha256", lambda data: key.sign(sha256(data).digest()))
    if isinstance(key, RSAPrivateKey):
        if key.key_size < RSA_MIN_BITS:
            raise ValueError(f"an RSA key needs {RSA_MIN_BITS} bits, this one has {key.key_size}")
        return MailKey("rsa-sha256", lambda data: key.sign(data, PKCS1v15(), SHA256()))
    raise ValueError("a key for DKIM is either RSA or Ed25519")
