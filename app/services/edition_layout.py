"""The frame around what an editor wrote: head, footer and styles of a mail, and of assets in it."""

from dataclasses import dataclass
from datetime import datetime
from email.utils import parseaddr
from functools import cache
from urllib.parse import urlencode

import css_inline
from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from app.models import Edition
from app.services import mails
from app.services.context import Newsroom
from app.services.edition_assets import Card
from app.services.edition_messages import PREFERENCES_GAP, UNSUBSCRIBE_GAP

# The width of the column, which Outlook reads from the tag alone.
_POSTER_WIDTH = 536
_environment = Environment(
    loader=PackageLoader("app", "templates/newsletter"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
    keep_trailing_newline=True,
)
# Nothing is fetched, whatever the page names.
_inliner = css_inline.CSSInliner(load_remote_stylesheets=False)


@dataclass(frozen=True, slots=True)
class Contents:
    """An editor's words, rendered; `language` is the one they are in."""

    subject: str
    preheader: str
    html: str
    text: str
    language: str


@dataclass(frozen=True, slots=True)
class Frame:
    """What is put around them, in the language of the reader."""

    edition: Edition
    language: str
    newsroom: Newsroom
    now: datetime
    is_test: bool = False


def html(contents: Contents, frame: Frame) -> str:
    """A whole page with its styles inlined, since many mail programs read no others."""
    page = _environment.get_template("layout.html").render(
        **_values(frame),
        subject=contents.subject,
        preheader=contents.preheader,
        content=Markup(contents.html),  # noqa: S704  # sanitised by edition_markdown
        text_language=contents.language,
        text_direction=direction(contents.language),
    )
    return _inliner.inline(page)


def text(contents: Contents, frame: Frame) -> str:
    values = _values(frame)
    return _environment.get_template("layout.txt").render(**values, content=contents.text)


def page(template: str, **values: object) -> str:
    """A page for browsers, which read style sheets."""
    return _environment.get_template(template).render(values)


def asset_html(card: Card, language: str, *, text_language: str, has_poster: bool) -> str:
    """An asset's block for readers of a language, amid a text that may be in another one.

    Without styles: the frame has those.
    """
    has_poster = has_poster and card.poster_url is not None
    height = round(_POSTER_WIDTH / card.poster_ratio) if card.poster_ratio else None
    return _environment.get_template("asset.html").render(
        card=card,
        language=language,
        text_language=text_language,
        direction=direction(card.language),
        words=words(language),
        has_poster=has_poster,
        poster_width=_POSTER_WIDTH,
        poster_height=height,
    )


def asset_text(card: Card) -> str:
    lines = (f"{card.title} ({card.duration})" if card.duration else card.title, card.summary)
    return "\n".join(line for line in (*lines, card.url) if line)


def sender_name(newsroom: Newsroom, own_name: str | None = None) -> str:
    """Who writes: by the edition's own name, or that of NEWSLETTER_FROM."""
    return own_name or parseaddr(newsroom.sender)[0] or mails.PRODUCT


def archive_url(newsroom: Newsroom, number: int, language: str) -> str:
    """Where anybody reads an edition that was sent."""
    query = urlencode({"language": language})
    return f"{newsroom.api_url}/v1/newsletter/archive/{number}?{query}"


def direction(language: str) -> str:
    """Which way a language is written, for `dir`; an unknown one like ours."""
    try:
        return Locale.parse(language, sep="-").text_direction
    except (ValueError, UnknownLocaleError):
        return "ltr"


@cache
def words(language: str) -> dict[str, str]:
    """The few words that are not the editor's."""
    source, _, _ = _environment.loader.get_source(_environment, f"words.{language}.txt")  # type: ignore[union-attr]  # it has one
    pairs = (line.partition(": ") for line in source.splitlines())
    return {name: text for name, _, text in pairs}


def _values(frame: Frame) -> dict[str, object]:
    edition, newsroom, language = frame.edition, frame.newsroom, frame.language
    name = sender_name(newsroom, edition.from_name)
    is_archived = edition.kind == "edition" and edition.in_archive
    # What is tested has not been sent yet, and the archive holds nothing else.
    has_page = is_archived and not frame.is_test
    return {
        "name": name,
        "date": format_date(frame.now, "long", locale=language),
        "why": words(language)["why"].format(product=mails.PRODUCT),
        "words": words(language),
        "language": language,
        "direction": direction(language),
        "is_test": frame.is_test,
        "unsubscribe": f"{newsroom.pages_url}/newsletter/unsubscribe#token={UNSUBSCRIBE_GAP}",
        "preferences": f"{newsroom.pages_url}/newsletter/preferences#token={PREFERENCES_GAP}",
        "browser": archive_url(newsroom, edition.number, language) if has_page else "",
    }
