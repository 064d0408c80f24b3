"""The public JSON of an asset: rendered once for each version, then only ever joined and sent."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from app.models import Asset, AssetVersion, Caption, Collection, Rendition
from app.services import policy

# One more with each release that renders differently: the worker then renders all of them again.
FORMAT = 3

# Shown by addresses of their own.
DERIVED_PURPOSES = frozenset({"poster", "poster@small", "preview"})
# Those that readers are told of; what an editor did before nobody has seen.
PUBLIC_VERSION_KINDS = ("published", "corrected")

# What an editor has not filled in is null or empty, but there.
EMPTY_FIELDS: Mapping[str, Any] = {
    "spoken_languages": [],
    "content_class": None,
    "title": "",
    "headline": None,
    "slugline": None,
    "summary": None,
    "body": None,
    "script": None,
    "transcript": None,
    "urgency": None,
    "location": None,
    "people": [],
    "organisations": [],
    "keywords": [],
    "subjects": [],
    "shotlist": [],
    "credits": [],
    "rights": None,
    "restrictions": [],
    "third_party": [],
    "alternative_ids": [],
    "filmed_from": None,
    "filmed_to": None,
    "translations": {},
}


# The members of the objects among them.
EMPTY_MEMBERS: Mapping[str, Mapping[str, Any]] = {
    "location": dict.fromkeys(("name", "city", "country", "latitude", "longitude")),
    "rights": dict.fromkeys(
        (
            "usage_terms",
            "credit_line",
            "license",
            "copyright_notice",
            "copyright_holder",
            "copyright_year",
            "data_mining",
            "digital_source_type",
        )
    ),
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a document says beside the asset's own fields."""

    renditions: Sequence[Rendition] = ()
    captions: Sequence[Caption] = ()
    collections: Sequence[Collection] = ()
    related: Sequence[tuple[str, Asset]] = ()  # with the kind of the relation
    versions: Sequence[AssetVersion] = ()


def render(asset: Asset, found: Surroundings) -> dict[str, Any]:
    """The document of an asset as its fields and surroundings are now."""
    offered = [each for each in found.renditions if each.purpose not in DERIVED_PURPOSES]
    return {
        "id": str(asset.id),
        "slug": asset.slug,
        "type": asset.type,
        "status": asset.state,
        "version": asset.version,
        "language": asset.language,
        **_described(asset.fields),
        "collections": [_collection(each) for each in found.collections],
        "captions": [_caption(asset, each) for each in found.captions],
        "duration_ms": _duration(offered),
        "poster": _poster(asset, found.renditions),
        "preview": _derived(asset, found.renditions, "preview", "preview.mp4"),
        "renditions": [_rendition(asset, each) for each in offered],
        "related": [_related(rel, other) for rel, other in found.related],
        "versions": [_version(each) for each in found.versions],
        "available_until": time_text(asset.available_until),
        "published_at": time_text(asset.published_at),
        "updated_at": time_text(asset.updated_at),
    }


def render_for_editors(asset: Asset, found: Surroundings) -> dict[str, Any]:
    """The document of an asset in any state, with what only the desk is told."""
    document = render(asset, found)
    offered = [each for each in found.renditions if each.purpose not in DERIVED_PURPOSES]
    progress = [
        {
            **_rendition(asset, each),
            "state": each.state,
            "progress": each.progress,
            "failure": each.failure,
            "failure_detail": each.failure_detail,
        }
        for each in offered
    ]
    return {
        **document,
        "renditions": progress,
        "ed_note": asset.fields.get("ed_note"),
        "publish_at": time_text(asset.publish_at),
        "created_at": time_text(asset.created_at),
        "withdrawn_at": time_text(asset.withdrawn_at),
        "withdrawal_reason": asset.withdrawal_reason,
    }


def to_json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def time_text(value: datetime | None) -> str | None:
    """RFC 3339 in UTC, as everywhere in the contract."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if value else None


def small_poster_url(url: str) -> str:
    """Where the small poster is, from the address of the large one."""
    return f"{url}&width={policy.SMALL_POSTER_WIDTH}"


def parse_id(reference: str) -> UUID | None:
    """The UUID that a reference is; None for a slug, which never looks like one."""
    try:
        return UUID(reference) if len(reference) == 36 else None  # noqa: PLR2004  # its text form
    except ValueError:
        return None


def _described(fields: Mapping[str, Any]) -> dict[str, Any]:
    described = {name: fields.get(name, empty) for name, empty in EMPTY_FIELDS.items()}
    for name, members in EMPTY_MEMBERS.items():
        if described[name] is not None:
            described[name] = {**members, **described[name]}
    return described


def _collection(collection: Collection) -> dict[str, Any]:
    return {
        "id": str(collection.id),
        "slug": collection.slug,
        "kind": collection.kind,
        "title": collection.title,
    }


def _caption(asset: Asset, caption: Caption) -> dict[str, Any]:
    return {
        "language": caption.language,
        "kind": caption.kind,
        "label": caption.label,
        "url": f"/v1/assets/{asset.id}.captions.{caption.language}.vtt",
    }


def _duration(renditions: Iterable[Rendition]) -> int | None:
    """Milliseconds of the longest file: all show the same, but for rounding to whole frames."""
    known = (each.technical.get("duration_ms") for each in renditions)
    return max((duration for duration in known if duration is not None), default=None)


def _poster(asset: Asset, renditions: Sequence[Rendition]) -> dict[str, Any] | None:
    large = _derived(asset, renditions, "poster", "poster.jpg")
    if large is None:
        return None
    small = _ready(renditions, "poster@small")
    return {**large, "small": small and {"url": small_poster_url(large["url"]), **_size(small)}}


def _derived(
    asset: Asset, renditions: Iterable[Rendition], purpose: str, filename: str
) -> dict[str, Any] | None:
    """The poster or preview. Its address names the version, so that caches may keep it."""
    found = _ready(renditions, purpose)
    if found is None:
        return None
    url = f"/v1/assets/{asset.id}/{filename}?v={asset.version}"
    return {"url": url, **_size(found), "media_type": found.media_type}


def _ready(renditions: Iterable[Rendition], purpose: str) -> Rendition | None:
    ready = (each for each in renditions if each.purpose == purpose and each.state == "ready")
    return next(ready, None)


def _size(rendition: Rendition) -> dict[str, Any]:
    picture = rendition.technical.get("video") or rendition.technical.get("image") or {}
    return {
        "width": picture.get("width"),
        "height": picture.get("height"),
        "size_bytes": rendition.size_bytes,
    }


def _rendition(asset: Asset, rendition: Rendition) -> dict[str, Any]:
    return {
        "name": rendition.name,
        "purpose": rendition.purpose,
        "filename": rendition.filename,
        "media_type": rendition.media_type,
        "size_bytes": rendition.size_bytes,
        "sha256": rendition.sha256,
        "technical": rendition.technical,
        "download": f"/v1/assets/{asset.id}/renditions/{rendition.name}/download",
    }


def _related(rel: str, other: Asset) -> dict[str, Any]:
    return {
        "rel": rel,
        "id": str(other.id),
        "slug": other.slug,
        "type": other.type,
        "title": other.fields.get("title", ""),
    }


def _version(version: AssetVersion) -> dict[str, Any]:
    return {
        "version": version.version,
        "kind": version.kind,
        "note": version.note,
        "occurred_at": time_text(version.occurred_at),
    }
