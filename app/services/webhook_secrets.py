"""The keys of webhook endpoints, which are kept sealed since every message is signed by them."""

from app.crypto import Keyring
from app.crypto.webhook_keys import WebhookSigner, new_key, public_key_text, secret_text

_PURPOSE = "webhook"


def new_secret(keyring: Keyring) -> tuple[str, bytes]:
    """A secret as its receiver is given it, once, and as it is kept."""
    secret = new_key()
    return secret_text(secret), keyring.seal(_PURPOSE, secret)


def new_signing_key(keyring: Keyring) -> tuple[str, bytes]:
    """The public half of an Ed25519 key, and the other as it is kept."""
    seed = new_key()
    return public_key_text(seed), keyring.seal(_PURPOSE, seed)


def open_signer(
    sealed_secret: bytes,
    sealed_previous_secret: bytes | None,
    sealed_signing_key: bytes,
    *,
    keyring: Keyring,
) -> WebhookSigner:
    """What signs for an endpoint, by a previous secret too while it lasts.

    `UnsealError` where they were sealed under another SECRET_KEY.
    """
    sealed = [each for each in (sealed_secret, sealed_previous_secret) if each is not None]
    secrets = [keyring.unseal(_PURPOSE, each) for each in sealed]
    return WebhookSigner(secrets, keyring.unseal(_PURPOSE, sealed_signing_key))
