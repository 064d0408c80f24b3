"""The search row of each public asset, and how many assets have each term."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Asset
from app.services.search_texts import BREAK, Captions, search_row

# A vector of texts in the form `configuration:weight:words` (see SearchRow), with a mark for each
# configuration that it has words of. What has weight C loses its places, and thereby takes less
# room and has the least weight there is.
_VECTOR = f"""(
    SELECT ts_delete(
               tsvector_join(
                   CASE weight WHEN 'C' THEN strip(vector)
                               ELSE setweight(vector, CAST(weight AS "char")) END
                   ORDER BY position
               ),
               '{BREAK}'
           ) || array_to_tsvector(coalesce(array_agg(DISTINCT '=' || configuration), '{{}}'))
      FROM unnest(TEXTS) WITH ORDINALITY AS parts (part, position)
     CROSS JOIN LATERAL (
            SELECT split_part(part, ':', 1) AS configuration, split_part(part, ':', 2) AS weight,
                   to_tsvector(
                       CAST(split_part(part, ':', 1) AS regconfig), split_part(part, ':', 3)
                   ) AS vector
            OFFSET 0
         ) AS read
)"""  # noqa: S608  # of constants alone


def insert_rows(rows: str, *, into: str = "asset_search") -> str:
    """The statement that adds rows, which `rows`, a table or query, gives as SearchRow has them.

    To load a catalogue, COPY what `search_row` makes into a table, and run `insert_rows(table)`
    and `count_terms(table)`.
    """
    return f"""
        INSERT INTO {into} (
            asset_id, published_at, updated_at, title, duration_ms, height, terms, head, vector
        )
        SELECT asset_id, published_at, updated_at, title, duration_ms, height, terms,
               ranked.head, ranked.head || {_VECTOR.replace("TEXTS", "rest")}
          FROM {rows} AS added
         CROSS JOIN LATERAL (
                SELECT {_VECTOR.replace("TEXTS", "added.head")} AS head
                OFFSET 0 -- or it would be computed twice
             ) AS ranked
    """  # noqa: S608  # of constants alone


def count_terms(rows: str) -> str:
    """The statement that counts the terms of rows that are all new."""
    return f"""
        INSERT INTO facet_count (term, label, count)
        SELECT term, min(label), count(*) FROM {rows}, unnest(terms, labels) AS each (term, label)
         GROUP BY term ORDER BY term
        ON CONFLICT (term) DO UPDATE SET count = facet_count.count + excluded.count
    """  # noqa: S608  # of constants alone


# Rows are changed in the order of their terms: two assets that are published at once wait for
# each other, and never both for the other. A correction that leaves the terms waits for nobody.
_COUNT_CHANGES = """
    INSERT INTO facet_count (term, label, count)
    SELECT term, coalesce(max(label), term), sum(change) FROM changes
     GROUP BY term HAVING sum(change) <> 0 ORDER BY term
    ON CONFLICT (term) DO UPDATE SET count = facet_count.count + excluded.count
"""
_INDEX = text(f"""
    WITH added AS (
        SELECT CAST(:asset_id AS uuid) AS asset_id,
               CAST(:published_at AS timestamptz) AS published_at,
               CAST(:updated_at AS timestamptz) AS updated_at, CAST(:title AS text) AS title,
               CAST(:duration_ms AS int) AS duration_ms, CAST(:height AS int) AS height,
               CAST(:terms AS text[]) AS terms, CAST(:labels AS text[]) AS labels,
               CAST(:head AS text[]) AS head, CAST(:rest AS text[]) AS rest
    ), former AS (
        SELECT terms FROM asset_search WHERE asset_id = :asset_id
    ), saved AS (
        {insert_rows("added")}
        ON CONFLICT (asset_id) DO UPDATE
           SET published_at = excluded.published_at, updated_at = excluded.updated_at,
               title = excluded.title, duration_ms = excluded.duration_ms,
               height = excluded.height, terms = excluded.terms, head = excluded.head,
               vector = excluded.vector
    ), changes AS (
        SELECT term, label, 1 AS change
          FROM added, unnest(terms, labels) AS each (term, label)
         UNION ALL
        SELECT unnest(terms), NULL, -1 FROM former
    )
    {_COUNT_CHANGES}
""")  # noqa: S608  # of constants alone
_UNINDEX = text(f"""
    WITH former AS (
        DELETE FROM asset_search WHERE asset_id = :asset_id RETURNING terms
    ), changes AS (
        SELECT unnest(terms) AS term, CAST(NULL AS text) AS label, -1 AS change FROM former
    )
    {_COUNT_CHANGES}
""")  # noqa: S608  # of constants alone


async def index(
    session: AsyncSession, *, asset: Asset, document: Mapping[str, Any], captions: Captions
) -> None:
    """Let a published asset be found by what its document says now. The asset is locked."""
    row = search_row(document, captions)
    await session.execute(_INDEX, {**asdict(row), "asset_id": asset.id})


async def unindex(session: AsyncSession, asset_id: UUID) -> None:
    """Let a withdrawn asset be found no more."""
    await session.execute(_UNINDEX, {"asset_id": asset_id})
