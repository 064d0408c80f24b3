"""What a digest says: the assets published in its period, written as an editor would write it."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from babel.dates import format_date
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.formats.addresses import Addresses
from app.models import AssetSearch, Edition
from app.services import edition_assets, edition_rendering, mails, policy
from app.services.context import Newsroom
from app.services.edition_messages import RenderedEdition

# The newest gives its title to the subject, and the next ones theirs to the line below it.
TITLES_SHOWN = 4
TITLE_LENGTH = 100

_environment = Environment(
    loader=PackageLoader("app", "templates/newsletter"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    auto_reload=False,
)


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` on, and before `until`."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Contents:
    """The newest assets of a period, and how many there are in all."""

    asset_ids: tuple[UUID, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Mail:
    """What some of the readers get: those who see the same assets in the same language."""

    contents: Contents
    language: str


async def find(session: AsyncSession, terms: Collection[str] | None, period: Period) -> Contents:
    """Public assets that appeared in the period and have one of the terms; None: all of them."""
    row = AssetSearch
    query = (
        select(row.asset_id, func.count().over())
        .where(row.published_at >= period.since, row.published_at < period.until)
        .order_by(row.published_at.desc(), row.asset_id.desc())
        .limit(policy.DIGEST_MAX_ASSETS)
    )
    if terms is not None:
        query = query.where(row.terms.overlap(list(terms)))
    found = (await session.execute(query)).all()
    return Contents(tuple(asset_id for asset_id, _ in found), found[0][1] if found else 0)


async def render(
    session: AsyncSession,
    edition: Edition,
    mail: Mail,
    *,
    since: datetime,
    newsroom: Newsroom,
    now: datetime,
) -> tuple[dict[str, str], RenderedEdition]:
    """The words, as in `Edition.translations`, and the mail that is made of them.

    It shows fewer assets where Gmail would cut off the end, and the way out with it.
    """
    while True:
        words = await _write(session, mail, since=since, newsroom=newsroom)
        shown = Edition(
            number=edition.number,
            kind=edition.kind,
            in_archive=edition.in_archive,
            language=mail.language,
            translations={mail.language: words},
        )
        rendered = await edition_rendering.render(
            session, shown, mail.language, newsroom=newsroom, now=now
        )
        asset_ids = mail.contents.asset_ids
        size = len(rendered.html.encode())
        if size <= policy.EDITION_HTML_ADVISED_BYTES or len(asset_ids) == 1:
            return words, rendered
        fewer = replace(mail.contents, asset_ids=asset_ids[: len(asset_ids) // 2])
        mail = replace(mail, contents=fewer)


async def _write(
    session: AsyncSession, mail: Mail, *, since: datetime, newsroom: Newsroom
) -> dict[str, str]:
    """Subject, preheader and Markdown, as an editor would have written them."""
    language, contents = mail.language, mail.contents
    written = _environment.get_template(f"digest.{language}.txt").render(
        titles=await _titles(session, mail, newsroom),
        asset_ids=contents.asset_ids,
        total=contents.total,
        left_out=contents.total - len(contents.asset_ids),
        since=format_date(since, "full", locale=language),
        product=mails.PRODUCT,
        site=newsroom.pages_url,
    )
    head, _, body = written.partition("\n\n")
    subject, preheader = (line.partition(": ")[2] for line in head.splitlines())
    return {"subject": subject, "preheader": preheader, "body": body}


async def _titles(session: AsyncSession, mail: Mail, newsroom: Newsroom) -> list[str]:
    """Of the newest, as the reader will see them, but none longer than a subject should be."""
    newest = [str(asset_id) for asset_id in mail.contents.asset_ids[:TITLES_SHOWN]]
    found = await edition_assets.find(session, newest)
    addresses = Addresses(api=newsroom.api_url, pages=newsroom.pages_url)
    cards = [edition_assets.card(found[each], mail.language, addresses) for each in newest]
    return [_shortened(card.title) for card in cards]


def _shortened(title: str) -> str:
    """Cut between two words, in scripts that part them."""
    if len(title) <= TITLE_LENGTH:
        return title
    return title[:TITLE_LENGTH].rsplit(" ", 1)[0] + "…"
