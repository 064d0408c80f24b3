"""Tickets: what a link to a file of our own store says, signed, so that nothing is kept of it."""

import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from app import crypto
from app.crypto import Keyring
from app.errors import AppError

_TICKET = struct.Struct(">16s16sQ16s")
_MAC_BYTES = 16
_ID_BYTES = 16


class LinkExpired(AppError):
    """Tampered with, expired, or of an account that is gone: all alike."""

    status, code, title = 403, "link_expired", "This download link has expired; ask for a new one"


@dataclass(frozen=True, slots=True)
class Ticket:
    """What one of our own links says: which file, and with whose end it ends too."""

    rendition_id: UUID
    account_id: UUID
    key_id: UUID | None
    expires_at: datetime


def write(ticket: Ticket, keyring: Keyring) -> str:
    """As text for an address: what it says, and behind it the API key, if one asked."""
    ids = (ticket.rendition_id.bytes, ticket.account_id.bytes)
    key = ticket.key_id.bytes if ticket.key_id else b""
    expiry = int(ticket.expires_at.timestamp())
    mac = _mac(*ids, expiry, key, keyring)
    return crypto.base64url(_TICKET.pack(*ids, expiry, mac) + key)


def read(text: str, keyring: Keyring) -> Ticket:
    """What a genuine ticket says. Raises `LinkExpired`."""
    try:
        packed = crypto.base64url_decode(text)
        rendition_id, account_id, expiry, mac = _TICKET.unpack_from(packed)
    except (ValueError, struct.error):
        raise LinkExpired from None
    key = packed[_TICKET.size :]
    expected = _mac(rendition_id, account_id, expiry, key, keyring)
    if len(key) not in {0, _ID_BYTES} or not crypto.equal(mac, expected):
        raise LinkExpired
    return Ticket(
        rendition_id=UUID(bytes=rendition_id),
        account_id=UUID(bytes=account_id),
        key_id=UUID(bytes=key) if key else None,
        expires_at=datetime.fromtimestamp(expiry, UTC),
    )


def _mac(
    rendition_id: bytes, account_id: bytes, expiry: int, key: bytes, keyring: Keyring
) -> bytes:
    parts = (rendition_id, account_id, expiry.to_bytes(8), *([key] if key else []))
    return keyring.digest("download-ticket", *parts)[:_MAC_BYTES]
