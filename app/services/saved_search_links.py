"""The link in the mails of a saved search that stops them, without any log-in.

Its token is not stored and does not expire: it must work for as long as the mail is kept, and what
it allows is to pause one search.
"""

import binascii
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.crypto import Keyring, base64url, base64url_decode, equal
from app.models import SavedSearch
from app.services import saved_searches
from app.services.newsletter_tokens import TokenRefused

ID_BYTES, MAC_BYTES = 16, 13


@dataclass(frozen=True, slots=True)
class StopLink:
    # None when the search is gone.
    name: str | None
    # Whether it still sends mails.
    is_active: bool


def make(search_id: UUID, *, keyring: Keyring) -> str:
    return base64url(search_id.bytes + _mac(search_id.bytes, keyring))


async def describe(session: AsyncSession, token: str, *, keyring: Keyring) -> StopLink:
    """What a link would stop; changes nothing. Raises `TokenRefused`."""
    search = await session.get(SavedSearch, _read(token, keyring))
    if search is None:
        return StopLink(name=None, is_active=False)
    return StopLink(search.name, is_active=search.alert != "none" and not search.paused)


async def stop(session: AsyncSession, token: str, *, keyring: Keyring, now: datetime) -> None:
    """Pause the search; again changes nothing. Raises `TokenRefused`."""
    await saved_searches.stop(session, _read(token, keyring), now=now)


def _read(token: str, keyring: Keyring) -> UUID:
    try:
        data = base64url_decode(token)
    except (ValueError, binascii.Error):
        raise TokenRefused from None
    body, mac = data[:ID_BYTES], data[ID_BYTES:]
    if len(body) != ID_BYTES or not equal(mac, _mac(body, keyring)):
        raise TokenRefused
    return UUID(bytes=body)


def _mac(body: bytes, keyring: Keyring) -> bytes:
    return keyring.digest("saved-search-stop", body)[:MAC_BYTES]
