"""The newsletter's archive as Atom (RFC 4287) and JSON Feed 1.1."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from app.formats import atom, json_text, xml_tree
from app.formats.feed import NEVER
from app.formats.json_text import filled
from app.formats.xml_tree import XML_LANG, add, add_filled

_ATOM = "{http://www.w3.org/2005/Atom}"
_LINK = f"{_ATOM}link"


class Issue(Protocol):
    """A sent edition; `html` is a sanitised fragment with whole addresses."""

    @property
    def id(self) -> UUID: ...
    @property
    def subject(self) -> str: ...
    @property
    def preheader(self) -> str: ...
    @property
    def language(self) -> str: ...
    @property
    def published_at(self) -> datetime: ...
    @property
    def url(self) -> str: ...
    @property
    def html(self) -> str: ...


@dataclass(frozen=True, slots=True)
class ArchiveFeed:
    """One page of it, the newest first."""

    title: str
    home_url: str
    issues: Sequence[Issue]
    # Of this page, of the first one, and of the next one if there is one.
    url: str
    first_url: str
    next_url: str | None


def write_atom(feed: ArchiveFeed) -> bytes:
    tree = xml_tree.root(f"{_ATOM}feed", {None: _ATOM[1:-1]})
    add(tree, f"{_ATOM}id", feed.first_url)
    add(tree, f"{_ATOM}title", feed.title)
    add(tree, f"{_ATOM}updated", _time(feed.issues[0]) if feed.issues else NEVER)
    add(add(tree, f"{_ATOM}author"), f"{_ATOM}name", feed.title)
    links = {"self": feed.url, "first": feed.first_url, "next": feed.next_url}
    for rel, url in links.items():
        if url is not None:
            attributes = {"rel": rel, "type": atom.MEDIA_TYPE, "href": url}
            add(tree, _LINK, attributes=attributes)
    _add_page(tree, feed.home_url)
    for issue in feed.issues:
        _add_entry(tree, issue)
    return xml_tree.to_bytes(tree)


def write_json(feed: ArchiveFeed) -> bytes:
    page = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": feed.title,
        "home_page_url": feed.home_url,
        "feed_url": feed.url,
        "next_url": feed.next_url,
        "authors": [{"name": feed.title, "url": feed.home_url}],
    }
    items = [
        filled(
            {
                "id": issue.id.urn,
                "url": issue.url,
                "title": issue.subject,
                "summary": issue.preheader,
                "content_html": issue.html,
                "date_published": _time(issue),
                "language": issue.language,
            }
        )
        for issue in feed.issues
    ]
    return json_text.to_bytes({**filled(page), "items": items})


def _add_entry(tree: xml_tree.Element, issue: Issue) -> None:
    entry = add(tree, f"{_ATOM}entry", attributes={XML_LANG: issue.language})
    add(entry, f"{_ATOM}id", issue.id.urn)
    add(entry, f"{_ATOM}title", issue.subject)
    add(entry, f"{_ATOM}updated", _time(issue))
    add(entry, f"{_ATOM}published", _time(issue))
    add_filled(entry, f"{_ATOM}summary", issue.preheader)
    add(entry, f"{_ATOM}content", issue.html, {"type": "html"})
    _add_page(entry, issue.url)


def _add_page(parent: xml_tree.Element, url: str) -> None:
    add(parent, _LINK, attributes={"rel": "alternate", "type": "text/html", "href": url})


def _time(issue: Issue) -> str:
    return issue.published_at.astimezone(UTC).isoformat().replace("+00:00", "Z")
