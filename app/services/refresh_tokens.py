"""How a refresh token looks: its session, its number there, and a MAC that only we can make."""

import struct
from uuid import UUID

from app import crypto
from app.crypto import Keyring
from app.errors import AppError

_PREFIX = "mmr_"
_TOKEN = struct.Struct(">16sI32s")


class InvalidRefreshToken(AppError):
    status, code, title = 401, "invalid_refresh_token", "This session is over; log in again"


def derive(session_id: UUID, secret: bytes, number: int, keyring: Keyring) -> str:
    """The token of this number: the same each time, and never stored."""
    mac = keyring.digest("refresh-token", secret, number.to_bytes(4))
    return _PREFIX + crypto.base64url(_TOKEN.pack(session_id.bytes, number, mac))


def parse(token: str) -> tuple[UUID, int]:
    """The session and number that a token claims; whether it is genuine is not checked here."""
    try:
        raw = crypto.base64url_decode(token.removeprefix(_PREFIX))
        session_id, number, _ = _TOKEN.unpack(raw)
    except (ValueError, struct.error):
        raise InvalidRefreshToken from None
    return UUID(bytes=session_id), number
