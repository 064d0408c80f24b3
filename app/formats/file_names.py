"""File names as they reach the disk of whoever downloads."""

import unicodedata
from urllib.parse import quote

# Those that Windows keeps for itself; "/" and "\\" are gone by then.
_RESERVED = frozenset('<>:"|?*')


def content_disposition(filename: str, *, inline: bool = False) -> str:
    """Save under this name (RFC 6266), in ASCII for old clients and in UTF-8 for all others.

    Without the folders that it may name: some clients would save the file there.
    """
    filename = _last_segment(filename)
    ascii_name = "".join(
        char if char.isascii() and (char.isalnum() or char in "-_. ") else "_" for char in filename
    )
    kind = "inline" if inline else "attachment"
    return f"{kind}; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(filename, safe='')}"


def safe_name(filename: str) -> str:
    """A name that no file system and no list of files can take for anything but one name."""
    return "".join(char if _is_plain(char) else "_" for char in _last_segment(filename))


def _is_plain(char: str) -> bool:
    """No control, format (bidi), separator, private or unassigned character but the space."""
    is_visible = char == " " or unicodedata.category(char)[0] not in "CZ"
    return is_visible and char not in _RESERVED


def _last_segment(filename: str) -> str:
    return filename.replace("\\", "/").rpartition("/")[2].lstrip(".") or "file"
