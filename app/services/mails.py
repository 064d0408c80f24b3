"""What mails say: from a kind, a language and values to subject, text and HTML.

Each text is written once per language, in templates/mail/<kind>.<language>.txt: a subject, the
preview that mailboxes show beside it, and paragraphs. "> …" is a code, "[label](address)" a button,
and "- [label](address)" a link in a list. Lists are values in JSON. The HTML part renders the same
paragraphs. A new language is a copy of these files.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address, BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, Policy
from email.utils import parseaddr
from typing import Literal
from urllib.parse import urlencode, urlsplit
from uuid import UUID

import idna
from babel import Locale
from babel.dates import format_timedelta
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from typing_extensions import override

from app.services import policy

PRODUCT = "Multimedia Account"
# Of a mail's values, the address that ends mails of its kind by one POST (RFC 8058).
UNSUBSCRIBE = "unsubscribe"
DEFAULT_LANGUAGE = "en"
_environment = Environment(
    loader=PackageLoader("app", "templates/mail"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    auto_reload=False,
)
_environment.filters["from_json"] = json.loads
LANGUAGES = frozenset(
    name.split(".")[1] for name in _environment.list_templates(extensions=["txt"])
)


class UnsendableMail(Exception):
    """A value that could break out of its header or line; such a mail must never leave."""


@dataclass(frozen=True, slots=True)
class RenderedMail:
    language: str
    subject: str
    text: str
    html: str
    unsubscribe: str | None = None


@dataclass(frozen=True, slots=True)
class Block:
    style: Literal["text", "code", "link", "item"]
    text: str
    url: str = ""


def render(kind: str, locale: str, params: Mapping[str, str], *, site: str) -> RenderedMail:
    """Render a mail, in English where nobody has translated it; `site` is where the app lives."""
    refuse_control_characters([kind, locale, site, *params.values()])
    language = _language(locale)
    values = {**_durations(language), **params, "product": PRODUCT, "site": site}
    if "token" in params:
        values["link"] = _link(params)
    if "code" in params:
        values["code"] = _grouped(params["code"])
    source = _environment.get_template(f"{kind}.{language}.txt").render(values)
    footer = _environment.get_template(f"footer.{language}.txt").render(values).strip()
    head, _, body = source.partition("\n\n")
    subject, preview = (line.partition(": ")[2] for line in head.splitlines())
    blocks = [_block(paragraph) for paragraph in body.strip().split("\n\n")]
    html = _environment.get_template("layout.html").render(
        language=language,
        direction=Locale.parse(language).text_direction,
        product=PRODUCT,
        subject=subject,
        preview=preview,
        blocks=blocks,
        footer=footer,
    )
    text = _text(blocks, footer, params)
    return RenderedMail(language, subject, text, html, params.get(UNSUBSCRIBE))


class _AddressHeader(UnstructuredHeader, BaseHeader):
    """A header of one URL, which the library would encode when it is as long as a line."""

    @override
    def fold(self, *, policy: Policy) -> str:
        return f"{self.name}: {self}{policy.linesep}"


_headers = HeaderRegistry()
_headers.map_to_type("list-unsubscribe", _AddressHeader)
_POLICY = SMTP.clone(header_factory=_headers)


def compose(
    mail: RenderedMail, *, mail_id: UUID, sender: str, recipient: str, now: datetime
) -> EmailMessage:
    """Put a rendered mail into an envelope of headers; each attempt has the same Message-ID."""
    refuse_control_characters([sender, recipient])
    name, address = parseaddr(sender)
    message = EmailMessage(policy=_POLICY)
    message["From"] = Address(name or PRODUCT, addr_spec=address)
    message["To"] = recipient
    message["Subject"] = mail.subject
    message["Date"] = now
    message["Message-ID"] = f"<{mail_id}@{address.rpartition('@')[2]}>"
    # RFC 3834, and Exchange's own word: no out-of-office answers to these.
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    if mail.unsubscribe is not None:
        message["List-Unsubscribe"] = f"<{mail.unsubscribe}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(mail.text, cte="quoted-printable")
    message.add_alternative(mail.html, subtype="html", cte="quoted-printable")
    message["Content-Language"] = mail.language  # now, since setting the content removes it
    return message


def deliverable(address: str) -> str:
    """The address with its domain in ASCII (IDNA), which servers without SMTPUTF8 take too."""
    local_part, _, domain = address.rpartition("@")
    if domain.isascii():
        return address
    try:
        return f"{local_part}@{idna.encode(domain, uts46=True).decode()}"
    except idna.IDNAError:
        return address


def refuse_control_characters(values: Iterable[str]) -> None:
    for value in values:
        if any(unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} for char in value):
            raise UnsendableMail("a value holds a line break or another control character")


def _language(locale: str) -> str:
    language = re.split("[-_]", locale.lower())[0]
    return language if language in LANGUAGES else DEFAULT_LANGUAGE


def _durations(language: str) -> dict[str, str]:
    """The policy's terms in words: "30 minutes", "7 jours"."""
    terms = {
        "code_lifetime": policy.CODE_LIFETIME,
        "undo_lifetime": policy.EMAIL_CHANGE_UNDO_LIFETIME,
        "notice_interval": policy.UNKNOWN_ADDRESS_MAIL_INTERVAL,
        "signup_lifetime": policy.SIGNUP_LIFETIME,
        "signup_interval": policy.SIGNUP_MAIL_INTERVAL,
        "webhook_patience": policy.WEBHOOK_DISABLED_AFTER,
        "alert_interval": policy.ALERT_MAIL_INTERVAL,
    }
    # A unit is used from one and a half of it on: 7 days rather than 1 week.
    return {
        name: format_timedelta(term, threshold=1.5, locale=language) for name, term in terms.items()
    }


def _link(params: Mapping[str, str]) -> str:
    """The secret goes into the fragment, which browsers keep to themselves.

    Not the flow's id: knowing it is what tells the device that registered from any other.
    """
    return f"{params['link']}#{urlencode({'token': params['token']})}"


def _grouped(code: str) -> str:
    half = len(code) // 2
    return f"{code[:half]} {code[half:]}"


_BUTTON = re.compile(r"\[(?P<label>[^\]]+)\]\((?P<url>\S+)\)")
# A title may have brackets of its own, but the last ones are ours.
_ITEM = re.compile(r"- \[(?P<label>.+)\]\((?P<url>[^\s()]+)\)")


def _block(paragraph: str) -> Block:
    if paragraph.startswith("> "):
        return Block("code", paragraph.removeprefix("> "))
    if button := _BUTTON.fullmatch(paragraph):
        return Block("link", button["label"], button["url"])
    if item := _ITEM.fullmatch(paragraph):
        return Block("item", item["label"], item["url"])
    return Block("text", paragraph)


def _text(blocks: Iterable[Block], footer: str, params: Mapping[str, str]) -> str:
    paragraphs = [f"{block.text}\n{block.url}" if block.url else block.text for block in blocks]
    paragraphs.append(f"-- \n{footer}")
    if "code" in params:
        # Phones offer to fill in a code that is bound to a site so, in the last line
        # (https://wicg.github.io/sms-one-time-codes/).
        paragraphs.append(f"@{urlsplit(params['link']).hostname} #{params['code']}")
    return "\n\n".join(paragraphs) + "\n"
