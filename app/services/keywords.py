"""The vocabulary of keywords. Two that differ in accents, case or spacing alone are one."""

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import Select, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from app.errors import AppError, NotFound
from app.models import FacetCount, Keyword
from app.services import audit_events, catalogue_events, policy
from app.services.asset_fields import invalid
from app.services.asset_versions import VersionCheck
from app.services.context import Client
from app.services.folding import fold

Sort = Literal["name", "-count"]
# A keyword, and how many public assets have it.
Counted = tuple[Keyword, int]

# As much of a keyword as a cursor has room for; those that are alike so far go by age.
SORTED_CHARACTERS = 100


class KeywordExists(AppError):
    status, code, title = 409, "keyword_exists", "The vocabulary has this keyword already"


async def list_keywords(
    session: AsyncSession,
    *,
    prefix: str | None,
    sort: Sort,
    with_unused: bool,
    after: Sequence[str | int | None] | None,
    limit: int,
) -> Sequence[Counted]:
    """Keywords by name, or the most used first; `after` is the last one's `position`.

    Only editors may see those that no public asset has: one of them may be the first word on an
    asset under embargo.
    """
    name = func.left(Keyword.folded, SORTED_CHARACTERS)
    keys = (name, Keyword.id) if sort == "name" else (-_USED, name, Keyword.id)
    query = _counted()
    if not with_unused:
        query = query.where(FacetCount.count > 0)
    if prefix:
        query = query.where(Keyword.folded.startswith(fold(prefix), autoescape=True))
    if after is not None:
        query = query.where(tuple_(*keys) > (*after[:-1], UUID(str(after[-1]))))
    found = await session.execute(query.order_by(*keys).limit(limit))
    return [(row[0], row[1]) for row in found]


def position(counted: Counted, sort: Sort) -> list[str | int | None]:
    """The sort keys of a keyword, for a cursor."""
    keyword, used = counted
    name: list[str | int | None] = [keyword.folded[:SORTED_CHARACTERS], str(keyword.id)]
    return name if sort == "name" else [-used, *name]


async def create(
    session: AsyncSession,
    name: str,
    labels: Mapping[str, str],
    *,
    account_id: UUID | None,
    client: Client | None,
    now: datetime,
) -> Keyword:
    """Add a keyword on purpose. Raises `KeywordExists`, which names the one that is there."""
    values = _row(name, now=now, pointer="/name") | {"labels": dict(labels)}
    row = insert(Keyword).values(values).on_conflict_do_nothing(constraint="uq_keyword_folded")
    keyword = (await session.scalars(row.returning(Keyword))).one_or_none()
    if keyword is None:
        same = select(Keyword).where(Keyword.folded == values["folded"])
        known = (await session.scalars(same)).one()
        raise KeywordExists(f"It is “{known.name}”, with the id {known.id}")
    await _record(session, "created", keyword, account_id=account_id, client=client, now=now)
    return keyword


async def change_labels(
    session: AsyncSession,
    keyword_id: UUID,
    labels: Mapping[str, str | None],
    *,
    check: VersionCheck,
    account_id: UUID | None,
    client: Client | None,
    now: datetime,
) -> Counted:
    """Merge labels by language (RFC 7396): null takes one away. The keyword itself stays."""
    locked = _counted().where(Keyword.id == keyword_id).with_for_update(of=Keyword)
    found = (await session.execute(locked)).one_or_none()
    if found is None:
        raise NotFound
    keyword, used = found
    check(keyword.version)
    merged = {**keyword.labels, **labels}
    merged = {language: label for language, label in merged.items() if label is not None}
    if merged != keyword.labels:
        keyword.labels = merged
        keyword.version += 1
        await session.flush()
        await _record(session, "changed", keyword, account_id=account_id, client=client, now=now)
    return keyword, used


async def canonical(session: AsyncSession, names: Sequence[str], *, now: datetime) -> list[str]:
    """The vocabulary's spelling of each, in this order and each once; new ones join it.

    Raises `InvalidInput` for what is no keyword, too long, or too many.
    """
    if len(names) > policy.MAX_KEYWORDS_PER_ASSET:
        message = f"An asset has at most {policy.MAX_KEYWORDS_PER_ASSET} keywords"
        raise invalid("/keywords", "too_many_keywords", message)
    rows: dict[str, dict[str, object]] = {}
    for index, name in enumerate(names):
        row = _row(name, now=now, pointer=f"/keywords/{index}")
        rows.setdefault(str(row["folded"]), row)
    known = await _spellings(session, list(rows))
    # In one order for everybody: two assets with the same new keywords wait for each other once.
    if missing := sorted(rows.keys() - known.keys()):
        new = insert(Keyword).on_conflict_do_nothing(constraint="uq_keyword_folded")
        await session.execute(new.values([rows[folded] for folded in missing]))
        known |= await _spellings(session, missing)
    return [known[folded] for folded in rows]


_USED = func.coalesce(FacetCount.count, 0)


def _counted() -> Select[Keyword, int]:
    term = func.concat("keyword:", Keyword.folded)
    return select(Keyword, _USED).outerjoin(FacetCount, FacetCount.term == term)


def _row(name: str, *, now: datetime, pointer: str) -> dict[str, object]:
    """A new keyword's columns, with the composed form of its letters and single spaces."""
    name = unicodedata.normalize("NFC", " ".join(name.split()))
    folded = fold(name)
    if not folded or len(name) > policy.KEYWORD_MAX_LENGTH:
        message = f"A keyword has 1 to {policy.KEYWORD_MAX_LENGTH} characters"
        raise invalid(pointer, "invalid_keyword", message)
    return {
        "id": uuid7(),
        "name": name,
        "folded": folded,
        "labels": {},
        "version": 1,
        "created_at": now,
    }


async def _spellings(session: AsyncSession, folded: Sequence[str]) -> dict[str, str]:
    query = select(Keyword.folded, Keyword.name).where(Keyword.folded.in_(folded))
    return {row.folded: row.name for row in await session.execute(query)}


async def _record(
    session: AsyncSession,
    deed: str,
    keyword: Keyword,
    *,
    account_id: UUID | None,
    client: Client | None,
    now: datetime,
) -> None:
    """Append the change to the audit trail, and tell every process of it."""
    details = {"keyword_id": str(keyword.id), "name": keyword.name}
    await audit_events.record(
        session, f"keyword.{deed}", account_id=account_id, client=client, details=details, now=now
    )
    await catalogue_events.announce_everything(session)
