"""Lists of files for programs that download or check many."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ListedFile:
    """`path` is where to save it: relative, and made of names that no line of a list breaks at."""

    url: str
    path: str
    sha256: str


def aria2(files: Iterable[ListedFile]) -> str:
    """An input file for `aria2c --input-file`, which checks each file's hash."""
    return "".join(
        f"{file.url}\n  out={file.path}\n  checksum=sha-256={file.sha256}\n" for file in files
    )


def sha256sum(files: Iterable[ListedFile]) -> str:
    """What `sha256sum --check` takes."""
    return "".join(f"{file.sha256}  {file.path}\n" for file in files)
