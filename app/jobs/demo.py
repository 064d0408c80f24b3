"""The demo catalogue: a few assets that an editor might have made, and any number of others."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.adapters.storage import Storage
from app.db import Database
from app.jobs import demo_files, demo_stories
from app.jobs.demo_assets import DemoCatalogue, demo_collections
from app.jobs.demo_files import DemoFile, DemoFileMaker
from app.jobs.demo_load import discard_unfinished, load
from app.models import Asset, Caption
from app.services import asset_editing, assets, collections, derived_files, publication
from app.services.context import WORKER


async def fill_empty_catalogue(
    database: Database,
    storage: Storage,
    *,
    url: str,
    size: int = 0,
    on_progress: Callable[[int], None] = lambda _: None,
    now: datetime,
) -> bool:
    """Publish the demo assets unless there are assets already. Returns whether it did.

    `size` more are made up and loaded over connections of their own to the database at `url`.
    Those that an earlier run left unfinished don't count, and are removed.
    """
    await discard_unfinished(url)
    async with database.transaction() as session:
        if await assets.has_any(session):
            return False
    with TemporaryDirectory() as folder:
        maker = DemoFileMaker(database.transaction, storage, Path(folder), now)
        clips = await maker.clips()
        tone = await maker.tone() if size else None
    if tone is not None:
        files = demo_files.by_type(clips, tone)
        await load(url, DemoCatalogue(size, files, demo_collections()), on_progress=on_progress)
    async with database.transaction() as session:
        await _publish_all(session, clips, now=now)
    return True


async def _publish_all(session: AsyncSession, clips: Sequence[DemoFile], *, now: datetime) -> None:
    """The clips, an hour apart, the story that belongs to them, and what only editors see."""
    await collections.create(session, demo_stories.SERIES, account_id=None, client=None, now=now)
    related = []
    for age, (clip, sent) in enumerate(zip(clips, demo_stories.VIDEOS, strict=True), start=1):
        at = now - timedelta(hours=age)
        video = await _add(session, "video", sent, now=at)
        await _add_file(session, video, clip, now=at)
        await _publish(session, video, now=at)
        related.append({"rel": "illustration", "id": str(video.id)})
    story = await _add(session, "story", {**demo_stories.STORY, "related": related}, now=now)
    await _publish(session, story, now=now)
    for sent in demo_stories.DRAFTS:
        await _add(session, "story", sent, now=now)
    scheduled = await _add(session, "story", demo_stories.SCHEDULED, now=now)
    await _publish(session, scheduled, publish_at=demo_stories.SCHEDULED_FOR, now=now)
    for reason, sent in demo_stories.WITHDRAWN.items():
        await _withdraw(session, await _add(session, "story", sent, now=now), reason, now=now)


async def _add(
    session: AsyncSession, asset_type: str, sent: Mapping[str, Any], *, now: datetime
) -> Asset:
    return await asset_editing.create(session, asset_type, sent, editor=WORKER, now=now)


async def _add_file(session: AsyncSession, asset: Asset, file: DemoFile, *, now: datetime) -> None:
    """The file, what was made of it, and its captions."""
    rendition = file.rendition(stem=asset.slug, now=now)
    rendition.asset_id = asset.id
    session.add(rendition)
    await session.flush()
    await derived_files.put(session, rendition, file.derived, now=now)
    session.add(_caption(asset, now=now))


async def _publish(
    session: AsyncSession, asset: Asset, *, publish_at: datetime | None = None, now: datetime
) -> None:
    await publication.publish(
        session,
        str(asset.id),
        publish_at=publish_at,
        note=None,
        check=lambda _: None,
        editor=WORKER,
        now=now,
    )


async def _withdraw(session: AsyncSession, asset: Asset, reason: str, *, now: datetime) -> None:
    """Publish, and take back."""
    await _publish(session, asset, now=now)
    await publication.withdraw(
        session, str(asset.id), reason=reason, check=lambda _: None, editor=WORKER, now=now
    )


def _caption(asset: Asset, *, now: datetime) -> Caption:
    digest = sha256(demo_stories.CAPTIONS.encode()).hexdigest()
    return Caption(
        asset_id=asset.id,
        language="en",
        kind="captions",
        webvtt=demo_stories.CAPTIONS,
        sha256=digest,
        updated_at=now,
    )
