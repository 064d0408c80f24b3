"""Mails of saved searches: one for all of an account's searches, and not more than four an hour."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.crypto import Keyring
from app.errors import NotFound
from app.formats.addresses import Addresses
from app.models import Account, SavedSearch, SavedSearchMatch
from app.services import (
    accounts,
    asset_matches,
    edition_assets,
    languages,
    mail_outbox,
    mails,
    policy,
    saved_search_links,
)
from app.services.context import Newsroom

# The matches of each search, the newest first.
_News = Mapping[UUID, Sequence[UUID]]


async def due_accounts(session: AsyncSession, *, now: datetime, limit: int) -> Sequence[UUID]:
    """Whom to mail: accounts with matches that they were not told of, and no mail of late."""
    other = aliased(SavedSearch)
    mailed_lately = (
        select(other.id)
        .where(other.account_id == SavedSearch.account_id)
        .where(other.mailed_at > now - policy.ALERT_MAIL_INTERVAL)
    )
    query = select(SavedSearch.account_id).where(SavedSearch.has_news, ~mailed_lately.exists())
    return (await session.scalars(query.distinct().limit(limit))).all()


async def mail(
    session: AsyncSession,
    account_id: UUID,
    *,
    keyring: Keyring,
    newsroom: Newsroom,
    now: datetime,
) -> bool:
    """Mail an account what its searches have found; whether there was anything to mail.

    Any number of workers may do it: whoever has the account's lock mails for all its searches.
    """
    try:
        # First, as whoever erases the account does, or each would wait for the other.
        account = await accounts.get(session, account_id, lock=True)
    except NotFound:
        return False  # erased since it was found to be due
    searches = await _locked(session, account_id)
    telling = [search for search in searches if search.has_news]
    if not telling or any(_was_mailed_lately(search, now) for search in searches):
        return False
    news = await _take(session, telling, now=now)
    if not news or account.suspended_at is not None:
        return False
    telling = [search for search in telling if search.id in news]
    params = await _params(session, account, telling, news, keyring, newsroom)
    await mail_outbox.enqueue(
        session,
        kind="saved_search_matches",
        to=account.email,
        locale=account.locale,
        params=params,
        keyring=keyring,
        now=now,
        account_id=account_id,
    )
    for search in searches:
        search.mailed_at = now
    return True


async def _locked(session: AsyncSession, account_id: UUID) -> Sequence[SavedSearch]:
    """As they are now: another worker may have changed what this session has read before."""
    query = select(SavedSearch).where(SavedSearch.account_id == account_id)
    locked = query.order_by(SavedSearch.id).with_for_update()
    return (await session.scalars(locked, execution_options={"populate_existing": True})).all()


def _was_mailed_lately(search: SavedSearch, now: datetime) -> bool:
    return search.mailed_at is not None and search.mailed_at > now - policy.ALERT_MAIL_INTERVAL


async def _take(session: AsyncSession, searches: Sequence[SavedSearch], *, now: datetime) -> _News:
    """Note that all matches are told of; gives those that are still public."""
    match = SavedSearchMatch
    ids = [search.id for search in searches]
    taken = update(match).where(match.search_id.in_(ids), match.told_at.is_(None))
    returned = taken.values(told_at=now).returning(match.search_id, match.asset_id)
    matched: dict[UUID, set[UUID]] = defaultdict(set)
    for search_id, asset_id in await session.execute(returned, execution_options=_NOT_SYNCHRONISED):
        matched[search_id].add(asset_id)
    for search in searches:
        search.has_news = False
    public = await asset_matches.newest_public(session, set().union(*matched.values()))
    of_each = {
        search_id: [each for each in public if each in ids] for search_id, ids in matched.items()
    }
    return {search_id: ids for search_id, ids in of_each.items() if ids}


_NOT_SYNCHRONISED = {"synchronize_session": False}


async def _params(
    session: AsyncSession,
    account: Account,
    searches: Iterable[SavedSearch],
    news: _News,
    keyring: Keyring,
    newsroom: Newsroom,
) -> dict[str, str]:
    """What the template needs; lists are in it as JSON, since a mail's values are texts."""
    addresses = Addresses(api=newsroom.api_url, pages=newsroom.pages_url)
    shown = {search_id: ids[: policy.ALERT_MAIL_ASSETS] for search_id, ids in news.items()}
    references = {str(asset_id) for ids in shown.values() for asset_id in ids}
    documents = await edition_assets.find(session, references)
    language = languages.nearest(account.locale)

    def stop_link(token: str) -> str:
        return addresses.absolute(f"/v1/saved-searches/stop/{token}")

    def described(search: SavedSearch) -> dict[str, Any]:
        cards = [
            edition_assets.card(documents[str(each)], language, addresses)
            for each in shown[search.id]
        ]
        return {
            "name": search.name,
            "assets": [{"title": card.title, "url": card.url} for card in cards],
            "left_out": len(news[search.id]) - len(cards),
            "stop": stop_link(saved_search_links.make(search.id, keyring=keyring)),
        }

    total = len({asset_id for ids in news.values() for asset_id in ids})
    found = [described(search) for search in searches]
    return {
        "searches": json.dumps(found),
        "total": str(total),
        mails.UNSUBSCRIBE: stop_link(saved_search_links.make_for_all(account.id, keyring=keyring)),
    }
