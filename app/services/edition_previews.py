"""How an edition will look, for its editors: on their screens and in their own mailboxes."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import parseaddr
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from app.crypto import Keyring
from app.errors import NotFound, RateLimited
from app.models import Edition, EditionMessage
from app.services import (
    audit_events,
    edition_freezing,
    edition_html,
    edition_messages,
    edition_rendering,
    editions,
    mail_outbox,
    mails,
    policy,
    signed_addresses,
)
from app.services.context import Deployment, Editor, Newsroom
from app.services.edition_messages import FrozenMessage, Letter
from app.services.emails import EmailAddress
from app.services.languages import LOCALES
from app.services.mail_kinds import FINISHED_KIND
from app.services.newsletter_tokens import Recipient

TESTED = "edition.tested"
_SIGNED = "edition-preview"
TEST_MARK = "[Test] "
_WINDOW = timedelta(hours=1)
# No subscriber has this id: links with it look like any other, and change nothing.
_NOBODY = Letter(Recipient(UUID(int=0)), "reader@example.org")
_SHORTCOMINGS = {
    "image_removed": "A picture is left out: pictures need an https address",
    "image_without_alt": "A picture has no description for those who don't see it",
    "link_removed": "A link is left out: links need an http, https or mailto address",
}


@dataclass(frozen=True, slots=True)
class Remark:
    """What does not keep an edition from being sent, but may be an oversight."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Preview:
    """A mail as its readers get it, with links that name nobody."""

    # The readers', and the one that the text is in.
    language: str
    text_language: str
    subject: str
    preheader: str
    html: str
    text: str
    warnings: Sequence[Remark]

    @property
    def html_bytes(self) -> int:
        return len(self.html.encode())


@dataclass(frozen=True, slots=True)
class SentTest:
    # The readers'.
    language: str
    recipients: int


async def preview(
    session: AsyncSession,
    edition_id: UUID,
    language: str | None,
    *,
    newsroom: Newsroom,
    keyring: Keyring,
    now: datetime,
) -> Preview:
    """The mail that readers of a language would get; of an edition that has started, did get.

    Raises `InvalidInput` with what keeps it from being sent.
    """
    edition = await editions.get(session, edition_id)
    language = language or edition.language
    message = await _frozen(session, edition, language) if edition.started_at else None
    if message is None:
        rendered = await edition_rendering.render(
            session, edition, language, newsroom=newsroom, now=now
        )
        message = edition_freezing.message(
            rendered, edition, variant=0, language=language, newsroom=newsroom
        )
    html, text = _read(FrozenMessage(message.frozen).fill(_NOBODY, keyring=keyring, now=now))
    return Preview(
        language=language,
        text_language=_text_language(edition, language),
        subject=message.subject,
        preheader=message.preheader,
        html=html,
        text=text,
        warnings=_warnings(edition, message, html),
    )


def signed_url(edition_id: UUID, language: str, *, keyring: Keyring, now: datetime) -> str:
    """The path at which a frame finds the HTML that readers of this language would get."""
    until = now + policy.EDITION_PREVIEW_LIFETIME
    signature = signed_addresses.sign(keyring, _SIGNED, edition_id.bytes, language, until=until)
    path = f"/v1/newsletter/editions/{edition_id}/preview.html"
    return f"{path}?language={language}&signature={signature}"


def check_signed(
    signature: str, edition_id: UUID, language: str, *, keyring: Keyring, now: datetime
) -> None:
    """Raises `NotFound` unless it is the end of such an address that still works."""
    signed = (_SIGNED, edition_id.bytes, language)
    if not signed_addresses.is_signed(signature, keyring, *signed, now=now):
        raise NotFound


