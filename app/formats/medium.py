from collections.abc import Mapping
from typing import Any, Literal

Medium = Literal["video", "image", "audio", "document"]

_BY_TYPE: Mapping[str, Medium] = {"video": "video", "image": "image", "audio": "audio"}


def medium_of(rendition: Mapping[str, Any]) -> Medium:
    """What is in a file: MXF is `application/mxf`, so its content says more than its type."""
    technical = rendition["technical"]
    if technical.get("video"):
        return "video"
    if technical.get("image"):
        return "image"
    if technical.get("audio_tracks"):
        return "audio"
    return _BY_TYPE.get(rendition["media_type"].partition("/")[0], "document")
