"""The topics of the newsletter: what readers choose from, and what editors make of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import AppError, FieldError, InvalidInput, NotFound
from app.models import Topic
from app.services import audit_events
from app.services.asset_documents import parse_id
from app.services.asset_fields import invalid
from app.services.asset_hits import TERM_FILTERS
from app.services.context import Editor
from app.services.languages import LOCALES
from app.services.search_texts import term

# What a term may begin with: the filters of lists, and what else assets are told apart by.
TERM_NAMES = (*TERM_FILTERS, "collection_id", "content_class")


class TopicExists(AppError):
    status, code, title = 409, "topic_exists", "There is a topic with this slug already"


@dataclass(frozen=True, slots=True)
class TopicLabel:
    """A topic as its readers see it, in one language."""

    slug: str
    name: str
    description: str | None
    is_retired: bool


async def list_choice(
    session: AsyncSession, language: str, *, kept: Collection[str] = ()
) -> list[TopicLabel]:
    """What can be chosen, in order; with the retired topics that a subscriber has kept."""
    choosable = Topic.retired_at.is_(None) | Topic.slug.in_(kept)
    topics = await session.scalars(_IN_ORDER.where(choosable))
    return [_label(topic, language) for topic in topics]


async def list_all(session: AsyncSession) -> Sequence[Topic]:
    """Every topic, retired ones too, for editors."""
    return (await session.scalars(_IN_ORDER)).all()


_IN_ORDER = select(Topic).order_by(Topic.position, Topic.slug)


async def create(
    session: AsyncSession, slug: str, sent: Mapping[str, Any], *, editor: Editor, now: datetime
) -> Topic:
    """Add a topic, at the end unless a position is given. Raises `TopicExists`."""
    behind_all = select(func.coalesce(func.max(Topic.position) + 1, 0)).scalar_subquery()
    row = insert(Topic).values(
        slug=slug,
        labels=_merged_labels({}, sent["labels"]),
        terms=_checked_terms(sent.get("terms", ())),
        position=sent.get("position", behind_all),
        retired_at=now if sent.get("retired") else None,
    )
    added = row.on_conflict_do_nothing(constraint="pk_newsletter_topic").returning(Topic)
    topic = (await session.scalars(added)).one_or_none()
    if topic is None:
        raise TopicExists
    await _audit(session, "created", topic, editor=editor, now=now)
    return topic


async def change(
    session: AsyncSession, slug: str, patch: Mapping[str, Any], *, editor: Editor, now: datetime
) -> Topic:
    """Apply a merge patch (RFC 7396): labels are merged by language, all else is replaced.

    The slug stays, since it is in choices, addresses and files. A retired topic stays with those
    who have it, until they choose others.
    """
    topic = await session.get(Topic, slug, with_for_update=True)
    if topic is None:
        raise NotFound
    before = _state(topic)
    if "labels" in patch:
        topic.labels = _merged_labels(topic.labels, patch["labels"])
    if "terms" in patch:
        topic.terms = _checked_terms(patch["terms"])
    topic.position = patch.get("position", topic.position)
    if "retired" in patch:
        topic.retired_at = (topic.retired_at or now) if patch["retired"] else None
    if _state(topic) != before:
        await session.flush()
        await _audit(session, "changed", topic, editor=editor, now=now)
    return topic


def _label(topic: Topic, language: str) -> TopicLabel:
    """In this language, or in the first of ours, which every topic has."""
    label = topic.labels.get(language) or topic.labels[LOCALES[0]]
    return TopicLabel(
        topic.slug, label["name"], label.get("description"), topic.retired_at is not None
    )


def _merged_labels(labels: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Raises `InvalidInput` where a name would be missing."""
    merged = dict(labels)
    for language, label in patch.items():
        members = {} if label is None else {**merged.get(language, {}), **label}
        merged[language] = {name: text for name, text in members.items() if text is not None}
    merged = {language: label for language, label in merged.items() if label}
    nameless = [
        language for language in {**merged, LOCALES[0]: {}} if not _has_name(merged, language)
    ]
    if nameless:
        message = "A topic has a name in each of its languages, and one in English"
        raise InvalidInput(
            errors=[
                FieldError(pointer=f"/labels/{language}/name", code="required", message=message)
                for language in nameless
            ]
        )
    return merged


def _has_name(labels: Mapping[str, Any], language: str) -> bool:
    return "name" in labels.get(language, {})


def _checked_terms(terms: Sequence[str]) -> list[str]:
    """As `AssetSearch.terms` has them, each once: "keyword:Le Havre" becomes "keyword:le havre"."""
    return list(dict.fromkeys(_checked_term(text, place) for place, text in enumerate(terms)))


def _checked_term(text: str, place: int) -> str:
    name, _, value = text.partition(":")
    if name == "collection" and parse_id(value):
        name = "collection_id"
    found = term(name, value)
    if name not in TERM_NAMES or found == f"{name}:":
        message = f"A term is one of {', '.join(TERM_NAMES)}, a colon and a value"
        raise invalid(f"/terms/{place}", "invalid_term", message)
    return found


def _state(topic: Topic) -> tuple[Any, ...]:
    return topic.labels, topic.terms, topic.position, topic.retired_at


async def _audit(
    session: AsyncSession, deed: str, topic: Topic, *, editor: Editor, now: datetime
) -> None:
    await audit_events.record(
        session,
        f"newsletter_topic.{deed}",
        account_id=editor.account_id,
        client=editor.client,
        details={"slug": topic.slug, "retired": topic.retired_at is not None},
        now=now,
    )
