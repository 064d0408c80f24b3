"""The application: what it holds while it runs, its layers and its list of routers."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial

import structlog
from fastapi import FastAPI
from starlette.middleware import Middleware

from app import errors
from app.adapters.storage import open_storage
from app.crypto import AccessTokens, Keyring, PasswordHasher
from app.db import Database, open_connection
from app.http.body_limits import BodyLimit
from app.http.counters import open_counters
from app.http.head import HeadMiddleware
from app.http.key_gate import KeyGate
from app.http.openapi import install_openapi, operation_id
from app.http.page_store import PageStore
from app.http.stack import StackOptions, middleware_stack
from app.http.tus import LONGEST_PAUSE, is_upload
from app.listener import Listener
from app.migrate import head_revision
from app.routers import (
    account,
    accounts,
    api_keys,
    asset_editing,
    asset_formats,
    asset_lists,
    assets,
    audit_events,
    auth,
    captions,
    changes,
    collections,
    download_history,
    downloads,
    edition_preview_pages,
    edition_previews,
    edition_sending,
    editions,
    exports,
    feeds,
    health,
    inbound_mail,
    keywords,
    mail_rates,
    manifests,
    newsletter,
    newsletter_archive,
    newsletter_links,
    newsletter_topics,
    oai,
    oauth,
    oembed,
    pages,
    reauthentication,
    renditions,
    saved_search_links,
    saved_searches,
    sessions,
    sitemaps,
    subscribers,
    uploads,
    usage,
    verification_codes,
    webhook_deliveries,
    webhooks,
    well_known,
)
from app.schemas.vocabulary import VOCABULARY
from app.services import catalogue_events, change_feed, key_events, policy, signing_keys
from app.services import changes as change_events
from app.services.access_checks import AccessChecks
from app.services.change_hub import ChangeHub
from app.services.context import Deployment
from app.services.uploads import RunningUploads
from app.settings import Settings, SettingsError

log = structlog.get_logger(__name__)

DESCRIPTION = """\
Accounts, the media catalogue and the newsletter of a broadcast-media portal.

Errors are `application/problem+json` (RFC 9457) with a stable `code`. Lists are paged by `limit`
and `cursor`. Times are RFC 3339 in UTC, ids UUIDv7, durations seconds, sizes bytes.
"""
SUBSCRIBERS_PATH = "/v1/newsletter/subscribers"
CHANGES_PATH = "/v1/changes"
ROUTERS = (
    auth.router,
    sessions.router,
    reauthentication.router,
    verification_codes.router,
    account.router,
    asset_editing.router,
    asset_lists.router,
    asset_formats.router,  # before `assets`, whose references take in every suffix
    assets.router,
    feeds.router,
    sitemaps.router,
    oembed.router,
    captions.router,
    collections.router,
    keywords.router,
    uploads.router,
    renditions.router,
    downloads.router,
    download_history.router,
    manifests.router,
    exports.router,
    oai.router,
    saved_search_links.router,
    saved_searches.router,
    accounts.router,
    newsletter.router,
    newsletter_links.router,
    newsletter_topics.router,
    subscribers.router,
    editions.router,
    edition_sending.router,
    edition_previews.router,
    edition_preview_pages.router,
    newsletter_archive.router,
    mail_rates.router,
    inbound_mail.router,
    api_keys.router,
    oauth.router,
    usage.router,
    audit_events.router,
    changes.router,
    webhooks.router,
    webhook_deliveries.router,
    well_known.router,
    health.router,
    pages.router,
)


def create_app(settings: Settings) -> FastAPI:
    """Build the API for one process; connections are opened when it starts."""
    options = _stack_options(settings)
    app = FastAPI(
        title="Multimedia Account",
        version="1",
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        # We have metrics of our own, and looking for OpenTelemetry's costs every request its share.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        redirect_slashes=False,  # its Location would be made from the client's Host header
        generate_unique_id_function=operation_id,
        middleware=[
            *middleware_stack(options),
            Middleware(HeadMiddleware, answers_head=_is_whole_file),
        ],
        lifespan=_lifespan,
    )
    app.state.settings = settings
    app.state.counters = options.counters
    app.state.pages = options.pages
    app.state.keys = options.keys
    app.state.running_uploads = RunningUploads()
    app.state.changes = ChangeHub()
    app.state.access_checks = AccessChecks()
    if not settings.is_production:
        _add_development_pages(app)
    for router in ROUTERS:
        app.include_router(router)
    errors.install_handlers(app)
    install_openapi(app, server_url=settings.base_url, vocabulary=VOCABULARY)
    return app


def _add_development_pages(app: FastAPI) -> None:
    """Before the plain pages, in whose place the browser app stands; not loaded in production."""
    from app.routers import browser_app, dev_mail

    app.include_router(dev_mail.router)
    if browser_app.FOLDER.is_dir():
        app.include_router(browser_app.router)
        app.mount("/ui", browser_app.files)


def _stack_options(settings: Settings) -> StackOptions:
    redis_url = settings.redis_url.get_secret_value() if settings.redis_url else None
    counters = open_counters(redis_url) if settings.rate_limits == "on" else None
    return StackOptions(
        trusted_proxies=settings.trusted_proxies,
        allowed_hosts=settings.allowed_hosts,
        cors_origins=settings.browser_origins,
        is_public=_is_shown_by_players,
        body_limit_for=partial(_body_limit, policy.largest_upload(settings.max_upload_bytes)),
        has_no_deadline=_may_take_long,
        counters=counters,
        keys=KeyGate(counters),
        pages=PageStore(),
    )


def _body_limit(largest_upload: int, path: str) -> BodyLimit | None:
    """Where bodies may be larger than JSON is, or must be small."""
    if path.startswith("/v1/assets/") and "/captions/" in path:
        return BodyLimit(max_bytes=policy.CAPTION_MAX_BYTES)
    if path == SUBSCRIBERS_PATH:
        return BodyLimit(max_bytes=policy.IMPORT_MAX_BYTES, stall=LONGEST_PAUSE, total=None)
    if path.startswith(("/v1/newsletter/unsubscribe/", "/oauth/")):
        return BodyLimit(max_bytes=policy.FORM_MAX_BYTES)
    if path == "/v1/mail/inbound":
        return BodyLimit(max_bytes=policy.INBOUND_MAIL_MAX_BYTES)
    if is_upload(path):
        return BodyLimit(max_bytes=largest_upload, stall=LONGEST_PAUSE, total=None)
    return None


def _may_take_long(path: str) -> bool:
    """Files, lists of subscribers, which are imported while they arrive, and waits for changes."""
    return _is_whole_file(path) or path in {SUBSCRIBERS_PATH, CHANGES_PATH}


def _is_whole_file(path: str) -> bool:
    """A broadcast-quality file may take hours to leave or to arrive."""
    return (
        path.startswith(("/v1/files/", "/v1/exports/"))
        or is_upload(path)
        or _is_shown_by_players(path)
    )


def _is_shown_by_players(path: str) -> bool:
    """Pages of any site may show posters and previews, and draw them on a canvas."""
    return path.startswith("/v1/assets/") and path.endswith(("/poster.jpg", "/preview.mp4"))


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
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
        asyncio.create_task(_listener(app, direct_url).run()),
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


def _listener(app: FastAPI, url: str) -> Listener:
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
