"""The pages that one process keeps: bounded by their bytes, and dropped by what has changed."""

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from http import HTTPStatus
from typing import NamedTuple

from app.http.headers import RawHeaders
from app.http.whole_answer import Head

MAX_BYTES = 64 * 1024 * 1024
MAX_PAGE_BYTES = 1024 * 1024
# What a page takes beside its body: headers, keys and its places in the dictionaries.
PAGE_OVERHEAD = 3072

# An address of one document in its one spelling; its slug or id is the group. Whatever is written
# otherwise, such as an id in capitals or a list below a document, goes with the lists.
_DOCUMENT = re.compile(
    r"/v1/assets/((?![^.]{36}(?:\.|\Z))[a-z0-9-]+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
    r"(?:\.[A-Za-z0-9.-]+)?"
)


class Key(NamedTuple):
    """All of a request that its answer may depend on."""

    path: str
    query: bytes
    accept: bytes
    coding: bytes


class Page:
    """A whole answer with status 200, and the route that made it."""

    __slots__ = ("_headers", "body", "heads", "route", "tag")

    def __init__(self, headers: RawHeaders, body: bytes, route: str | None) -> None:
        self._headers = headers
        self.body = body
        self.route = route
        self.tag = dict(headers).get(b"etag")
        # What leaves in front of the body, by the kinds of answers that the shortcut knows.
        self.heads: dict[tuple[object, ...], Head] = {}

    def headers_of(self, status: int) -> RawHeaders:
        """A new list for an answer with this status; 304 leaves out what describes the body."""
        if status == HTTPStatus.OK:
            return list(self._headers)
        return [field for field in self._headers if not field[0].startswith(b"content-")]

    @property
    def size(self) -> int:
        return len(self.body) + PAGE_OVERHEAD


class PageStore:
    """Gives a page only while somebody vouches that every change has been heard.

    Where too much is kept, what has not been asked for longest goes first.
    """

    def __init__(
        self, *, max_bytes: int = MAX_BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self._trusted_until = float("-inf")
        self._pages: OrderedDict[Key, Page] = OrderedDict()
        self._bytes = 0
        self._lists: set[Key] = set()
        self._documents: dict[str, set[Key]] = {}
        # One more with each change: what was read before a change is not kept after it.
        self.generation = 0

    def vouch(self, seconds: float) -> None:
        """Trust what is kept for so long: all changes until now have been heard."""
        self._trusted_until = self._clock() + seconds

    def distrust(self) -> None:
        """Forget everything: changes may have gone unheard. Nothing is kept until vouched for."""
        self._trusted_until = float("-inf")
        self.clear()

    def is_trusted(self) -> bool:
        if self._clock() < self._trusted_until:
            return True
        if self._pages:
            self.distrust()
        return False

    def get(self, key: Key) -> Page | None:
        page = self._pages.get(key)
        if page is not None:
            self._pages.move_to_end(key)
        return page

    def keep(self, key: Key, page: Page, *, generation: int) -> None:
        """Keep what was read in this generation, unless another has begun or it is too large."""
        is_current = generation == self.generation and self.is_trusted()
        if not is_current or len(page.body) > MAX_PAGE_BYTES:
            return
        if key in self._pages:
            self._forget(key)
        self._pages[key] = page
        self._bytes += page.size
        self._neighbours(key).add(key)
        while self._bytes > self._max_bytes:
            self._forget(next(iter(self._pages)))

    def drop(self, names: Collection[str]) -> None:
        """Forget the documents with these ids and slugs and every list; without names, all."""
        if not names:
            self.clear()
            return
        self.generation += 1
        changed = [self._documents.pop(name, set()) for name in names]
        for key in self._lists.union(*changed):
            self._remove(key)
        self._lists.clear()

    def clear(self) -> None:
        self.generation += 1
        self._pages.clear()
        self._lists.clear()
        self._documents.clear()
        self._bytes = 0

    def _neighbours(self, key: Key) -> set[Key]:
        """The keys that are dropped together with this one."""
        name = document_name(key.path)
        return self._lists if name is None else self._documents.setdefault(name, set())

    def _forget(self, key: Key) -> None:
        self._remove(key)
        keys = self._neighbours(key)
        keys.discard(key)
        if not keys and keys is not self._lists:
            del self._documents[str(document_name(key.path))]

    def _remove(self, key: Key) -> None:
        self._bytes -= self._pages.pop(key).size


def document_name(path: str) -> str | None:
    """The slug or id of the one asset that is shown at a path; None where it may be several."""
    match = _DOCUMENT.fullmatch(path)
    return match[1] if match else None
