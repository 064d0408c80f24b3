"""The mails of an edition: one MIME message a variant, frozen with gaps for what is personal.

Rendering and encoding are done once. For each recipient only the gaps are filled, so a million
mails cost little more than their bytes, and all who read the same language read the same text.
"""

import re
from binascii import b2a_qp
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from hashlib import sha256

from app.crypto import Keyring
from app.models import Edition
from app.services import mails, newsletter_tokens
from app.services.context import Newsroom
from app.services.newsletter_tokens import Recipient

# Where a rendered text has its personal links; both are followed by nothing of the token's letters.
UNSUBSCRIBE_GAP = "@@unsubscribe@@"
PREFERENCES_GAP = "@@preferences@@"
# No header or encoded body holds a NUL, so gaps can't be mistaken for anything an editor wrote.
_MARK = b"\0"
_GAPS = {UNSUBSCRIBE_GAP: b"\0unsubscribe\0", PREFERENCES_GAP: b"\0preferences\0"}
_SOFT_BREAK = b"=\r\n"


@dataclass(frozen=True, slots=True)
class RenderedEdition:
    """An edition in one language. The first two go into mails and have gaps."""

    html: str
    text: str
    language: str
    subject: str
    preheader: str
    # For the web: only what the editor wrote, sanitised, without layout and personal links.
    archive_html: str
    archive_text: str


@dataclass(frozen=True, slots=True)
class Letter:
    """To whom one copy goes, and in whose name."""

    recipient: Recipient
    to: str


def freeze(rendered: RenderedEdition, *, edition: Edition, newsroom: Newsroom) -> bytes:
    """Headers and body as they are sent, with marked gaps.

    Raises `UnsendableMail` when a name or subject holds a line break.
    """
    mails.refuse_control_characters([rendered.subject, edition.from_name or "", newsroom.sender])
    # Not secret: it only must not occur in the body.
    boundary = sha256(f"{rendered.html}{rendered.text}".encode()).hexdigest()[:32].encode()
    headers = _fixed_headers(rendered, edition=edition, newsroom=newsroom)
    parts = [(b"plain", rendered.text), (b"html", rendered.html)]
    body = b"".join(_part(boundary, subtype, text) for subtype, text in parts)
    content_type = b'Content-Type: multipart/alternative; boundary="' + boundary + b'"\r\n'
    personal = _personal_headers(newsroom)
    return headers + personal + content_type + b"\r\n" + body + b"--" + boundary + b"--\r\n"


class FrozenMessage:
    """A frozen message, cut at its gaps once, to be filled in for many."""

    def __init__(self, frozen: bytes) -> None:
        pieces = frozen.split(_MARK)
        self._pieces = pieces
        self._gaps = [(place, name.decode()) for place, name in enumerate(pieces) if place % 2]

    def fill(self, letter: Letter, *, keyring: Keyring, now: datetime) -> bytes:
        """The mail of one recipient; trying again gives the same Message-ID."""
        recipient = letter.recipient
        values = {
            "to": letter.to.encode(),
            "date": format_datetime(now).encode(),
            "message_id": f"{recipient.edition_number}.{recipient.subscriber_id}".encode(),
            "unsubscribe": _token("unsubscribe", recipient, keyring),
            "preferences": _token("preferences", recipient, keyring),
        }
        return self._filled(values)

    def _filled(self, values: Mapping[str, bytes]) -> bytes:
        pieces = self._pieces.copy()
        for place, name in self._gaps:
            pieces[place] = values[name]
        return b"".join(pieces)


def _token(purpose: newsletter_tokens.Purpose, recipient: Recipient, keyring: Keyring) -> bytes:
    return newsletter_tokens.make(purpose, recipient, keyring=keyring).encode()


def _fixed_headers(rendered: RenderedEdition, *, edition: Edition, newsroom: Newsroom) -> bytes:
    name, address = parseaddr(newsroom.sender)
    domain = address.rpartition("@")[2]
    message = EmailMessage(policy=SMTP)
    message["From"] = Address(edition.from_name or name or mails.PRODUCT, addr_spec=address)
    message["Subject"] = rendered.subject
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message["Precedence"] = "bulk"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "OOF, AutoReply"
    message["Content-Language"] = rendered.language
    message["MIME-Version"] = "1.0"
    # As they are: the library would encode an address or a URL that is as long as a line.
    plain = (
        f"List-Id: {mails.PRODUCT} <newsletter.{domain}>\r\n"
        f"List-Archive: <{newsroom.api_url}/v1/newsletter/archive>\r\n"
        # Campaign, customer, kind of mail, sender: by these Gmail shows complaints to the sender.
        f"Feedback-ID: {edition.number}:{edition.kind}:newsletter:{domain}\r\n"
    )
    return message.as_bytes().removesuffix(b"\r\n") + plain.encode()


def _personal_headers(newsroom: Newsroom) -> bytes:
    domain = parseaddr(newsroom.sender)[1].rpartition("@")[2].encode()
    unsubscribe = f"{newsroom.api_url}/v1/newsletter/unsubscribe/".encode()
    return (
        b"To: \0to\0\r\n"
        b"Date: \0date\0\r\n"
        b"Message-ID: <n\0message_id\0@" + domain + b">\r\n"
        # RFC 8058: an address that no one can guess, which takes a POST without any log-in.
        b"List-Unsubscribe: <" + unsubscribe + b"\0unsubscribe\0>\r\n"
    )


def _part(boundary: bytes, subtype: bytes, text: str) -> bytes:
    return (
        b"--" + boundary + b"\r\nContent-Type: text/" + subtype + b"; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + _encode(text) + b"\r\n"
    )


_GAP = re.compile("(" + "|".join(map(re.escape, _GAPS)) + ")")


def _encode(text: str) -> bytes:
    """Quoted-printable in which each gap has a line to itself, between two soft breaks."""
    pieces = _GAP.split(text.replace("\r\n", "\n").replace("\0", ""))
    return b"".join(
        _SOFT_BREAK + _GAPS[piece] + _SOFT_BREAK if piece in _GAPS else _quoted(piece)
        for piece in pieces
    )


def _quoted(text: str) -> bytes:
    return b2a_qp(text.encode(), istext=True).replace(b"\n", b"\r\n")
