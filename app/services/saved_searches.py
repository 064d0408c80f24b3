"""Saved searches: filters of the catalogue's list that an account keeps, and may be told about."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import AppError, NotFound
from app.models import SavedSearch, SavedSearchMatch
from app.services import accounts, changes, policy
from app.services.asset_hits import Filters

_MOMENTS = ("published_from", "published_to")
# Of a search, what decides of what it tells.
_WATCHING = ("query", "alert", "paused")


class TooManySavedSearches(AppError):
    status, code = 409, "too_many_saved_searches"
    title = f"Delete one of your {policy.MAX_SAVED_SEARCHES} saved searches first"


async def create(
    session: AsyncSession, sent: Mapping[str, Any], *, account_id: UUID, now: datetime
) -> SavedSearch:
    """Keep a search. It tells of what is published from now on."""
    await _check_count(session, account_id)
    search = SavedSearch(
        account_id=account_id,
        name=sent["name"],
        query=_filled(sent["query"]),
        alert=sent["alert"],
        paused=sent["paused"],
        created_at=now,
        updated_at=now,
    )
    await _begin(session, search, now=now)
    session.add(search)
    await session.flush()
    return search


async def _check_count(session: AsyncSession, account_id: UUID) -> None:
    """Count under a lock of the account's own: two requests at once see each other."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtext(str(account_id)))))
    query = select(func.count()).where(SavedSearch.account_id == account_id)
    if (await session.execute(query)).scalar_one() >= policy.MAX_SAVED_SEARCHES:
        raise TooManySavedSearches


async def list_searches(
    session: AsyncSession, *, account_id: UUID, before: UUID | None, limit: int
) -> Sequence[SavedSearch]:
    """An account's own, newest first; `before` is the id that the previous page ended with."""
    query = select(SavedSearch).where(SavedSearch.account_id == account_id)
    if before is not None:
        query = query.where(SavedSearch.id < before)
    return (await session.scalars(query.order_by(SavedSearch.id.desc()).limit(limit))).all()


async def get(
    session: AsyncSession, search_id: UUID, *, account_id: UUID, lock: bool = False
) -> SavedSearch:
    """One's own; those of others are not there."""
    search = await session.get(SavedSearch, search_id, with_for_update=lock or None)
    if search is None or search.account_id != account_id:
        raise NotFound
    return search


async def change(
    session: AsyncSession,
    search_id: UUID,
    patch: Mapping[str, Any],
    *,
    account_id: UUID,
    now: datetime,
) -> SavedSearch:
    """Apply a merge patch. A search that looks for something else, or tells otherwise, begins anew.

    What matched before and was not told yet is then forgotten.
    """
    search = await get(session, search_id, account_id=account_id, lock=True)
    await _apply(session, search, patch, now=now)
    return search


async def stop(session: AsyncSession, search_id: UUID, *, now: datetime) -> None:
    """Pause a search for whoever has the link of its mails; one that is gone is stopped too."""
    search = await session.get(SavedSearch, search_id, with_for_update=True)
    if search is not None:
        await _apply(session, search, {"paused": True}, now=now)


async def stop_mails(session: AsyncSession, account_id: UUID, *, now: datetime) -> None:
    """Pause all searches that mail an account; one that is gone has none.

    The account is locked first, as by whoever erases it, or each would wait for the other.
    """
    with suppress(NotFound):
        await accounts.get(session, account_id, lock=True)
    query = _mailing(account_id).order_by(SavedSearch.id).with_for_update()
    for search in await session.scalars(query):
        await _apply(session, search, {"paused": True}, now=now)


async def mails_any(session: AsyncSession, account_id: UUID) -> bool:
    """Whether some search mails an account."""
    return await session.scalar(_mailing(account_id).limit(1)) is not None


def _mailing(account_id: UUID) -> Select[SavedSearch]:
    query = select(SavedSearch).where(SavedSearch.account_id == account_id)
    return query.where(SavedSearch.alert == "mail", SavedSearch.paused.is_(False))


async def _apply(
    session: AsyncSession, search: SavedSearch, patch: Mapping[str, Any], *, now: datetime
) -> None:
    values = dict(patch)
    if "query" in values:
        values["query"] = _filled({**search.query, **values["query"]})
    changed = {name: value for name, value in values.items() if value != getattr(search, name)}
    for name, value in changed.items():
        setattr(search, name, value)
    if changed:
        search.updated_at = now
    if changed.keys() & set(_WATCHING):
        await _forget_untold(session, search)
        await _begin(session, search, now=now)
    await session.flush()


async def _begin(session: AsyncSession, search: SavedSearch, *, now: datetime) -> None:
    search.last_sequence = await changes.last_sequence(session)
    search.watches_since, search.has_news = now, False


async def _forget_untold(session: AsyncSession, search: SavedSearch) -> None:
    of_this = SavedSearchMatch.search_id == search.id
    await session.execute(
        delete(SavedSearchMatch).where(of_this, SavedSearchMatch.told_at.is_(None))
    )


async def remove(session: AsyncSession, search_id: UUID, *, account_id: UUID) -> None:
    await session.delete(await get(session, search_id, account_id=account_id, lock=True))


async def remove_all(session: AsyncSession, account_id: UUID) -> None:
    """Before anything else goes of an account that is erased, and its webhooks above all.

    Whoever looks for matches locks searches first, and then the webhooks that are told of them.
    """
    await session.execute(delete(SavedSearch).where(SavedSearch.account_id == account_id))


def _filled(query: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that limit anything."""
    return {name: value for name, value in query.items() if value is not None and value != []}


def filters_of(query: Mapping[str, Any]) -> Filters:
    """What a stored query is of, as lists take it."""
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in query.items()
    }
    for name in _MOMENTS:
        if name in values:
            values[name] = datetime.fromisoformat(values[name])
    return Filters(**{**values, "q": whole_words(values.get("q"))})


def whole_words(q: str | None) -> str | None:
    """The query of somebody who has finished typing: its last word is no beginning of others."""
    return f"{q.strip()} " if q and q.strip() else None
