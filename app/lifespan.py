"""What the application opens when it starts, does beside its requests, and closes at its end."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial

import structlog
from fastapi import FastAPI

from app.adapters.storage import open_storage
from app.crypto import AccessTokens, Keyring, PasswordHasher
from app.db import Database, open_connection
from app.http.page_store import PageStore
from app.listener import Listener
from app.migrate import head_revision
from app.services import catalogue_events, change_feed, key_events, policy, signing_keys
from app.services import changes as change_events
from app.services.change_hub import ChangeHub
from app.services.context import Deployment
from app.settings import Settings, SettingsError

log = structlog.get_logger(__name__)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    if settings.database_url is None or settings.secret_key is None:
        raise SettingsError("DATABASE_URL and SECRET_KEY are set by `python -m app serve`")
    keyring = Keyring(settings.secret_key.get_secret_value())
    database = Database(
        settings.database_url,
        read_url=settings.database_read_url,
        pooled_by_server=settings.database_direct_url is not None,
    )
    storage_url = settings.storage_url.get_secret_value() if settings.storage_url else None
    app.state.database = database
    app.state.deployment = make_deployment(settings, keyring)
    app.state.hasher = PasswordHasher(keyring)
    app.state.access_tokens = AccessTokens(issuer=settings.base_url, audience=settings.base_url)
    app.state.keys.open(database, app.state.access_tokens)
    app.state.storage = open_storage(storage_url, default_folder=settings.data_dir / "objects")
    app.state.expected_revision = head_revision()
    await _load_signing_keys(app)
    await _renew_moved_feed(app)
    # What was made so far stays for good: the collector need not look through it again and again.
    gc.freeze()
    try:
        async with _background(app, settings.database_direct_url or settings.database_url):
            yield
    finally:
        app.state.hasher.close()
        if app.state.counters is not None:
            await app.state.counters.aclose()
        await database.close()


@asynccontextmanager
async def _background(app: FastAPI, direct_url: str) -> AsyncIterator[None]:
    """What goes on beside the requests; the usage of keys is stored to the end."""
    stopping = asyncio.Event()
    usage_kept = asyncio.create_task(app.state.keys.keep_usage(app.state.database, stopping))
    tasks = [
        asyncio.create_task(_keep_signing_keys_fresh(app)),
        asyncio.create_task(change_listener(app, direct_url).run()),
    ]
    try:
        yield
    finally:
        stopping.set()
        await usage_kept
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def make_deployment(settings: Settings, keyring: Keyring) -> Deployment:
    return Deployment(
        keyring=keyring,
        links_url=settings.links_url,
        return_to_origins=frozenset(
            {settings.base_url.lower(), settings.links_url.lower(), *settings.return_to_origins}
        ),
        limits_on=settings.rate_limits == "on",
    )


def change_listener(app: FastAPI, url: str) -> Listener:
    """Let pages, feed and keys hear of every change: of our own at once, of others by NOTIFY.

    Pages and feed depend on hearing all; what is known of a key is never old.
    """
    pages: PageStore = app.state.pages
    hub: ChangeHub = app.state.changes

    def hear(payload: str) -> None:
        pages.drop(catalogue_events.changed_names(payload))
        hub.forget_pages()

    def vouch(seconds: float) -> None:
        pages.vouch(seconds)
        hub.vouch(seconds)

    def distrust() -> None:
        pages.distrust()
        hub.distrust()

    app.state.database.hearers = hearers = {
        catalogue_events.CHANNEL: hear,
        change_events.CHANNEL: hub.hear,
        key_events.CHANNEL: app.state.keys.hear,
    }
    return Listener(partial(open_connection, url), hearers, vouch=vouch, distrust=distrust)


async def _renew_moved_feed(app: FastAPI) -> None:
    """Cursors of a database that this one is a copy of are worth nothing here."""
    async with app.state.database.transaction() as session:
        await change_feed.reset_if_moved(session)


async def _load_signing_keys(app: FastAPI) -> None:
    async with app.state.database.transaction() as session:
        keyring = app.state.deployment.keyring
        keys = await signing_keys.load(session, keyring=keyring, now=datetime.now(UTC))
    app.state.access_tokens.use_keys(keys)


async def _keep_signing_keys_fresh(app: FastAPI) -> None:
    """Learn of a rotation by another process; a database that is away leaves the keys we have."""
    while True:
        await asyncio.sleep(policy.SIGNING_KEY_RELOAD_INTERVAL.total_seconds())
        try:
            await _load_signing_keys(app)
        except Exception as error:  # noqa: BLE001  # drivers raise far more than they document
            log.warning("signing_keys_not_reloaded", error=type(error).__name__)
