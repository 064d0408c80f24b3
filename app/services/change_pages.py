"""Pages that are kept for whoever asks for them before the next change."""

from collections import OrderedDict

from app.services.changes import Ask, Page

# Of pages at the head, which many ask for, and of those behind a page that was just given.
MAX_BYTES = 32 * 1024 * 1024


class KeptPages:
    """Bounded by their bytes; what was kept first goes first."""

    def __init__(self) -> None:
        self._pages: OrderedDict[Ask, Page] = OrderedDict()
        self.size = 0

    def get(self, ask: Ask) -> Page | None:
        return self._pages.get(ask)

    def keep(self, ask: Ask, page: Page) -> None:
        self.drop(ask)
        self._pages[ask] = page
        self.size += page.size
        while self.size > MAX_BYTES:
            self.drop(next(iter(self._pages)))

    def drop(self, ask: Ask) -> None:
        page = self._pages.pop(ask, None)
        if page is not None:
            self.size -= page.size

    def clear(self) -> None:
        self._pages.clear()
        self.size = 0
