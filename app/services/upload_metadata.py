"""What an upload is to become, from the metadata that its client sends."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from app.errors import FieldError, InvalidInput
from app.services import policy

# Posters and previews are made by the worker.
PURPOSES = ("master", "broadcast", "web", "proxy", "audio", "image", "document")
_MADE_HERE = frozenset({"poster", "preview"})
_POINTER = "/upload-metadata"


@dataclass(frozen=True, slots=True)
class FileDescription:
    asset_reference: str
    rendition_name: str
    purpose: str
    filename: str
    sha256: str | None


def describe(metadata: Mapping[str, str]) -> FileDescription:
    """Check what matters, guess what is left out; clients send keys of their own, too.

    Raises `InvalidInput` with everything that is wrong.
    """
    name = metadata.get("rendition", "master")
    asset_reference = metadata.get("asset_id", "")
    purpose = metadata.get("purpose") or _guess_purpose(name)
    sha256 = metadata.get("sha256", "").lower() or None
    is_wrong = {
        "asset_id": not re.fullmatch("[A-Za-z0-9-]{1,200}", asset_reference),
        "rendition": not re.fullmatch("[a-z0-9][a-z0-9._-]{0,62}", name) or name in _MADE_HERE,
        "purpose": purpose not in PURPOSES,
        "sha256": sha256 is not None and not re.fullmatch("[0-9a-f]{64}", sha256),
    }
    if errors := [_error(key) for key, wrong in is_wrong.items() if wrong]:
        raise InvalidInput(errors=errors)
    filename = safe_filename(metadata.get("filename", ""))
    return FileDescription(asset_reference, name, purpose, filename, sha256)


def _guess_purpose(rendition_name: str) -> str:
    """By the first word of the name: `web-720p` is for the web."""
    word = re.split("[._-]", rendition_name, maxsplit=1)[0]
    return word if word in PURPOSES else "master"


_MESSAGES = {
    "asset_id": "Give the id or slug of the asset that the file belongs to",
    "rendition": "A name has up to 63 of a-z, 0-9, dot, hyphen and underscore, and begins with a"
    " letter or digit; poster and preview are made here",
    "purpose": f"One of {', '.join(PURPOSES)}",
    "sha256": "A SHA-256 has 64 hexadecimal digits",
}


def _error(key: str) -> FieldError:
    pointer = f"{_POINTER}/{key}"
    return {"pointer": pointer, "code": f"{key}_invalid", "message": _MESSAGES[key]}


# Explicit directions make "exe.fdp" read as "pdf.exe" (Unicode Technical Report 36, 2.5).
_DIRECTIONS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


def safe_filename(name: str) -> str:
    """The last part of a path, without what terminals, file systems or readers trip over.

    At most 255 bytes, never empty, and with the ending that it had.
    """
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    visible = "".join(char for char in unicodedata.normalize("NFC", last) if _is_visible(char))
    return _cut(visible.strip().strip(".").strip()) or "file"


def _is_visible(char: str) -> bool:
    has_form = unicodedata.category(char) not in {"Cc", "Cs", "Zl", "Zp"}
    return has_form and unicodedata.bidirectional(char) not in _DIRECTIONS


def _cut(name: str) -> str:
    if len(name.encode()) <= policy.FILENAME_MAX_BYTES:
        return name
    stem, dot, ending = name.rpartition(".")
    if not stem or len(ending) > _LONGEST_ENDING:
        stem, dot, ending = name, "", ""
    room = policy.FILENAME_MAX_BYTES - len(f"{dot}{ending}".encode())
    return stem.encode()[:room].decode(errors="ignore") + dot + ending


_LONGEST_ENDING = 16
