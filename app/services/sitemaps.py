"""What search engines are told of the catalogue: every published asset, page by page."""

from collections.abc import Sequence
from uuid import UUID

from app.formats.sitemap import SitemapEntry
from app.services import policy
from app.services.assets import Reader

# Walks the primary key, a page at each step. In the order of ids, which never change, a page stays
# the same whatever is published after it.
_FIRST_IDS = """
    WITH RECURSIVE page (first) AS (
        (SELECT asset_id FROM asset_search ORDER BY asset_id LIMIT 1)
        UNION ALL
        SELECT (SELECT asset_id FROM asset_search WHERE asset_id > page.first
                 ORDER BY asset_id OFFSET $1 - 1 LIMIT 1)
          FROM page WHERE page.first IS NOT NULL
    )
    SELECT first FROM page WHERE first IS NOT NULL
"""
# The documents are taken apart by the server: a thousand of them are megabytes.
_PAGE = """
    SELECT slug, updated_at, published_at, available_until, title, duration_ms,
           coalesce(nullif(summary, ''), nullif(headline, ''), title) AS description,
           poster ->> 'url' AS poster,
           CASE WHEN type = 'video' THEN preview ->> 'url' END AS preview
      FROM (SELECT asset.* FROM asset_search JOIN asset ON id = asset_id
             WHERE asset_id >= $1 ORDER BY asset_id LIMIT $2) AS shown,
           jsonb_to_record(document::jsonb) AS described (
               title text, summary text, headline text, duration_ms bigint,
               poster jsonb, preview jsonb
           )
     ORDER BY id
"""


async def first_ids(reader: Reader) -> Sequence[UUID]:
    """The asset that each page begins with."""
    rows = await reader.fetch(_FIRST_IDS, policy.SITEMAP_PAGE_SIZE)
    return [row["first"] for row in rows]


async def read_page(reader: Reader, first: UUID) -> Sequence[SitemapEntry]:
    rows = await reader.fetch(_PAGE, first, policy.SITEMAP_PAGE_SIZE)
    return [SitemapEntry(**row) for row in rows]
