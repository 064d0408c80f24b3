"""The HTML that mails and the archive may hold, and what is to be said of it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import unescape

import nh3

from app.services import policy

_TAGS = frozenset(
    {"a", "abbr", "b", "blockquote", "br", "caption", "code", "del", "div", "em", "hr", "i", "img"}
    | {"h1", "h2", "h3", "h4", "h5", "h6", "ins", "kbd", "li", "ol", "p", "pre", "s", "small"}
    | {"span", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr"}
    | {"u", "ul"}
)
# Of these not even the contents are kept: they are no text for readers.
DROPPED_WHOLE = frozenset(
    {"iframe", "math", "noscript", "object", "script", "select", "style", "svg", "template"}
    | {"textarea", "title"}
)
_CELL = frozenset({"align", "colspan", "rowspan", "style"})
_VOID = frozenset({"br", "hr", "img"})
_LINK_SCHEMES = ("http:", "https:", "mailto:")


class TooIntricate(ValueError):
    """So much markup, or so deep, that mail programs and our own would stumble over it."""


@dataclass(frozen=True, slots=True)
class Tag:
    name: str
    attributes: Mapping[str, str]
    closes: bool = False


def _allowed_attribute(tag: str, name: str, value: str) -> str | None:
    """Pictures come by HTTPS alone: mail programs block the rest, or warn of it."""
    is_refused = tag == "img" and name == "src" and not value.strip().lower().startswith("https:")
    return None if is_refused else value


_cleaner = nh3.Cleaner(
    tags=_TAGS,
    clean_content_tags=DROPPED_WHOLE,
    attributes={
        "*": {"dir", "lang", "title"},
        "a": {"href"},
        "img": {"alt", "height", "src", "width"},
        "ol": {"start"},
        "td": _CELL,
        "th": _CELL,
    },
    attribute_filter=_allowed_attribute,
    # Tables of Markdown align their columns by it.
    filter_style_properties={"text-align"},
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
    link_rel=None,
)


def sanitise(html: str) -> str:
    """What is harmless of a fragment, as a well-formed one. Raises `TooIntricate`."""
    cleaned = _cleaner.clean(html)
    depth = 0
    for piece in pieces(cleaned):
        if isinstance(piece, Tag) and piece.name not in _VOID:
            depth += -1 if piece.closes else 1
            if depth > policy.EDITION_MAX_NESTING:
                raise TooIntricate
    return cleaned


# As the sanitiser writes them: attributes in double quotes, in which a ">" may stand as it is.
_TAG = re.compile(r'<(?P<slash>/?)(?P<name>[a-z0-9]+)(?P<attributes>(?:\s[\w-]+="[^"]*")*)\s*/?>')
_WRITTEN_TAG = re.compile(r"<(?P<slash>/?)(?P<name>[A-Za-z0-9]+)")
_ATTRIBUTE = re.compile(r'\s([\w-]+)="([^"]*)"')


def pieces(sanitised: str) -> Iterator[Tag | str]:
    """The tags of a sanitised fragment, and the plain text between them."""
    end = 0
    for match in _TAG.finditer(sanitised):
        if text := sanitised[end : match.start()]:
            yield unescape(text)
        attributes = {name: unescape(value) for name, value in _ATTRIBUTE.findall(match[0])}
        yield Tag(match["name"], attributes, closes=bool(match["slash"]))
        end = match.end()
    if text := sanitised[end:]:
        yield unescape(text)


def read_tag(html: str) -> Tag | None:
    """A single tag as an editor wrote it, with the attributes that it may have."""
    match = _WRITTEN_TAG.match(html)
    if match is None:  # a comment, say
        return None
    name = match["name"].lower()
    found = next(pieces(sanitise(html)), None)
    attributes = found.attributes if isinstance(found, Tag) else {}
    return Tag(name, attributes, closes=bool(match["slash"]))


def is_kept(url: str) -> bool:
    """Whether a link to this address is left in."""
    return url.lower().startswith(_LINK_SCHEMES)


def shortcomings(sanitised: str) -> set[str]:
    """What an editor will want to mend, by its code."""
    found = set()
    for tag in pieces(sanitised):
        if not isinstance(tag, Tag) or tag.closes:
            continue
        if tag.name == "img" and "src" not in tag.attributes:
            found.add("image_removed")
        if tag.name == "img" and not tag.attributes.get("alt"):
            found.add("image_without_alt")
        if tag.name == "a" and "href" not in tag.attributes:
            found.add("link_removed")
    return found
