"""Editions of the newsletter at the editors' desk: written, changed until they start, found."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer
from uuid_utils.compat import uuid7

from app.errors import AppError, NotFound
from app.models import Edition
from app.services import asset_fields, audit_events, edition_freezing, subscriptions
from app.services.asset_documents import parse_id
from app.services.asset_versions import VersionCheck
from app.services.context import Editor, Newsroom

# What editors write; all else follows from what is done with the edition.
_EMPTY: Mapping[str, Any] = {
    "name": None,
    "topics": [],
    "translations": {},
    "language": "en",
    "from_name": None,
    "in_archive": True,
}
_REQUIRED = ("name", "language", "in_archive")
# Longer numbers might not fit into the column.
_NUMBER_MAX_DIGITS = 18

# An edition without its texts, and the subject in its own language.
Listed = tuple[Edition, str | None]


class EditionStarted(AppError):
    status, code, title = 409, "edition_started", "An edition that has started stays as it is"


class EditionState(AppError):
    status, code, title = 409, "edition_state", "The edition's state does not allow that"


async def create(
    session: AsyncSession, sent: Mapping[str, Any], *, editor: Editor, now: datetime
) -> Edition:
    """A draft, which may lack whatever its mails will need."""
    _check_required(sent)
    fields = await _merged(session, _EMPTY, sent)
    edition = Edition(
        id=uuid7(),
        kind="edition",
        frequency="each",
        state="draft",
        version=1,
        created_at=now,
        updated_at=now,
        created_by=editor.account_id,
        **fields,
    )
    session.add(edition)
    await session.flush()
    await audit(session, "edition.created", edition, editor=editor, now=now)
    return edition


async def change(
    session: AsyncSession,
    edition_id: UUID,
    patch: Mapping[str, Any],
    *,
    check: VersionCheck,
    newsroom: Newsroom,
    editor: Editor,
    now: datetime,
) -> Edition:
    """Apply a merge patch (RFC 7396). One that changes nothing makes no version.

    A scheduled edition stays fit to be sent: `InvalidInput` names what its mails would lack.
    """
    edition = await lock(session, edition_id)
    check(edition.version)
    if edition.started_at is not None:
        raise EditionStarted
    _check_required(patch)
    before = {name: getattr(edition, name) for name in _EMPTY}
    after = await _merged(session, before, patch)
    if after == before:
        return edition
    for name, value in after.items():
        setattr(edition, name, value)
    if edition.state == "scheduled":
        await edition_freezing.freeze(session, edition, newsroom=newsroom, now=now)
    await record(session, "edition.changed", edition, editor=editor, now=now)
    return edition


async def delete_draft(
    session: AsyncSession,
    edition_id: UUID,
    *,
    check: VersionCheck,
    editor: Editor,
    now: datetime,
) -> None:
    """Take a draft away; whatever was sent, or is about to be, stays in the books."""
    edition = await lock(session, edition_id)
    check(edition.version)
    if edition.state != "draft":
        raise EditionState(f"It is {edition.state}; only drafts can be deleted")
    await audit(session, "edition.deleted", edition, editor=editor, now=now)
    await session.delete(edition)
    await session.flush()


async def get(session: AsyncSession, edition_id: UUID) -> Edition:
    edition = await session.get(Edition, edition_id, populate_existing=True)
    if edition is None:
        raise NotFound
    return edition


async def find(session: AsyncSession, reference: str) -> Edition:
    """An edition by its id, or by the number that people call it by."""
    edition_id = parse_id(reference)
    is_named: ColumnElement[bool] | None = None
    if edition_id is not None:
        is_named = Edition.id == edition_id
    elif reference.isdecimal() and len(reference) <= _NUMBER_MAX_DIGITS:
        is_named = Edition.number == int(reference)
    if is_named is not None:
        edition = (await session.scalars(select(Edition).where(is_named))).one_or_none()
        if edition is not None:
            return edition
    raise NotFound(f"There is no edition {reference}")


async def list_editions(
    session: AsyncSession, *, state: str | None, before: UUID | None, limit: int
) -> Sequence[Listed]:
    """Newest first, without the texts; `before` is the id that the previous page ended with."""
    subject = Edition.translations[Edition.language]["subject"].astext
    query = select(Edition, subject).options(defer(Edition.translations, raiseload=True))
    if state is not None:
        query = query.where(Edition.state == state)
    if before is not None:
        query = query.where(Edition.id < before)
    found = await session.execute(query.order_by(Edition.id.desc()).limit(limit))
    return [(edition, line) for edition, line in found]


async def lock(session: AsyncSession, edition_id: UUID) -> Edition:
    """An edition that nobody else changes until the transaction ends."""
    query = select(Edition).where(Edition.id == edition_id).with_for_update()
    edition = (
        await session.scalars(query, execution_options={"populate_existing": True})
    ).one_or_none()
    if edition is None:
        raise NotFound
    return edition


async def record(
    session: AsyncSession,
    action: str,
    edition: Edition,
    *,
    editor: Editor,
    now: datetime,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Count a change of a locked edition as its next version, write it, and audit it."""
    edition.version += 1
    edition.updated_at = now
    await session.flush()
    await audit(session, action, edition, editor=editor, now=now, details=details)


async def audit(
    session: AsyncSession,
    action: str,
    edition: Edition,
    *,
    editor: Editor,
    now: datetime,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Append a step of an edition's life to the audit trail."""
    named = {
        "edition_id": str(edition.id),
        "number": edition.number,
        "version": edition.version,
    }
    await audit_events.record(
        session,
        action,
        account_id=editor.account_id,
        client=editor.client,
        details={**named, **(details or {})},
        now=now,
    )


def _check_required(patch: Mapping[str, Any]) -> None:
    for name in _REQUIRED:
        if name in patch and patch[name] is None:
            raise asset_fields.invalid(f"/{name}", "required", "This can't be taken away")


async def _merged(
    session: AsyncSession, fields: Mapping[str, Any], patch: Mapping[str, Any]
) -> dict[str, Any]:
    """The fields that a patch leaves, all of them."""
    merged = {**_EMPTY, **asset_fields.merge(fields, patch)}
    if "topics" in patch:
        chosen = await subscriptions.check_topics(
            session, merged["topics"], allow_retired=fields["topics"]
        )
        merged["topics"] = list(chosen)
    return merged
