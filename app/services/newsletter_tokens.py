"""Tokens of newsletter mails: each names a subscriber and an edition, and is good for one purpose.

They are not stored. Links must work for as long as the mail is kept, so they don't expire either;
what they allow is to leave, to choose topics, and to say that a mail came back.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from app.crypto import Keyring, base64url, base64url_decode, equal
from app.errors import AppError

Purpose = Literal["unsubscribe", "preferences", "bounce"]

# Bytes. Together they are 44 characters of base64url, or 48 of base32.
NUMBER_BYTES = 4
ID_BYTES = 16
MAC_BYTES = 13
BOUNCE_MAC_BYTES = 10
TOKEN_LENGTH = 44
BOUNCE_PREFIX = "b+"


class TokenRefused(AppError):
    status, code, title = 404, "token_refused", "This link is not one of ours, or not complete"


@dataclass(frozen=True, slots=True)
class Recipient:
    """Of which edition, by its number, a subscriber got the mail; 0 for a mail that is of none."""

    subscriber_id: UUID
    edition_number: int = 0


def make(purpose: Purpose, recipient: Recipient, *, keyring: Keyring) -> str:
    """Exactly `TOKEN_LENGTH` characters of base64url."""
    body = _body(recipient)
    return base64url(body + _mac(purpose, body, keyring)[:MAC_BYTES])


def read(purpose: Purpose, token: str, *, keyring: Keyring) -> Recipient:
    """Whom a token of this purpose names, or `TokenRefused`."""
    try:
        data = base64url_decode(token)
    except (ValueError, binascii.Error):
        raise TokenRefused from None
    recipient = _checked(purpose, data, MAC_BYTES, keyring)
    if recipient is None:
        raise TokenRefused
    return recipient


def bounce_address(recipient: Recipient, *, domain: str, keyring: Keyring) -> str:
    """The envelope sender of one recipient's mail (VERP).

    In base32, since some mail servers change the case of what they send back.
    """
    body = _body(recipient)
    data = body + _mac("bounce", body, keyring)[:BOUNCE_MAC_BYTES]
    return f"{BOUNCE_PREFIX}{base64.b32encode(data).decode().lower()}@{domain}"


def read_bounce_address(address: str, *, keyring: Keyring) -> Recipient | None:
    """Whose mail came back to this address; None when it is not one of ours."""
    local_part = address.strip("<> ").rpartition("@")[0]
    if not local_part.lower().startswith(BOUNCE_PREFIX):
        return None
    try:
        data = base64.b32decode(local_part[len(BOUNCE_PREFIX) :], casefold=True)
    except (ValueError, binascii.Error):
        return None
    return _checked("bounce", data, BOUNCE_MAC_BYTES, keyring)


def _body(recipient: Recipient) -> bytes:
    return recipient.edition_number.to_bytes(NUMBER_BYTES) + recipient.subscriber_id.bytes


def _mac(purpose: Purpose, body: bytes, keyring: Keyring) -> bytes:
    return keyring.digest(f"newsletter-{purpose}", body)


def _checked(purpose: Purpose, data: bytes, mac_bytes: int, keyring: Keyring) -> Recipient | None:
    if len(data) != NUMBER_BYTES + ID_BYTES + mac_bytes:
        return None
    body, mac = data[:-mac_bytes], data[-mac_bytes:]
    if not equal(mac, _mac(purpose, body, keyring)[:mac_bytes]):
        return None
    return Recipient(UUID(bytes=body[NUMBER_BYTES:]), int.from_bytes(body[:NUMBER_BYTES]))
