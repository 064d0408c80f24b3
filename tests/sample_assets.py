"""The richest sample document, published by the services that publish real ones."""

from datetime import timedelta
from uuid import UUID

from fastapi import FastAPI

from app.models import Caption
from tests.factories import PUBLISHED_AT, add_file, create, publish
from tests.sample_documents import MASTER_TECHNICAL, VIDEO

CAPTIONS = "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\nIt is a good day.\n"
# What editors write; the rest is made from files, versions and neighbours.
FIELDS = (
    "spoken_languages", "content_class", "title", "headline", "slugline", "summary", "body",
    "script", "transcript", "urgency", "location", "people", "organisations", "keywords",
    "subjects", "shotlist", "credits", "rights", "restrictions", "third_party",
    "alternative_ids", "filmed_from", "filmed_to", "translations",
)  # fmt: skip


async def publish_rich_video(
    app: FastAPI, slug: str = "harbour-exercise", *, age: timedelta = timedelta(0)
) -> UUID:
    """With a master, a poster, a preview and English captions, `age` before 9 o'clock."""
    at = PUBLISHED_AT - age
    async with app.state.database.transaction() as session:
        fields = {name: VIDEO[name] for name in FIELDS}
        asset = await create(session, slug, "video", fields=fields, at=at)
        await add_file(
            session,
            asset,
            name="master",
            purpose="master",
            technical=MASTER_TECHNICAL,
            media_type="application/mxf",
        )
        picture = {"video": {"width": 960, "height": 540}, "image": {"width": 1280, "height": 720}}
        for name, filename, media_type, kind in (
            ("poster", "poster.jpg", "image/jpeg", "image"),
            ("preview", "preview.mp4", "video/mp4", "video"),
        ):
            await add_file(
                session,
                asset,
                name=name,
                purpose=name,
                filename=filename,
                media_type=media_type,
                technical={kind: picture[kind]},
            )
        session.add(
            Caption(
                asset_id=asset.id,
                language="en",
                kind="captions",
                label="English",
                webvtt=CAPTIONS,
                sha256="0" * 64,
                updated_at=at,
            )
        )
        await session.flush()
        await publish(session, asset, at=at)
    return asset.id