async def send_test(
    session: AsyncSession,
    edition_id: UUID,
    to: Sequence[EmailAddress],
    language: str | None,
    *,
    newsroom: Newsroom,
    deployment: Deployment,
    editor: Editor,
    now: datetime,
) -> SentTest:
    """Mail an edition, marked as a test, to these addresses, each once.

    Raises `RateLimited` when an edition has had its tests of the hour, and `InvalidInput` with
    what keeps it from being sent. The links name nobody, so leaving by one changes nothing.
    """
    edition = await editions.lock(session, edition_id)
    recipients = list({address.key: address for address in reversed(to)}.values())
    if deployment.limits_on:
        await _check_budget(session, edition, len(recipients), now=now)
    language = language or edition.language
    frozen = await _freeze_test(session, edition, language, newsroom=newsroom, now=now)
    for address in recipients:
        # Mailboxes show only one of two mails with the same Message-ID, which is made from this.
        letter = Letter(Recipient(uuid7()), mails.deliverable(address.typed))
        mail = frozen.fill(letter, keyring=deployment.keyring, now=now)
        await mail_outbox.enqueue(
            session,
            kind=FINISHED_KIND,
            to=address.typed,
            locale=language,
            params={"message": mail.decode(), "sender": parseaddr(newsroom.sender)[1]},
            keyring=deployment.keyring,
            now=now,
        )
    sent = SentTest(language, len(recipients))
    await editions.audit(session, TESTED, edition, editor=editor, now=now, details=asdict(sent))
    return sent


async def _freeze_test(
    session: AsyncSession, edition: Edition, language: str, *, newsroom: Newsroom, now: datetime
) -> FrozenMessage:
    rendered = await edition_rendering.render(
        session, edition, language, newsroom=newsroom, now=now, is_test=True
    )
    marked = replace(rendered, subject=f"{TEST_MARK}{rendered.subject}")
    return FrozenMessage(edition_messages.freeze(marked, edition=edition, newsroom=newsroom))


async def _frozen(session: AsyncSession, edition: Edition, language: str) -> EditionMessage | None:
    """What was sent; of a digest, to the first of the choices in this language."""
    of_edition = EditionMessage.edition_id == edition.id
    query = select(EditionMessage).where(of_edition, EditionMessage.language == language)
    return (await session.scalars(query.order_by(EditionMessage.variant).limit(1))).one_or_none()


def _read(mail: bytes) -> tuple[str, str]:
    """HTML and text of a mail, as a mail program reads them out of its bytes."""
    parsed = message_from_bytes(mail, EmailMessage, policy=SMTP)
    text, html = (str(part.get_content()) for part in parsed.iter_parts())
    return html, text


def _text_language(edition: Edition, language: str) -> str:
    """Digests are written in each language anew."""
    is_digest = edition.kind == "digest"
    return language if is_digest else edition_rendering.text_language(edition, language)


def _warnings(edition: Edition, message: EditionMessage, html: str) -> list[Remark]:
    found = [
        Remark(code, _SHORTCOMINGS[code])
        for code in sorted(edition_html.shortcomings(message.html))
    ]
    if len(html.encode()) > policy.EDITION_HTML_ADVISED_BYTES:
        kilobytes = policy.EDITION_HTML_ADVISED_BYTES // 1024
        found.append(Remark("html_too_large", f"Gmail cuts mails off after {kilobytes} kB"))
    if len(message.subject) > policy.EDITION_SUBJECT_ADVISED_LENGTH:
        shown = policy.EDITION_SUBJECT_ADVISED_LENGTH
        found.append(Remark("subject_too_long", f"Few programs show more than {shown} characters"))
    for language in LOCALES:
        if (written_in := _text_language(edition, language)) != language:
            said = f"Readers of {language!r} get the text in {written_in!r}"
            found.append(Remark("translation_missing", said))
    return found


async def _check_budget(
    session: AsyncSession, edition: Edition, count: int, *, now: datetime
) -> None:
    """Count the tests of the last hour; called under the edition's lock."""
    events = await audit_events.list_since(session, TESTED, since=now - _WINDOW)
    mine = [each for each in events if each.details.get("edition_id") == str(edition.id)]
    sent = sum(each.details["recipients"] for each in mine)
    if sent + count > policy.TEST_MAILS_PER_EDITION_AND_HOUR:
        detail = f"{policy.TEST_MAILS_PER_EDITION_AND_HOUR} test mails of an edition in an hour"
        wait = mine[0].occurred_at + _WINDOW - now if mine else _WINDOW
        raise RateLimited(detail, retry_after=wait)
