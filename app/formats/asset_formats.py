"""The formats that an asset is to be had in, beside its own JSON."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from app.formats import ebucore, json_ld, ninjs, otio, webvtt
from app.formats.addresses import Addresses


class AssetFormat(NamedTuple):
    # Part of the entity tag: several formats share the address of the asset.
    name: str
    media_type: str
    write: Callable[[Mapping[str, Any], Addresses], bytes]


JSON_LD = AssetFormat("jsonld", json_ld.MEDIA_TYPE, json_ld.write)
EBUCORE = AssetFormat("ebucore", ebucore.MEDIA_TYPE, ebucore.write)
NINJS = AssetFormat("ninjs", ninjs.MEDIA_TYPE, ninjs.write)
SHOTLIST_VTT = AssetFormat("vtt", webvtt.MEDIA_TYPE, lambda document, _: webvtt.write(document))
SHOTLIST_OTIO = AssetFormat("otio", otio.MEDIA_TYPE, otio.write)

# What Accept may ask for; our own JSON is None, and the first for whoever takes anything.
BY_MEDIA_TYPE: Mapping[str, AssetFormat | None] = {
    "application/json": None,
    # Browsers ask for pages first and for any XML next; they get what they show best.
    "text/html": None,
    **{each.media_type: each for each in (JSON_LD, EBUCORE, NINJS, SHOTLIST_VTT, SHOTLIST_OTIO)},
}
