"""What editors write: CommonMark with tables, some HTML, and blocks that show an asset.

An asset's block is a line of its own, `::asset[slug-or-id]`, or `::asset[…]{poster=false}`.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from markdown_it import MarkdownIt
from markdown_it.ruler import RuleOptionsType
from markdown_it.rules_block import StateBlock
from markdown_it.token import Token

from app.services import edition_html, policy
from app.services.edition_html import TooIntricate

_MARKER = "::asset["
_ASSET_BLOCK = re.compile(r"::asset\[([^\]]*)\](?:\{(.*)\})?\s*")
_WITHOUT_POSTER = "poster=false"
_TYPE = "asset"
_MARKUP = "[]!*_~<&`|\n"


@dataclass(frozen=True, slots=True)
class AssetBlock:
    reference: str
    has_poster: bool
    # Inside a list or a quotation, where there is no room for it.
    is_misplaced: bool
    # What stands in its braces, where that means nothing.
    unknown: str | None


@dataclass(frozen=True, slots=True)
class Body:
    """A parsed text: runs of Markdown, and the assets between them."""

    tokens: Sequence[Token]

    @property
    def assets(self) -> Sequence[AssetBlock]:
        return [block for token in self.tokens if (block := asset_of(token))]

    def html(self, asset_html: Callable[[AssetBlock], str]) -> str:
        """One sanitised fragment. Raises `TooIntricate`.

        Each run is sanitised on its own, so that no tag left open in it takes in an asset.
        """
        return "\n".join(self._pieces(asset_html))

    def _pieces(self, asset_html: Callable[[AssetBlock], str]) -> Iterator[str]:
        for is_asset, run in groupby(self.tokens, key=lambda token: token.type == _TYPE):
            if is_asset:
                yield from (asset_html(block) for token in run if (block := asset_of(token)))
            else:
                html = _parser.renderer.render(list(run), _parser.options, {})
                yield edition_html.sanitise(html)


def parse(text: str) -> Body:
    """Raises `TooIntricate` for what would take seconds to render."""
    if sum(map(text.count, _MARKUP)) > policy.EDITION_MAX_MARKUP:
        raise TooIntricate
    tokens = _parser.parse(text)
    if len(tokens) > policy.EDITION_MAX_BLOCKS:
        raise TooIntricate
    if sum(map(_count_tags, tokens)) > policy.EDITION_MAX_TAGS:
        raise TooIntricate
    return Body(tokens)


def asset_of(token: Token) -> AssetBlock | None:
    return token.meta[_TYPE] if token.type == _TYPE else None


def _count_tags(token: Token) -> int:
    """How many tags of HTML the editor wrote; Markdown's own are not nested deeply."""
    if token.type in {"html_block", "html_inline"}:
        return token.content.count("<")
    return sum(map(_count_tags, token.children or ()))


def _read_asset(state: StateBlock, start_line: int, _end_line: int, silent: bool) -> bool:  # noqa: FBT001  # as markdown-it calls it
    begin, end = state.bMarks[start_line] + state.tShift[start_line], state.eMarks[start_line]
    if state.is_code_block(start_line) or not state.src.startswith(_MARKER, begin, end):
        return False
    if not silent:
        line = state.src[begin:end]
        match = _ASSET_BLOCK.fullmatch(line)
        # What is not quite right names no asset, so that its author is told and not its readers.
        reference = match[1] if match else line
        attributes = match[2] if match else None
        has_poster = attributes != _WITHOUT_POSTER
        token = state.push(_TYPE, "", 0)
        token.meta[_TYPE] = AssetBlock(
            reference,
            has_poster,
            is_misplaced=state.level > 0,
            unknown=attributes if has_poster else None,
        )
        state.line = start_line + 1
    return True


def _make_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    interrupts: RuleOptionsType = {"alt": ["paragraph", "reference", "blockquote", "list"]}
    parser.block.ruler.before("paragraph", _TYPE, _read_asset, interrupts)
    return parser


_parser = _make_parser()
