from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where clients reach the API and where people read: documents hold paths alone.

    Both are origins, without a slash at the end.
    """

    api: str
    pages: str

    def absolute(self, path: str) -> str:
        """The whole address of a path of the API."""
        return f"{self.api}{path}"

    def page(self, slug: str) -> str:
        """Where people see an asset."""
        return f"{self.pages}/assets/{slug}"

    def document(self, reference: str) -> str:
        return self.absolute(f"/v1/assets/{reference}")

    def reference(self, url: str) -> str | None:
        """The id or slug in an address of one of our pages or documents; None in any other."""
        try:
            parts = urlsplit(url)
        except ValueError:
            return None
        bare = f"{parts.scheme}://{parts.netloc}".lower() + parts.path.removesuffix("/")
        for prefix in (self.page(""), self.document("")):
            found = bare.removeprefix(prefix)
            if found != bare and found and "/" not in found:
                return found
        return None

    @property
    def host(self) -> str:
        """The name by which readers of a feed know its publisher."""
        return urlsplit(self.pages).hostname or self.pages
