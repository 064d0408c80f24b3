"""A list's page, from the request's `limit` and `cursor` to `next_cursor` and the Link header."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from starlette.responses import Response

from app.http.paging import (
    Key,
    Page,
    decode_cursor,
    encode_cursor,
    link_next,
    target_of_page,
)

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Pager:
    """Reads one item more than the page shows: its presence says that there is a next page."""

    page: Page
    key: bytes
    target: str

    @property
    def read_limit(self) -> int:
        return self.page.limit + 1

    def after(self, scope: str) -> list[Key] | None:
        """The sort keys that the page before ended with."""
        if self.page.cursor is None:
            return None
        return decode_cursor(self.key, scope, self.page.cursor)

    def shown(self, items: Sequence[Item]) -> Sequence[Item]:
        return items[: self.page.limit]

    def cursor(self, scope: str, last: Sequence[Key]) -> str:
        """The cursor behind an item with these sort keys."""
        return encode_cursor(self.key, scope, last)

    def link(self, cursor: str) -> str:
        """The Link header (RFC 8288) to the page behind a cursor."""
        return link_next(self.target, cursor)

    def target_of(self, cursor: str | None) -> str:
        """The path and query of the page behind a cursor, or of the first one."""
        return target_of_page(self.target, cursor)

    def next_cursor(
        self, response: Response, scope: str, found: Sequence[object], last: Sequence[Key]
    ) -> str | None:
        """The next page's cursor, also as a Link header, when more was found than is shown."""
        if len(found) <= self.page.limit:
            return None
        cursor = self.cursor(scope, last)
        response.headers["Link"] = self.link(cursor)
        return cursor
