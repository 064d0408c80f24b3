"""The text part of a mail, from what the editor wrote: it reads like the Markdown it comes from."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from markdown_it.token import Token

from app.services import edition_html
from app.services.edition_html import Tag
from app.services.edition_markdown import AssetBlock, Body, asset_of

_SPACE = re.compile(r"\s+")
_RULE = "-" * 20
_UNDERLINES = {"h1": "=", "h2": "-"}
_LONGEST_UNDERLINE = 60
_LINE_ENDS = frozenset({"softbreak", "hardbreak"})
# How mails have always marked what is strong, stressed or taken back.
_MARKS = {"strong": "*", "em": "_", "s": "~"}
# Each begins a line.
_BLOCK_TAGS = frozenset(
    {"blockquote", "div", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "table"}
    | {"tr", "ul"}
)


def write(body: Body, asset_text: Callable[[AssetBlock], str]) -> str:
    """Lines are as long as their paragraphs: programs wrap them to the width of their windows."""
    writer = _Writer()
    for token in body.tokens:
        if block := asset_of(token):
            writer.add(asset_text(block))
        else:
            writer.take(token)
    return "\n".join(writer.lines)


@dataclass(slots=True)
class _Container:
    """A quotation or a list's item: what stands before its first line, and before all others."""

    first: str
    rest: str
    has_begun: bool = False

    def prefix(self) -> str:
        prefix = self.rest if self.has_begun else self.first
        self.has_begun = True
        return prefix


@dataclass(slots=True)
class _Writer:
    lines: list[str] = field(default_factory=list)
    _containers: list[_Container] = field(default_factory=list)
    # Of each list around: the number of its next item, or None for bullets.
    _counters: list[int | None] = field(default_factory=list)
    # Of a table: the cells of its present row.
    _cells: list[str] | None = None
    _rows: list[str] = field(default_factory=list)
    _underline: str = ""
    # Items of a tight list follow each other without an empty line.
    _is_hidden: bool = False
    _was_tight: bool = False

    def add(self, text: str, *, is_tight: bool = False) -> None:
        """A block of lines, after an empty one."""
        if self.lines and not (is_tight and self._was_tight):
            begun = "".join(each.rest for each in self._containers if each.has_begun)
            self.lines.append(begun.rstrip())
        for line in text.split("\n"):
            prefix = "".join(each.prefix() for each in self._containers)
            self.lines.append(f"{prefix}{line}".rstrip())
        self._was_tight = is_tight

    def take(self, token: Token) -> None:
        name, _, end = token.type.rpartition("_")
        if end == "open":
            self._open(name, token)
        elif end == "close":
            self._close(name)
        elif token.type == "inline":
            self._add_inline(_inline_text(token.children or ()))
        elif token.type == "hr":
            self.add(_RULE)
        elif token.type != "html_block":  # a fence, or an indented block of code
            self.add("\n".join(f"    {line}" for line in token.content.rstrip("\n").split("\n")))
        elif text := _html_text(token.content):
            self.add(text)

    def _open(self, name: str, token: Token) -> None:
        if name == "blockquote":
            self._containers.append(_Container("> ", "> "))
        elif name in {"bullet_list", "ordered_list"}:
            is_numbered = name == "ordered_list"
            self._counters.append(int(token.attrGet("start") or 1) if is_numbered else None)
        elif name == "list_item":
            self._open_item()
        elif name == "tr":
            self._cells = []
        elif name == "heading":
            self._underline = _UNDERLINES.get(token.tag, "")
        elif name == "paragraph":
            self._is_hidden = token.hidden

    def _open_item(self) -> None:
        number = self._counters[-1]
        marker = "- " if number is None else f"{number}. "
        if number is not None:
            self._counters[-1] = number + 1
        self._containers.append(_Container(marker, " " * len(marker)))

    def _close(self, name: str) -> None:
        if name in {"blockquote", "list_item"}:
            self._containers.pop()
        elif name in {"bullet_list", "ordered_list"}:
            self._counters.pop()
            # Whatever follows the outermost list stands apart from it.
            self._was_tight = self._was_tight and bool(self._counters)
        elif name == "tr":
            self._rows.append(" | ".join(self._cells or ()))
            self._cells = None
        elif name == "thead":
            self._rows.append("-" * min(len(self._rows[-1]), _LONGEST_UNDERLINE))
        elif name == "table":
            self.add("\n".join(self._rows))
            self._rows = []

    def _add_inline(self, text: str) -> None:
        if self._cells is not None:
            self._cells.append(" ".join(text.split()))
            return
        if self._underline:
            width = max(map(len, text.split("\n")))
            text += "\n" + self._underline * min(width, _LONGEST_UNDERLINE)
            self._underline = ""
        self.add(text, is_tight=self._is_hidden)
        self._is_hidden = False


class _Line:
    """Text with its links, whose addresses follow their words."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self._links: list[tuple[str, int]] = []

    def open_link(self, url: str) -> None:
        self._links.append((url, len(self.text)))

    def close_link(self) -> None:
        if not self._links:
            return
        url, start = self._links.pop()
        words = "".join(self.text[start:]).strip()
        if edition_html.is_kept(url) and words not in {url, url.removeprefix("mailto:")}:
            self.text.append(f" ({url})" if words else url)

    def take_tag(self, tag: Tag) -> None:
        if tag.name == "a":
            self.close_link() if tag.closes else self.open_link(tag.attributes.get("href", ""))
        elif tag.name in _BLOCK_TAGS or tag.name == "br":
            self.text.append("\n")
        elif alt := tag.attributes.get("alt"):
            self.text.append(f"[{alt}]")


def _inline_text(tokens: Iterable[Token]) -> str:
    line, dropped = _Line(), ""
    for token in tokens:
        if dropped or token.type == "html_inline":
            dropped = _take_html(line, token, dropped)
        elif token.type == "link_open":
            line.open_link(str(token.attrGet("href")))
        elif token.type == "link_close":
            line.close_link()
        elif token.type in _LINE_ENDS:
            line.text.append("\n")
        elif token.type == "image":
            line.text.append(f"[{token.content}]" if token.content else "")
        else:
            line.text.append(_MARKS.get(token.tag, token.content))
    return "".join(line.text).strip()


def _take_html(line: _Line, token: Token, dropped: str) -> str:
    """Take in a tag; returns the name of the element whose contents no reader gets to see."""
    tag = edition_html.read_tag(token.content) if token.type == "html_inline" else None
    if dropped:
        return "" if tag and tag.closes and tag.name == dropped else dropped
    if tag is not None and tag.name in edition_html.DROPPED_WHOLE:
        return tag.name
    if tag is not None:
        line.take_tag(tag)
    return ""


def _html_text(html: str) -> str:
    """What HTML of the editor's own says."""
    line = _Line()
    for piece in edition_html.pieces(edition_html.sanitise(html)):
        if isinstance(piece, Tag):
            line.take_tag(piece)
        else:
            line.text.append(_SPACE.sub(" ", piece))
    lines = (each.strip() for each in "".join(line.text).split("\n"))
    return "\n".join(each for each in lines if each)
