"""Freezes an edition: from then on, all who read one language get the same bytes."""

from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Edition, EditionMessage
from app.services import edition_messages, edition_rendering
from app.services.context import Newsroom
from app.services.edition_messages import RenderedEdition
from app.services.languages import LOCALES


async def freeze(
    session: AsyncSession, edition: Edition, *, newsroom: Newsroom, now: datetime
) -> None:
    """Write the mail of each language, in place of any written before.

    Raises `InvalidInput` when the edition can't be sent as it is.
    """
    messages = []
    for variant, language in enumerate(LOCALES):
        rendered = await edition_rendering.render(
            session, edition, language, newsroom=newsroom, now=now
        )
        messages.append(
            message(rendered, edition, variant=variant, language=language, newsroom=newsroom)
        )
    await session.execute(delete(EditionMessage).where(EditionMessage.edition_id == edition.id))
    session.add_all(messages)
    await session.flush()


def message(
    rendered: RenderedEdition,
    edition: Edition,
    *,
    variant: int,
    language: str,
    newsroom: Newsroom,
    topics: list[str] | None = None,
) -> EditionMessage:
    """One variant; `language` is the readers', who may get a text in another one."""
    return EditionMessage(
        edition_id=edition.id,
        variant=variant,
        language=language,
        topics=topics,
        subject=rendered.subject,
        preheader=rendered.preheader,
        frozen=edition_messages.freeze(rendered, edition=edition, newsroom=newsroom),
        html=rendered.archive_html,
        text=rendered.archive_text,
    )
