"""Which files an asset takes, which of them shows what it is, and what is said of the others."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from app.services import policy

Kind = Literal["video", "audio", "image"]
# `dataclasses.asdict` of what the probe has found (adapters/technical_metadata.py).
Technical = Mapping[str, Any]

# The file's own faults are final. docs/media-files.md tells editors of each.
FAILURES = {
    "checksum_mismatch": "The bytes that arrived are not those that the sender has hashed; "
    "upload the file again.",
    "upload_lost": "It was deleted before it was looked at; upload it again.",
    "file_empty": "The file has no bytes.",
    "file_truncated": "The end of the file is missing; upload it again.",
    "not_media": "It is no video, sound or picture, whatever its name says.",
    "wrong_type": "What it holds does not fit its purpose.",
    "encrypted": "The file is encrypted; export it without protection.",
    "references_other_files": "Its pictures or sound are in other files; export it as one.",
    "undecodable": "Not one of its pictures, or nothing of its sound, can be decoded.",
    "picture_too_large": "Its pictures have more than "
    f"{policy.MAX_PICTURE_PIXELS // 1_000_000} million pixels.",
    "duration_too_long": "It claims to be longer than "
    f"{policy.MAX_MEDIA_DURATION // timedelta(hours=1)} hours.",
    "parser_failed": "It makes the programs that read it fail, or takes them too long.",
}
# Ours are not: it is tried again until it works.
DELAYS = {
    "storage_full": "There is no room to work on it at the moment; it is tried again.",
    "storage_unavailable": "The store does not answer at the moment; it is tried again.",
    "interrupted": "The work on it was interrupted; it is tried again.",
}
# A file is the product, and is offered without these too.
NOTES = {
    "preview_failed": "No poster or preview could be made of it.",
}

# Whatever is better shows what the asset is: the lowest number makes the poster and the preview.
_RANKS = {"master": 0, "broadcast": 1, "web": 2, "proxy": 3, "audio": 4, "image": 5}
_WORST_RANK = 9


class FileRefused(Exception):
    """The file can't be offered; `code` is one of `FAILURES`."""

    def __init__(self, code: str, detail: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail or FAILURES[code]


def kind_of(technical: Technical) -> Kind:
    if technical["video"]:
        return "video"
    return "image" if technical["image"] else "audio"


def check_file(technical: Technical, *, asset_type: str, purpose: str) -> None:
    """Raise `FileRefused` for what is too large to be true, or is not what it should be."""
    picture = technical["video"] or technical["image"]
    if picture and picture["width"] * picture["height"] > policy.MAX_PICTURE_PIXELS:
        raise FileRefused("picture_too_large")
    duration = timedelta(milliseconds=technical["duration_ms"] or 0)
    if duration > policy.MAX_MEDIA_DURATION:
        raise FileRefused("duration_too_long")
    kind, wanted = kind_of(technical), _wanted_kind(asset_type, purpose)
    if kind != wanted:
        detail = f"Its content is of the kind {kind} ({technical['mime_type']}); as {purpose} of "
        detail += f"this asset ({asset_type}) it must be of the kind {wanted}."
        raise FileRefused("wrong_type", detail)


def rank(purpose: str | None) -> int:
    return _RANKS.get(purpose or "", _WORST_RANK)


def _wanted_kind(asset_type: str, purpose: str) -> Kind:
    """Stills and sound may come with everything; else the content is what the asset is."""
    if purpose in {"audio", "image"} and asset_type != "image":
        return "audio" if purpose == "audio" else "image"
    return "video" if asset_type == "video" else "audio" if asset_type == "audio" else "image"
