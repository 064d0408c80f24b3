"""Editions that were sent, for everybody: as their readers got them, without anything personal."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from babel import Locale
from babel.dates import format_date
from markupsafe import Markup
from sqlalchemy import ColumnElement, RowMapping, Select, and_, case, cast, func, select, tuple_
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from app.errors import NotFound
from app.models import Edition, EditionMessage
from app.services import edition_layout
from app.services.context import Newsroom


@dataclass(frozen=True, slots=True)
class Issue:
    """A sent edition in one of the languages that it was written in."""

    id: UUID
    number: int
    subject: str
    preheader: str
    language: str
    # All that it can be read in, its own language first.
    languages: Sequence[str]
    published_at: datetime
    url: str
    # Empty where only a list of titles was asked for.
    html: str = ""
    text: str = ""


async def list_issues(
    session: AsyncSession,
    language: str | None,
    *,
    newsroom: Newsroom,
    after: tuple[datetime, UUID] | None,
    limit: int,
    has_contents: bool = True,
) -> Sequence[Issue]:
    """Newest first, in this language or else in each edition's own.

    `after` is when the last one of the page before was sent, and its id.
    """
    contents = _CONTENTS if has_contents else ()
    query = (
        _sent(language, *contents)
        .where(Edition.state != "cancelled")
        .order_by(Edition.started_at.desc(), Edition.id.desc())
        .limit(limit)
    )
    if after is not None:
        query = query.where(tuple_(Edition.started_at, Edition.id) < tuple_(*after))
    return [_issue(row, newsroom) for row in (await session.execute(query)).mappings()]


async def get_issue(
    session: AsyncSession, number: int, language: str | None, *, newsroom: Newsroom
) -> Issue:
    """Also a cancelled one: those who had got it by then have the link to it."""
    query = _sent(language, *_CONTENTS).where(Edition.number == number)
    row = (await session.execute(query)).mappings().one_or_none()
    if row is None:
        raise NotFound
    return _issue(row, newsroom)


def page(issue: Issue, *, newsroom: Newsroom, feed_url: str) -> str:
    """A whole page of HTML for browsers."""
    language = issue.language
    others = [each for each in issue.languages if each != language]
    return edition_layout.page(
        "archive.html",
        issue=issue,
        content=Markup(issue.html),  # noqa: S704  # sanitised when it was frozen
        name=edition_layout.sender_name(newsroom),
        date=format_date(issue.published_at, "long", locale=language),
        direction=edition_layout.direction(language),
        words=edition_layout.words(language),
        others=[(each, Locale.parse(each).get_display_name(each)) for each in others],
        feed_url=feed_url,
    )


_CONTENTS = (EditionMessage.html, EditionMessage.text)
# The languages that the edition was written in.
_WRITTEN_IN = func.jsonb_path_query_array(
    Edition.translations, cast('$.keyvalue() ? (@.value.body != "").key', JSONPATH), type_=JSONB
)


def _sent(language: str | None, *contents: InstrumentedAttribute[str]) -> Select[Any]:
    is_public = and_(
        Edition.started_at.is_not(None),
        Edition.kind == "edition",
        Edition.in_archive,
    )
    columns = (
        Edition.id,
        Edition.number,
        Edition.started_at.label("published_at"),
        Edition.language.label("own_language"),
        _WRITTEN_IN.label("languages"),
        EditionMessage.language,
        EditionMessage.subject,
        EditionMessage.preheader,
    )
    return (
        select(*columns, *contents)
        .join(EditionMessage, EditionMessage.edition_id == Edition.id)
        .where(is_public, EditionMessage.language == _shown_language(language))
    )


def _shown_language(language: str | None) -> ColumnElement[str]:
    """Readers of a language without a translation got the text in the edition's own."""
    if language is None:
        return Edition.language.expression
    return case((_WRITTEN_IN.has_key(language), language), else_=Edition.language)


def _issue(row: RowMapping, newsroom: Newsroom) -> Issue:
    columns = dict(row)
    own = columns.pop("own_language")
    columns["languages"] = sorted(row["languages"], key=lambda each: (each != own, each))
    return Issue(
        **columns, url=edition_layout.archive_url(newsroom, row["number"], row["language"])
    )
