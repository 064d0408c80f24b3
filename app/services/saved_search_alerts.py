"""Finds what saved searches have to tell: the new assets that match them, each once.

A search is told of assets that were published since it was saved, when they first match; that may
be after a correction. Each search knows up to which change it has looked, and looks further in the
transaction that notes what it found. So any number of workers may do it, and one that dies leaves
nothing half done.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import SavedSearch
from app.services import asset_matches, changes, policy, saved_search_events
from app.services.asset_matches import Match
from app.services.changes import ChangedAsset
from app.services.saved_searches import filters_of


class _Search(NamedTuple):
    id: UUID
    account_id: UUID
    name: str
    query: dict[str, Any]
    alert: str
    last_sequence: int
    watches_since: datetime


# The new matches of each search.
_Found = Mapping[UUID, Sequence[UUID]]


async def look_further(session: AsyncSession, *, now: datetime) -> bool:
    """Let those searches that are furthest behind look at the next changes.

    False when all have seen everything, or other workers have those that have not.
    """
    head = await changes.last_sequence(session)
    searches = await _behind(session, head)
    if not searches:
        return False
    first = searches[0].last_sequence
    until = min(head, first + policy.ALERT_CHANGES)
    looking = [search for search in searches if search.last_sequence < until]
    changed = await changes.changed_assets(session, after=first, until=until)
    found = await _remember(session, await _new_matches(session, looking, changed, now), now)
    for search in looking:
        if search.alert == "webhook" and found.get(search.id):
            await saved_search_events.announce(
                session,
                search.account_id,
                {
                    "saved_search_id": str(search.id),
                    "name": search.name,
                    "asset_ids": [str(asset_id) for asset_id in found[search.id]],
                },
                now=now,
            )
    ids = [search.id for search in looking]
    values = {"ids": ids, "found": list(found), "until": until, "now": now}
    await session.execute(_ADVANCE, values)
    return True


# All at once: at a second change of a row in one transaction, PostgreSQL looks for the account once
# more and waits for whoever erases it, who waits for the searches.
_ADVANCE = text("""
    UPDATE saved_search
       SET last_sequence = :until,
           last_matched_at = CASE WHEN found.id IS NULL THEN last_matched_at ELSE :now END,
           has_news = has_news OR (found.id IS NOT NULL AND alert = 'mail')
      FROM unnest(CAST(:ids AS uuid[])) AS looking (id)
           LEFT JOIN unnest(CAST(:found AS uuid[])) AS found (id) ON found.id = looking.id
     WHERE saved_search.id = looking.id
""")


async def _behind(session: AsyncSession, head: int) -> Sequence[_Search]:
    """Those furthest behind, locked; whoever looks at one that is locked already passes it by."""
    columns = (getattr(SavedSearch, name) for name in _Search._fields)
    query = (
        select(*columns)
        .where(SavedSearch.alert != "none", SavedSearch.paused.is_(False))
        .where(SavedSearch.last_sequence < head)
        .order_by(SavedSearch.last_sequence, SavedSearch.id)
        .limit(policy.ALERT_SEARCHES)
        .with_for_update(skip_locked=True)
    )
    return [_Search(*row) for row in await session.execute(query)]


async def _new_matches(
    session: AsyncSession,
    searches: Sequence[_Search],
    changed: Sequence[ChangedAsset],
    now: datetime,
) -> Sequence[tuple[_Search, UUID]]:
    """Pairs of a search and an asset that it finds now, and that is new to it."""
    by_id = {each.asset_id: each for each in changed}
    pairs = []
    for start in range(0, len(searches), policy.ALERT_STATEMENT_SEARCHES):
        some = searches[start : start + policy.ALERT_STATEMENT_SEARCHES]
        filters = [filters_of(search.query) for search in some]
        for match in await asset_matches.find(session, by_id.keys(), filters) if by_id else ():
            search = some[match.number]
            if _is_new(search, match, by_id[match.asset_id], now):
                pairs.append((search, match.asset_id))
    return pairs


def _is_new(search: _Search, match: Match, change: ChangedAsset, now: datetime) -> bool:
    """Whether the asset appeared since the search was saved.

    By the numbers of the changes where its publication is among them. A publication of earlier is
    judged by its time, and corrected for too long, it is told of no more.
    """
    if change.sequence <= search.last_sequence:
        return False
    if change.published_by is not None and change.published_by > search.last_sequence:
        return True
    return match.published_at >= max(search.watches_since, now - policy.ALERT_CORRECTION_TERM)


async def _remember(
    session: AsyncSession, pairs: Sequence[tuple[_Search, UUID]], now: datetime
) -> _Found:
    """Note matches, and give those that were not known. What webhooks get is told by that."""
    found = defaultdict(list)
    for start in range(0, len(pairs), policy.ALERT_STATEMENT_MATCHES):
        some = pairs[start : start + policy.ALERT_STATEMENT_MATCHES]
        rows = await session.execute(
            _REMEMBER,
            {
                "searches": [search.id for search, _ in some],
                "assets": [asset_id for _, asset_id in some],
                "told": [search.alert == "webhook" for search, _ in some],
                "now": now,
            },
        )
        for search_id, asset_id in rows:
            found[search_id].append(asset_id)
    return found


_REMEMBER = text("""
    INSERT INTO saved_search_match (search_id, asset_id, matched_at, told_at)
    SELECT search_id, asset_id, :now, CASE WHEN is_told THEN CAST(:now AS timestamptz) END
      FROM unnest(CAST(:searches AS uuid[]), CAST(:assets AS uuid[]), CAST(:told AS bool[]))
           AS match (search_id, asset_id, is_told)
    ON CONFLICT DO NOTHING
    RETURNING search_id, asset_id
""")
