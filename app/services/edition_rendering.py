"""From what an editor wrote to what a reader gets, in the reader's language if it is there."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import FieldError, InvalidInput
from app.formats.addresses import Addresses
from app.models import Edition
from app.services import (
    edition_assets,
    edition_layout,
    edition_markdown,
    edition_plain_text,
    mails,
    policy,
)
from app.services.context import Newsroom
from app.services.edition_assets import Document
from app.services.edition_html import TooIntricate
from app.services.edition_layout import Contents, Frame
from app.services.edition_markdown import AssetBlock, Body
from app.services.edition_messages import PREFERENCES_GAP, UNSUBSCRIBE_GAP, RenderedEdition
from app.services.mails import UnsendableMail

Translation = Mapping[str, Any]


async def render(
    session: AsyncSession,
    edition: Edition,
    language: str,
    *,
    newsroom: Newsroom,
    now: datetime,
    is_test: bool = False,
) -> RenderedEdition:
    """An edition for readers of a language; without a translation, in the edition's own.

    Raises `InvalidInput` with a pointer to each thing that keeps it from being sent.
    """
    written_in = text_language(edition, language)
    translation = edition.translations.get(written_in) or {}
    pointer = f"/translations/{written_in}"
    _check(edition, translation, pointer)
    frame = Frame(edition, language, newsroom, now, is_test=is_test)
    try:
        # In threads: others need not wait for the longest text that an editor may write.
        body = await asyncio.to_thread(edition_markdown.parse, translation["body"])
        documents = await _find_assets(session, body, pointer=f"{pointer}/body")
        return await asyncio.to_thread(_render, translation, written_in, body, documents, frame)
    except TooIntricate:
        message = "This is too much markup for a letter, or too many elements inside each other"
        error = FieldError(pointer=f"{pointer}/body", code="too_intricate", message=message)
        raise InvalidInput(errors=[error]) from None


def text_language(edition: Edition, language: str) -> str:
    """In which language a reader of this one gets the text."""
    return language if edition.translations.get(language) else edition.language


def _check(edition: Edition, translation: Translation, pointer: str) -> None:
    """Raise `InvalidInput` for what is missing, too long, or could break out of its header."""
    errors = [
        FieldError(pointer=f"{pointer}/{name}", code="required", message="Nothing is sent without")
        for name in ("subject", "body")
        if not str(translation.get(name) or "").strip()
    ]
    if len(translation.get("body") or "") > policy.EDITION_BODY_MAX_LENGTH:
        message = f"At most {policy.EDITION_BODY_MAX_LENGTH} characters"
        errors.append(FieldError(pointer=f"{pointer}/body", code="too_long", message=message))
    lines = {
        f"{pointer}/subject": translation.get("subject"),
        f"{pointer}/preheader": translation.get("preheader"),
        "/from_name": edition.from_name,
    }
    errors += [
        FieldError(pointer=place, code="control_character", message="This must be one line")
        for place, line in lines.items()
        if not _is_one_line(line or "")
    ]
    if errors:
        raise InvalidInput(errors=errors)


def _is_one_line(text: str) -> bool:
    try:
        mails.refuse_control_characters([text])
    except UnsendableMail:
        return False
    return True


async def _find_assets(
    session: AsyncSession, body: Body, *, pointer: str
) -> Mapping[str, Document]:
    blocks = body.assets
    references = {block.reference for block in blocks}
    documents = await edition_assets.find(session, references) if references else {}
    if faults := edition_assets.faults(blocks, documents, pointer=pointer):
        raise InvalidInput(errors=faults)
    return documents


def _without_gaps(text: str) -> str:
    """An editor's words that look like one of our gaps stay words: a joiner keeps them apart."""
    for gap in (UNSUBSCRIBE_GAP, PREFERENCES_GAP):
        text = text.replace(gap, f"{gap[0]}\u2060{gap[1:]}")
    return text


def _render(
    translation: Translation,
    written_in: str,
    body: Body,
    documents: Mapping[str, Document],
    frame: Frame,
) -> RenderedEdition:
    html, text = _bodies(body, documents, written_in, frame)
    contents = Contents(
        subject=_without_gaps(translation["subject"].strip()),
        preheader=_without_gaps((translation.get("preheader") or "").strip()),
        html=_without_gaps(html),
        text=_without_gaps(text),
        language=written_in,
    )
    return RenderedEdition(
        html=edition_layout.html(contents, frame),
        text=edition_layout.text(contents, frame),
        language=written_in,
        subject=contents.subject,
        preheader=contents.preheader,
        archive_html=contents.html,
        archive_text=contents.text,
    )


def _bodies(
    body: Body, documents: Mapping[str, Document], written_in: str, frame: Frame
) -> tuple[str, str]:
    """The text as HTML and as plain text, with its assets in the reader's language."""
    addresses = Addresses(api=frame.newsroom.api_url, pages=frame.newsroom.pages_url)
    cards = {
        reference: edition_assets.card(document, frame.language, addresses)
        for reference, document in documents.items()
    }

    def asset_html(block: AssetBlock) -> str:
        card, has_poster = cards[block.reference], block.has_poster
        return edition_layout.asset_html(
            card, frame.language, text_language=written_in, has_poster=has_poster
        )

    def asset_text(block: AssetBlock) -> str:
        return edition_layout.asset_text(cards[block.reference])

    return body.html(asset_html), edition_plain_text.write(body, asset_text)
