"""Digests: what was published in a day or a week, in one mail for those who want it so."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from typing import Literal, get_args
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import DigestProgress, Edition, Subscriber, Topic
from app.services import (
    digest_contents,
    edition_freezing,
    editions,
    policy,
)
from app.services.context import WORKER, Newsroom
from app.services.digest_contents import Contents, Mail, Period

Frequency = Literal["daily", "weekly"]
FREQUENCIES: Sequence[Frequency] = get_args(Frequency)
# As subscribers choose them: sorted slugs, and none of them for all.
Topics = tuple[str, ...]


async def make_due(
    session: AsyncSession, frequency: Frequency, *, newsroom: Newsroom, now: datetime
) -> UUID | None:
    """Make the digest whose hour has come, ready to be sent; None when there is none to send.

    Any number of workers may do it: who holds the row of the frequency makes the digest, and notes
    in the same transaction until when it goes. After an outage, one digest shows all that was
    missed. The first one shows what appeared since the hour before the first call.
    """
    # What is published has the time of its request, and appears a moment later.
    until = last_hour(frequency, now) - policy.DIGEST_MARGIN
    first = insert(DigestProgress).values(frequency=frequency, covered_until=until)
    await session.execute(first.on_conflict_do_nothing())
    is_due = (DigestProgress.frequency == frequency, DigestProgress.covered_until < until)
    query = select(DigestProgress).where(*is_due).with_for_update(skip_locked=True)
    progress = (await session.scalars(query)).one_or_none()
    if progress is None:
        return None
    period = Period(since=progress.covered_until, until=until)
    edition = await _make(session, frequency, period, newsroom=newsroom, now=now)
    progress.covered_until = until
    if edition is not None:
        progress.edition_id = edition.id
    await session.flush()
    return edition.id if edition else None


def last_hour(frequency: Frequency, now: datetime) -> datetime:
    """When its last digest was to leave: `now` itself in that very moment."""
    hour = now.replace(hour=policy.DIGEST_HOUR, minute=0, second=0, microsecond=0)
    if hour > now:
        hour -= timedelta(days=1)
    return hour - timedelta(days=hour.weekday()) if frequency == "weekly" else hour


async def _make(
    session: AsyncSession,
    frequency: Frequency,
    period: Period,
    *,
    newsroom: Newsroom,
    now: datetime,
) -> Edition | None:
    """The edition with its mails; None when nobody's choice has anything to show."""
    mails = await _mails(session, frequency, period)
    if not mails:
        return None
    edition = _edition(frequency, next(iter(mails)).language, now)
    session.add(edition)
    await session.flush()
    for mail, choices in mails.items():
        words, rendered = await digest_contents.render(
            session, edition, mail, since=period.since, newsroom=newsroom, now=now
        )
        # Editors see the one that shows most, which is the first of its language.
        edition.translations = {mail.language: words, **edition.translations}
        freeze = partial(edition_freezing.message, rendered, edition, newsroom=newsroom)
        session.add_all(
            freeze(variant=variant, language=mail.language, topics=list(topics))
            for variant, topics in choices.items()
        )
        await session.flush()
    await editions.audit(session, "edition.started", edition, editor=WORKER, now=now)
    return edition


async def _mails(
    session: AsyncSession, frequency: Frequency, period: Period
) -> Mapping[Mail, Mapping[int, Topics]]:
    """What is to be written, each with the choices that it is for by the numbers of variants."""
    is_reader = (Subscriber.state == "subscribed", Subscriber.frequency == frequency)
    query = select(Subscriber.topics, Subscriber.language).where(*is_reader).distinct()
    rows = await session.execute(query)
    choices = sorted((tuple(topics), language) for topics, language in rows)
    shown = await _shown(session, {topics for topics, _ in choices}, period)
    mails: dict[Mail, dict[int, Topics]] = {}
    for variant, (topics, language) in enumerate(each for each in choices if each[0] in shown):
        mails.setdefault(Mail(shown[topics], language), {})[variant] = topics
    return mails


async def _shown(
    session: AsyncSession, choices: Iterable[Topics], period: Period
) -> Mapping[Topics, Contents]:
    """By choice of topics, what it shows; without those that show nothing."""
    terms = {topic.slug: topic.terms for topic in await session.scalars(select(Topic))}
    shown = {
        topics: await digest_contents.find(session, _terms(topics, terms), period)
        for topics in choices
    }
    return {topics: contents for topics, contents in shown.items() if contents.total}


def _terms(topics: Topics, terms: Mapping[str, Sequence[str]]) -> set[str] | None:
    """The terms of some topics; None, for every asset, if one of them takes in all."""
    chosen = [terms[slug] for slug in topics if slug in terms]
    if not topics or not all(chosen):
        return None
    return set(chain.from_iterable(chosen))


def _edition(frequency: Frequency, language: str, now: datetime) -> Edition:
    return Edition(
        kind="digest",
        frequency=frequency,
        topics=[],
        name=f"{frequency.capitalize()} digest, {now:%Y-%m-%d}",
        translations={},
        language=language,
        in_archive=False,
        state="sending",
        started_at=now,
        created_at=now,
        updated_at=now,
    )
