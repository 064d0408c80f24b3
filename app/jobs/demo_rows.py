"""The rows of made-up assets, as COPY takes them."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from app.jobs.demo_assets import NEWEST, YEARS, CollectionRecord, DemoAsset, sortable_id
from app.jobs.demo_texts import texts
from app.services import asset_documents
from app.services.folding import fold

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class TableRows:
    table: str
    columns: Sequence[str]
    rows: Iterable[Row]


def keyword_rows() -> TableRows:
    words = texts()
    names = sorted({*words.keywords, *(actor.theme for actor in words.actors)})
    rows = (
        (sortable_id(NEWEST - YEARS, number), name, fold(name), "{}", 1, NEWEST)
        for number, name in enumerate(names)
    )
    columns = ("id", "name", "folded", "labels", "version", "created_at")
    return TableRows("keyword", columns, list(rows))


def collection_rows(collections: Iterable[CollectionRecord]) -> TableRows:
    columns = ("id", "slug", "kind", "title", "folded", "language", "translations", "version")
    rows = [
        (
            each.id,
            each.slug,
            each.kind,
            each.title,
            fold(each.title),
            "en",
            json.dumps(each.translations),
            1,
            NEWEST,
            NEWEST,
        )
        for each in collections
    ]
    return TableRows("collection", (*columns, "created_at", "updated_at"), rows)


def asset_tables(made: Sequence[DemoAsset]) -> Iterator[TableRows]:
    """In an order in which each refers to rows that are there."""
    for table, columns, rows_of in (
        ("asset", _ASSET, _asset_rows),
        ("asset_version", _VERSION, _version_rows),
        ("rendition", _RENDITION, _rendition_rows),
        ("caption", _CAPTION, _caption_rows),
        ("collection_item", "collection_id asset_id", _collection_item_rows),
        ("asset_relation", "asset_id related_id rel position", _relation_rows),
    ):
        yield TableRows(table, columns.split(), (row for each in made for row in rows_of(each)))


_ASSET = (
    "id slug type state version language fields document document_format created_at updated_at"
    " published_at"
)
_VERSION = "asset_id version kind changes occurred_at"
_RENDITION = (
    "id asset_id name purpose state object_key filename media_type size_bytes sha256 technical"
    " created_at"
)
_CAPTION = "asset_id language kind webvtt sha256 updated_at"


def _asset_rows(made: DemoAsset) -> Iterator[Row]:
    asset = made.asset
    yield (
        asset.id,
        asset.slug,
        asset.type,
        asset.state,
        asset.version,
        asset.language,
        asset_documents.to_json(asset.fields),
        asset_documents.to_json(made.document),
        asset_documents.FORMAT,
        asset.created_at,
        asset.updated_at,
        asset.published_at,
    )


def _version_rows(made: DemoAsset) -> Iterator[Row]:
    asset = made.asset
    yield asset.id, 1, "created", "{}", asset.created_at
    yield asset.id, 2, "published", "{}", asset.published_at


def _rendition_rows(made: DemoAsset) -> Iterator[Row]:
    for each in made.renditions:
        yield (
            each.id,
            made.asset.id,
            each.name,
            each.purpose,
            each.state,
            each.source.object_key,
            each.filename,
            each.media_type,
            each.size_bytes,
            each.sha256,
            each.source.technical_json,
            made.asset.created_at,
        )


def _caption_rows(made: DemoAsset) -> Iterator[Row]:
    for each in made.captions:
        digest = hashlib.sha256(each.webvtt.encode()).hexdigest()
        at = made.asset.created_at
        yield made.asset.id, each.language, each.kind, each.webvtt, digest, at


def _collection_item_rows(made: DemoAsset) -> Iterator[Row]:
    return ((collection.id, made.asset.id) for collection in made.collections)


def _relation_rows(made: DemoAsset) -> Iterator[Row]:
    for position, (rel, other) in enumerate(made.related):
        yield made.asset.id, other.id, rel, position
