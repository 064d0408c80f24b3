"""A first catalogue: three clips made on the spot and a written story, real and playable."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.adapters import media_probe, test_card
from app.adapters.storage import Storage, content_key
from app.adapters.test_card import ClipSpec
from app.db import Database
from app.models import Asset, Rendition
from app.services import assets

RIGHTS = {
    "usage_terms": "Free for editorial use in broadcast, print and online.",
    "credit_line": "Multimedia Account",
}
VIDEOS: Sequence[dict[str, Any]] = (
    {
        "slug": "line-up-card-1080p50",
        "title": "Line-up card, full high definition",
        "headline": "A moving test card with timecode and tone, 1080p50",
        "purpose": "broadcast",
    },
    {
        "slug": "line-up-card-720p",
        "title": "Line-up card, high definition",
        "headline": "The same line-up in 720 lines, for the web",
        "purpose": "web",
    },
    {
        "slug": "line-up-card-480p",
        "title": "Line-up card, standard definition",
        "headline": "The same line-up in 480 lines, for slow lines",
        "purpose": "proxy",
    },
)
STORY = {
    "title": "How to check a picture before it goes on air",
    "headline": "Bars, tone and a running clock tell an engineer in ten seconds what is wrong",
    "summary": "What each part of a line-up card is for, and where to download one.",
    "body": (
        "Before a programme leaves the building, somebody looks at a card. The colour bars show "
        "whether hue and saturation have survived the way. The grey steps show whether black is "
        "still black. The tone, at the alignment level, sets the sound. And the clock, frame by "
        "frame, shows whether any were lost.\n\n"
        "The three clips beside this story are such cards, in the sizes that are asked for most."
    ),
    "keywords": ["broadcast engineering", "test card"],
    "rights": RIGHTS,
}


async def fill_empty_catalogue(database: Database, storage: Storage, *, now: datetime) -> bool:
    """Publish the demo assets unless there are assets already. Returns whether it did."""
    async with database.transaction() as session:
        if await assets.has_any(session):
            return False
    with TemporaryDirectory() as folder:
        videos = [
            await _make_video(storage, Path(folder), fields, spec)
            for fields, spec in zip(VIDEOS, test_card.DEMO_CLIPS, strict=True)
        ]
    async with database.transaction() as session:
        await _publish_all(session, videos, now=now)
    return True


async def _make_video(
    storage: Storage, folder: Path, fields: dict[str, Any], spec: ClipSpec
) -> tuple[Asset, Rendition]:
    """Render, probe, hash and store one clip; the database waits for none of it."""
    filename = f"{fields['slug']}.mp4"
    path = folder / filename
    await asyncio.to_thread(test_card.render, path, spec)
    technical = await asyncio.to_thread(media_probe.probe, path)
    sha256 = await asyncio.to_thread(media_probe.sha256_file, path)
    key = content_key(sha256)
    await storage.put_file(key, path, filename=filename, media_type=technical.mime_type)
    rendition = Rendition(
        name=spec.title.lower(),
        purpose=fields["purpose"],
        state="ready",
        object_key=key,
        filename=filename,
        media_type=technical.mime_type,
        size_bytes=technical.size_bytes,
        sha256=sha256,
        technical=asdict(technical),
    )
    return _asset(fields["slug"], "video", {**fields, "rights": RIGHTS}), rendition


async def _publish_all(
    session: AsyncSession, videos: Sequence[tuple[Asset, Rendition]], *, now: datetime
) -> None:
    """The clips, an hour apart, and above them the story that belongs to them."""
    for age, (asset, rendition) in enumerate(videos, start=1):
        published_at = now - timedelta(hours=age)
        asset.created_at = rendition.created_at = asset.published_at = published_at
        await assets.publish(session, asset, [rendition], now=published_at)
    related = [
        {"rel": "illustration", "id": str(asset.id), "slug": asset.slug} for asset, _ in videos
    ]
    story = _asset("how-to-check-a-picture", "story", {**STORY, "related": related})
    story.created_at = now
    await assets.publish(session, story, [], now=now)


def _asset(slug: str, asset_type: str, fields: dict[str, Any]) -> Asset:
    described = {name: value for name, value in fields.items() if name not in {"slug", "purpose"}}
    return Asset(slug=slug, type=asset_type, language="en", version=1, fields=described)
