"""The links in the mails of saved searches that stop them, without any log-in.

Each search that a mail tells of has one of its own; that of the mail's header is for all searches
of the account. A token is not stored and does not expire: it must work for as long as the mail is
kept, and what it allows is to pause searches.
"""

import binascii
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.crypto import Keyring, base64url, base64url_decode, equal
from app.models import SavedSearch
from app.services import saved_searches
from app.services.newsletter_tokens import TokenRefused

ID_BYTES, MAC_BYTES = 16, 13

# Of a search, or of an account and so of all its searches.
_Purpose = Literal["saved-search-stop", "saved-searches-stop"]


@dataclass(frozen=True, slots=True)
class StopLink:
    # None when the search is gone, or the link is for all.
    name: str | None
    # Whether it still sends mails.
    is_active: bool


def make(search_id: UUID, *, keyring: Keyring) -> str:
    return _make("saved-search-stop", search_id, keyring)


def make_for_all(account_id: UUID, *, keyring: Keyring) -> str:
    return _make("saved-searches-stop", account_id, keyring)


async def describe(session: AsyncSession, token: str, *, keyring: Keyring) -> StopLink:
    """What a link would stop; changes nothing. Raises `TokenRefused`."""
    purpose, its_id = _read(token, keyring)
    if purpose == "saved-searches-stop":
        return StopLink(name=None, is_active=await saved_searches.mails_any(session, its_id))
    search = await session.get(SavedSearch, its_id)
    if search is None:
        return StopLink(name=None, is_active=False)
    return StopLink(search.name, is_active=search.alert != "none" and not search.paused)


async def stop(session: AsyncSession, token: str, *, keyring: Keyring, now: datetime) -> None:
    """Pause what the link is for; again changes nothing. Raises `TokenRefused`."""
    purpose, its_id = _read(token, keyring)
    if purpose == "saved-searches-stop":
        await saved_searches.stop_mails(session, its_id, now=now)
    else:
        await saved_searches.stop(session, its_id, now=now)


def _make(purpose: _Purpose, its_id: UUID, keyring: Keyring) -> str:
    return base64url(its_id.bytes + _mac(purpose, its_id.bytes, keyring))


def _read(token: str, keyring: Keyring) -> tuple[_Purpose, UUID]:
    try:
        data = base64url_decode(token)
    except (ValueError, binascii.Error):
        raise TokenRefused from None
    body, mac = data[:ID_BYTES], data[ID_BYTES:]
    for purpose in get_args(_Purpose):
        if len(body) == ID_BYTES and equal(mac, _mac(purpose, body, keyring)):
            return purpose, UUID(bytes=body)
    raise TokenRefused


def _mac(purpose: _Purpose, body: bytes, keyring: Keyring) -> bytes:
    return keyring.digest(purpose, body)[:MAC_BYTES]
